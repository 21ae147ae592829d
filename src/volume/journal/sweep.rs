//! Clearing away what a dead mount of this machine left in the bucket.

use std::fs;

use super::LeftBehind;
use crate::base::id::CommitId;
use crate::store::{DeleteOptions, ListOptions, ObjectKey};
use crate::volume::{Volume, VolumeError};

/// How far the server's clock and this machine's may be apart, with the time that a request takes,
/// for an upload to be taken for the one that was asked for.
const CLOCKS_APART_SECONDS_MAX: u64 = 30;

impl Volume {
    /// Aborts the uploads, finishes the renames of files and deletes the private objects of a
    /// mount that died. With `by_time` also uploads of files of which nothing but the time says
    /// that they are its own: another mount may have begun one of the same file just then.
    pub(in crate::volume) async fn clear_away(&self, dead: LeftBehind, by_time: bool) {
        let mut failed: Option<VolumeError> = None;
        let mut renamed = 0;
        for renaming in &dead.unfinished.renames {
            match self.finish_renaming(renaming).await {
                Ok(finished) => renamed += u64::from(finished),
                Err(error) => failed = Some(error),
            }
        }
        for (key, upload) in &dead.unfinished.uploads {
            if let Err(error) = self.store.abort_multipart(key, upload).await {
                failed = Some(VolumeError::store(key, error));
            }
        }
        for (key, at) in &dead.unfinished.begun {
            // Nobody else uploads below a mount's private name; a file's own key others may be
            // writing now, and what was begun at another time is theirs.
            let private = self.keys.is_reserved_key(key.as_str());
            if !private && !by_time {
                continue;
            }
            let around = (!private).then_some(*at);
            if let Err(error) = self.abort_begun(key, around).await {
                failed = Some(VolumeError::store(key, error));
            }
        }
        for folder in ["open", "staging"] {
            if let Err(error) = self
                .delete_all_private(&format!("{folder}/{}/", dead.mount_id))
                .await
            {
                failed = Some(VolumeError::store(folder, error));
            }
        }
        match failed {
            None => {
                tracing::info!(
                    "cleared away what mount {} left: {} unfinished uploads, {renamed} renames that \
                     are finished now",
                    dead.mount_id,
                    dead.unfinished.uploads.len()
                );
                if let Err(error) = fs::remove_file(&dead.path) {
                    tracing::warn!("{} cannot be removed: {error}", dead.path.display());
                }
            }
            Some(error) => tracing::warn!(
                "what mount {} left in the bucket stays until the next mount: {error}",
                dead.mount_id
            ),
        }
    }

    /// Aborts the uploads of an object that were begun around this time; else all.
    async fn abort_begun(&self, key: &ObjectKey, around: Option<i64>) -> crate::store::Result<()> {
        for pending in self.store.list_multipart(key.as_str()).await? {
            let apart = around.map_or(0, |at| pending.initiated.secs().abs_diff(at));
            if pending.key == key.as_str() && apart <= CLOCKS_APART_SECONDS_MAX {
                self.store.abort_multipart(key, &pending.upload).await?;
            }
        }
        Ok(())
    }

    /// Deletes what a mount named itself, as [`Volume::private_name`] does.
    async fn delete_all_private(&self, folder: &str) -> crate::store::Result<()> {
        let prefix = self.keys.reserved(folder);
        let mut token = None;
        loop {
            let page = self
                .store
                .list(ListOptions {
                    prefix: prefix.clone(),
                    token,
                    ..ListOptions::default()
                })
                .await?;
            for object in page.objects {
                // Of any other name it is not the mount's, whatever it is.
                let name = object.key.strip_prefix(&prefix).unwrap_or_default();
                let is_own = name
                    .parse::<CommitId>()
                    .is_ok_and(|id| id.to_string() == name);
                if is_own && let Ok(key) = ObjectKey::new(object.key) {
                    self.store.delete(&key, DeleteOptions::default()).await?;
                }
            }
            token = page.next;
            if token.is_none() {
                return Ok(());
            }
        }
    }
}
