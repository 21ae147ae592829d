//! Changes of names: directories, deletes, renames.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::journal::Renaming;
use super::types::Guard;
use super::upload::Beginning;
use super::{
    Committed, Condition, CopyWay, ObjectMeta, ObjectRef, Result, Stat, Version, Volume,
    VolumeError,
};
use crate::base::id::CommitId;
use crate::layout::attributes::FileKind;
use crate::layout::path::VolumePath;
use crate::layout::sealed::ObjectError;
use crate::store::probe::Access;
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ETag, ErrorKind, HeadOptions, ListedObject,
    ObjectInfo, ObjectKey, Operation, StoreError, WriteCondition,
};

/// Objects of a directory that are copied or deleted at once.
pub const PARALLEL_OBJECTS: usize = 32;

/// An object of a directory that was renamed.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The version that was copied.
    pub source: ETag,
    /// The version that the copy has.
    pub copy: Version,
    /// The commit id that the copy has; `None` where it kept that of the source.
    pub commit: Option<String>,
}

impl Moved {
    fn new(source: ETag, copy: Committed) -> Self {
        Self {
            source,
            copy: copy.version,
            commit: Some(copy.commit),
        }
    }
}

impl Volume {
    /// Writes a directory's marker: with [`Condition::IfAbsent`] this decides between machines
    /// who made it.
    pub async fn put_marker(
        &self,
        path: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        assert!(
            meta.attributes.kind == FileKind::Directory,
            "only directories have markers"
        );
        self.put(path, meta, Bytes::new(), condition).await
    }

    /// Deletes a directory's marker; one that is not there is no error.
    pub async fn delete_marker(&self, path: &VolumePath) -> Result<()> {
        let key = self.marker_key(path)?;
        self.delete_key(&key, DeleteOptions::default()).await
    }

    /// Deletes the object at a path, whatever version it has.
    pub async fn delete(&self, path: &VolumePath) -> Result<()> {
        let key = self.file_key(path)?;
        self.delete_key(&key, DeleteOptions::default()).await
    }

    /// Deletes the object at a path only while it is the given version, as far as the server
    /// can: without conditional delete a HEAD just before narrows the window.
    pub async fn delete_version(
        &self,
        path: &VolumePath,
        version: &Version,
        commit: Option<&str>,
    ) -> Result<()> {
        let key = self.file_key(path)?;
        let same = |info: &ObjectInfo| {
            let metadata = &info.attributes.metadata;
            metadata.get(CommitId::METADATA_NAME).map(String::as_str) == commit
        };
        self.delete_if(&key, Some(&version.etag), same).await
    }

    /// The same where only the content counts, whatever became of its attributes.
    pub async fn delete_content(&self, path: &VolumePath, version: &Version) -> Result<()> {
        let key = self.file_key(path)?;
        self.delete_if(&key, Some(&version.etag), |_| true).await
    }

    /// Moves an object to another path, which the caller has looked at, with the given attributes:
    /// a copy on the server, then a conditional delete of the source. When the delete fails because
    /// somebody replaced the source meanwhile, their version stays at the old name and ours is at
    /// the new one.
    ///
    /// With `unless_there` what somebody stores at the new path meanwhile is not replaced: that is
    /// [`ErrorKind::Precondition`].
    pub async fn rename(
        self: &Arc<Self>,
        from: &VolumePath,
        stat: &Stat,
        to: &VolumePath,
        meta: &ObjectMeta,
        unless_there: bool,
    ) -> Result<Committed> {
        self.check_may_rename(from)?;
        let version = stat.version.as_ref().ok_or_else(|| {
            VolumeError::invalid(from, "a directory without a marker has nothing to copy")
        })?;
        let (guard, condition) = if unless_there {
            (self.guard_of_rename(stat), Condition::IfAbsent)
        } else {
            (Guard::PartsOnly, Condition::None)
        };
        let id = CommitId::random();
        let way = CopyWay { id, guard };
        let (from_key, to_key) = (self.file_key(from)?, self.file_key(to)?);
        let commit = stat.commit.as_deref();
        let renaming = Renaming::new(&from_key, &to_key, &version.etag, commit, way.id);
        let ticket = self.journal.renaming(renaming)?;
        let moving = self.copy_and_delete(way, from, stat, version, to, meta, &condition);
        let done = Box::pin(moving).await;
        // Who lives to see how it ended tells the caller.
        self.journal.ended(&ticket);
        done
    }

