//! A store that, once it is told to, changes a byte of every range that it gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cloakfs::store::{
    CopyAttributes, CopySource, DeleteOptions, Elsewhere, GetOptions, HeadOptions, Limits,
    ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation, PartNumber,
    PartReceipt, PendingUpload, PutOptions, Result, Store, UploadId, WriteCondition, Written,
};

use super::objects::{With, v3};
use super::{bucket, pattern, put};

#[derive(Debug)]
struct Lying {
    inner: Arc<dyn Store>,
    lies: AtomicBool,
}

impl Lying {
    fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            lies: AtomicBool::new(false),
        }
    }

    fn begin(&self) {
        self.lies.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for Lying {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let mut object = self.inner.get(key, options).await?;
        if self.lies.load(Ordering::Relaxed) && !object.body.is_empty() {
            let mut body = object.body.to_vec();
            body[0] ^= 1;
            object.body = body.into();
        }
        Ok(object)
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.inner.head(key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        self.inner.put(key, body, options).await
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        self.inner.create_multipart(key, attributes).await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        self.inner.upload_part(key, upload, number, body).await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        self.inner.copy_part(key, upload, number, source).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
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
        self.inner
            .complete_elsewhere(key, upload, parts, to, condition)
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
        self.inner.copy(key, source, attributes, condition).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
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
        self.inner.list(options).await
    }
}

/// A server that gives other bytes under the same ETag, once it was checked.
#[tokio::test]
async fn what_is_served_is_what_was_checked() {
    let master = [12; 32];
    let bucket = bucket(master);
    let plain = pattern(2 << 20);
    put(&bucket, "f", &v3(&With::Aes(master), &plain)).await;
    let store = Arc::clone(&bucket.fault) as Arc<dyn Store>;
    let lying = Arc::new(Lying::new(store));
    let state = bucket.new_state();
    let ttl = std::time::Duration::ZERO;
    let over = Arc::clone(&lying) as Arc<dyn Store>;
    let mount = bucket.mount_over(over, state, ttl, |_| {}).await;
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    assert_eq!(mount.fs.read(handle, 0, 10).await.unwrap(), plain[..10]);
    lying.begin();
    let refused = mount.fs.read(handle, 1 << 20, 10).await.unwrap_err();
    assert_eq!(refused.errno(), libc::EIO);
    assert!(
        refused.to_string().contains("is not authentic"),
        "{refused}"
    );
    mount.fs.release(handle).await;
}
