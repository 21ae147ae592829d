//! PUT, server-side copy and DELETE.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;
use bytes::Bytes;

use super::answers::{self, answered_encryption};
use super::encryption::RequestKind;
use super::{S3Store, corrupt, errors, invalid, requests};
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ETag, ErrorKind, ObjectKey, Operation, PutOptions,
    Result, WriteCondition, Written,
};

impl S3Store {
    pub(super) async fn put_object(
        &self,
        key: &ObjectKey,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Written> {
        let operation = Operation::PutObject;
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
            .mutate_request(self.encrypt(RequestKind::Put));
        let request = if self.endpoint.is_tls() {
            request.disable_payload_signing()
        } else {
            request
        };
        let output = request
            .send()
            .await
            .map_err(|error| errors::from_sdk(operation, key.as_str(), error))?;
        let answered = answered_encryption!(output)
            .with_customer_key(output.sse_customer_key_md5.as_deref())
            .parse();
        self.verify(RequestKind::Put, operation, key, &answered)?;
        Ok(Written {
            etag: answers::etag(output.e_tag).map_err(corrupt(operation, key.as_str()))?,
            version: answers::version(output.version_id),
        })
    }

    pub(super) async fn copy_object(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
    ) -> Result<Written> {
        let operation = Operation::CopyObject;
        let mut request = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .copy_source(requests::copy_source(&self.bucket, &source))
            .set_copy_source_if_match(source.if_match.as_ref().map(ETag::to_string));
        let carried = match &source.version {
            // What was seen is the current version.
            Some(_) => super::carried::Properties::default(),
            None => self.carried.of(&source.key, source.if_match.as_ref()),
        };
        request = request.set_storage_class(carried.storage_class);
        request = match attributes {
            CopyAttributes::Keep => request.metadata_directive(MetadataDirective::Copy),
            CopyAttributes::Replace(attributes) => {
                let metadata = requests::metadata_headers(&attributes.metadata)
                    .map_err(invalid(operation, key.as_str()))?;
                request
                    .metadata_directive(MetadataDirective::Replace)
                    .set_metadata(Some(metadata))
                    .set_content_type(attributes.content_type)
                    .set_cache_control(carried.cache_control)
                    .set_content_disposition(carried.content_disposition)
                    .set_content_encoding(carried.content_encoding)
                    .set_content_language(carried.content_language)
                    .set_expires(carried.expires)
                    .set_website_redirect_location(carried.website_redirect)
            }
        };
        let output = request
            .customize()
            .mutate_request(self.encrypt(RequestKind::Copy))
            .send()
            .await
            .map_err(|error| errors::from_sdk(operation, key.as_str(), error))?;
        let answered = answered_encryption!(output)
            .with_customer_key(output.sse_customer_key_md5.as_deref())
            .parse();
        self.verify(RequestKind::Copy, operation, key, &answered)?;
        let e_tag = output.copy_object_result.and_then(|result| result.e_tag);
        let written = Written {
            etag: answers::etag(e_tag).map_err(corrupt(operation, key.as_str()))?,
            version: answers::version(output.version_id),
        };
        self.verify_silence(operation, key, &answered, &written)
            .await?;
        Ok(written)
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

/// The values of `If-Match` and `If-None-Match`.
pub(super) fn condition_headers(condition: &WriteCondition) -> (Option<String>, Option<String>) {
    match condition {
        WriteCondition::None => (None, None),
        WriteCondition::IfMatch(etag) => (Some(etag.to_string()), None),
        WriteCondition::IfAbsent => (None, Some("*".to_owned())),
    }
}
