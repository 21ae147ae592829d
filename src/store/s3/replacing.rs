//! Replacing an object that is under another customer's key than what replaces it.
//!
//! Amazon S3 compares the ETag of a conditional write with that of the object and nothing else.
//! MinIO looks at the object as a HEAD with the headers of the write would, and so refuses the
//! write where the object is under another customer's key, or only one of the two is under one.
//! There the object is first copied onto itself, under the mount's mode, and then replaced: each
//! step has the condition that it needs, and between them the same content is there. An object of
//! more than 5 GiB cannot be copied so, and the refusal stands.

use super::S3Store;
use crate::store::{
    CopyAttributes, CopySource, ETag, HeadOptions, ObjectKey, Result, StoreError, WriteCondition,
    Written,
};

impl S3Store {
    /// Writes under the condition, and once more where that was refused for the sake of the key
    /// that the replaced object is under.
    pub(super) async fn replacing<F>(
        &self,
        key: &ObjectKey,
        condition: WriteCondition,
        write: impl Fn(WriteCondition) -> F,
    ) -> Result<Written>
    where
        F: Future<Output = Result<Written>>,
    {
        let expected = match &condition {
            WriteCondition::IfMatch(etag) => etag.clone(),
            WriteCondition::None | WriteCondition::IfAbsent => return write(condition).await,
        };
        let refused = match write(condition).await {
            Err(error) if may_be_for_a_key(&error) => error,
            outcome => return outcome,
        };
        match self.put_under_own_key(key, &expected).await {
            Some(etag) => write(WriteCondition::IfMatch(etag)).await,
            None => Err(refused),
        }
    }

    /// Copies the object onto itself if it is still the expected one and under another customer's
    /// key than those that the mount writes; its new ETag.
    async fn put_under_own_key(&self, key: &ObjectKey, expected: &ETag) -> Option<ETag> {
        // Without any customer's key at hand, an object under one could not have been read.
        if self.openers.ring().keys().is_empty() {
            return None;
        }
        let found = self.head_object(key, HeadOptions::default()).await.ok()?;
        let search = self.openers.search(key, Some(&found.etag));
        if found.etag != *expected || search.current() == self.openers.ring().own() {
            return None;
        }
        let itself = CopySource {
            key: key.clone(),
            if_match: Some(found.etag),
            version: None,
            range: None,
        };
        let copied = self
            .copy_object(key, itself, CopyAttributes::Keep, WriteCondition::None)
            .await;
        Some(copied.ok()?.etag)
    }
}

/// MinIO's words for a wrong key are those for a missing permission.
fn may_be_for_a_key(error: &StoreError) -> bool {
    matches!(error.code(), Some("InvalidRequest" | "AccessDenied"))
}
