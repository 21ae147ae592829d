//! The cryptography of the Amazon S3 Encryption Client's objects. Nothing that cloakfs seals
//! itself uses it.
//!
//! The content of such an object is one AES-256-GCM message of up to 64 GiB with its tag at the
//! end, so no part of it is authentic before all of it was seen. [`gcm`] checks one in a single
//! pass without keeping it, and decrypts any range of one that was checked. [`keys`] has the data
//! key and what v3 derives from it, [`wrapping`] and [`rsa`] what wraps data keys, [`legacy`]
//! what is read on request alone.
//!
//! Failing: whatever is wrong, there is one answer, [`Refused`], and no bytes.
//!
//! Primitives are AWS-LC's whichever back end the format of cloakfs has, but for GHASH: AWS-LC
//! gives out none that takes a message in pieces.

pub mod gcm;
pub mod keys;
pub mod legacy;
pub mod rsa;
pub mod wrapping;

pub use gcm::{Checking, GcmKey, Sealing};
pub use keys::{COMMITMENT_BYTES, MESSAGE_ID_BYTES, S3ecDataKey};
pub use rsa::{RsaPrivateKey, RsaPublicKey};

/// It does not open under this key; nothing else is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// What tells a piece of ciphertext that was checked from any other: the first half of its
/// SHA-256. Nobody can choose what was checked, so what counts is finding a second preimage.
#[must_use]
pub fn digest(ciphertext: &[u8]) -> [u8; 16] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, ciphertext);
    *digest.as_ref().first_chunk().expect("it has 32 bytes")
}

#[cfg(test)]
mod tests;
