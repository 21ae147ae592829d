//! The encryption headers of each kind of request.
//!
//! SSE-S3 and SSE-KMS go on every request that makes an object (a copy is one too) and on the
//! one that begins a multipart upload, never on reads, and on its parts and its completion only
//! for a server that wants them there. A
//! customer's key goes on everything that touches the object's bytes, and on the completion,
//! where S3 wants it when a checksum was declared; on a copy the source has a key of its own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{CustomerKey, KmsRequest, RequestedEncryption};

/// The requests that differ in their encryption headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Get,
    Head,
    Put,
    CreateMultipart,
    UploadPart,
    CopyPart,
    CompleteMultipart,
    Copy,
}

impl RequestKind {
    /// Whether an object, or the beginning of one, is made in answer.
    #[must_use]
    pub const fn decides_the_mode(self) -> bool {
        matches!(self, Self::Put | Self::CreateMultipart | Self::Copy)
    }

    /// Whether it belongs to an upload that another request began.
    #[must_use]
    pub const fn continues_an_upload(self) -> bool {
        matches!(
            self,
            Self::UploadPart | Self::CopyPart | Self::CompleteMultipart
        )
    }

    /// Whether it only reads.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    /// Whether it has a source beside its target.
    #[must_use]
    pub const fn copies(self) -> bool {
        matches!(self, Self::Copy | Self::CopyPart)
    }

    /// Whether an object is visible under its key when it succeeds.
    #[must_use]
    pub const fn stores(self) -> bool {
        matches!(self, Self::Put | Self::Copy | Self::CompleteMultipart)
    }
}

/// A value as it is sent. A key stays inside [`CustomerKey`] until then, so that no `Debug`
/// output and no stray copy has it.
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Key(CustomerKey),
}

impl HeaderValue {
    /// The text on the wire: of a key, the key itself.
    pub(in crate::store::s3) fn expose(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Key(key) => key.expose_base64(),
        }
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Key(key) => fmt::Debug::fmt(key, f),
        }
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The encryption headers of one request.
pub type EncryptionHeaders = Vec<(&'static str, HeaderValue)>;

const MODE: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const KMS_CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

/// Algorithm, key and MD5 of the key.
const CUSTOMER: [&str; 3] = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];
const COPY_SOURCE_CUSTOMER: [&str; 3] = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];

/// What a request of this kind must carry.
///
/// `requested` is what is written under. `opener` is the customer's key of the object that is
/// read: by a GET or HEAD, or as the source of a copy; nothing else reads. `parts_carry_mode` is
/// for a server that wants the mode on what goes on with an upload, which Amazon S3 refuses.
#[must_use]
pub fn headers(
    requested: &RequestedEncryption,
    kind: RequestKind,
    opener: Option<&CustomerKey>,
    parts_carry_mode: bool,
) -> EncryptionHeaders {
    debug_assert!(
        opener.is_none() || kind.reads() || kind.copies(),
        "{kind:?} reads nothing"
    );
    let with_mode = kind.decides_the_mode() || parts_carry_mode && requested.goes_on_parts(kind);
    let mut headers = match requested {
        RequestedEncryption::SseS3 if with_mode => vec![(MODE, "AES256".into())],
        RequestedEncryption::SseKms(kms) if with_mode => kms_headers(kms),
        RequestedEncryption::SseC(key) if !kind.reads() => customer_headers(CUSTOMER, key),
        _ => vec![],
    };
    if let Some(key) = opener {
        let names = if kind.reads() {
            CUSTOMER
        } else {
            COPY_SOURCE_CUSTOMER
        };
        headers.extend(customer_headers(names, key));
    }
    headers
}

fn kms_headers(kms: &KmsRequest) -> EncryptionHeaders {
    let mode = if kms.dsse { "aws:kms:dsse" } else { "aws:kms" };
    let mut headers = vec![(MODE, mode.into())];
    if let Some(key) = &kms.key {
        headers.push((KMS_KEY, key.as_str().into()));
    }
    if let Some(context) = kms.context.as_ref().filter(|context| !context.is_empty()) {
        let json = BASE64.encode(context.to_json());
        headers.push((KMS_CONTEXT, HeaderValue::Text(json)));
    }
    if kms.bucket_key {
        headers.push((BUCKET_KEY, "true".into()));
    }
    headers
}

fn customer_headers(names: [&'static str; 3], key: &CustomerKey) -> EncryptionHeaders {
    let [algorithm, value, md5] = names;
    vec![
        (algorithm, "AES256".into()),
        (value, HeaderValue::Key(key.clone())),
        (md5, key.md5().into()),
    ]
}

#[cfg(test)]
mod tests;
