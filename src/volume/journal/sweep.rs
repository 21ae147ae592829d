//! Clearing away what a dead mount of this machine left in the bucket.

use std::fs;

use super::LeftBehind;
use crate::store::{DeleteOptions, ListOptions, ObjectKey};
use crate::volume::{Volume, VolumeError};

impl Volume {
    /// Aborts the uploads, finishes the renames of files and deletes the private objects of a
    /// mount that died.
    pub(in crate::volume) async fn clear_away(&self, dead: LeftBehind) {
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
        // Only where nobody else uploads: another machine may be writing to a file's own key.
        for key in dead
            .unfinished
            .begun
            .iter()
            .filter(|key| key.as_str().starts_with(&self.keys.reserved("")))
        {
            if let Err(error) = self.abort_all(key).await {
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

    async fn abort_all(&self, key: &ObjectKey) -> crate::store::Result<()> {
        for pending in self.store.list_multipart(key.as_str()).await? {
            if pending.key == key.as_str() {
                self.store.abort_multipart(key, &pending.upload).await?;
            }
        }
        Ok(())
    }

    async fn delete_all_private(&self, folder: &str) -> crate::store::Result<()> {
        let mut token = None;
        loop {
            let prefix = self.keys.reserved(folder);
            let page = self
                .store
                .list(ListOptions {
                    prefix,
                    token,
                    ..ListOptions::default()
                })
                .await?;
            for object in page.objects {
                if let Ok(key) = ObjectKey::new(object.key) {
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