    /// How a copy of the object is kept from replacing another.
    fn guard_of_rename(&self, stat: &Stat) -> Guard {
        if self.capabilities.conditional_copy {
            Guard::Request
        } else if self.is_sealed() || stat.commit.is_some() {
            Guard::InParts
        } else {
            // Of another tool, whose properties of the object a copy in parts would lose.
            Guard::PartsOnly
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides of a copy, and how"
    )]
    async fn copy_and_delete(
        self: &Arc<Self>,
        way: CopyWay,
        from: &VolumePath,
        stat: &Stat,
        version: &Version,
        to: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let (source, size) = (ObjectRef::Path(from.clone()), stat.size);
        let done = self
            .copy_in_way(way, &source, version, size, to, meta, condition)
            .await?;
        match self
            .delete_version(from, version, stat.commit.as_deref())
            .await
        {
            Ok(()) => Ok(done),
            Err(error) if error.kind() == ErrorKind::Precondition => {
                tracing::warn!(
                    object = %from,
                    "was replaced by somebody else while it was renamed to {to:?}; both are kept"
                );
                Ok(done)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that a rename could delete the old name: before anything is copied.
    pub fn check_may_rename(&self, from: &VolumePath) -> Result<()> {
        let Access::Denied(words) = &self.capabilities.delete else {
            return Ok(());
        };
        let message = format!("a rename needs to delete the old name, and may not: {words}");
        Err(VolumeError::other(from, ErrorKind::Denied, &message))
    }

    /// Copies one object of a directory that is being renamed, attributes and all, and tells
    /// the versions. `rest` is what [`Self::walk`] gave; empty for the marker.
    pub async fn copy_below(
        self: &Arc<Self>,
        from: &VolumePath,
        to: &VolumePath,
        rest: &str,
        listed: &ListedObject,
    ) -> Result<Moved> {
        let key = self.key_below(from, rest)?;
        let target = self.key_below(to, rest)?;
        let name = format!("{from}/{rest}");
        let source = listed.etag.clone();
        let is_marker = target.as_str().ends_with('/');
        match self
            .copy_version(&name, &key, &target, source.clone(), listed.size)
            .await
        {
            Ok(moved) => Ok(moved),
            Err(error) if error.kind() == ErrorKind::Precondition => {
                // MinIO lists another ETag for an empty encrypted object than it compares with.
                let info = self.store.head(&key, HeadOptions::default()).await;
                let info = info.map_err(|error| VolumeError::store(&key, error))?;
                let source = info.etag;
                self.copy_version(&name, &key, &target, source, info.size)
                    .await
            }
            Err(error)
                if is_marker
                    && listed.size == 0
                    && error.object_error() == Some(ObjectError::NotOurs) =>
            {
                // It counts as none, and what it stands for is a directory all the same.
                let meta = self.implicit_directory(listed.last_modified, false).meta;
                let copy =
                    Box::pin(self.put_sealed(&name, target, &meta, Bytes::new(), &Condition::None));
                Ok(Moved::new(source, copy.await?))
            }
            Err(error) => Err(error),
        }
    }

    async fn copy_version(
        self: &Arc<Self>,
        name: &(dyn Display + Sync),
        key: &ObjectKey,
        target: &ObjectKey,
        etag: ETag,
        size: u64,
    ) -> Result<Moved> {
        if self.is_sealed() {
            let copy = Box::pin(self.move_sealed(name, key, target, etag.clone())).await?;
            return Ok(Moved::new(etag, copy));
        }
        let source = CopySource {
            key: key.clone(),
            if_match: Some(etag.clone()),
            version: None,
            range: None,
        };
        if size > self.store.limits().copy_bytes_max {
            let info = self.store.head(key, HeadOptions::default()).await;
            let info = info.map_err(|error| VolumeError::store(key, error))?;
            let (size, attributes) = (info.size, info.attributes);
            // As a copy in one request keeps it: it tells who finishes a rename what was copied.
            let id = attributes.metadata.get(CommitId::METADATA_NAME);
            let id = id.and_then(|id| id.parse::<CommitId>().ok());
            let beginning = Beginning::plain(attributes, id.unwrap_or_else(CommitId::random));
            let (target, none) = (target.clone(), &Condition::None);
            let done = self
                .copy_in_parts(source, size, None, target, beginning, none)
                .await?;
            return Ok(Moved::new(etag, done));
        }
        let copied = self
            .store
            .copy(target, source, CopyAttributes::Keep, WriteCondition::None)
            .await;
        let copied = copied.map_err(|error| VolumeError::store(target, error))?;
        self.modes.settled(target);
        Ok(Moved {
            source: etag,
            copy: copied.into(),
            commit: None,
        })
    }

    /// Deletes one object of a directory that is being renamed, while it has the given ETag.
    pub async fn delete_below(
        &self,
        path: &VolumePath,
        rest: &str,
        etag: Option<&ETag>,
    ) -> Result<()> {
        let key = self.key_below(path, rest)?;
        self.delete_if(&key, etag, |_| true).await
    }

    /// Deletes an object while it has an ETag, and, where a HEAD must find that out, while `same`
    /// says so too. One that is not there is no error.
    pub(super) async fn delete_if(
        &self,
        key: &ObjectKey,
        etag: Option<&ETag>,
        same: impl Fn(&ObjectInfo) -> bool + Send,
    ) -> Result<()> {
        let if_match = etag
            .filter(|_| self.capabilities.conditional_delete)
            .cloned();
        if let Some(etag) = etag
            && if_match.is_none()
        {
            // The window that remains is named in status.
            match self.store.head(key, HeadOptions::default()).await {
                Ok(info) if info.etag == *etag && same(&info) => {}
                Ok(_) => {
                    let changed = StoreError::precondition(Operation::DeleteObject, key);
                    return Err(VolumeError::store(key, changed));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(VolumeError::store(key, error)),
            }
        }
        match self
            .delete_key(
                key,
                DeleteOptions {
                    if_match,
                    version: None,
                },
            )
            .await
        {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Checks before a directory rename that every descendant's key still fits.
    pub fn check_below(&self, to: &VolumePath, rest: &str) -> Result<()> {
        self.key_below(to, rest).map(drop)
    }

    pub(super) fn key_below(&self, dir: &VolumePath, rest: &str) -> Result<ObjectKey> {
        let key = self.keys.key_below(dir, rest);
        let key = key.map_err(|name| VolumeError::name(dir, name))?;
        ObjectKey::new(key).map_err(|error| VolumeError::invalid(dir, &error.to_string()))
    }

    pub(super) async fn delete_key(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let deleted = self.store.delete(key, options).await;
        deleted.map_err(|error| VolumeError::store(key, error))?;
        self.modes.settled(key);
        if let Some(sealed) = &self.sealed {
            sealed.generations.forget(key);
        }
        Ok(())
    }
}

/// Only while the object has the ETag.
pub(super) fn delete_if_match(etag: &ETag) -> DeleteOptions {
    DeleteOptions {
        if_match: Some(etag.clone()),
        version: None,
    }
}
