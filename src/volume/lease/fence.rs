//! Lets changes through while the lease is held, and reads always.
//!
//! Belongs below [`crate::store::retry`]: each attempt is asked about for itself. An attempt that
//! comes while the lease is late is told so as a server tells "not now", which is waited for and
//! repeated; one that is under way when the term is over is cut off. A process that is stopped
//! between the question and the request can still send it later: then the conditions of the
//! commits stand between it and anybody's data.
//!
//! Dropping an upload's parts is always let through: it is this mount's own, and nobody sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::gate::{Gate, Pass};
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, Elsewhere, ErrorKind, GetOptions, HeadOptions,
    Limits, ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation,
    PartNumber, PartReceipt, PendingUpload, PutOptions, Result, Store, StoreError, UploadId,
    WriteCondition, Written,
};

/// Timers stand still while the machine sleeps, so the lease is looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Debug)]
pub struct Fence {
    inner: Arc<dyn Store>,
    gate: Arc<Gate>,
}

impl Fence {
    #[must_use]
    pub const fn new(inner: Arc<dyn Store>, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }

    async fn change<T>(
        &self,
        operation: Operation,
        key: &ObjectKey,
        request: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let refused = |kind, code: &str, words: String| {
            Err(StoreError::new(kind, operation, key.as_str(), words).with_code(code))
        };
        match self.gate.pass() {
            Pass::Free => return request.await,
            Pass::Guarded => {}
            Pass::Late(age) => {
                let words = format!(
                    "the lease of this mount was last renewed {} s ago, and nothing is changed until it is renewed again; check the network and the credentials",
                    age.as_secs()
                );
                return refused(ErrorKind::Throttled, "LeaseLate", words);
            }
            Pass::Lost(why) => return refused(ErrorKind::Invalid, "LeaseLost", why),
        }
        tokio::pin!(request);
        loop {
            tokio::select! {
                biased;
                answer = &mut request => return answer,
                () = tokio::time::sleep(self.gate.rest().min(LOOK)) => {
                    if self.gate.rest().is_zero() {
                        let words = "the lease of this mount ended while the request was under way";
                        return refused(ErrorKind::TimedOut, "LeaseEnded", words.to_owned());
                    }
                }
            }
        }
    }
}

#[async_trait]
impl Store for Fence {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.inner.head(key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        let request = self.inner.put(key, body, options);
        self.change(Operation::PutObject, key, request).await
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let request = self.inner.create_multipart(key, attributes);
        self.change(Operation::CreateMultipartUpload, key, request)
            .await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        let request = self.inner.upload_part(key, upload, number, body);
        self.change(Operation::UploadPart, key, request).await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let request = self.inner.copy_part(key, upload, number, source);
        self.change(Operation::UploadPartCopy, key, request).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let request = self.inner.complete_multipart(key, upload, parts, condition);
        self.change(Operation::CompleteMultipartUpload, key, request)
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
        let target = to.key.clone();
        let request = self
            .inner
            .complete_elsewhere(key, upload, parts, to, condition);
        self.change(Operation::CompleteMultipartUpload, &target, request)
            .await
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        self.inner.abort_multipart(key, upload).await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        self.inner.list_multipart(prefix).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        let request = self.inner.copy(key, source, attributes, condition);
        self.change(Operation::CopyObject, key, request).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let request = self.inner.delete(key, options);
        self.change(Operation::DeleteObject, key, request).await
    }

    fn check_written(
        &self,
        operation: Operation,
        key: &ObjectKey,
        found: &ObjectInfo,
    ) -> Result<()> {
        self.inner.check_written(operation, key, found)
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.inner.list(options).await
    }
}
