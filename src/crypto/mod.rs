//! Rank 1: sealed messages and the keys that seal them. Synchronous, without I/O and clocks.
//!
//! Everything that cloakfs seals is a [C2SP chunked-encryption] message, "Cobblestone-256":
//! AES-256-GCM over chunks of 16 KiB, under a key that HKDF-SHA512 expands from an input key,
//! a fresh random salt and a [`Context`]. So there is one format to get right, no nonce to
//! manage, authenticated random access, and a ciphertext opens under one key only.
//!
//! Names are the exception: they must always become the same text, so they are AES-SIV.
//!
//! Assumed: input keys are uniformly random, and the operating system's randomness is sound.
//! Failing: whatever is wrong with a message, there is one answer, [`OpenError`], and no bytes.
//!
//! [`sealed`] seals and opens, [`length`] is its arithmetic, [`context`] encodes what a message
//! is for, [`keys`] has a type for each kind of key and wraps one with another, [`passphrase`]
//! makes keys from passphrases, [`name`] encrypts names, [`wrapping`] wraps a customer's key on
//! its way to KMS, [`backend`] is the seam behind which the primitives are. [`s3ec`] is what
//! another program's objects are read and written with.
//!
//! [C2SP chunked-encryption]: https://c2sp.org/chunked-encryption

mod backend;
pub mod context;
pub mod keys;
pub mod length;
pub mod name;
pub mod passphrase;
pub mod s3ec;
pub mod sealed;
pub mod wrapping;

pub use context::{Context, Purpose};
pub use keys::{ContentKey, DataKey, MasterKey};
pub use length::{CHUNK_BYTES, HEADER_BYTES, LengthError, MessageLength, STORED_CHUNK_BYTES};
pub use name::NameKey;
pub use sealed::{InputKey, OpenError, Opener, SALT_BYTES, Sealer, open, seal, seal_into};

/// The library behind the primitives of this build.
pub const BACKEND: &str = <backend::Active as backend::Backend>::NAME;
