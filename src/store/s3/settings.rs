//! The bucket's settings ([`BucketSettings`]) by S3's requests for them.

use async_trait::async_trait;
use aws_sdk_s3::types::{
    BlockedEncryptionTypes, EncryptionType, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use super::bucket::has_no_default;
use super::{S3Store, errors};
use crate::store::settings::{BucketSettings, DefaultAlgorithm, DefaultEncryption};
use crate::store::{ErrorKind, Operation, Result, StoreError};

#[async_trait]
impl BucketSettings for S3Store {
    async fn policy(&self) -> Result<Option<String>> {
        let operation = Operation::GetBucketPolicy;
        let answer = self.client.get_bucket_policy().bucket(&self.bucket).send();
        let answer = answer
            .await
            .map_err(|error| errors::from_sdk(operation, &self.bucket, error));
        match answer {
            Ok(output) => Ok(output.policy.filter(|policy| !policy.is_empty())),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put_policy(&self, policy: &str) -> Result<()> {
        let request = self.client.put_bucket_policy().bucket(&self.bucket);
        let answer = request.policy(policy).send().await;
        answer
            .map(|_output| ())
            .map_err(|error| errors::from_sdk(Operation::PutBucketPolicy, &self.bucket, error))
    }

    async fn default_encryption(&self) -> Result<Option<DefaultEncryption>> {
        match self.default_rule().await {
            Ok(rule) => Ok(rule.map(from_rule)),
            Err(error) if has_no_default(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put_default_encryption(&self, default: &DefaultEncryption) -> Result<()> {
        let operation = Operation::PutBucketEncryption;
        let configuration = to_configuration(default).map_err(|reason| {
            StoreError::new(ErrorKind::Invalid, operation, &self.bucket, reason)
        })?;
        let request = self
            .client
            .put_bucket_encryption()
            .bucket(&self.bucket)
            .server_side_encryption_configuration(configuration);
        request
            .send()
            .await
            .map(|_output| ())
            .map_err(|error| errors::from_sdk(operation, &self.bucket, error))
    }
}

fn from_rule(rule: ServerSideEncryptionRule) -> DefaultEncryption {
    let blocks_customer_keys = rule.blocked_encryption_types.map(|blocked| {
        let types = blocked.encryption_type();
        types.contains(&EncryptionType::SseC)
    });
    let default = rule.apply_server_side_encryption_by_default;
    let algorithm = match default {
        // Amazon's own default.
        None => DefaultAlgorithm::Aes256,
        Some(default) => match default.sse_algorithm {
            ServerSideEncryption::Aes256 => DefaultAlgorithm::Aes256,
            ServerSideEncryption::AwsKms => DefaultAlgorithm::Kms {
                key: default.kms_master_key_id,
                dsse: false,
            },
            ServerSideEncryption::AwsKmsDsse => DefaultAlgorithm::Kms {
                key: default.kms_master_key_id,
                dsse: true,
            },
            other => DefaultAlgorithm::Other(other.as_str().to_owned()),
        },
    };
    DefaultEncryption {
        algorithm,
        bucket_key: rule.bucket_key_enabled.unwrap_or_default(),
        blocks_customer_keys,
    }
}

fn to_configuration(
    default: &DefaultEncryption,
) -> std::result::Result<ServerSideEncryptionConfiguration, String> {
    let key = match &default.algorithm {
        DefaultAlgorithm::Kms { key, .. } => key.clone(),
        DefaultAlgorithm::Aes256 | DefaultAlgorithm::Other(_) => None,
    };
    let by_default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(default.algorithm.name().into())
        .set_kms_master_key_id(key)
        .build()
        .map_err(|error| error.to_string())?;
    let blocked = default.blocks_customer_keys.map(|blocks| {
        let kind = if blocks {
            EncryptionType::SseC
        } else {
            EncryptionType::None
        };
        BlockedEncryptionTypes::builder()
            .encryption_type(kind)
            .build()
    });
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(by_default)
        .set_bucket_key_enabled(default.bucket_key.then_some(true))
        .set_blocked_encryption_types(blocked)
        .build();
    ServerSideEncryptionConfiguration::builder()
        .rules(rule)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_comes_back_from_the_form_in_which_it_is_sent() {
        for algorithm in [
            DefaultAlgorithm::Aes256,
            DefaultAlgorithm::Kms {
                key: Some("arn:aws:kms:r:a:key/k".to_owned()),
                dsse: false,
            },
            DefaultAlgorithm::Kms {
                key: None,
                dsse: true,
            },
            DefaultAlgorithm::Other("rot13".to_owned()),
        ] {
            for bucket_key in [false, true] {
                for blocks_customer_keys in [None, Some(false), Some(true)] {
                    let default = DefaultEncryption {
                        algorithm: algorithm.clone(),
                        bucket_key,
                        blocks_customer_keys,
                    };
                    let mut sent = to_configuration(&default).unwrap().rules;
                    assert_eq!(sent.len(), 1);
                    assert_eq!(from_rule(sent.remove(0)), default);
                }
            }
        }
    }
}
