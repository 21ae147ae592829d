//! Every request of [`Fault`]: counted, then run under the rules.

use async_trait::async_trait;
use bytes::Bytes;

use super::Fault;
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, Elsewhere, GetOptions, HeadOptions, Limits,
    ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation, PartNumber,
    PartReceipt, PendingUpload, PutOptions, Result, Store, UploadId, WriteCondition, Written,
};

#[async_trait]
impl Store for Fault {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let call = async {
            let object = self.inner.get(key, options).await?;
            self.received(object.body.len() as u64);
            Ok(object)
        };
        self.run(Operation::GetObject, key.as_str(), call).await
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let call = self.inner.head(key, options);
        self.run(Operation::HeadObject, key.as_str(), call).await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        self.sent(body.len() as u64);
        let call = self.inner.put(key, body, options);
        self.run(Operation::PutObject, key.as_str(), call).await
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let call = self.inner.create_multipart(key, attributes);
        self.run(Operation::CreateMultipartUpload, key.as_str(), call)
            .await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        self.sent(body.len() as u64);
        let call = self.inner.upload_part(key, upload, number, body);
        self.run(Operation::UploadPart, key.as_str(), call).await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let call = self.inner.copy_part(key, upload, number, source);
        self.run(Operation::UploadPartCopy, key.as_str(), call)
            .await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let call = self.inner.complete_multipart(key, upload, parts, condition);
        self.run(Operation::CompleteMultipartUpload, key.as_str(), call)
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
        let call = self
            .inner
            .complete_elsewhere(key, upload, parts, to, condition);
        self.run(Operation::CompleteMultipartUpload, target.as_str(), call)
            .await
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        let call = self.inner.abort_multipart(key, upload);
        self.run(Operation::AbortMultipartUpload, key.as_str(), call)
            .await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let call = self.inner.list_multipart(prefix);
        self.run(Operation::ListMultipartUploads, prefix, call)
            .await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        let call = self.inner.copy(key, source, attributes, condition);
        self.run(Operation::CopyObject, key.as_str(), call).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let call = self.inner.delete(key, options);
        self.run(Operation::DeleteObject, key.as_str(), call).await
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
        let prefix = options.prefix.clone();
        let call = self.inner.list(options);
        self.run(Operation::ListObjects, &prefix, call).await
    }
}
