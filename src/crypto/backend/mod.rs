//! The seam between the format and the library that computes its primitives.
//!
//! A back end is a module with [`ContentCipher`], [`expand_sha512`] and [`constant_time_eq`] of
//! the same signatures; nothing outside of `crypto::backend` names its library. It knows
//! nothing of chunks, salts and contexts.

mod aws_lc;

pub(super) use aws_lc::{ContentCipher, constant_time_eq, expand_sha512};

/// Bytes of an AES-256 key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a GCM nonce.
pub(super) const NONCE_BYTES: usize = 12;
/// Bytes that GCM adds to what it seals.
pub(super) const TAG_BYTES: usize = 16;

/// A nonce, moved into the one call that uses it.
pub(super) struct Nonce(pub(super) [u8; NONCE_BYTES]);

/// The tag did not match; nothing else is known, and the output is to be thrown away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TagMismatch;

#[cfg(test)]
mod tests;
