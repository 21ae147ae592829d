//! What a client-side object is: one request for metadata, footer and, of a small file, all of
//! its content.

use std::sync::Arc;

use bytes::Bytes;

use super::Opened;
use super::opened::SUFFIX_BYTES;
use crate::base::id::CommitId;
use crate::base::limits::SYMLINK_TARGET_BYTES_MAX;
use crate::base::range::ByteRange;
use crate::crypto::MessageLength;
use crate::layout::path::VolumePath;
use crate::layout::sealed::{FOOTER_STORED_BYTES, ObjectError, SealedMetadata};
use crate::store::{
    ETag, ErrorKind, GetOptions, GetRange, ListedObject, Metadata, Object, ObjectInfo, ObjectKey,
    Operation, StoreError,
};
use crate::volume::s3ec::{Body, S3ecObject};
use crate::volume::stat::is_absent;
use crate::volume::{Lineage, ObjectMeta, ObjectRef, Result, Stat, Version, Volume, VolumeError};

/// Objects up to this length arrive whole where a listing needs their attributes; of longer ones
/// only the footer does.
const LISTED_WHOLE_BYTES: u64 = 8 << 10;

/// The longest object that can be a link: its target in one message, and the footer. Links and
/// special files have no extended attributes in their bodies.
pub const LINK_STORED_BYTES_MAX: u64 =
    match MessageLength::of_plain(SYMLINK_TARGET_BYTES_MAX as u64) {
        Ok(target) => target.stored() + FOOTER_STORED_BYTES,
        Err(_) => unreachable!(),
    };

impl Volume {
    /// Looks at the object at a key, of which a listing may have told something. `None` when
    /// nothing is there.
    pub(in crate::volume) async fn stat_sealed(
        &self,
        path: &VolumePath,
        key: &ObjectKey,
        listed: Option<&ListedObject>,
    ) -> Result<Option<Stat>> {
        let named = |error: VolumeError| error.named(path);
        let Some((body, info)) = self.look_body(key, listed).await.map_err(named)? else {
            return Ok(None);
        };
        match body {
            Body::Native(opened) => {
                let object = ObjectRef::Path(path.clone());
                self.told_by(&opened, info, &object).await.map(Some)
            }
            Body::S3ec(found) => Ok(Some(self.told_of_s3ec(key, &found, info))),
        }
    }

    fn told_of_s3ec(&self, key: &ObjectKey, found: &S3ecObject, info: ObjectInfo) -> Stat {
        let mut metadata = info.attributes.metadata;
        Stat {
            size: found.size,
            meta: self.meta_of_s3ec(key, found, info.last_modified),
            version: Some(Version::new(info.etag, info.version)),
            commit: metadata.remove(CommitId::METADATA_NAME),
            last_modified: info.last_modified,
            encryption: Some(info.encryption),
            s3ec: Some(found.kind()),
            hides_object: false,
        }
    }

