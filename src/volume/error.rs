//! A failed operation on a volume: the store's error, or a name or attribute that cannot be
//! stored, with the path it happened to.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::sealed::DataKeyError;
use crate::cache::BrokenFetch;
use crate::keys::kms::{KmsError, KmsErrorKind};
use crate::layout::path::{HiddenReason, NameError};
use crate::layout::sealed::ObjectError;
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
    /// A client-side object that is not read.
    Object(ObjectError),
    Hidden(HiddenReason),
    /// KMS makes or unwraps no data key.
    Kms(Arc<KmsError>),
    Other(ErrorKind, String),
}

impl VolumeError {
    pub(super) fn object(path: impl fmt::Display, error: ObjectError) -> Self {
        Self {
            path: path.to_string(),
            cause: Cause::Object(error),
        }
    }

    /// Under the name that a person knows the object by.
    pub(super) fn named(mut self, path: impl fmt::Display) -> Self {
        self.path = path.to_string();
        self
    }

    pub(super) fn data_key(path: impl fmt::Display, error: DataKeyError) -> Self {
        match error {
            DataKeyError::Object(error) => Self::object(path, error),
            DataKeyError::Kms(error) => Self {
                path: path.to_string(),
                cause: Cause::Kms(error),
            },
            DataKeyError::Lost => Self::other(path, ErrorKind::Unavailable, &error.to_string()),
        }
    }

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

    /// A key that no path names, though something below it has to be named.
    pub(super) fn hidden(key: &str, reason: HiddenReason) -> Self {
        Self {
            path: key.to_owned(),
            cause: Cause::Hidden(reason),
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
    pub fn kind(&self) -> ErrorKind {
        match &self.cause {
            Cause::Store(error) => error.kind(),
            Cause::Name(_) | Cause::Metadata(_) => ErrorKind::Invalid,
            Cause::Object(_) | Cause::Hidden(_) => ErrorKind::Corrupt,
            Cause::Kms(error) => kind_of(error.kind()),
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

    /// The name is longer than the volume or the server stores.
    #[must_use]
    pub fn is_name_too_long(&self) -> bool {
        let code = self.store_error().and_then(StoreError::code);
        self.name_error() == Some(&NameError::TooLong)
            || matches!(code, Some("KeyTooLongError" | "XMinioInvalidObjectName"))
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
        match &self.cause {
            Cause::Store(error) => error.concerns_encryption(),
            Cause::Kms(error) => matches!(kind_of(error.kind()), ErrorKind::Denied),
            _ => false,
        }
    }

    /// Why a client-side object is not read, if that is the trouble.
    #[must_use]
    pub const fn object_error(&self) -> Option<ObjectError> {
        match self.cause {
            Cause::Object(error) => Some(error),
            _ => None,
        }
    }

    /// The object does not authenticate, or is under no key of the mount's: nobody reads it
    /// through this mount, whatever the server and the network do. A key that KMS refuses may be
    /// allowed again, so that is none of it.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match &self.cause {
            Cause::Object(_) => true,
            Cause::Kms(_) => self.kind() == ErrorKind::Corrupt,
            _ => false,
        }
    }

    /// The object is under a customer's key that the mount does not have and never had.
    #[must_use]
    pub fn lacks_customer_key(&self) -> bool {
        self.store_error()
            .is_some_and(StoreError::lacks_customer_key)
    }

    /// What KMS refused, if that is the trouble.
    #[must_use]
    pub fn kms_error(&self) -> Option<KmsErrorKind> {
        match &self.cause {
            Cause::Kms(error) => Some(error.kind()),
            _ => None,
        }
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

/// A key that cannot be used is a right that is missing, whatever the reason.
const fn kind_of(kind: KmsErrorKind) -> ErrorKind {
    match kind {
        KmsErrorKind::NotFound
        | KmsErrorKind::Denied
        | KmsErrorKind::Credentials
        | KmsErrorKind::State
        | KmsErrorKind::Unsuitable
        | KmsErrorKind::Exists
        | KmsErrorKind::OtherMaterial => ErrorKind::Denied,
        KmsErrorKind::NotWrapped => ErrorKind::Corrupt,
        KmsErrorKind::Throttled => ErrorKind::Throttled,
        KmsErrorKind::ServerFault | KmsErrorKind::Unreachable | KmsErrorKind::Disconnected => {
            ErrorKind::Unavailable
        }
        KmsErrorKind::TimedOut => ErrorKind::TimedOut,
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
            Cause::Object(error) => write!(f, "{:?} {error}", self.path),
            Cause::Hidden(reason) => write!(f, "{:?} {reason}", self.path),
            Cause::Kms(error) => write!(f, "{:?}: {error}", self.path),
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
            Cause::Object(error) => Some(error),
            Cause::Hidden(reason) => Some(reason),
            Cause::Kms(error) => Some(error.as_ref()),
            Cause::Metadata(_) | Cause::Other(..) => None,
        }
    }
}
