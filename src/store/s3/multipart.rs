//! Multipart uploads.
//!
//! Parts carry a CRC-32C each. Amazon S3 wants it declared when the upload begins, as one of
//! the full object, so that the completion need not repeat those of the parts ("Checking object
//! integrity" in the S3 user guide). Elsewhere it is not declared: MinIO checks it all the
//! same, but refuses to copy parts into an upload that declares one.

use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::operation::upload_part::UploadPartOutput;
use aws_sdk_s3::operation::upload_part_copy::UploadPartCopyOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, EncodingType,
};
use bytes::Bytes;

use super::answers::{self, answered_encryption};
use super::encryption::{Opener, RequestKind, RequestedEncryption};
use super::errors::Failed;
use super::uploads::Begun;
use super::write::{commit_of, condition_headers};
use super::{S3Store, corrupt, errors, invalid, requests};
use crate::store::{
    CopySource, ETag, ErrorKind, ObjectAttributes, ObjectKey, Operation, PartNumber, PartReceipt,
    PendingUpload, Result, UploadId, WriteCondition, Written,
};

impl S3Store {
    pub(super) async fn create_multipart_upload(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let operation = Operation::CreateMultipartUpload;
        let commit = commit_of(&attributes);
        let metadata = requests::metadata_headers(&attributes.metadata)
            .map_err(invalid(operation, key.as_str()))?;
        let declared = self.endpoint.is_amazon();
        let answer = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key.as_str())
            .set_metadata(Some(metadata))
            .set_content_type(attributes.content_type)
            .set_checksum_algorithm(declared.then_some(ChecksumAlgorithm::Crc32C))
            .set_checksum_type(declared.then_some(ChecksumType::FullObject))
            .customize()
            .mutate_request(self.encrypt(RequestKind::CreateMultipart, &Opener::NoKey))
            .send()
            .await;
        let output = match answer {
            Ok(output) => output,
            Err(error) => {
                let asked = self.asked(&Opener::NoKey);
                let failed = errors::failed(operation, key.as_str(), asked, error);
                return Err(self.explain_block(failed.error).await);
            }
        };
        let upload = match &output.upload_id {
            Some(id) if !id.is_empty() => UploadId::new(id),
            _ => {
                return Err(corrupt(operation, key.as_str())(
                    "the answer has no upload id".to_owned(),
                ));
            }
        };
        let answered = answered_encryption!(output)
            .with_customer_key(output.sse_customer_key_md5.as_deref())
            .with_context(output.ssekms_encryption_context.as_deref());
        match self.verify(RequestKind::CreateMultipart, operation, key, answered) {
            Ok(verdict) => {
                self.uploads.begun(&upload, Begun { commit, verdict });
                Ok(upload)
            }
            Err(mismatch) => {
                // Nobody else knows of it.
                if let Err(error) = self.abort_multipart_upload(key, &upload).await {
                    tracing::debug!(object = %key, "an upload may be left behind: {error}");
                }
                Err(mismatch)
            }
        }
    }

    pub(super) async fn upload_one_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        let operation = Operation::UploadPart;
        let send = |with_mode| self.part_with(key, upload, number, body.clone(), with_mode);
        let sent = self.send_on(RequestKind::UploadPart, send).await;
        let output = sent.map_err(|failed| failed.error)?;
        let answered =
            answered_encryption!(output).with_customer_key(output.sse_customer_key_md5.as_deref());
        let verdict = self.verify(RequestKind::UploadPart, operation, key, answered)?;
        self.uploads.part(upload, verdict);
        Ok(PartReceipt {
            number,
            etag: answers::etag(output.e_tag).map_err(corrupt(operation, key.as_str()))?,
        })
    }

    async fn part_with(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
        with_mode: bool,
    ) -> std::result::Result<UploadPartOutput, Failed> {
        let kind = RequestKind::UploadPart;
        let request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key.as_str())
            .upload_id(upload.as_str())
            .part_number(wire_number(number))
            .checksum_crc32_c(requests::checksum(&body))
            .body(ByteStream::from(body))
            .customize()
            .mutate_request(self.encrypt_part(kind, &Opener::NoKey, with_mode));
        let request = if self.endpoint.is_tls() {
            request.disable_payload_signing()
        } else {
            request
        };
        request.send().await.map_err(|error| {
            let asked = self.asked(&Opener::NoKey);
            errors::failed(Operation::UploadPart, key.as_str(), asked, error)
        })
    }

    pub(super) async fn upload_part_copy(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        let operation = Operation::UploadPartCopy;
        let range = match source.range {
            Some(range) => Some(requests::byte_range(range).ok_or_else(|| {
                invalid(operation, key.as_str())("a range of no bytes cannot be copied".to_owned())
            })?),
            None => None,
        };
        if self.carries_copies() {
            return self.carry_part(key, upload, number, source, None).await;
        }
        let (from, range) = (&source, &range);
        let attempt = async |opener: Opener| {
            let send = |with_mode| {
                self.copy_part_with(key, (upload, number), (from, range), &opener, with_mode)
            };
            self.send_on(RequestKind::CopyPart, send).await
        };
        let output = match self.copy_from(operation, &source, attempt).await {
            Err(refused) if self.may_carry(&refused) => {
                let refused = Some(refused);
                return self.carry_part(key, upload, number, source, refused).await;
            }
            copied => copied?,
        };
        let answered =
            answered_encryption!(output).with_customer_key(output.sse_customer_key_md5.as_deref());
        let verdict = self.verify(RequestKind::CopyPart, operation, key, answered)?;
        self.uploads.part(upload, verdict);
        let e_tag = output.copy_part_result.and_then(|result| result.e_tag);
        Ok(PartReceipt {
            number,
            etag: answers::etag(e_tag).map_err(corrupt(operation, key.as_str()))?,
        })
    }

    async fn copy_part_with(
        &self,
        key: &ObjectKey,
        (upload, number): (&UploadId, PartNumber),
        (source, range): (&CopySource, &Option<String>),
        opener: &Opener,
        with_mode: bool,
    ) -> std::result::Result<UploadPartCopyOutput, Failed> {
        self.client
            .upload_part_copy()
            .bucket(&self.bucket)
            .key(key.as_str())
            .upload_id(upload.as_str())
            .part_number(wire_number(number))
            .copy_source(requests::copy_source(&self.bucket, source))
            .set_copy_source_if_match(source.if_match.as_ref().map(ETag::to_string))
            .set_copy_source_range(range.clone())
            .customize()
            .mutate_request(self.encrypt_part(RequestKind::CopyPart, opener, with_mode))
            .send()
            .await
            .map_err(|error| {
                let asked = self.asked(opener);
                errors::failed(Operation::UploadPartCopy, key.as_str(), asked, error)
            })
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let operation = Operation::CompleteMultipartUpload;
        let parts = parts
            .iter()
            .map(|part| {
                CompletedPart::builder()
                    .part_number(wire_number(part.number))
                    .e_tag(part.etag.as_str())
                    .build()
            })
            .collect();
        let upload_of_parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let send =
            |with_mode| self.complete_with(key, upload, &upload_of_parts, &condition, with_mode);
        let sent = self.send_on(RequestKind::CompleteMultipart, send).await;
        let output = sent.map_err(|failed| failed.error)?;
        let answered = answered_encryption!(output);
        let answered = self.verify(RequestKind::CompleteMultipart, operation, key, answered)?;
        let written = Written {
            etag: answers::etag(output.e_tag).map_err(corrupt(operation, key.as_str()))?,
            version: answers::version(output.version_id),
        };
        self.openers.note_written(key, &written.etag);
        let Begun { commit, verdict } = self.uploads.of(upload);
        let verdict = match &self.encryption {
            // There is no field for it in the answer, but there was in all before.
            RequestedEncryption::SseC(_) => verdict,
            _ => answered,
        };
        self.settle(operation, key, verdict, &written, commit.as_deref())
            .await?;
        self.uploads.ended(upload);
        Ok(written)
    }

    async fn complete_with(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &CompletedMultipartUpload,
        condition: &WriteCondition,
        with_mode: bool,
    ) -> std::result::Result<CompleteMultipartUploadOutput, Failed> {
        let kind = RequestKind::CompleteMultipart;
        let (if_match, if_none_match) = condition_headers(condition);
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key.as_str())
            .upload_id(upload.as_str())
            .multipart_upload(parts.clone())
            .set_checksum_type(
                self.endpoint
                    .is_amazon()
                    .then_some(ChecksumType::FullObject),
            )
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .customize()
            .mutate_request(self.encrypt_part(kind, &Opener::NoKey, with_mode))
            .send()
            .await
            .map_err(|error| {
                let asked = self.asked(&Opener::NoKey);
                let operation = Operation::CompleteMultipartUpload;
                errors::failed(operation, key.as_str(), asked, error)
            })
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<()> {
        self.uploads.ended(upload);
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key.as_str())
            .upload_id(upload.as_str())
            .send()
            .await
            .map_err(|error| {
                errors::from_sdk(Operation::AbortMultipartUpload, key.as_str(), error)
            });
        match aborted {
            Ok(_output) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn list_multipart_uploads(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        let operation = Operation::ListMultipartUploads;
        let corrupt = corrupt(operation, prefix);
        let mut pending = Vec::new();
        let mut after: Option<(String, Option<String>)> = None;
        loop {
            let (key_marker, upload_marker) = after.clone().unzip();
            let output = self
                .client
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(prefix)
                .encoding_type(EncodingType::Url)
                .set_key_marker(key_marker)
                .set_upload_id_marker(upload_marker.flatten())
                .send()
                .await
                .map_err(|error| errors::from_sdk(operation, prefix, error))?;
            for upload in output.uploads.unwrap_or_default() {
                let (Some(key), Some(id)) = (upload.key, upload.upload_id) else {
                    return Err(corrupt("an upload has no key or no id".to_owned()));
                };
                pending.push(PendingUpload {
                    key: answers::listed_key(&key).map_err(&corrupt)?,
                    upload: UploadId::new(id),
                    initiated: answers::timestamp(upload.initiated).map_err(&corrupt)?,
                });
            }
            let next = match output.next_key_marker {
                Some(key) if output.is_truncated == Some(true) => (
                    answers::listed_key(&key).map_err(&corrupt)?,
                    output.next_upload_id_marker,
                ),
                None if output.is_truncated == Some(true) => {
                    return Err(corrupt(
                        "the listing is cut short without saying where it goes on".to_owned(),
                    ));
                }
                _ => return Ok(pending),
            };
            if after.as_ref() == Some(&next) {
                return Err(corrupt("the listing does not go on".to_owned()));
            }
            after = Some(next);
        }
    }
}

/// The SDK types part numbers as signed; they are at most 10,000.
fn wire_number(number: PartNumber) -> i32 {
    i32::try_from(number.value()).expect("part numbers are at most 10,000")
}
