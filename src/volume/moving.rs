//! Objects that get another key or another encryption where they are: what `cloakfs reencrypt`
//! does with each, beside the volume that they are of. The volume here is the one that they are
//! to be of.
//!
//! Nothing here looks at more than one object. Each change is one conditional write, so that
//! whatever ends it leaves the object as it was or as it is to be.

use std::sync::Arc;

use super::upload::Beginning;
use super::{Committed, Condition, ObjectMeta, ObjectRef, Result, Version, Volume, VolumeError};
use crate::base::id::CommitId;
use crate::layout::path::VolumePath;
use crate::store::{CopySource, ETag, ObjectInfo, ObjectKey, WriteCondition, commit};

impl Volume {
    /// The key that an object of this volume has.
    ///
    /// # Errors
    /// When its name has no room here.
    pub fn key_of(&self, object: &ObjectRef) -> Result<ObjectKey> {
        self.object_key(object)
    }

    /// Copies a version of a plain object onto itself, on the server: metadata and content stay,
    /// and the encryption is the one that this volume's store asks for.
    ///
    /// The condition is one of the source, and where the copy takes several requests of the target
    /// too; between the two ends of the one request a server may let a write of somebody else in.
    ///
    /// # Errors
    /// When the object is another version, or the server refuses.
    pub async fn copy_onto_itself(
        self: &Arc<Self>,
        key: &ObjectKey,
        info: &ObjectInfo,
    ) -> Result<Committed> {
        let id = CommitId::random();
        let source = CopySource {
            key: key.clone(),
            if_match: Some(info.etag.clone()),
            version: None,
            range: None,
        };
        let attributes = info.attributes.clone();
        if info.size > self.store.limits().copy_bytes_max {
            let version = Version::new(info.etag.clone(), info.version.clone());
            let beginning = Beginning::plain(attributes, id);
            let condition = Condition::IfVersion(version);
            let copy =
                self.copy_in_parts(source, info.size, None, key.clone(), beginning, &condition);
            return copy.await;
        }
        let (store, none) = (self.store.as_ref(), WriteCondition::None);
        let copied = commit::copy(store, key, source, attributes, none, id).await;
        let written = copied.map_err(|error| VolumeError::store(key, error))?;
        Ok(Committed {
            version: written.into(),
            commit: id.to_string(),
        })
    }

    /// Writes what is whole at once, as [`Self::put`] does; in a client-side volume what was
    /// sealed is opened again and compared before it is sent. The bytes of one segment at most.
    ///
    /// # Errors
    /// As [`Self::put`], and when what was sealed does not open to what it was.
    pub async fn put_proven(
        &self,
        path: &VolumePath,
        object: &ObjectRef,
        meta: &ObjectMeta,
        plain: bytes::Bytes,
        condition: &Condition,
    ) -> Result<Committed> {
        if !self.is_sealed() {
            return self.put(path, meta, plain, condition).await;
        }
        let key = self.object_key(object)?;
        self.put_sealed_proven(path, key, meta, plain, condition)
            .await
    }

    /// Forgets what is remembered of an object, so that the next look asks the store for all of
    /// it.
    pub fn forget(&self, object: &ObjectRef) {
        if let (Some(sealed), Ok(key)) = (&self.sealed, self.object_key(object)) {
            sealed.opened.forget(&key);
        }
    }

    /// Deletes the object at a key while it has this `ETag`.
    ///
    /// # Errors
    /// When it has another, or the server refuses.
    pub async fn delete_moved(&self, key: &ObjectKey, etag: &ETag) -> Result<()> {
        self.delete_if(key, Some(etag), |_| true).await
    }
}
