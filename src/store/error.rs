//! Store errors branch only where callers act differently; everything else is in the words.

use std::error::Error;
use std::fmt;

use super::ObjectKey;

/// What a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such object or upload.
    NotFound,
    /// The condition of a conditional request does not hold (412).
    Precondition,
    /// A concurrent request on the same key won (409); the condition may hold on another try.
    Conflict,
    /// The server asks for fewer requests (503 SlowDown, 429).
    Throttled,
    /// Credentials or permissions (401, 403).
    Denied,
    /// The deadline passed without progress.
    TimedOut,
    /// The server cannot be reached or is failing (5xx, connection errors).
    Unavailable,
    /// An answer that cannot be right: wrong length, checksum, encryption or form.
    Corrupt,
    /// The request itself is wrong, or the server does not implement it.
    Invalid,
}

impl ErrorKind {
    /// Whether a write with this error may have been carried out.
    #[must_use]
    pub const fn leaves_open(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable | Self::Corrupt)
    }
}

/// The request that failed, named as S3 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    GetObject,
    HeadObject,
    PutObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListMultipartUploads,
    CopyObject,
    DeleteObject,
    ListObjects,
    GetBucketVersioning,
    GetBucketEncryption,
    PutBucketEncryption,
    GetBucketPolicy,
    PutBucketPolicy,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A failed request: `PutObject of "a/b" failed: AccessDenied: ...`.
pub struct StoreError {
    kind: ErrorKind,
    operation: Operation,
    /// The key, or the prefix of a listing.
    object: String,
    /// S3's own error code, where the server gave one: `NoSuchKey`, `AccessDenied`.
    code: Option<String>,
    message: String,
    /// See [`StoreError::concerns_encryption`].
    encryption: bool,
    /// See [`StoreError::lacks_customer_key`].
    customer_key: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        operation: Operation,
        object: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            operation,
            object: object.into(),
            code: None,
            message: message.into(),
            encryption: false,
            customer_key: false,
            source: None,
        }
    }

    #[must_use]
    pub fn not_found(operation: Operation, key: &ObjectKey) -> Self {
        Self::new(
            ErrorKind::NotFound,
            operation,
            key.as_str(),
            "there is no such object",
        )
        .with_code("NoSuchKey")
    }

    #[must_use]
    pub fn precondition(operation: Operation, key: &ObjectKey) -> Self {
        Self::new(
            ErrorKind::Precondition,
            operation,
            key.as_str(),
            "the object is not in the state that the request asked for",
        )
        .with_code("PreconditionFailed")
    }

    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure as that of the operation which it was found out for.
    #[must_use]
    pub(super) fn of(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Says that the encryption is why: see [`Self::concerns_encryption`].
    #[must_use]
    pub fn about_encryption(mut self) -> Self {
        self.encryption = true;
        self
    }

    /// Says that the object is under a customer's key that the mount does not have: see
    /// [`Self::lacks_customer_key`].
    #[must_use]
    pub fn about_customer_key(mut self) -> Self {
        self.customer_key = true;
        self.about_encryption()
    }

    /// Whether it failed because the object is under a customer's key that is none of those
    /// given. The keys of a mount stay the same, so it never was one that the mount could open;
    /// a key of KMS may be allowed again. True of an error that wraps such a one, too.
    #[must_use]
    pub fn lacks_customer_key(&self) -> bool {
        let wrapped = || self.source.as_ref()?.downcast_ref::<Self>();
        self.customer_key || wrapped().is_some_and(Self::lacks_customer_key)
    }

    /// Whether the encryption that was asked for, or the key that was given or missing, is why
    /// it failed. True of an error that wraps such a one, too.
    #[must_use]
    pub fn concerns_encryption(&self) -> bool {
        let wrapped = || self.source.as_ref()?.downcast_ref::<Self>();
        self.encryption || wrapped().is_some_and(Self::concerns_encryption)
    }

    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// S3's error code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?} failed: ", self.operation, self.object)?;
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Without the source: what a source has of a request or an answer may hold a key.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("operation", &self.operation)
            .field("object", &self.object)
            .field("code", &self.code)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
