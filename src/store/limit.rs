//! Bounds what is in flight at once: requests, and bytes of bodies being uploaded.
//!
//! Waiting is first come, first served. A request takes its bytes before its place among the
//! requests, so that what waits for bytes holds no place that a small request could use; and
//! whoever has a place never waits again, so that nothing deadlocks. A body larger than the
//! bound takes all of it.
//!
//! Belongs above [`super::retry`]: time spent waiting here is not a server's silence, and a
//! request that backs off keeps its place, which is what slows a throttled client down.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    CopyAttributes, CopySource, DeleteOptions, Elsewhere, GetOptions, HeadOptions, Limits,
    ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation, PartNumber,
    PartReceipt, PendingUpload, PutOptions, Result, Store, UploadId, WriteCondition, Written,
};

/// Bytes are counted in steps of this many, because a semaphore takes 32-bit counts.
const STEP_BYTES: u64 = 1024;

#[derive(Debug)]
pub struct Limit {
    inner: Arc<dyn Store>,
    requests: Semaphore,
    upload_steps: Semaphore,
    upload_steps_max: u32,
}

impl Limit {
    /// At most `requests` requests, and at most `upload_bytes` bytes of bodies being uploaded;
    /// both at least 1.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, requests: usize, upload_bytes: u64) -> Self {
        let steps = u32::try_from(upload_bytes.div_ceil(STEP_BYTES)).unwrap_or(u32::MAX);
        let upload_steps_max = steps.clamp(1, 1 << 28);
        Self {
            inner,
            requests: Semaphore::new(requests.clamp(1, Semaphore::MAX_PERMITS)),
            upload_steps: Semaphore::new(upload_steps_max as usize),
            upload_steps_max,
        }
    }

    async fn request(&self) -> SemaphorePermit<'_> {
        acquire(&self.requests, 1).await
    }

    async fn upload(&self, bytes: usize) -> (SemaphorePermit<'_>, SemaphorePermit<'_>) {
        let steps = u32::try_from((bytes as u64).div_ceil(STEP_BYTES)).unwrap_or(u32::MAX);
        let bytes = acquire(&self.upload_steps, steps.min(self.upload_steps_max)).await;
        (bytes, self.request().await)
    }
}

async fn acquire(semaphore: &Semaphore, permits: u32) -> SemaphorePermit<'_> {
    semaphore
        .acquire_many(permits)
        .await
        .unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
}

#[async_trait]
impl Store for Limit {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let _place = self.request().await;
        self.inner.get(key, options).await
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let _place = self.request().await;
        self.inner.head(key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        let _place = self.upload(body.len()).await;
        self.inner.put(key, body, options).await
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let _place = self.request().await;
        self.inner.create_multipart(key, attributes).await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        let _place = self.upload(body.len()).await;
        self.inner.upload_part(key, upload, number, body).await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let _place = self.request().await;
        self.inner.copy_part(key, upload, number, source).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let _place = self.request().await;
        self.inner
            .complete_multipart(key, upload, parts, condition)
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
        let _place = self.request().await;
        self.inner
            .complete_elsewhere(key, upload, parts, to, condition)
            .await
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        let _place = self.request().await;
        self.inner.abort_multipart(key, upload).await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let _place = self.request().await;
        self.inner.list_multipart(prefix).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        let _place = self.request().await;
        self.inner.copy(key, source, attributes, condition).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let _place = self.request().await;
        self.inner.delete(key, options).await
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
        let _place = self.request().await;
        self.inner.list(options).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::store::fault::{Effect, Fault, Rule};
    use crate::store::mem::MemStore;

    /// Every request takes a second of tokio's paused clock.
    fn slow(requests: usize, upload_bytes: u64) -> Arc<Limit> {
        let fault = Fault::new(Arc::new(MemStore::seeded(1)));
        fault.inject(Rule::new(Effect::Delay(Duration::from_secs(1))));
        Arc::new(Limit::new(Arc::new(fault), requests, upload_bytes))
    }

    async fn seconds_of_puts(limit: &Arc<Limit>, puts: usize, bytes: usize) -> u64 {
        let start = Instant::now();
        let puts = (0..puts).map(|n| {
            let (limit, key) = (limit.clone(), ObjectKey::new(format!("{n}")).unwrap());
            tokio::spawn(async move {
                let body = Bytes::from(vec![0; bytes]);
                limit.put(&key, body, PutOptions::default()).await.unwrap()
            })
        });
        for put in puts.collect::<Vec<_>>() {
            put.await.unwrap();
        }
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_allowed_are_in_flight() {
        assert_eq!(seconds_of_puts(&slow(4, 1 << 30), 12, 1).await, 3);
        assert_eq!(seconds_of_puts(&slow(12, 1 << 30), 12, 1).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_upload_bytes_than_allowed_are_in_flight() {
        assert_eq!(seconds_of_puts(&slow(100, 2 << 20), 6, 1 << 20).await, 3);
        // A body above the bound goes alone instead of never.
        assert_eq!(seconds_of_puts(&slow(100, 1 << 10), 2, 1 << 20).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_request_does_not_wait_for_uploads_that_wait_for_bytes() {
        let limit = slow(2, 1 << 20);
        let uploads = tokio::spawn({
            let limit = limit.clone();
            async move { seconds_of_puts(&limit, 10, 1 << 20).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        let head = limit
            .head(&ObjectKey::new("x").unwrap(), HeadOptions::default())
            .await;
        assert_eq!(head.unwrap_err().operation(), Operation::HeadObject);
        assert_eq!(start.elapsed().as_secs(), 1);
        assert_eq!(uploads.await.unwrap(), 10);
    }
}
