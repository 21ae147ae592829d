//! The `s3` back end: a bucket on Amazon S3 or a server that speaks its protocol.
//!
//! The only user of the S3 SDK. Each method is one request, but for the cases below; the SDK's
//! retries and timeouts are off, because the `retry` decorator owns both and watches
//! [`crate::base::progress`], which [`crate::aws::Transport`] reports to.
//!
//! - Uploads carry a CRC-32C in a header. Over https the payload is not hashed again for the
//!   signature; over http it is signed.
//! - Every answer is checked: the range and length of a read, of a whole object the checksum that
//!   the server keeps, the ETag, and after each write the encryption ([`encryption`]). What cannot be right is [`ErrorKind::Corrupt`]. Where an
//!   answer leaves the mode or the key open, a HEAD follows (`checks`): MinIO says nothing about a
//!   copy or a completed upload.
//! - Where a policy wants the mode on the parts of an upload, too, they carry it (`parts`).
//! - An object that the likeliest customer's key does not open is tried with the others
//!   (`opening`), and so is the source of a copy. Where a HEAD is refused, whose answer has no
//!   body, a GET asks why.
//! - A write that is denied under a customer's key asks whether the bucket blocks such keys
//!   (`blocked`).
//! - A suffix of an empty object, which S3 refuses, is settled by a HEAD; the encrypted markers
//!   of directories on MinIO take a detour (`directory_markers`).
//! - Failures are classified in one table ([`errors`]); [`S3Store::explain`] words them for
//!   the person who mounts, and [`S3Store::check_keys`] tells wrong keys at once.

mod answers;
mod at_mount;
mod blocked;
mod bucket;
mod carried;
mod checks;
mod directory_markers;
pub mod encryption;
mod errors;
mod explain;
mod listing;
mod multipart;
mod opening;
mod parts;
mod read;
mod replacing;
mod requests;
mod settings;
mod survey;
mod uploads;
mod write;

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use bytes::Bytes;

use super::{
    CopyAttributes, CopySource, DeleteOptions, Elsewhere, ErrorKind, GetOptions, HeadOptions,
    Limits, ListOptions, ListPage, Object, ObjectAttributes, ObjectInfo, ObjectKey, Operation,
    PartNumber, PartReceipt, PendingUpload, PutOptions, Result, Store, StoreError, UploadId,
    WriteCondition, Written, rules,
};

use crate::aws::{Aws, Endpoint};

pub use bucket::{BucketFacts, Versioning};
pub use encryption::{CustomerKey, KmsRequest, RequestedEncryption};
pub use errors::classify;
pub use survey::{Clocks, Contact};

use encryption::KeyRing;

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
    #[error(
        "sse-c would send the key in clear to {0}: give an https:// endpoint with --endpoint-url"
    )]
    KeyInClear(String),
    #[error(
        "the keys to read with (SSE-C) would be sent in clear to {0}: give an https:// endpoint with --endpoint-url"
    )]
    ReadKeysInClear(String),
    #[error(
        "S3 takes requests for sse-kms over TLS only, which {0} is not: give an https:// endpoint with --endpoint-url"
    )]
    KmsInClear(String),
    #[error(
        "S3 has no bucket keys for dual-layer encryption (dsse): ask for one of the two, not both"
    )]
    BucketKeyOfDsse,
}

/// What must not reach the network, or cannot be.
fn refuse_before_sending(
    encryption: &RequestedEncryption,
    has_read_keys: bool,
    endpoint: &Endpoint,
) -> std::result::Result<(), S3ConfigError> {
    let in_clear = !endpoint.is_tls();
    let place = || endpoint.describe("S3");
    match encryption {
        RequestedEncryption::SseC(_) if in_clear => Err(S3ConfigError::KeyInClear(place())),
        RequestedEncryption::SseKms(_) if in_clear => Err(S3ConfigError::KmsInClear(place())),
        RequestedEncryption::SseKms(kms) if kms.dsse && kms.bucket_key => {
            Err(S3ConfigError::BucketKeyOfDsse)
        }
        _ if has_read_keys && in_clear => Err(S3ConfigError::ReadKeysInClear(place())),
        _ => Ok(()),
    }
}

/// A bucket. All requests go through one pool of connections.
#[derive(Debug)]
pub struct S3Store {
    client: aws_sdk_s3::Client,
    bucket: String,
    endpoint: Endpoint,
    encryption: RequestedEncryption,
    openers: opening::Openers,
    carried: carried::Carried,
    blocked: blocked::Blocked,
    uploads: uploads::Uploads,
    parts: parts::Parts,
    /// A bucket key was asked for and not given: said once.
    without_bucket_key: AtomicBool,
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
        refuse_before_sending(&encryption, !read_keys.is_empty(), &endpoint)?;
        let mut s3 = aws_sdk_s3::config::Builder::from(aws.sdk())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(path_style || endpoint.needs_path_style());
        s3.set_endpoint_url(endpoint.url.clone());
        Ok(Self {
            client: aws_sdk_s3::Client::from_conf(s3.build()),
            bucket,
            endpoint,
            openers: opening::Openers::new(KeyRing::new(&encryption, read_keys)),
            encryption,
            carried: carried::Carried::new(),
            blocked: blocked::Blocked::default(),
            uploads: uploads::Uploads::new(),
            parts: parts::Parts::new(),
            without_bucket_key: AtomicBool::new(false),
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
        Limits {
            copied_part_bytes_max: self.copied_part_bytes_max(),
            ..Limits::S3
        }
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        self.get_object(key, options).await
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.head_object(key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Bytes, options: PutOptions) -> Result<Written> {
        let PutOptions {
            attributes,
            condition,
        } = options;
        self.replacing(key, condition, |condition| {
            let attributes = attributes.clone();
            let options = PutOptions {
                attributes,
                condition,
            };
            self.put_object(key, body.clone(), options)
        })
        .await
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
        self.replacing(key, condition, |condition| {
            self.complete_multipart_upload(key, upload, parts, condition)
        })
        .await
    }

    async fn complete_elsewhere(
        &self,
        _key: &ObjectKey,
        _upload: &UploadId,
        _parts: &[PartReceipt],
        to: Elsewhere,
        _condition: WriteCondition,
    ) -> Result<Written> {
        Err(rules::completes_where_it_began(&to.key))
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
        condition: WriteCondition,
    ) -> Result<Written> {
        self.copy_object(key, source, attributes, condition).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        self.delete_object(key, options).await
    }

    fn check_written(
        &self,
        operation: Operation,
        key: &ObjectKey,
        found: &ObjectInfo,
    ) -> Result<()> {
        self.check_stored(operation, key, found)
    }

    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.list_objects(options).await
    }
}
