//! Reading and writing whole objects and ranges.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::sealed::xattr_place;
use super::types::{Guard, commit_id};
use super::upload::Beginning;
use super::{
    Committed, Condition, CopyWay, ObjectMeta, ObjectRef, Result, Version, Volume, VolumeError,
};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::layout::attributes::FileKind;
use crate::layout::path::VolumePath;
use crate::layout::plain;
use crate::store::commit;
use crate::store::{
    CopyAttributes, CopySource, ErrorKind, GetOptions, GetRange, Object, ObjectAttributes,
    ObjectKey, Operation, PutOptions, VersionId, WriteCondition,
};

impl Volume {
    /// Reads a range of one version: bytes of that version or an error, never fewer than the
    /// range asks for.
    pub async fn read(
        &self,
        object: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if self.is_sealed() {
            return self.read_sealed(object, version, range).await;
        }
        let key = self.object_key(object)?;
        let options = GetOptions {
            range: Some(GetRange::Bytes(range)),
            if_match: Some(version.etag.clone()),
            version: past_version(object, version),
        };
        let answer = self.store.get(&key, options).await;
        if matches!(object, ObjectRef::Path(_)) {
            self.note_read(&key, &answer);
        }
        let answer = answer.map_err(|error| VolumeError::store(&key, error))?;
        if answer.range != range || answer.body.len() as u64 != range.len() {
            let message = format!("asked for {range}, the store answered {}", answer.range);
            return Err(VolumeError::other(&key, ErrorKind::Corrupt, &message));
        }
        Ok(answer.body)
    }

    /// Reads a small object whole with the version it has: symlink targets.
    pub async fn read_whole(&self, path: &VolumePath) -> Result<Bytes> {
        if self.is_sealed() {
            return self.read_whole_sealed(path).await;
        }
        let key = self.file_key(path)?;
        let answer = self.store.get(&key, GetOptions::default()).await;
        self.note_read(&key, &answer);
        Ok(answer
            .map_err(|error| VolumeError::store(path, error))?
            .body)
    }

    fn note_read(&self, key: &ObjectKey, answer: &crate::store::Result<Object>) {
        match answer {
            Ok(object) => {
                self.modes
                    .told(key, Operation::GetObject, &object.info.encryption);
            }
            Err(error) => self.modes.refused(key, error),
        }
    }

    /// Writes a whole object in one request.
    pub async fn put(
        &self,
        path: &VolumePath,
        meta: &ObjectMeta,
        body: Bytes,
        condition: &Condition,
    ) -> Result<Committed> {
        let key = match meta.attributes.kind {
            FileKind::Directory => self.marker_key(path)?,
            _ => self.file_key(path)?,
        };
        if self.is_sealed() {
            let put = self.put_sealed(path, key, meta, body, condition);
            return Box::pin(put).await;
        }
        let attributes = self.encode(path, meta)?;
        let options = PutOptions {
            attributes,
            condition: condition.to_store(),
        };
        let id = commit_id(&options.attributes);
        let written = commit::put(self.store.as_ref(), &key, body, options, id).await;
        let written = written
            .inspect_err(|error| self.note_doubt(id, None, error))
            .map_err(|error| VolumeError::store(path, error))?;
        self.modes.settled(&key);
        Ok(Committed {
            version: written.into(),
            commit: id.to_string(),
        })
    }

    /// Replaces an object's attributes by a copy onto itself, on the server: one request up to
    /// 5 GiB, above that a multipart upload of part copies.
    pub async fn set_attributes(
        self: &Arc<Self>,
        path: &VolumePath,
        version: &Version,
        size: u64,
        meta: &ObjectMeta,
    ) -> Result<Committed> {
        let source = ObjectRef::Path(path.clone());
        let condition = Condition::IfVersion(version.clone());
        self.copy_to(&source, version, size, path, meta, &condition)
            .await
    }

    /// Copies a version to a path on the server, with the given attributes. `condition` guards
    /// the target where the copy takes several requests.
    pub async fn copy_to(
        self: &Arc<Self>,
        source: &ObjectRef,
        version: &Version,
        size: u64,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let way = CopyWay::marked(meta.commit_id());
        self.copy_in_way(way, source, version, size, target, meta, condition)
            .await
    }

