//! Rank 1: sealed messages and the keys that seal them. Synchronous, without I/O and clocks.
//!
//! Everything that cloakfs seals is a [C2SP chunked-encryption] message, "Cobblestone-256":
//! AES-256-GCM over chunks of 16 KiB, under a key that HKDF-SHA512 expands from an input key,
//! a fresh random salt and a [`Context`]. So there is one format to get right, no nonce to
//! manage, authenticated random access, and a ciphertext opens under one key only.
//!
//! Assumed: input keys are uniformly random, and the operating system's randomness is sound.
//! Failing: whatever is wrong with a message, there is one answer, [`OpenError`], and no bytes.
//!
//! [`sealed`] seals and opens, [`length`] is its arithmetic, [`context`] encodes what a message
//! is for, [`backend`] is the seam behind which the primitives are.
//!
//! [C2SP chunked-encryption]: https://c2sp.org/chunked-encryption

mod backend;
pub mod context;
pub mod length;
pub mod sealed;

pub use context::{Context, Purpose};
pub use length::{CHUNK_BYTES, HEADER_BYTES, LengthError, MessageLength, STORED_CHUNK_BYTES};
pub use sealed::{InputKey, OpenError, Opener, Sealer, open, seal};
