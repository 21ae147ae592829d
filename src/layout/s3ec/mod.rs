//! Objects of the Amazon S3 Encryption Client, as their metadata and instruction files tell of
//! them (the client's public specification; docs/decisions/0004 says what is read of it).
//!
//! | | v1 | v2 | v3 |
//! |---|---|---|---|
//! | told by | `x-amz-key` | `x-amz-key-v2` | `x-amz-3`, or `x-amz-c`, `x-amz-d`, `x-amz-i` |
//! | content | AES-256-CBC | AES-256-GCM | AES-256-GCM under a derived key that is committed to |
//!
//! The body is ciphertext and, but for CBC, a tag of 16 bytes. Metadata that is not on the object
//! is in a JSON map beside it, the object `<key>.instruction`.
//!
//! Invariants:
//! 1. Nothing here is authentic: what is decoded says which keys are to be tried, and what opens
//!    under them is authentic.
//! 2. An object is of one version. Names of two versions on one object, or on one object and in
//!    its instruction file, are refused, so that no version is read as an older one.
//! 3. Whatever has a name of cloakfs's own metadata is cloakfs's, and is never decoded here.

mod envelope;
mod error;
mod instruction;
mod metadata;

pub use envelope::{
    ALGORITHM_CONTEXT, CONTENT_BYTES_MAX, Content, Envelope, FormatVersion, KEY_ID_CONTEXT,
    Wrapping,
};
pub use error::S3ecError;
pub use instruction::{INSTRUCTION_BYTES_MAX, INSTRUCTION_SUFFIX};
pub use metadata::{
    COMMITMENT, Described, IS_INSTRUCTION_FILE, KEY_V1, KEY_V2, KEY_V3, MESSAGE_ID,
};

#[cfg(test)]
mod tests;
