//! Whose version has the name that a commit is for: the one it was written to, this mount's own
//! of an earlier try, or somebody else's, which this mount may have no key for.

use crate::fs::inode::Content;
use crate::fs::{FileSystem, Result};
use crate::layout::path::VolumePath;
use crate::store::{ErrorKind, Operation};
use crate::volume::{Condition, Stat, VolumeError};
use crate::write::{Base, WriteError};

impl FileSystem {
    /// The version that has the name may be an earlier try of this very commit, whose answer was
    /// lost: then it is what this one replaces. And where there is none, a delete of this mount's
    /// own may have been carried out: then there is nothing to replace.
    pub(in crate::fs) async fn adopt_own_write(
        &self,
        content: &Content,
        path: &VolumePath,
    ) -> Result<bool> {
        let Some(stat) = self.look_at_own(content, path).await? else {
            return Ok(content.forget_deleted());
        };
        let ours = self.volume.may_be_ours(path, &stat)?;
        let (true, Some(version)) = (ours, stat.version) else {
            return Ok(false);
        };
        let clone = stat.commit.clone();
        let clone = clone.filter(|commit| content.is_clone_in_doubt(Some(commit)));
        if let Some(commit) = clone
            && content.become_clone(version.clone(), commit, stat.size)
        {
            return Ok(true);
        }
        if !content.is_clone_in_doubt(stat.commit.as_deref())
            && let Some(dirty) = content.dirty()
            && let Some(base) = dirty.base()
        {
            // What is clean here is the same in both: the try copied it from this base. Not so a
            // clone: what was not changed of this file went with it, and a commit that needs some
            // finds that out.
            dirty.set_base(Base {
                version: version.clone(),
                ..base
            });
        }
        content.update(|snapshot| {
            snapshot.version = Some(version);
            snapshot.commit = stat.commit;
        });
        Ok(true)
    }

    /// The same where only attributes are to be stored: the version that has the name may be this
    /// mount's copy with other attributes, or its clone, whose answer was lost. Nothing else that
    /// this mount may have written has the bytes that are known here.
    pub(super) async fn adopt_own_copy(
        &self,
        content: &Content,
        path: &VolumePath,
    ) -> Result<bool> {
        let Some(stat) = self.look_at_own(content, path).await? else {
            return Ok(false);
        };
        let commit = stat.commit.as_deref();
        if content.is_copy_in_doubt(commit) || content.is_clone_in_doubt(commit) {
            return self.adopt_own_write(content, path).await;
        }
        Ok(false)
    }

    /// Whether the name has the version that this content was.
    pub(super) async fn is_what_was_known(
        &self,
        content: &Content,
        path: &VolumePath,
    ) -> Result<bool> {
        let found = self.look_at_own(content, path).await?;
        let found = found.and_then(|found| found.version);
        let known = content.snapshot().version;
        Ok(found.is_some_and(|found| known.is_some_and(|known| known.etag == found.etag)))
    }

    /// What a commit of this content would replace, if that can be looked at; `None` where it is
    /// not there any more, or another that is closed to this mount. What does not open is
    /// somebody else's: the conditional write decides whether it is in the way.
    pub(super) async fn look_at_own(
        &self,
        content: &Content,
        path: &VolumePath,
    ) -> Result<Option<Stat>> {
        match self.volume.stat_file(path).await {
            Ok(stat) => Ok(stat),
            Err(refused) if refused.object_error().is_some() => Ok(None),
            Err(refused) => {
                let snapshot = content.snapshot();
                let known = snapshot.replaced();
                if self.volume.is_replaced(path, known, &refused).await {
                    Ok(None)
                } else {
                    Err(refused.into())
                }
            }
        }
    }

    /// Whether a conditional write was refused for the sake of another version than the one that
    /// it was to replace: a server may look at that before it compares, and MinIO wants its key.
    pub(super) async fn is_refused_for_another(
        &self,
        content: &Content,
        path: &VolumePath,
        error: &WriteError,
    ) -> bool {
        let WriteError::Volume(error) = error else {
            return false;
        };
        let refused = matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid)
            && error.store_error().is_some();
        // What KMS does not allow now it may allow later, and then all that is asked here is told.
        if !refused || error.concerns_encryption() && !error.lacks_customer_key() {
            return false;
        }
        let snapshot = content.snapshot();
        let known = snapshot.replaced();
        match self.volume.stat_file(path).await {
            Ok(found) => found
                .and_then(|found| found.version)
                .is_some_and(|found| known.is_none_or(|known| known.etag != found.etag)),
            Err(refused) => self.volume.is_replaced(path, known, &refused).await,
        }
    }
}

/// Why what was not changed of a file is gone, if it is: replaced or deleted, or replaced under a
/// key that this mount does not have.
pub(in crate::fs) fn base_lost(error: &WriteError) -> Option<&VolumeError> {
    match error {
        WriteError::BaseLost(error) => Some(error),
        WriteError::Volume(error) if error.lacks_customer_key() => {
            let operation = error.store_error()?.operation();
            matches!(operation, Operation::GetObject | Operation::UploadPartCopy).then_some(error)
        }
        _ => None,
    }
}

pub(in crate::fs) fn is_conflict(error: &WriteError, condition: &Condition) -> bool {
    match error.kind() {
        Some(ErrorKind::Precondition) => true,
        Some(ErrorKind::NotFound) => {
            !error.is_upload_gone() && matches!(condition, Condition::IfVersion(_))
        }
        _ => false,
    }
}
