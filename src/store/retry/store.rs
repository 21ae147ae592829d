//! Every request of [`Retry`], and which of them are conditional writes.

use async_trait::async_trait;
use bytes::Bytes;

use super::Retry;
use super::attempt::Request;
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, Elsewhere, ErrorKind, GetOptions, HeadOptions,
    Limits, ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation,
    PartNumber, PartReceipt, PendingUpload, PutOptions, Result, Store, UploadId, WriteCondition,
    Written,
};

/// A request that may be repeated even when it may have been carried out.
fn repeatable(operation: Operation, object: &str) -> Request<'_> {
    Request {
        operation,
        object,
        conditional_write: false,
    }
}

fn write(operation: Operation, key: &ObjectKey, conditional_write: bool) -> Request<'_> {
    Request {
        operation,
        object: key.as_str(),
        conditional_write,
    }
}

#[async_trait]
impl Store for Retry {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let request = repeatable(Operation::GetObject, key.as_str());
        let send = || self.inner.get(key, options.clone());
        self.run(request, send).await.result
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let request = repeatable(Operation::HeadObject, key.as_str());
        let send = || self.inner.head(key, options.clone());
        self.run(request, send).await.result
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        let conditional = options.condition != WriteCondition::None;
        let request = write(Operation::PutObject, key, conditional);
        let send = || self.inner.put(key, body.clone(), options.clone());
        self.run(request, send).await.result
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let request = repeatable(Operation::CreateMultipartUpload, key.as_str());
        let send = || self.inner.create_multipart(key, attributes.clone());
        let answer = self.run(request, send).await;
        if answer.doubtful_attempt {
            self.note_repeated_create(key.as_str());
        }
        answer.result
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        let request = repeatable(Operation::UploadPart, key.as_str());
        let send = || self.inner.upload_part(key, upload, number, body.clone());
        self.run(request, send).await.result
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let request = repeatable(Operation::UploadPartCopy, key.as_str());
        let send = || self.inner.copy_part(key, upload, number, source.clone());
        self.run(request, send).await.result
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let conditional = condition != WriteCondition::None;
        let request = write(Operation::CompleteMultipartUpload, key, conditional);
        let send = || {
            let condition = condition.clone();
            self.inner.complete_multipart(key, upload, parts, condition)
        };
        self.run(request, send).await.result
    }

    async fn complete_elsewhere(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        to: Elsewhere,
        condition: WriteCondition,
    ) -> Result<Written> {
        let conditional = condition != WriteCondition::None;
        let request = write(Operation::CompleteMultipartUpload, &to.key, conditional);
        let send = || {
            let (to, condition) = (to.clone(), condition.clone());
            self.inner
                .complete_elsewhere(key, upload, parts, to, condition)
        };
        self.run(request, send).await.result
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        let request = repeatable(Operation::AbortMultipartUpload, key.as_str());
        let send = || self.inner.abort_multipart(key, upload);
        self.run(request, send).await.result
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let request = repeatable(Operation::ListMultipartUploads, prefix);
        let send = || self.inner.list_multipart(prefix);
        self.run(request, send).await.result
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        // Onto itself the condition on the source guards the target, too.
        let onto_itself = source.key == *key && source.if_match.is_some();
        let conditional = onto_itself || condition != WriteCondition::None;
        let request = write(Operation::CopyObject, key, conditional);
        let send = || {
            let (source, attributes) = (source.clone(), attributes.clone());
            self.inner.copy(key, source, attributes, condition.clone())
        };
        self.run(request, send).await.result
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let request = repeatable(Operation::DeleteObject, key.as_str());
        let send = || self.inner.delete(key, options.clone());
        let answer = self.run(request, send).await;
        match answer.result {
            Err(error) if error.kind() == ErrorKind::NotFound && answer.doubtful_attempt => Ok(()),
            result => result,
        }
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
        let request = repeatable(Operation::ListObjects, &prefix);
        let send = || self.inner.list(options.clone());
        self.run(request, send).await.result
    }
}
