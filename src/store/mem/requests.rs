//! The requests of [`MemStore`].

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{Bucket, MemStore, Stored, Upload};
use crate::store::listing::{PageBuilder, PagePlan, Shown, after_prefix};
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ETag, Elsewhere, GetOptions, HeadOptions, Limits,
    ListOptions, ListPage, ListedObject, Object, ObjectAttributes, ObjectInfo, ObjectKey,
    Operation, PartNumber, PartReceipt, PendingUpload, PutOptions, Result, Store, StoreError,
    UploadId, WriteCondition, Written, rules,
};

impl MemStore {
    fn complete(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        to: Option<Elsewhere>,
        condition: &WriteCondition,
    ) -> Result<Written> {
        let operation = Operation::CompleteMultipartUpload;
        let target = to.as_ref().map_or(key, |to| &to.key).clone();
        if let Some(to) = &to {
            rules::check_attributes(operation, &target, &to.attributes, &self.limits)?;
        }
        let mut bucket = self.bucket();
        rules::check_condition(operation, &target, condition, bucket.etag(&target))?;
        let found = bucket.upload(operation, key, upload)?;
        let stored_part = |part: &PartReceipt| {
            let (etag, body) = found.parts.get(&part.number.value())?;
            Some((etag.clone(), body.len() as u64))
        };
        let size = rules::check_parts(&target, parts, stored_part, &self.limits)?;
        let mut body = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        for part in parts {
            if let Some((_, bytes)) = found.parts.get(&part.number.value()) {
                body.extend_from_slice(bytes);
            }
        }
        let stored = Stored {
            body: body.freeze(),
            etag: ETag::new(format!("\"{}-{}\"", self.identifier(), parts.len())),
            last_modified: self.now(),
            attributes: to.map_or_else(|| found.attributes.clone(), |to| to.attributes),
            encryption: self.encryption(),
        };
        bucket.uploads.remove(upload);
        Ok(bucket.write(&target, stored))
    }
}

impl Bucket {
    fn object(&self, operation: Operation, key: &ObjectKey) -> Result<&Stored> {
        self.objects
            .get(key.as_str())
            .ok_or_else(|| StoreError::not_found(operation, key))
    }

    fn etag(&self, key: &ObjectKey) -> Option<&ETag> {
        self.objects.get(key.as_str()).map(|stored| &stored.etag)
    }

    fn source(&self, operation: Operation, source: &CopySource) -> Result<&Stored> {
        rules::check_unversioned(operation, &source.key, source.version.as_ref())?;
        let stored = self.object(operation, &source.key)?;
        rules::check_if_match(
            operation,
            &source.key,
            source.if_match.as_ref(),
            &stored.etag,
        )?;
        Ok(stored)
    }

    fn write(&mut self, key: &ObjectKey, stored: Stored) -> Written {
        let etag = stored.etag.clone();
        self.objects.insert(key.as_str().to_owned(), stored);
        Written {
            etag,
            version: None,
        }
    }

    fn upload(
        &mut self,
        operation: Operation,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<&mut Upload> {
        match self.uploads.get_mut(upload) {
            Some(found) if found.key == *key => Ok(found),
            _ => Err(rules::no_such_upload(operation, key)),
        }
    }
}

impl MemStore {
    fn add_part(&self, upload: &mut Upload, number: PartNumber, body: Bytes) -> PartReceipt {
        let etag = self.fresh_etag();
        upload.parts.insert(number.value(), (etag.clone(), body));
        PartReceipt { number, etag }
    }
}

#[async_trait]
impl Store for MemStore {
    fn describe(&self) -> String {
        "mem:".to_owned()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let operation = Operation::GetObject;
        rules::check_unversioned(operation, key, options.version.as_ref())?;
        let stored = self.bucket().object(operation, key)?.clone();
        rules::check_if_match(operation, key, options.if_match.as_ref(), &stored.etag)?;
        let info = stored.info();
        let range = rules::resolve_range(key, options.range, info.size)?;
        let index = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Object {
            info,
            range,
            body: stored.body.slice(index(range.start())..index(range.end())),
        })
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let operation = Operation::HeadObject;
        rules::check_unversioned(operation, key, options.version.as_ref())?;
        Ok(self.bucket().object(operation, key)?.info())
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        let operation = Operation::PutObject;
        rules::check_attributes(operation, key, &options.attributes, &self.limits)?;
        rules::check_length(operation, key, body.len() as u64, self.limits.put_bytes_max)?;
        let mut bucket = self.bucket();
        rules::check_condition(operation, key, &options.condition, bucket.etag(key))?;
        let stored = Stored {
            body: Bytes::copy_from_slice(&body),
            etag: self.fresh_etag(),
            last_modified: self.now(),
            attributes: options.attributes,
            encryption: self.encryption(),
        };
        Ok(bucket.write(key, stored))
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        rules::check_attributes(
            Operation::CreateMultipartUpload,
            key,
            &attributes,
            &self.limits,
        )?;
        let id = UploadId::new(self.identifier());
        let upload = Upload {
            key: key.clone(),
            attributes,
            initiated: self.now(),
            parts: BTreeMap::new(),
        };
        self.bucket().uploads.insert(id.clone(), upload);
        Ok(id)
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        let operation = Operation::UploadPart;
        rules::check_length(
            operation,
            key,
            body.len() as u64,
            self.limits.part_bytes_max,
        )?;
        let mut bucket = self.bucket();
        let upload = bucket.upload(operation, key, upload)?;
        // A copy: a caller's buffer is the caller's again when the request ends.
        let body = Bytes::copy_from_slice(&body);
        Ok(self.add_part(upload, number, body))
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let operation = Operation::UploadPartCopy;
        let mut bucket = self.bucket();
        bucket.upload(operation, key, upload)?;
        let body = bucket.source(operation, &source)?.body.clone();
        let range = rules::resolve_copy_range(
            key,
            &source.key,
            source.range,
            body.len() as u64,
            &self.limits,
        )?;
        let index = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        let body = body.slice(index(range.start())..index(range.end()));
        let upload = bucket.upload(operation, key, upload)?;
        Ok(self.add_part(upload, number, body))
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        self.complete(key, upload, parts, None, &condition)
    }

