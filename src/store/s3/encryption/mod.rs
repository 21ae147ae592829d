//! The encryption that a mount asks of the server: what each request carries and what each
//! answer must say.
//!
//! This is the one place that knows the header names, and all of it is pure. [`headers`] goes
//! from the mode and the kind of request to plain data; [`verify`] compares an answer with what
//! was asked; [`KeyRing`] and [`Search`] find the key that an object is under; [`Fault`] says
//! what a refusal means. S3's rules are those of the user guide, "Protecting data with
//! server-side encryption".
//!
//! The mount's mode holds for what is written, and for nothing else:
//! - What is there is read as it is stored: an object of another mode needs nothing or a
//!   customer's key, which the mount may have been given to read with.
//! - Whatever makes an object anew puts it under the mount's mode and key, whatever the object
//!   was under before: a changed file, and also a rename, a chmod, a truncation, because each of
//!   them is a copy to S3.
//!
//! Invariant: an object is never left under another mode or key than the one asked for without
//! an error that names both. ETags take no part in it: under SSE-KMS and SSE-C they are no MD5s.

mod customer_key;
mod expected;
mod faults;
mod headers;
mod openers;
mod verify;

use std::fmt;

pub use customer_key::CustomerKey;
pub use expected::ExpectedEncryption;
pub use faults::Fault;
pub use headers::{EncryptionHeaders, HeaderValue, RequestKind, headers};
pub use openers::{KeyRing, Opener, Refusal, Search};
pub use verify::{
    AnsweredHeaders, EncryptionMismatch, Verdict, lacks_bucket_key, verify, verify_stored,
};

use crate::base::context::EncryptionContext;

/// The server-side encryption of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestedEncryption {
    /// Nothing is asked for: the bucket's default encryption applies.
    #[default]
    None,
    /// SSE-S3: AES-256 under keys that S3 owns.
    SseS3,
    /// SSE-KMS: under a key that KMS keeps.
    SseKms(KmsRequest),
    /// SSE-C: under a key that goes with every request.
    SseC(CustomerKey),
}

/// What SSE-KMS may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KmsRequest {
    /// An id or, better, the ARN, which policies compare; never an alias, which S3 would not
    /// resolve everywhere. `None`: the AWS managed key of S3.
    pub key: Option<String>,
    /// S3 adds the object's or the bucket's own ARN by itself.
    pub context: Option<EncryptionContext>,
    /// Fewer calls to KMS: S3 derives the objects' keys from one for the bucket.
    pub bucket_key: bool,
    /// `aws:kms:dsse`: two layers of encryption. Not together with a bucket key.
    pub dsse: bool,
}

impl RequestedEncryption {
    /// The name of the mode, as extended attributes and notes give it.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SseS3 => "sse-s3",
            Self::SseKms(kms) if kms.dsse => "sse-kms-dsse",
            Self::SseKms(_) => "sse-kms",
            Self::SseC(_) => "sse-c",
        }
    }

    /// Whether some server takes the mode's headers on a request that goes on with an upload:
    /// MinIO does, but for those of SSE-KMS on a part that is copied, which it does not implement.
    #[must_use]
    pub fn goes_on_parts(&self, kind: RequestKind) -> bool {
        match self {
            Self::SseS3 => kind.continues_an_upload(),
            Self::SseKms(_) => kind.continues_an_upload() && kind != RequestKind::CopyPart,
            Self::None | Self::SseC(_) => false,
        }
    }

    /// The key of KMS that is asked for by name.
    #[must_use]
    pub fn kms_key(&self) -> Option<&str> {
        match self {
            Self::SseKms(kms) => kms.key.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for RequestedEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::SseS3 => f.write_str("sse-s3 (AES256)"),
            Self::SseKms(kms) => {
                f.write_str(if kms.dsse {
                    "sse-kms (dsse)"
                } else {
                    "sse-kms"
                })?;
                match &kms.key {
                    Some(key) => write!(f, " under key {key}")?,
                    None => f.write_str(" under the AWS managed key")?,
                }
                match &kms.context {
                    Some(context) if !context.is_empty() => write!(f, " with context {context}"),
                    _ => Ok(()),
                }
            }
            Self::SseC(key) => write!(f, "sse-c under the key with MD5 {}", key.md5()),
        }
    }
}
