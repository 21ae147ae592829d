//! A bucket's own settings, apart from the objects in it: what an administrator changes, and a
//! mount only ever reads.
//!
//! S3 knows no conditions on these requests: of two that change a setting at once the later one
//! wins. Whoever changes one reads it again just before.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Result;

/// The settings that `cloakfs policy` prints, puts and looks at.
#[async_trait]
pub trait BucketSettings: Send + Sync + Debug {
    /// The bucket's policy as the server has it, JSON; `None` where there is none.
    async fn policy(&self) -> Result<Option<String>>;

    /// Replaces the whole policy.
    async fn put_policy(&self, policy: &str) -> Result<()>;

    /// `None` where the server has no default, as other servers than Amazon's may.
    async fn default_encryption(&self) -> Result<Option<DefaultEncryption>>;

    /// Replaces the whole configuration.
    async fn put_default_encryption(&self, default: &DefaultEncryption) -> Result<()>;
}

/// What is done with an upload that asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultEncryption {
    pub algorithm: DefaultAlgorithm,
    /// Fewer calls to KMS, by a key of the bucket.
    pub bucket_key: bool,
    /// Whether uploads under a customer's key (SSE-C) are refused; `None` where it is not said.
    /// Amazon's buckets refuse them unless told otherwise.
    pub blocks_customer_keys: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultAlgorithm {
    /// SSE-S3.
    Aes256,
    /// SSE-KMS; without a key, under S3's own (`aws/s3`).
    Kms { key: Option<String>, dsse: bool },
    /// One that this program does not know.
    Other(String),
}

impl DefaultAlgorithm {
    /// As S3 calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms { dsse: false, .. } => "aws:kms",
            Self::Kms { dsse: true, .. } => "aws:kms:dsse",
            Self::Other(name) => name,
        }
    }
}
