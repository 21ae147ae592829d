//! Objects that may not be looked at, for lack of their key or of the right to: what a listing
//! tells of them, and how they go.

use super::change::delete_if_match;
use super::{Result, Stat, Version, Volume, VolumeError};
use crate::layout::path::VolumePath;
use crate::store::{DeleteOptions, ErrorKind, ListOptions, ListedObject, Operation, StoreError};

impl Volume {
    /// What is at a path where a look was refused; `None` where a listing shows nothing. Two
    /// listings of one key at most.
    pub async fn stat_closed(&self, path: &VolumePath) -> Result<Option<Stat>> {
        let below = self
            .first_listed(path, self.directory(path)?.prefix().to_owned())
            .await?;
        if let Some(first) = below {
            return Ok(Some(self.implicit_directory(first.last_modified, false)));
        }
        let listed = self.listed(path).await?;
        Ok(listed.map(|listed| self.stat_from_listing(&listed)))
    }

    /// Deletes the object at a path that may not be looked at, only while a listing shows the
    /// given version: no key is needed to delete, and none to compare.
    pub async fn delete_closed(&self, path: &VolumePath, version: &Version) -> Result<()> {
        let key = self.file_key(path)?;
        if self.capabilities.conditional_delete {
            match self.delete_key(&key, delete_if_match(&version.etag)).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                // MinIO lists another ETag for an empty encrypted object than it compares with,
                // and Amazon compares for nobody who may not read: the listing has to do.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Precondition | ErrorKind::Denied) => {}
                done => return done,
            }
        }
        match self.listed(path).await? {
            // The window that remains is named in status.
            Some(listed) if listed.etag == version.etag => {
                self.delete_key(&key, DeleteOptions::default()).await
            }
            Some(_) => {
                let changed = StoreError::precondition(Operation::DeleteObject, &key);
                Err(VolumeError::store(path, changed))
            }
            None => {
                self.modes.settled(&key);
                Ok(())
            }
        }
    }

    /// Whether a path has another version than the one that is known there, `None` for none,
    /// although the look at it was `refused`. A listing tells, which needs no key.
    ///
    /// Not where KMS refused: its keys may be allowed again, and then a look tells whose version
    /// it is.
    pub async fn is_replaced(
        &self,
        path: &VolumePath,
        known: Option<&Version>,
        refused: &VolumeError,
    ) -> bool {
        let unopened = refused.object_error().is_some();
        let by_key = refused.lacks_customer_key();
        let denied = refused.kind() == ErrorKind::Denied;
        if !unopened && !(denied && (by_key || !refused.concerns_encryption())) {
            return false;
        }
        match self.listed(path).await {
            // See above: of one that is empty the listed ETag proves nothing. What a client-side
            // volume wrote never is.
            Ok(Some(listed)) if listed.size == 0 && !by_key && !unopened => false,
            Ok(Some(listed)) => known.is_none_or(|known| known.etag != listed.etag),
            Ok(None) | Err(_) => false,
        }
    }

    /// The object of a file as a listing shows it.
    async fn listed(&self, path: &VolumePath) -> Result<Option<ListedObject>> {
        let key = self.file_key(path)?;
        // Of all keys that begin with it, it comes first itself.
        let first = self.first_listed(path, key.as_str().to_owned()).await?;
        Ok(first.filter(|first| first.key == key.as_str()))
    }

    async fn first_listed(
        &self,
        path: &VolumePath,
        prefix: String,
    ) -> Result<Option<ListedObject>> {
        let options = ListOptions {
            prefix,
            max_keys: Some(1),
            ..ListOptions::default()
        };
        let page = self.store.list(options).await;
        let page = page.map_err(|error| VolumeError::store(path, error))?;
        Ok(page.objects.into_iter().next())
    }
}
