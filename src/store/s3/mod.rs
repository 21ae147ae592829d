//! The `s3` back end: a bucket on Amazon S3 or a server that speaks its protocol.
//!
//! The only user of the S3 SDK. Each method is one request, but for the two cases below; the SDK's retries and timeouts are off, because the `retry`
//! decorator owns both and watches [`crate::base::progress`], which [`crate::aws::Transport`] reports to.
//!
//! - Uploads carry a CRC-32C in a header. Over https the payload is not hashed again for the
//!   signature; over http it is signed.
//! - Every answer is checked: the range and length of a read, the ETag, and after each write
//!   the encryption ([`encryption`]). What cannot be right is [`ErrorKind::Corrupt`]. MinIO says
//!   nothing about the encryption of a copy or of a completed upload: there a HEAD follows.
//! - A suffix of an empty object, which S3 refuses, is settled by a HEAD.
//! - Failures are classified in one table ([`errors`]); [`S3Store::explain`] words them for
//!   the person who mounts.

mod answers;
mod bucket;
mod carried;
pub mod encryption;
mod errors;
mod explain;
mod listing;
mod multipart;
mod read;
mod requests;
mod write;

use async_trait::async_trait;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use bytes::Bytes;

use super::{
    CopyAttributes, CopySource, DeleteOptions, ErrorKind, GetOptions, HeadOptions, Limits,
    ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation, PartNumber,
    PartReceipt, PendingUpload, PutOptions, Result, ServerEncryption, Store, StoreError, UploadId,
    WriteCondition, Written,
};

use crate::aws::{Aws, Endpoint};

pub use bucket::{BucketFacts, Versioning};
pub use encryption::{CustomerKey, KmsRequest, RequestedEncryption};
pub use errors::classify;

use encryption::RequestKind;

/// A bucket and what is asked of its server.
#[derive(Clone, Debug)]
pub struct S3Config {
    pub bucket: String,
    /// `https://HOST/BUCKET/KEY` even where the host could carry the bucket's name.
    pub path_style: bool,
    pub encryption: RequestedEncryption,
    /// Customer's keys (SSE-C) that objects may still be under which are read here; nothing is
    /// written with them. In any mode.
    pub read_keys: Vec<CustomerKey>,
}

impl S3Config {
    /// No encryption asked for.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            path_style: false,
            encryption: RequestedEncryption::None,
            read_keys: vec![],
        }
    }
}

/// Why no request can be made of a bucket. Each message is a whole sentence for the person who
/// mounts.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum S3ConfigError {
    #[error("\"{0}\" is not the name of a bucket")]
    BadBucket(String),
}

/// A bucket. All requests go through one pool of connections.
#[derive(Debug)]
pub struct S3Store {
    client: aws_sdk_s3::Client,
    bucket: String,
    endpoint: Endpoint,
    encryption: RequestedEncryption,
    read_keys: Vec<CustomerKey>,
    carried: carried::Carried,
}

impl S3Store {
    /// The bucket itself is not asked: see [`S3Store::check`].
    ///
    /// # Errors
    /// When the configuration makes no sense.
    pub fn new(aws: &Aws, config: S3Config) -> std::result::Result<Self, S3ConfigError> {
        let S3Config {
            bucket,
            path_style,
            encryption,
            read_keys,
        } = config;
        if bucket.is_empty() || bucket.contains(|c: char| c.is_control() || c == ' ') {
            return Err(S3ConfigError::BadBucket(bucket));
        }
        let endpoint = aws.s3().clone();
        let mut s3 = aws_sdk_s3::config::Builder::from(aws.sdk())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(path_style || endpoint.needs_path_style());
        s3.set_endpoint_url(endpoint.url.clone());
        Ok(Self {
            client: aws_sdk_s3::Client::from_conf(s3.build()),
            bucket,
            endpoint,
            encryption,
            read_keys,
            carried: carried::Carried::new(),
        })
    }

    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How the objects that are written here come back.
    #[must_use]
    pub fn expected_encryption(&self) -> encryption::ExpectedEncryption {
        (&self.encryption).into()
    }

    /// Puts the mode's headers on a request of this kind.
    fn encrypt(&self, kind: RequestKind) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
        let headers = encryption::headers(&self.encryption, kind);
        move |request| {
            for (name, value) in &headers {
                request.headers_mut().insert(*name, value.clone());
            }
        }
    }

    /// Checks that an answer names the encryption that was asked for.
    fn verify(
        &self,
        kind: RequestKind,
        operation: Operation,
        key: &ObjectKey,
        answered: &ServerEncryption,
    ) -> Result<()> {
        encryption::verify(&self.encryption, kind, answered).map_err(|mismatch| {
            StoreError::new(
                ErrorKind::Corrupt,
                operation,
                key.as_str(),
                mismatch.to_string(),
            )
            .with_source(mismatch)
        })
    }

    /// Where a mode was asked for and the answer says nothing about it, looks at the object
    /// itself, unless another write has replaced it already.
    async fn verify_silence(
        &self,
        operation: Operation,
        key: &ObjectKey,
        answered: &ServerEncryption,
        written: &Written,
    ) -> Result<()> {
        if self.encryption == RequestedEncryption::None || *answered != ServerEncryption::None {
            return Ok(());
        }
        let version = written.version.clone();
        let stored = self.head_object(key, HeadOptions { version }).await?;
        if stored.etag == written.etag {
            self.verify(RequestKind::Put, operation, key, &stored.encryption)
        } else {
            Ok(())
        }
    }
}

/// Turns the words for an answer that cannot be right into an error.
fn corrupt(operation: Operation, object: &str) -> impl Fn(String) -> StoreError {
    move |words| StoreError::new(ErrorKind::Corrupt, operation, object, words)
}

/// Turns the words for a request that cannot be sent into an error.
fn invalid(operation: Operation, object: &str) -> impl Fn(String) -> StoreError {
    move |words| StoreError::new(ErrorKind::Invalid, operation, object, words)
}

#[async_trait]
impl Store for S3Store {
    fn describe(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    fn limits(&self) -> Limits {
        Limits::S3
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        self.get_object(key, options).await
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.head_object(key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        self.put_object(key, body, options).await
    }

    async fn create_multipart(
        &self,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        self.create_multipart_upload(key, attributes).await
    }

    async fn upload_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: Bytes,
    ) -> Result<PartReceipt> {
        self.upload_one_part(key, upload, number, body).await
    }

    async fn copy_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
    ) -> Result<PartReceipt> {
        self.upload_part_copy(key, upload, number, source).await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        self.complete_multipart_upload(key, upload, parts, condition)
            .await
    }

    async fn abort_multipart(&self, key: &ObjectKey, upload: &UploadId) -> Result<()> {
        self.abort_multipart_upload(key, upload).await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<PendingUpload>> {
        self.list_multipart_uploads(prefix).await
    }

    async fn copy(
        &self,
        key: &ObjectKey,
        source: CopySource,
        attributes: CopyAttributes,
    ) -> Result<Written> {
        self.copy_object(key, source, attributes).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        self.delete_object(key, options).await
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.list_objects(options).await
    }
}
