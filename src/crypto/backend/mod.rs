//! The seam between the format and the library that computes its primitives.
//!
//! A [`Backend`] knows nothing of chunks, salts and contexts, and nothing outside of
//! `crypto::backend` names its library, but for `crypto::s3ec`, which is another program's format.
//! [`aws_lc`] is the one that is used; with the feature `portable-crypto` it is [`portable`].
//! Tests compile both and prove them equal. [`oaep`] is of no client-side format, and AWS-LC's in
//! both.

#[cfg(any(test, not(feature = "portable-crypto")))]
mod aws_lc;
pub(super) mod oaep;
#[cfg(any(test, feature = "portable-crypto"))]
mod portable;

#[cfg(any(test, not(feature = "portable-crypto")))]
pub(super) use aws_lc::AwsLc;
#[cfg(any(test, feature = "portable-crypto"))]
pub(super) use portable::Portable;

/// The back end of everything that is sealed in this build.
#[cfg(not(feature = "portable-crypto"))]
pub type Active = AwsLc;
#[cfg(feature = "portable-crypto")]
pub type Active = Portable;

/// Bytes of an AES-256 key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a GCM nonce.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes that GCM adds to what it seals.
pub(super) const TAG_BYTES: usize = 16;

/// A library of primitives.
pub trait Backend {
    /// As `cloakfs --version` and benchmarks name it.
    const NAME: &'static str;

    type Cipher: ContentCipher;

    /// HKDF-Expand with SHA-512 (RFC 5869, section 2.3): fills `okm`, at most 255 × 64 bytes,
    /// from a pseudorandom key of at most 64 bytes and the concatenation of `info`.
    fn expand_sha512(prk: &[u8], info: &[&[u8]], okm: &mut [u8]);

    /// Compares without telling by its time where the first difference is.
    fn constant_time_eq(a: &[u8], b: &[u8]) -> bool;
}

/// AES-256-GCM (NIST SP 800-38D) with 96-bit nonces, 128-bit tags and no associated data.
pub trait ContentCipher {
    fn new(key: &[u8; KEY_BYTES]) -> Self;

    /// Seals `plaintext` into `sealed`, which is [`TAG_BYTES`] longer.
    fn seal(&self, nonce: Nonce, plaintext: &[u8], sealed: &mut [u8]);

    /// Opens `sealed` into `plaintext`, which is [`TAG_BYTES`] shorter.
    ///
    /// # Errors
    /// When the tag does not match; `plaintext` then holds nothing of use.
    fn open(&self, nonce: Nonce, sealed: &[u8], plaintext: &mut [u8]) -> Result<(), TagMismatch>;
}

/// A nonce, moved into the one call that uses it.
#[derive(Debug)]
pub struct Nonce(pub(super) [u8; NONCE_BYTES]);

/// The tag did not match; nothing else is known, and the output is to be thrown away.
#[derive(Debug, PartialEq, Eq)]
pub struct TagMismatch;

#[cfg(test)]
mod tests;
