//! Rank 2: a bucket, as far as a filesystem needs one.
//!
//! [`Store`] is the one core trait: about a dozen requests with option structs, each of them
//! one request to the server. Back ends are [`s3`] (the only user of the S3 SDK), [`dir`] (a
//! local directory) and [`mem`]; [`retry`], [`limit`] and [`fault`] decorate any of them.
//! Everything that is more than one request is in [`commit`] and [`probe`].
//!
//! What every back end promises, and `tests/store` checks on each:
//! 1. A write becomes visible whole or not at all, and reads after it see it.
//! 2. A conditional write whose condition does not hold changes nothing and is
//!    [`ErrorKind::Precondition`].
//! 3. A read with `if_match` returns bytes of that version or fails.
//! 4. An error names the request, the object and the server's own code and words.

pub mod commit;
pub mod dir;
mod error;
pub mod fault;
pub mod limit;
pub(crate) mod listing;
pub mod mem;
pub mod probe;
pub mod retry;
pub(crate) mod rules;
pub mod s3;
pub mod settings;
mod types;

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{ErrorKind, Operation, StoreError};
pub use types::*;

/// Shorthand for the answer to one request.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A bucket, or the part of one below a prefix that the back end does not know about: keys are
/// always whole.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// What a person calls it: `s3://bucket`, `dir:/path`.
    fn describe(&self) -> String;

    /// What this kind of store allows.
    fn limits(&self) -> Limits;

    /// Reads a whole object or one range of it.
    ///
    /// A range that begins at or after the end of the object is [`ErrorKind::Invalid`] (S3's
    /// `InvalidRange`); one that only ends after it is cut. A suffix longer than the object
    /// gives the whole object.
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object>;

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo>;

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written>;

    /// Begins a multipart upload. The metadata is fixed here.
    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId>;

    /// Uploads one part. A part number that was used before replaces that part.
    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt>;

    /// Makes one part out of a range of an existing object, on the server.
    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt>;

    /// Ends an upload: the object becomes visible, if the condition holds.
    ///
    /// `parts` are in ascending order of number. A repeated complete of an upload that ended is
    /// [`ErrorKind::NotFound`] or, with a condition, [`ErrorKind::Precondition`].
    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written>;

    /// Ends an upload as [`Self::complete_multipart`] does, but at another key than it was begun
    /// at and with other attributes; the condition is that key's. Only where
    /// [`Limits::completes_elsewhere`] says so: S3 has nothing like it.
    async fn complete_elsewhere(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        to: Elsewhere,
        condition: WriteCondition,
    ) -> Result<Written>;

    /// Drops an upload and its parts. One that is not there (any more) is no error.
    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()>;

    /// Uploads under way whose key begins with `prefix`, as far as the server can tell: some
    /// find none by a prefix, or none but those of an exact key.
    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>>;

    /// Copies on the server, in one request, with the given attributes. The source is at most
    /// [`Limits::copy_bytes_max`] long. Source and target may be the same key.
    ///
    /// The condition is the target's. On a server without conditional copies it is
    /// [`ErrorKind::Invalid`] where the server says so, and ignored where it does not: ask
    /// [`probe`] first.
    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written>;

    /// Deletes. Deleting what is not there is no error, unless `if_match` is given.
    ///
    /// `if_match` on a server without conditional delete is [`ErrorKind::Invalid`] where the
    /// server says so, and ignored where it does not: ask [`probe`] first.
    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()>;

    /// Checks that an object which a write of this store made is under the encryption that was
    /// asked for, as the write's own answer is checked: for a write whose answer was lost. No
    /// request; `operation` is the write's.
    ///
    /// # Errors
    /// The one that the write would have given: [`ErrorKind::Corrupt`].
    fn check_written(
        &self,
        operation: Operation,
        key: &ObjectKey,
        found: &ObjectInfo,
    ) -> Result<()>;

    /// One page of a listing, in ascending order of the keys' bytes.
    async fn list(&self, options: ListOptions) -> Result<ListPage>;
}
