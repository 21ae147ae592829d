//! What the bucket itself says of encryption: its default, and whether it blocks SSE-C.

use super::Finding;
use crate::store::settings::{BucketSettings, DefaultAlgorithm};
use crate::store::{ErrorKind, StoreError};

/// Where a mount leaves the choice to the bucket: what that is.
pub async fn default(settings: &dyn BucketSettings) -> Finding {
    let check = "default encryption";
    match settings.default_encryption().await {
        Ok(Some(default)) => {
            let under = match &default.algorithm {
                DefaultAlgorithm::Kms { key: Some(key), .. } => format!(" under {key}"),
                _ => String::new(),
            };
            let name = default.algorithm.name();
            Finding::ok(
                check,
                format!("what is written is encrypted with {name}{under}"),
            )
        }
        Ok(None) => Finding::warn(
            check,
            "the bucket has none, so that what is written is not encrypted: give --encryption, or set a default with `cloakfs policy default-encryption`",
        ),
        Err(error) => not_told(check, &error),
    }
}

/// Whether uploads under a customer's key are let in. `is_amazon`: there they are not, unless it
/// is said.
pub async fn customer_keys(settings: &dyn BucketSettings, is_amazon: bool) -> Finding {
    let check = "SSE-C";
    let default = match settings.default_encryption().await {
        Ok(default) => default,
        Err(error) => return not_told(check, &error),
    };
    match default.and_then(|default| default.blocks_customer_keys) {
        Some(true) => Finding::fail(
            check,
            "the bucket blocks it, as new buckets of Amazon S3 do: allow it with `cloakfs policy default-encryption --encryption sse-c --apply`, or choose another --encryption",
        ),
        Some(false) => Finding::ok(check, "the bucket allows it"),
        None if is_amazon => Finding::ok(check, "the bucket does not say that it blocks it"),
        None => Finding::ok(check, "the server does not block it"),
    }
}

fn not_told(check: &'static str, error: &StoreError) -> Finding {
    if error.kind() == ErrorKind::Denied {
        return Finding::warn(
            check,
            "not known, since the credentials may not ask (s3:GetEncryptionConfiguration); an upload shows what is denied",
        );
    }
    if error.code() == Some("NotImplemented") {
        return Finding::skipped(check, "the server does not know the question");
    }
    Finding::warn(check, format!("not known: {error}"))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::super::Status;
    use super::*;
    use crate::store::settings::DefaultEncryption;
    use crate::store::{Operation, Result};

    #[derive(Debug)]
    struct Bucket(std::result::Result<Option<DefaultEncryption>, (ErrorKind, &'static str)>);

    #[async_trait]
    impl BucketSettings for Bucket {
        async fn policy(&self) -> Result<Option<String>> {
            Ok(None)
        }

        async fn put_policy(&self, _policy: &str) -> Result<()> {
            Ok(())
        }

        async fn default_encryption(&self) -> Result<Option<DefaultEncryption>> {
            self.0.clone().map_err(|(kind, code)| {
                StoreError::new(kind, Operation::GetBucketEncryption, "b", "x").with_code(code)
            })
        }

        async fn put_default_encryption(&self, _default: &DefaultEncryption) -> Result<()> {
            Ok(())
        }
    }

    fn with(blocks: Option<bool>) -> Bucket {
        Bucket(Ok(Some(DefaultEncryption {
            algorithm: DefaultAlgorithm::Kms {
                key: Some("k".to_owned()),
                dsse: false,
            },
            bucket_key: false,
            blocks_customer_keys: blocks,
        })))
    }

    #[tokio::test]
    async fn a_block_fails_and_silence_does_not() {
        for (bucket, status) in [
            (with(Some(true)), Status::Fail),
            (with(Some(false)), Status::Ok),
            (with(None), Status::Ok),
            (Bucket(Ok(None)), Status::Ok),
            (
                Bucket(Err((ErrorKind::Denied, "AccessDenied"))),
                Status::Warn,
            ),
            (
                Bucket(Err((ErrorKind::Invalid, "NotImplemented"))),
                Status::Skipped,
            ),
        ] {
            for is_amazon in [false, true] {
                let found = customer_keys(&bucket, is_amazon).await;
                assert_eq!(found.status, status, "{bucket:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_bucket_without_a_default_leaves_things_in_clear() {
        assert_eq!(default(&Bucket(Ok(None))).await.status, Status::Warn);
        assert_eq!(
            default(&with(None)).await,
            Finding::ok(
                "default encryption",
                "what is written is encrypted with aws:kms under k"
            )
        );
    }
}
