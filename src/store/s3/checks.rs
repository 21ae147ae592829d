//! What the server says of an object's encryption after a write, against what was asked for.

use std::sync::atomic::Ordering;

use super::encryption::{self, AnsweredHeaders, EncryptionMismatch, RequestKind, Verdict};
use super::{S3Store, directory_markers};
use crate::base::id::CommitId;
use crate::store::{
    ErrorKind, HeadOptions, ObjectInfo, ObjectKey, Operation, Result, ServerEncryption, StoreError,
    Written,
};

impl S3Store {
    /// Checks that an answer names the encryption that was asked for, and tells whether it leaves
    /// that open.
    pub(super) fn verify(
        &self,
        kind: RequestKind,
        operation: Operation,
        key: &ObjectKey,
        answered: AnsweredHeaders<'_>,
    ) -> Result<Verdict> {
        let encryption = answered.parse();
        let verdict = encryption::verify(&self.encryption, kind, &encryption, answered.kms_context)
            .map_err(|mismatch| mismatched(operation, key, mismatch))?;
        if kind == RequestKind::Put {
            self.note_bucket_key(&encryption);
        }
        Ok(verdict)
    }

    /// Says once that the server does not do what saves calls to KMS. The object is as safe.
    fn note_bucket_key(&self, answered: &ServerEncryption) {
        let lacks = encryption::lacks_bucket_key(&self.encryption, answered);
        if lacks && !self.without_bucket_key.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{} does not use the bucket key that was asked for: objects are encrypted all the same, with a request to KMS for each",
                self.endpoint.describe("S3")
            );
        }
    }

    /// Where the answer to a write left the mode or the key open, looks at the object itself,
    /// unless another write has replaced it already. `commit` is what the write put into its
    /// metadata.
    pub(super) async fn settle(
        &self,
        operation: Operation,
        key: &ObjectKey,
        verdict: Verdict,
        written: &Written,
        commit: Option<&str>,
    ) -> Result<()> {
        if verdict == Verdict::Right {
            return Ok(());
        }
        let version = written.version.clone();
        let stored = self
            .head_object(key, HeadOptions { version })
            .await
            .map_err(|error| undecided(operation, error))?;
        if is_written(&stored, written, commit) {
            self.check_stored(operation, key, &stored)
        } else {
            Ok(())
        }
    }

    /// Checks what a HEAD says of an object that was written here.
    pub(super) fn check_stored(
        &self,
        operation: Operation,
        key: &ObjectKey,
        stored: &ObjectInfo,
    ) -> Result<()> {
        encryption::verify_stored(&self.encryption, &stored.encryption)
            .map_err(|mismatch| mismatched(operation, key, mismatch))
    }
}

/// Whether the object is the one that was written. Some servers give another ETag to a HEAD than
/// to the write, so that one that differs is not enough to say no.
fn is_written(stored: &ObjectInfo, written: &Written, commit: Option<&str>) -> bool {
    if stored.etag == written.etag || written.version.is_some() && stored.version == written.version
    {
        return true;
    }
    let found = stored.attributes.metadata.get(CommitId::METADATA_NAME);
    match (commit, found) {
        (Some(ours), Some(found)) => ours == found,
        _ => directory_markers::is_encrypted(&stored.etag),
    }
}

/// The write was carried out, and its caller must not take it for one that was not, whatever
/// kept the look from an answer. What is not there any more was deleted by somebody since.
fn undecided(operation: Operation, head: StoreError) -> StoreError {
    if head.kind() == ErrorKind::NotFound {
        return head.of(operation);
    }
    let words = format!("what it was encrypted under could not be looked at: {head}");
    let object = head.object().to_owned();
    StoreError::new(ErrorKind::Unavailable, operation, object, words).with_source(head)
}

fn mismatched(operation: Operation, key: &ObjectKey, mismatch: EncryptionMismatch) -> StoreError {
    let words = mismatch.to_string();
    StoreError::new(ErrorKind::Corrupt, operation, key.as_str(), words)
        .with_source(mismatch)
        .about_encryption()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::store::{ETag, ObjectAttributes, VersionId};

    #[test]
    fn an_object_is_ours_by_etag_version_or_commit_and_an_encrypted_etag_says_nothing() {
        let long = "0".repeat(100);
        for (etag, version, found, commit, ours) in [
            ("e", None, None, None, true),
            ("e", Some("1"), Some("a"), Some("b"), true),
            ("other", None, None, None, false),
            ("other", Some("1"), None, None, true),
            ("other", Some("2"), None, None, false),
            ("other", None, Some("a"), Some("a"), true),
            ("other", None, Some("a"), None, false),
            (&long, None, None, None, true),
            (&long, None, Some("a"), Some("b"), false),
        ] {
            let name = CommitId::METADATA_NAME.to_owned();
            let stored = ObjectInfo {
                size: 0,
                etag: ETag::new(etag),
                last_modified: Timestamp::default(),
                version: version.map(VersionId::new),
                attributes: ObjectAttributes {
                    metadata: found.map(|id| (name, id.to_owned())).into_iter().collect(),
                    content_type: None,
                },
                encryption: ServerEncryption::None,
            };
            let written = Written {
                etag: ETag::new("e"),
                version: version.map(|_| VersionId::new("1")),
            };
            assert_eq!(is_written(&stored, &written, commit), ours, "{stored:?}");
        }
    }
}
