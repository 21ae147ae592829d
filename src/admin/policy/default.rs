//! The bucket's default encryption that goes with a mode: what an upload gets that asks for
//! nothing. It is of the whole bucket, and no substitute for a policy: whoever asks for something
//! else gets that.

use serde_json::{Value, json};

use super::Mode;
use crate::store::settings::{DefaultAlgorithm, DefaultEncryption};

/// The default for a mode. A client's key cannot be a default: there SSE-S3 is, and uploads under
/// a client's key are let through, which Amazon's buckets otherwise block.
#[must_use]
pub fn of(mode: &Mode) -> DefaultEncryption {
    let (algorithm, bucket_key) = match mode {
        Mode::SseKms(kms) => (
            DefaultAlgorithm::Kms {
                key: kms.key.as_ref().map(|key| key.arn().to_owned()),
                dsse: kms.dsse,
            },
            kms.bucket_key,
        ),
        Mode::None | Mode::SseS3 | Mode::SseC | Mode::CseKms { .. } | Mode::CseC => {
            (DefaultAlgorithm::Aes256, false)
        }
    };
    DefaultEncryption {
        algorithm,
        bucket_key,
        blocks_customer_keys: (*mode == Mode::SseC).then_some(false),
    }
}

/// What is to be put where `current` is there: what the mode does not decide stays.
#[must_use]
pub fn over(wanted: &DefaultEncryption, current: Option<&DefaultEncryption>) -> DefaultEncryption {
    let blocks = current.and_then(|current| current.blocks_customer_keys);
    DefaultEncryption {
        blocks_customer_keys: wanted.blocks_customer_keys.or(blocks),
        ..wanted.clone()
    }
}

/// As `aws s3api put-bucket-encryption --server-side-encryption-configuration` takes it.
#[must_use]
pub fn to_json(default: &DefaultEncryption) -> Value {
    let mut by_default = json!({ "SSEAlgorithm": default.algorithm.name() });
    if let DefaultAlgorithm::Kms { key: Some(key), .. } = &default.algorithm {
        by_default["KMSMasterKeyID"] = json!(key);
    }
    let mut rule = json!({ "ApplyServerSideEncryptionByDefault": by_default });
    if default.bucket_key {
        rule["BucketKeyEnabled"] = json!(true);
    }
    if let Some(blocks) = default.blocks_customer_keys {
        let kind = if blocks { "SSE-C" } else { "NONE" };
        rule["BlockedEncryptionTypes"] = json!({ "EncryptionType": [kind] });
    }
    json!({ "Rules": [rule] })
}
