//! A bucket that blocks SSE-C, as buckets of Amazon's do by default since April 2026: every
//! write with a customer's key is a bare AccessDenied there, and only GetBucketEncryption tells
//! it from a missing permission.

use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_s3::types::{EncryptionType, ServerSideEncryptionRule};
use tokio::time::Instant;

use super::{RequestedEncryption, S3Store, errors};
use crate::store::{ErrorKind, Operation, StoreError};

/// How long an answer counts. Somebody who reads the sentence may allow SSE-C at once.
const REMEMBERED: Duration = Duration::from_mins(1);

/// What the bucket answered lately.
#[derive(Debug, Default)]
pub(super) struct Blocked(Mutex<Option<(Instant, Block)>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Yes,
    No,
    /// The credentials may not ask.
    NotTold,
}

impl S3Store {
    /// Says why a write was denied if it is because the bucket blocks SSE-C, and otherwise what a
    /// policy may have compared. Other errors pass.
    pub(super) async fn explain_block(&self, error: StoreError) -> StoreError {
        let is_bare = error.kind() == ErrorKind::Denied
            && error.code() == Some("AccessDenied")
            && !error.concerns_encryption();
        if !is_bare {
            return error;
        }
        if !matches!(self.encryption, RequestedEncryption::SseC(_)) {
            return self.explain_policy(error);
        }
        let block = self.blocks_customer_keys().await;
        let is_amazon = self.endpoint.is_amazon();
        let Some(words) = words(block.as_ref(), is_amazon, &self.bucket, error.message()) else {
            return self.explain_policy(error);
        };
        let explained = StoreError::new(error.kind(), error.operation(), error.object(), words)
            .with_code("AccessDenied")
            .with_source(error);
        if block == Some(Block::Yes) {
            explained.about_encryption()
        } else {
            explained
        }
    }

    /// A policy that requires an encryption denies without a word about it.
    fn explain_policy(&self, error: StoreError) -> StoreError {
        let words = format!(
            "{}, or require another --encryption or key than this mount's, which is {}",
            error.message(),
            self.encryption
        );
        StoreError::new(error.kind(), error.operation(), error.object(), words)
            .with_code("AccessDenied")
            .with_source(error)
    }

    /// `None` when the bucket could not be asked.
    async fn blocks_customer_keys(&self) -> Option<Block> {
        let remembered = self.blocked.lock().clone();
        if let Some((when, block)) = remembered
            && when.elapsed() < REMEMBERED
        {
            return Some(block);
        }
        let answer = self
            .client
            .get_bucket_encryption()
            .bucket(&self.bucket)
            .send()
            .await;
        let block = match answer {
            Ok(output) => {
                let blocks = output
                    .server_side_encryption_configuration
                    .is_some_and(|configuration| configuration.rules.iter().any(is_blocking));
                if blocks { Block::Yes } else { Block::No }
            }
            Err(error) => {
                let operation = Operation::GetBucketEncryption;
                match errors::from_sdk(operation, &self.bucket, error).kind() {
                    ErrorKind::Denied => Block::NotTold,
                    // No configuration, or no such request.
                    ErrorKind::NotFound | ErrorKind::Invalid => Block::No,
                    _ => return None,
                }
            }
        };
        *self.blocked.lock() = Some((Instant::now(), block.clone()));
        Some(block)
    }
}

/// What the answer means for a write that was denied with `denied`; `None` where it says nothing.
/// Only Amazon's buckets are blocked without anyone having asked for it.
fn words(block: Option<&Block>, is_amazon: bool, bucket: &str, denied: &str) -> Option<String> {
    match block? {
        Block::Yes => Some(format!(
            "the bucket {bucket:?} blocks SSE-C, as new buckets of Amazon S3 do: allow it with PutBucketEncryption (BlockedEncryptionTypes NONE), or choose another --encryption"
        )),
        Block::NotTold if is_amazon => Some(format!(
            "{denied}; or the bucket blocks SSE-C, as new ones do, which these credentials may not ask (s3:GetEncryptionConfiguration)"
        )),
        Block::NotTold | Block::No => None,
    }
}

fn is_blocking(rule: &ServerSideEncryptionRule) -> bool {
    rule.blocked_encryption_types()
        .is_some_and(|types| types.encryption_type().contains(&EncryptionType::SseC))
}

impl Blocked {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Block)>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_named_where_it_is_known_and_on_amazon_where_it_may_be() {
        let words = |block: Option<Block>, is_amazon| {
            words(block.as_ref(), is_amazon, "b", "Access Denied")
        };
        let blocked = "the bucket \"b\" blocks SSE-C, as new buckets of Amazon S3 do: allow it with PutBucketEncryption (BlockedEncryptionTypes NONE), or choose another --encryption";
        for is_amazon in [true, false] {
            assert_eq!(words(Some(Block::Yes), is_amazon).as_deref(), Some(blocked));
            assert_eq!(words(Some(Block::No), is_amazon), None);
            assert_eq!(words(None, is_amazon), None);
        }
        assert_eq!(
            words(Some(Block::NotTold), true).as_deref(),
            Some(
                "Access Denied; or the bucket blocks SSE-C, as new ones do, which these credentials may not ask (s3:GetEncryptionConfiguration)"
            )
        );
        assert_eq!(words(Some(Block::NotTold), false), None);
    }
}
