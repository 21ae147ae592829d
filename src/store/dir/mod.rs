//! A directory that acts as a bucket: the embedded default, which needs no server.
//!
//! Each object is one ordinary file with its metadata inside it ([`header`] is the format,
//! [`names`] says where it is), so that any tool that copies the directory keeps the store
//! whole. Besides the objects there is one private directory (see [`disk`]) which may be
//! missing from a copy.
//!
//! Promises: writes replace atomically and are on the disk when they are acknowledged; every
//! condition holds, deletes and copies included, also between processes that have the same
//! directory open; what a dead process left unfinished is removed by the next one that opens
//! the store. Assumes a local filesystem of Linux with rename(2), flock(2) and fsync(2) that
//! do what they say. Versions are not kept, and nothing is encrypted.
//!
//! A copy with other metadata shares the content's blocks where the filesystem can (btrfs,
//! XFS); elsewhere it copies them in the kernel.
//!
//! Fails with the system's error in words; a directory that is gone is
//! [`ErrorKind::Unavailable`], never an empty store, and a full disk is `ENOSPC` in the error's
//! code. All of it is blocking and runs on tokio's blocking threads: a request that is dropped
//! may still be carried out.

mod disk;
mod error;
mod file;
mod header;
mod io;
mod names;
mod objects;
mod parts;
mod session;
#[cfg(test)]
mod tests;
mod uploads;
mod walk;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::DirError;

use super::listing::PagePlan;
use super::{
    CopyAttributes, CopySource, DeleteOptions, ETag, Elsewhere, ErrorKind, GetOptions, HeadOptions,
    Limits, ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation,
    PartNumber, PartReceipt, PendingUpload, PutOptions, Result, Store, StoreError, UploadId,
    WriteCondition, Written,
};
use crate::base::id::CommitId;
use crate::base::progress::Progress;
use crate::base::time::Timestamp;
use disk::Disk;
use error::Request;
use objects::Context;
use uploads::Uploads;

/// Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct DirStore(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    disk: Disk,
    uploads: Uploads,
    limits: Limits,
}

impl DirStore {
    /// Opens the store in the directory `path`, which must exist; only a private directory is
    /// made in it.
    ///
    /// # Errors
    /// When `path` is missing, not a directory, not writable, or on a full disk.
    pub fn open(path: &Path) -> std::result::Result<Self, DirError> {
        let limits = Limits {
            completes_elsewhere: true,
            ..Limits::S3
        };
        Self::open_with_limits(path, limits)
    }

    /// With other limits, such as small parts for a test.
    pub fn open_with_limits(path: &Path, limits: Limits) -> std::result::Result<Self, DirError> {
        Ok(Self(Arc::new(Opened {
            disk: Disk::open(path)?,
            uploads: Uploads::default(),
            limits,
        })))
    }

    /// Whether a directory, opened or not, has this object. Blocks.
    #[must_use]
    pub fn has(directory: &Path, key: &str) -> bool {
        let path = directory.join(names::file_path(key));
        std::fs::symlink_metadata(path).is_ok()
    }

    /// Runs a request on a blocking thread, with the progress of the task that asks.
    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        object: &str,
        request: impl FnOnce(Context<'_>, &Uploads) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let opened = self.0.clone();
        let progress = Progress::current();
        let running = tokio::task::spawn_blocking(move || {
            let context = Context {
                disk: &opened.disk,
                progress: progress.as_ref(),
                limits: &opened.limits,
            };
            request(context, &opened.uploads)
        });
        match running.await {
            Ok(answer) => answer,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::new(
                    ErrorKind::Unavailable,
                    operation,
                    object,
                    "the process is shutting down",
                )),
            },
        }
    }
}

fn fresh_etag() -> ETag {
    ETag::new(format!("\"{}\"", CommitId::random()))
}

fn now() -> Timestamp {
    Timestamp::now()
}

#[async_trait]
impl Store for DirStore {
    fn describe(&self) -> String {
        format!("dir:{}", self.0.disk.root().display())
    }

    fn limits(&self) -> Limits {
        self.0.limits
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let owned = key.clone();
        self.run(Operation::GetObject, key.as_str(), move |context, _| {
            context.get(&owned, &options)
        })
        .await
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let owned = key.clone();
        self.run(Operation::HeadObject, key.as_str(), move |context, _| {
            context.head(&owned, &options)
        })
        .await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        let owned = key.clone();
        self.run(Operation::PutObject, key.as_str(), move |context, _| {
            context.put(&owned, &body, options)
        })
        .await
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let owned = key.clone();
        let operation = Operation::CreateMultipartUpload;
        self.run(operation, key.as_str(), move |context, uploads| {
            context.create_multipart(uploads, &owned, attributes)
        })
        .await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        let (owned, upload) = (key.clone(), upload.clone());
        let operation = Operation::UploadPart;
        self.run(operation, key.as_str(), move |context, uploads| {
            context.upload_part(uploads, &owned, &upload, number, &body)
        })
        .await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let (owned, upload) = (key.clone(), upload.clone());
        let operation = Operation::UploadPartCopy;
        self.run(operation, key.as_str(), move |context, uploads| {
            context.copy_part(uploads, &owned, &upload, number, &source)
        })
        .await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let (owned, upload, parts) = (key.clone(), upload.clone(), parts.to_vec());
        let operation = Operation::CompleteMultipartUpload;
        self.run(operation, key.as_str(), move |context, uploads| {
            context.complete_multipart(uploads, &owned, &upload, &parts, None, &condition)
        })
        .await
    }

    async fn complete_elsewhere(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        to: Elsewhere,
        condition: WriteCondition,
    ) -> Result<Written> {
        let (owned, upload, parts) = (key.clone(), upload.clone(), parts.to_vec());
        let operation = Operation::CompleteMultipartUpload;
        let target = to.key.clone();
        self.run(operation, target.as_str(), move |context, uploads| {
            context.complete_multipart(uploads, &owned, &upload, &parts, Some(&to), &condition)
        })
        .await
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        let (owned, upload) = (key.clone(), upload.clone());
        let operation = Operation::AbortMultipartUpload;
        self.run(operation, key.as_str(), move |context, uploads| {
            context.abort_multipart(uploads, &owned, &upload)
        })
        .await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let (owned, operation) = (prefix.to_owned(), Operation::ListMultipartUploads);
        self.run(operation, prefix, move |context, _| {
            let object = owned.as_str();
            let request = Request { operation, object };
            let listed = context.list_multipart(object);
            listed.map_err(|error| request.io(context.disk.root(), error))
        })
        .await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        let owned = key.clone();
        self.run(Operation::CopyObject, key.as_str(), move |context, _| {
            context.copy(&owned, &source, &attributes, &condition)
        })
        .await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let owned = key.clone();
        self.run(Operation::DeleteObject, key.as_str(), move |context, _| {
            context.delete(&owned, options)
        })
        .await
    }

    /// Nothing is asked of a directory.
    fn check_written(
        &self,
        _operation: Operation,
        _key: &ObjectKey,
        _found: &ObjectInfo,
    ) -> Result<()> {
        Ok(())
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        let (prefix, operation) = (options.prefix.clone(), Operation::ListObjects);
        let plan = PagePlan::new(options)?;
        self.run(operation, &prefix, move |context, _| {
            let request = Request {
                operation,
                object: &plan.prefix,
            };
            context.disk.check_present(request)?;
            let root = context.disk.root();
            let page = walk::list(context.disk, &plan, context.progress);
            page.map_err(|error| request.io(root, error))
        })
        .await
    }
}