    async fn complete_elsewhere(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        to: Elsewhere,
        condition: WriteCondition,
    ) -> Result<Written> {
        if !self.limits.completes_elsewhere {
            return Err(rules::completes_where_it_began(&to.key));
        }
        self.complete(key, upload, parts, Some(to), &condition)
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        let mut bucket = self.bucket();
        if bucket
            .upload(Operation::AbortMultipartUpload, key, upload)
            .is_ok()
        {
            bucket.uploads.remove(upload);
        }
        Ok(())
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let mut pending: Vec<_> = self
            .bucket()
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.as_str().starts_with(prefix))
            .map(|(id, upload)| PendingUpload {
                key: upload.key.as_str().to_owned(),
                upload: id.clone(),
                initiated: upload.initiated,
            })
            .collect();
        pending.sort_by(|a, b| (&a.key, a.initiated).cmp(&(&b.key, b.initiated)));
        Ok(pending)
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        let operation = Operation::CopyObject;
        rules::check_copy(key, &source, &attributes, &self.limits)?;
        let mut bucket = self.bucket();
        let found = bucket.source(operation, &source)?;
        rules::check_length(
            operation,
            key,
            found.body.len() as u64,
            self.limits.copy_bytes_max,
        )?;
        rules::check_condition(operation, key, &condition, bucket.etag(key))?;
        let mut stored = found.clone();
        stored.last_modified = self.now();
        stored.encryption = self.encryption();
        if !self.copies_keep_etags {
            stored.etag = self.fresh_etag();
        }
        if let CopyAttributes::Replace(attributes) = attributes {
            stored.attributes = attributes;
        }
        Ok(bucket.write(key, stored))
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let operation = Operation::DeleteObject;
        rules::check_unversioned(operation, key, options.version.as_ref())?;
        let mut bucket = self.bucket();
        if let Some(wanted) = options.if_match {
            let condition = WriteCondition::IfMatch(wanted);
            rules::check_condition(operation, key, &condition, bucket.etag(key))?;
        }
        bucket.objects.remove(key.as_str());
        Ok(())
    }

    fn check_written(
        &self,
        operation: Operation,
        key: &ObjectKey,
        found: &ObjectInfo,
    ) -> Result<()> {
        self.check_asked(operation, key, found)
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        let plan = PagePlan::new(options)?;
        let mut page = PageBuilder::new(&plan);
        let bucket = self.bucket();
        let mut from = plan.first().to_owned();
        loop {
            let bounds = (Bound::Included(from.as_str()), Bound::Unbounded);
            let mut below = None;
            for (key, stored) in bucket.objects.range::<str, _>(bounds) {
                let shown = plan.show(key);
                if shown == Shown::No {
                    break;
                }
                if page.is_full() {
                    return Ok(page.with_more());
                }
                if let Shown::Below(len) = shown {
                    below = Some(&key[..len]);
                    break;
                }
                page.push_object(ListedObject {
                    key: key.clone(),
                    size: stored.body.len() as u64,
                    etag: stored.etag.clone(),
                    last_modified: stored.last_modified,
                });
            }
            let Some(prefix) = below else {
                return Ok(page.last());
            };
            page.push_prefix(prefix);
            from = after_prefix(prefix);
        }
    }
}