    /// Makes the file at a path a clone: the content of another file's version, which is copied
    /// on the server, under its own attributes, if the condition holds. In a client-side volume
    /// the two share a content key from then on.
    pub async fn clone_to(
        self: &Arc<Self>,
        source: &ObjectRef,
        version: &Version,
        size: u64,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let way = CopyWay {
            id: meta.commit_id(),
            guard: Guard::InParts,
        };
        self.copy_in_way(way, source, version, size, target, meta, condition)
            .await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides of a copy, and how"
    )]
    pub(super) async fn copy_in_way(
        self: &Arc<Self>,
        way: CopyWay,
        source: &ObjectRef,
        version: &Version,
        size: u64,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let key = self.file_key(target)?;
        if self.is_sealed() {
            let copy = self.copy_sealed(way, source, version, target, key, meta, condition);
            return Box::pin(copy).await;
        }
        let attributes = self.encode(target, meta)?;
        let source = self.copy_source(source, version, None)?;
        if way.in_parts(size, self.store.limits().copy_bytes_max) {
            let beginning = Beginning::plain(attributes, way.id);
            return self
                .copy_in_parts(source, size, None, key, beginning, condition)
                .await;
        }
        if way.guard == Guard::InParts {
            // Of nothing no part can be made, and nothing is lost where it is written anew.
            let meta = ObjectMeta {
                commit: Some(way.id),
                ..meta.clone()
            };
            return Box::pin(self.put(target, &meta, Bytes::new(), condition)).await;
        }
        let (id, guard) = (way.id, way.condition(condition));
        let copy = commit::copy(self.store.as_ref(), &key, source, attributes, guard, id);
        let written = copy.await;
        let written = written
            .inspect_err(|error| self.note_doubt(id, None, error))
            .map_err(|error| VolumeError::store(target, error))?;
        self.modes.settled(&key);
        Ok(Committed {
            version: written.into(),
            commit: id.to_string(),
        })
    }

    /// Keeps a copy of a version that is about to go from its path, for handles that have it
    /// open. In a versioned bucket nothing needs copying.
    pub async fn preserve(
        self: &Arc<Self>,
        path: &VolumePath,
        version: &Version,
        size: u64,
    ) -> Result<(ObjectRef, Version)> {
        if version.version.is_some() {
            return Ok((ObjectRef::PastVersion(path.clone()), version.clone()));
        }
        let name = self.private_name(PrivatePurpose::Open);
        let copied = self.copy_to_private(path, version, size, &name).await;
        if let Err(error) = &copied
            && matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Unavailable)
        {
            // Perhaps it was made all the same.
            self.journal.left(&name);
        }
        Ok((ObjectRef::Private(name), copied?))
    }

    async fn copy_to_private(
        self: &Arc<Self>,
        path: &VolumePath,
        version: &Version,
        size: u64,
        name: &str,
    ) -> Result<Version> {
        let key = self.private_key(name);
        let source = ObjectRef::Path(path.clone());
        if self.is_sealed() {
            let copy = self.copy_as_it_is(&source, version, path, key);
            return Box::pin(copy).await;
        }
        let source = self.copy_source(&source, version, None)?;
        if size > self.store.limits().copy_bytes_max {
            let attributes = ObjectAttributes::default();
            let copy =
                self.copy_in_parts(source, size, None, key, attributes.into(), &Condition::None);
            return Ok(copy.await?.version);
        }
        let written = self
            .store
            .copy(&key, source, CopyAttributes::Keep, WriteCondition::None)
            .await;
        let written = written.map_err(|error| VolumeError::store(path, error))?;
        Ok(written.into())
    }

    pub(super) fn copy_source(
        &self,
        source: &ObjectRef,
        version: &Version,
        range: Option<ByteRange>,
    ) -> Result<CopySource> {
        Ok(CopySource {
            key: self.object_key(source)?,
            if_match: Some(version.etag.clone()),
            version: past_version(source, version),
            range,
        })
    }

    /// A fresh name below the reserved prefix that only this mount uses.
    #[must_use]
    pub fn private_name(&self, purpose: PrivatePurpose) -> String {
        let folder = match purpose {
            PrivatePurpose::Open => "open",
            PrivatePurpose::Staging => "staging",
        };
        format!("{folder}/{}/{}", self.mount_id, CommitId::random())
    }

    /// Deletes a private object; one that is not there is no error. What cannot be deleted is
    /// left to the next mount.
    pub async fn delete_private(&self, name: &str) -> Result<()> {
        let key = self.private_key(name);
        let deleted = self
            .store
            .delete(&key, crate::store::DeleteOptions::default())
            .await;
        if deleted.is_err() {
            self.journal.left(name);
        }
        deleted.map_err(|error| VolumeError::store(&key, error))
    }

    /// Checks that an object holds these attributes.
    ///
    /// # Errors
    /// When they are too large, as [`VolumeError::is_metadata_too_large`] tells.
    pub fn check_fits(&self, path: impl Display, meta: &ObjectMeta) -> Result<()> {
        if self.is_sealed() {
            xattr_place(path, meta).map(drop)
        } else {
            self.encode(path, meta).map(drop)
        }
    }

    pub(super) fn encode(&self, path: impl Display, meta: &ObjectMeta) -> Result<ObjectAttributes> {
        let metadata = plain::encode(&meta.attributes, &meta.foreign)
            .map_err(|error| VolumeError::metadata(path, &error))?;
        let content_type = meta
            .content_type
            .clone()
            .unwrap_or_else(|| plain::content_type(meta.attributes.kind).to_owned());
        let mut attributes = ObjectAttributes {
            metadata,
            content_type: Some(content_type),
        };
        meta.mark(&mut attributes);
        Ok(attributes)
    }
}

/// The version id to ask for: the newest version is read by its key alone.
pub(super) fn past_version(object: &ObjectRef, version: &Version) -> Option<VersionId> {
    match object {
        ObjectRef::PastVersion(_) => version.version.clone(),
        ObjectRef::Path(_) | ObjectRef::Directory(_) | ObjectRef::Private(_) => None,
    }
}

/// What a private object is for.
#[derive(Clone, Copy, Debug)]
pub enum PrivatePurpose {
    /// Content of a file that is open but has no name any more.
    Open,
    /// A large file on its way in.
    Staging,
}
