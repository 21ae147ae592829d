//! From the operating system's errors to the store's.

use std::io;
use std::path::{Path, PathBuf};

use super::header::HeaderError;
use crate::store::{ErrorKind, Operation, StoreError};

/// Why a directory cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    #[error(
        "the directory {0:?} does not exist: make it first, or check the path for a slip of the pen"
    )]
    Missing(PathBuf),
    #[error("{0:?} is not a directory: a local store is a directory")]
    NotADirectory(PathBuf),
    #[error(
        "the directory {path:?} cannot be written to ({source}): a local store needs write permission and a writable filesystem"
    )]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("the disk of {0:?} is full: free some space, or use a directory on another disk")]
    Full(PathBuf),
    #[error("the directory {path:?} cannot be used as a store: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl DirError {
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error() {
            Some(libc::ENOENT) => Self::Missing(path),
            Some(libc::ENOTDIR) => Self::NotADirectory(path),
            Some(libc::EACCES | libc::EPERM | libc::EROFS) => Self::NotWritable { path, source },
            Some(libc::ENOSPC | libc::EDQUOT) => Self::Full(path),
            _ => Self::Io { path, source },
        }
    }
}

/// A request's name, for its errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub operation: Operation,
    /// The key, or the prefix of a listing.
    pub object: &'a str,
}

impl Request<'_> {
    fn error(&self, kind: ErrorKind, code: &str, message: String) -> StoreError {
        StoreError::new(kind, self.operation, self.object, message).with_code(code)
    }

    /// A failed system call below the store's directory `root`.
    pub(super) fn io(&self, root: &Path, error: io::Error) -> StoreError {
        let root = root.display();
        let (kind, code, message) = match error.raw_os_error() {
            Some(libc::ENOSPC) => (
                ErrorKind::Invalid,
                "ENOSPC",
                format!("the disk of {root} is full: free some space"),
            ),
            Some(libc::EDQUOT) => (
                ErrorKind::Invalid,
                "QuotaExceeded",
                format!("the disk quota for {root} is used up"),
            ),
            Some(libc::EACCES | libc::EPERM) => (
                ErrorKind::Denied,
                "AccessDenied",
                format!("the permissions of files below {root} do not allow it"),
            ),
            Some(libc::EROFS) => (
                ErrorKind::Denied,
                "AccessDenied",
                format!("the filesystem of {root} is read-only"),
            ),
            Some(libc::ENAMETOOLONG) => (
                ErrorKind::Invalid,
                "KeyTooLongError",
                format!("with {root} before it, the key's path is too long for this system"),
            ),
            Some(libc::EFBIG) => (
                ErrorKind::Invalid,
                "EntityTooLarge",
                format!("the filesystem of {root} cannot hold so large a file"),
            ),
            Some(libc::ENOTDIR | libc::EISDIR | libc::EEXIST) => (
                ErrorKind::Invalid,
                "InvalidObjectState",
                format!("a file that the store did not write is in the way: move it out of {root}"),
            ),
            Some(libc::ENOENT) => (
                ErrorKind::Unavailable,
                "NoSuchDirectory",
                format!("files of the store in {root} are gone: was its disk unmounted?"),
            ),
            _ => (
                ErrorKind::Unavailable,
                "InternalError",
                format!("the local filesystem failed: {error}"),
            ),
        };
        self.error(kind, code, message).with_source(error)
    }

    /// A file that is not, or no longer, what was written.
    pub(super) fn damaged(&self, path: &Path, error: HeaderError) -> StoreError {
        let message = format!("{}: {error}", path.display());
        self.error(ErrorKind::Corrupt, "InvalidObjectState", message)
            .with_source(error)
    }

    /// The write is visible, but whether it would survive a power failure is open. Not
    /// `Unavailable`: finding the object there is no proof that it was saved.
    pub(super) fn unsaved(&self, root: &Path, error: io::Error) -> StoreError {
        let message = format!(
            "the disk of {} failed to save it durably: {error}",
            root.display()
        );
        self.error(ErrorKind::Corrupt, "InternalError", message)
            .with_source(error)
    }

    /// Others change the same object all the time.
    pub(super) fn contended(&self) -> StoreError {
        let message = "others keep changing the object or its directory at this moment".to_owned();
        self.error(ErrorKind::Conflict, "OperationAborted", message)
    }
}
