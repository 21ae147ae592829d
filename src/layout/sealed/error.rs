//! Why an object is not read.

use crate::crypto::OpenError;
use crate::layout::s3ec::S3ecError;

/// Each message is what follows the object's name in a sentence.
///
/// Callers act on the kinds: what is not ours may be another format's, an unknown version or
/// feature is answered by a newer program, what is not authentic is an alarm, and what is
/// malformed although it authenticated is a fault of the program that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error(
        "was not written by cloakfs in a client-side mode: it has none of its metadata; move it out of this volume"
    )]
    NotOurs,
    #[error("has format version {0}, and this cloakfs reads version 1: use a newer one")]
    UnknownVersion(u64),
    #[error(
        "was made with a feature that this cloakfs does not know (bits {0:#010x}): use a newer one"
    )]
    UnknownFeature(u32),
    /// Before anything could be authenticated.
    #[error(
        "has cloakfs metadata that was changed or cut: {0}; restore an older version of the object"
    )]
    BrokenMetadata(&'static str),
    #[error(
        "is not authentic: it was changed, moved here without its key, or mixed from two versions; restore an older version of the object"
    )]
    NotAuthentic,
    #[error(
        "was written wrongly, though by a holder of the key: {0}; report it as a fault of cloakfs"
    )]
    Malformed(&'static str),
    /// Of another format, whose objects are read beside those of this one.
    #[error(transparent)]
    S3ec(S3ecError),
}

impl From<S3ecError> for ObjectError {
    fn from(error: S3ecError) -> Self {
        Self::S3ec(error)
    }
}

impl From<OpenError> for ObjectError {
    fn from(OpenError: OpenError) -> Self {
        Self::NotAuthentic
    }
}
