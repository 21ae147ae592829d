//! PUT, server-side copy and DELETE.

use std::collections::HashMap;

use aws_sdk_s3::operation::copy_object::CopyObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;
use bytes::Bytes;

use super::answers::{self, answered_encryption};
use super::encryption::{Opener, RequestKind};
use super::errors::Failed;
use super::{S3Store, corrupt, errors, invalid, requests};
use crate::base::id::CommitId;
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ETag, ErrorKind, ObjectAttributes, ObjectKey,
    Operation, PutOptions, Result, WriteCondition, Written,
};

impl S3Store {
    pub(super) async fn put_object(
        &self,
        key: &ObjectKey,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written> {
        let operation = Operation::PutObject;
        let commit = commit_of(&options.attributes);
        let metadata = requests::metadata_headers(&options.attributes.metadata)
            .map_err(invalid(operation, key.as_str()))?;
        let (if_match, if_none_match) = condition_headers(&options.condition);
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .set_metadata(Some(metadata))
            .set_content_type(options.attributes.content_type)
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .checksum_crc32_c(requests::checksum(&body))
            .body(ByteStream::from(body))
            .customize()
            .mutate_request(self.encrypt(RequestKind::Put, &Opener::NoKey));
        let request = if self.endpoint.is_tls() {
            request.disable_payload_signing()
        } else {
            request
        };
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) => {
                let asked = self.asked(&Opener::NoKey);
                let failed = errors::failed(operation, key.as_str(), asked, error);
                return Err(self.explain_block(failed.error).await);
            }
        };
        let answered = answered_encryption!(output)
            .with_customer_key(output.sse_customer_key_md5.as_deref())
            .with_context(output.ssekms_encryption_context.as_deref());
        let verdict = self.verify(RequestKind::Put, operation, key, answered)?;
        let written = Written {
            etag: answers::etag(output.e_tag).map_err(corrupt(operation, key.as_str()))?,
            version: answers::version(output.version_id),
        };
        self.openers.note_written(key, &written.etag);
        self.settle(operation, key, verdict, &written, commit.as_deref())
            .await?;
        Ok(written)
    }

    pub(super) async fn copy_object(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
        condition: WriteCondition,
    ) -> Result<Written> {
        let operation = Operation::CopyObject;
        let commit = match &attributes {
            CopyAttributes::Keep => None,
            CopyAttributes::Replace(attributes) => commit_of(attributes),
        };
        let attributes = match attributes {
            CopyAttributes::Keep => None,
            CopyAttributes::Replace(attributes) => {
                let metadata = requests::metadata_headers(&attributes.metadata)
                    .map_err(invalid(operation, key.as_str()))?;
                Some((metadata, attributes.content_type))
            }
        };
        let attempt = |opener| self.copy_with(key, &source, attributes.clone(), &condition, opener);
        let copied = self.copy_from(operation, &source, attempt).await;
        let copied = match copied {
            Ok(output) => Ok(output),
            Err(error) => match self.without_false_condition(&source, &error).await {
                Some(source) => {
                    let attempt = |opener| {
                        self.copy_with(key, &source, attributes.clone(), &condition, opener)
                    };
                    self.copy_from(operation, &source, attempt).await
                }
                None => Err(error),
            },
        };
        let output = match copied {
            Ok(output) => output,
            Err(error) => return Err(self.explain_block(error).await),
        };
        let answered = answered_encryption!(output)
            .with_customer_key(output.sse_customer_key_md5.as_deref())
            .with_context(output.ssekms_encryption_context.as_deref());
        let verdict = self.verify(RequestKind::Copy, operation, key, answered)?;
        let e_tag = output.copy_object_result.and_then(|result| result.e_tag);
        let written = Written {
            etag: answers::etag(e_tag).map_err(corrupt(operation, key.as_str()))?,
            version: answers::version(output.version_id),
        };
        self.openers.note_written(key, &written.etag);
        self.settle(operation, key, verdict, &written, commit.as_deref())
            .await?;
        Ok(written)
    }

    async fn copy_with(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        replaced: Option<(HashMap<String, String>, Option<String>)>,
        condition: &WriteCondition,
        opener: Opener,
    ) -> std::result::Result<CopyObjectOutput, Failed> {
        let (if_match, if_none_match) = condition_headers(condition);
        let mut request = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .copy_source(requests::copy_source(&self.bucket, source))
            .set_copy_source_if_match(source.if_match.as_ref().map(ETag::to_string))
            .set_if_match(if_match)
            .set_if_none_match(if_none_match);
        let carried = match &source.version {
            // What was seen is the current version.
            Some(_) => super::carried::Properties::default(),
            None => self.carried.of(&source.key, source.if_match.as_ref()),
        };
        request = request.set_storage_class(carried.storage_class);
        request = match replaced {
            None => request.metadata_directive(MetadataDirective::Copy),
            Some((metadata, content_type)) => request
                .metadata_directive(MetadataDirective::Replace)
                .set_metadata(Some(metadata))
                .set_content_type(content_type)
                .set_cache_control(carried.cache_control)
                .set_content_disposition(carried.content_disposition)
                .set_content_encoding(carried.content_encoding)
                .set_content_language(carried.content_language)
                .set_expires(carried.expires)
                .set_website_redirect_location(carried.website_redirect),
        };
        request
            .customize()
            .mutate_request(self.encrypt(RequestKind::Copy, &opener))
            .send()
            .await
            .map_err(|error| {
                let asked = self.asked(&opener);
                errors::failed(Operation::CopyObject, key.as_str(), asked, error)
            })
    }

    pub(super) async fn delete_object(
        &self,
        key: &ObjectKey,
        options: DeleteOptions,
    ) -> Result<()> {
        let conditional = options.if_match.is_some();
        let deleted = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .set_if_match(options.if_match.as_ref().map(ToString::to_string))
            .set_version_id(options.version.as_ref().map(ToString::to_string))
            .send()
            .await
            .map_err(|error| errors::from_sdk(Operation::DeleteObject, key.as_str(), error));
        match deleted {
            Ok(_output) => Ok(()),
            // S3 itself answers 204; some servers say that there was nothing to delete.
            Err(error) if error.kind() == ErrorKind::NotFound && !conditional => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What [`crate::store::commit`] put there to know the object by.
pub(super) fn commit_of(attributes: &ObjectAttributes) -> Option<String> {
    attributes.metadata.get(CommitId::METADATA_NAME).cloned()
}

/// The values of `If-Match` and `If-None-Match`.
pub(super) fn condition_headers(condition: &WriteCondition) -> (Option<String>, Option<String>) {
    match condition {
        WriteCondition::None => (None, None),
        WriteCondition::IfMatch(etag) => (Some(etag.to_string()), None),
        WriteCondition::IfAbsent => (None, Some("*".to_owned())),
    }
}