    /// The same for a directory's marker. One that is not cloakfs's, as other programs make for
    /// what they call folders, counts as none: whoever can put one there can also delete the real
    /// one. What it holds is theirs all the same: see [`Self::check_marker`].
    pub(in crate::volume) async fn stat_sealed_marker(
        &self,
        path: &VolumePath,
        key: &ObjectKey,
        listed: Option<&ListedObject>,
    ) -> Result<Option<Stat>> {
        let named = |error: VolumeError| error.named(path);
        let (opened, info) = match self.look_sealed(key, listed).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) if error.object_error() == Some(ObjectError::NotOurs) => {
                tracing::debug!("a directory's marker counts as none: {error}");
                return Ok(None);
            }
            Err(error) => return Err(named(error)),
        };
        let object = ObjectRef::Directory(path.clone());
        self.told_by(&opened, info, &object).await.map(Some)
    }

    /// Checks that a directory's marker holds nothing of another program that would be lost with
    /// it. One without content holds nothing.
    pub async fn check_marker(
        &self,
        path: &VolumePath,
        listed: Option<&ListedObject>,
    ) -> Result<()> {
        let Some(sealed) = &self.sealed else {
            return Ok(());
        };
        let key = self.marker_key(path)?;
        let is_known = |listed: &ListedObject| {
            listed.size == 0 || sealed.opened.get(&key, &listed.etag).is_some()
        };
        if listed.is_some_and(is_known) {
            return Ok(());
        }
        let info = self.look(&key).await;
        let info = info.map_err(|error| VolumeError::store(&key, error))?;
        let Some(info) = info.filter(|info| info.size > 0) else {
            return Ok(());
        };
        match SealedMetadata::decode(&info.attributes.metadata) {
            Err(error @ ObjectError::NotOurs) => {
                Err(VolumeError::object(format_args!("{path}/"), error))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn told_by(&self, opened: &Opened, info: ObjectInfo, object: &ObjectRef) -> Result<Stat> {
        let version = Version::new(info.etag, info.version);
        let current = self.attributes_of(opened, object, &version).await?;
        let record = &opened.record;
        let sequence = record.attributes.sequence;
        let mut metadata = info.attributes.metadata;
        Ok(Stat {
            size: opened.footer.length,
            meta: ObjectMeta {
                attributes: current.attributes,
                foreign: Metadata::new(),
                content_type: None,
                lineage: Lineage {
                    file: record.file,
                    generation: record.generation,
                    sequence: sequence.max(opened.footer.attributes.sequence),
                },
                commit: None,
            },
            version: Some(version),
            commit: metadata.remove(CommitId::METADATA_NAME),
            last_modified: info.last_modified,
            encryption: Some(info.encryption),
            s3ec: None,
            hides_object: false,
        })
    }

    /// The object at a key with what a HEAD or GET told of it. What was met lately is confirmed
    /// by a HEAD, else its end is asked for.
    pub(in crate::volume) async fn look_sealed(
        &self,
        key: &ObjectKey,
        listed: Option<&ListedObject>,
    ) -> Result<Option<(Arc<Opened>, ObjectInfo)>> {
        match self.look_at(key, listed).await? {
            None => Ok(None),
            Some((Some(opened), info)) => Ok(Some((opened, info))),
            Some((None, _)) => Err(VolumeError::object(key, ObjectError::NotOurs)),
        }
    }

    /// The same where an object of the Amazon S3 Encryption Client will do.
    pub(in crate::volume) async fn look_body(
        &self,
        key: &ObjectKey,
        listed: Option<&ListedObject>,
    ) -> Result<Option<(Body, ObjectInfo)>> {
        match self.look_at(key, listed).await? {
            None => Ok(None),
            Some((Some(opened), info)) => Ok(Some((Body::Native(opened), info))),
            Some((None, info)) => {
                let not_ours = VolumeError::object(key, ObjectError::NotOurs);
                let found = self.s3ec_instead(key, &info, not_ours).await?;
                Ok(Some((Body::S3ec(found), info)))
            }
        }
    }

    /// The object at a key, opened unless it has none of cloakfs's metadata.
    async fn look_at(
        &self,
        key: &ObjectKey,
        listed: Option<&ListedObject>,
    ) -> Result<Option<(Option<Arc<Opened>>, ObjectInfo)>> {
        let known = self.sealed().opened.latest(key);
        if known.is_some_and(|known| listed.is_none_or(|listed| listed.etag == known)) {
            let head = self.look(key).await;
            let Some(info) = head.map_err(|error| VolumeError::store(key, error))? else {
                return Ok(None);
            };
            if let Some(opened) = self.open_again(key, &info).await? {
                return Ok(Some((Some(opened), info)));
            }
        }
        let suffix = match listed {
            None => SUFFIX_BYTES,
            Some(listed) if listed.size <= LISTED_WHOLE_BYTES => LISTED_WHOLE_BYTES,
            Some(_) => FOOTER_STORED_BYTES,
        };
        let Some(end) = self.end_of(key, suffix, None).await? else {
            return Ok(None);
        };
        let info = end.info.clone();
        match self.open_end(key, end).await {
            Ok(opened) => Ok(Some((Some(opened), info))),
            Err(error) if error.object_error() == Some(ObjectError::NotOurs) => {
                Ok(Some((None, info)))
            }
            Err(error) => Err(error),
        }
    }

    /// The last bytes of the object at a key, of this version if one is given; `None` when
    /// nothing is there.
    pub(in crate::volume) async fn end_of(
        &self,
        key: &ObjectKey,
        suffix: u64,
        version: Option<&ETag>,
    ) -> Result<Option<Object>> {
        let options = GetOptions {
            range: Some(GetRange::Suffix(suffix)),
            if_match: version.cloned(),
            version: None,
        };
        match self.store.get(key, options).await {
            Ok(object) => {
                let told = &object.info.encryption;
                self.modes.told(key, Operation::GetObject, told);
                Ok(Some(object))
            }
            Err(error) if is_absent(&error) => {
                self.modes.settled(key);
                Ok(None)
            }
            Err(error) if has_no_bytes(&error) => {
                let info = self.look(key).await;
                let info = info.map_err(|error| VolumeError::store(key, error))?;
                Ok(info.map(|info| Object {
                    range: ByteRange::new(info.size, info.size),
                    body: Bytes::new(),
                    info,
                }))
            }
            Err(error) => {
                self.modes.refused(key, &error);
                Err(VolumeError::store(key, error))
            }
        }
    }
}

/// No range of an empty object can be had.
fn has_no_bytes(error: &StoreError) -> bool {
    error.kind() == ErrorKind::Invalid && error.code() == Some("InvalidRange")
}
