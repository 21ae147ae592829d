//! A failed operation on a volume: the store's error, or a name or attribute that cannot be
//! stored, with the path it happened to.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::cache::BrokenFetch;
use crate::layout::path::NameError;
use crate::store::{ErrorKind, StoreError};

/// See the module's text.
#[derive(Debug)]
pub struct VolumeError {
    path: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Store(StoreError),
    Name(NameError),
    /// Attributes do not fit into the object's metadata.
    Metadata(String),
    Other(ErrorKind, String),
}

impl VolumeError {
    pub(super) fn store(path: impl fmt::Display, error: StoreError) -> Self {
        Self {
            path: path.to_string(),
            cause: Cause::Store(error),
        }
    }

    pub(super) fn name(path: impl fmt::Display, error: NameError) -> Self {
        Self {
            path: path.to_string(),
            cause: Cause::Name(error),
        }
    }

    pub(super) fn metadata(path: impl fmt::Display, error: &dyn Error) -> Self {
        Self {
            path: path.to_string(),
            cause: Cause::Metadata(error.to_string()),
        }
    }

    pub(super) fn invalid(path: impl fmt::Display, message: &str) -> Self {
        Self::other(path, ErrorKind::Invalid, message)
    }

    pub(super) fn other(path: impl fmt::Display, kind: ErrorKind, message: &str) -> Self {
        Self {
            path: path.to_string(),
            cause: Cause::Other(kind, message.to_owned()),
        }
    }

    /// The object that an inode stood for has no name any more.
    #[must_use]
    pub fn gone(ino: u64) -> Self {
        Self::other(
            format!("inode {ino}"),
            ErrorKind::NotFound,
            "the object has no name any more",
        )
    }

    /// Changed data was given up while it was on its way.
    #[must_use]
    pub fn discarded() -> Self {
        Self::other(
            "",
            ErrorKind::Invalid,
            "the changes were discarded meanwhile",
        )
    }

    /// Changed data that could not be read back from this machine's memory or disk.
    #[must_use]
    pub fn written(error: &dyn Error) -> Self {
        Self::other("", ErrorKind::Corrupt, &error.to_string())
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match &self.cause {
            Cause::Store(error) => error.kind(),
            Cause::Name(_) | Cause::Metadata(_) => ErrorKind::Invalid,
            Cause::Other(kind, _) => *kind,
        }
    }

    /// The name that cannot be stored, if that is the trouble.
    #[must_use]
    pub const fn name_error(&self) -> Option<&NameError> {
        match &self.cause {
            Cause::Name(error) => Some(error),
            _ => None,
        }
    }

    /// The attributes are too large for the object's metadata.
    #[must_use]
    pub const fn is_metadata_too_large(&self) -> bool {
        matches!(self.cause, Cause::Metadata(_))
    }

    /// The path, relative to the volume.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The encryption that was asked for, or a key that is missing or cannot be used, is why.
    #[must_use]
    pub fn concerns_encryption(&self) -> bool {
        self.store_error()
            .is_some_and(StoreError::concerns_encryption)
    }

    /// The object is under a customer's key that the mount does not have and never had.
    #[must_use]
    pub fn lacks_customer_key(&self) -> bool {
        self.store_error()
            .is_some_and(StoreError::lacks_customer_key)
    }

    /// The store's error, if it is one.
    #[must_use]
    pub const fn store_error(&self) -> Option<&StoreError> {
        match &self.cause {
            Cause::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// A fetch that ended without an answer, or with too few bytes.
impl From<BrokenFetch> for Arc<VolumeError> {
    fn from(broken: BrokenFetch) -> Self {
        Self::new(VolumeError::other(
            "",
            ErrorKind::Corrupt,
            &broken.to_string(),
        ))
    }
}

impl fmt::Display for VolumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Store(error) => fmt::Display::fmt(error, f),
            Cause::Name(error) => write!(f, "{:?}: {error}", self.path),
            Cause::Metadata(error) | Cause::Other(_, error) => {
                write!(f, "{:?}: {error}", self.path)
            }
        }
    }
}

impl Error for VolumeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Store(error) => error.source(),
            Cause::Name(error) => Some(error),
            Cause::Metadata(_) | Cause::Other(..) => None,
        }
    }
}
