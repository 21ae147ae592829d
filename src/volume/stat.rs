//! What is at a path.

use futures_util::future::join;

use super::sealed::LINK_STORED_BYTES_MAX;
use super::{Lineage, ObjectMeta, Result, Stat, Version, Volume, VolumeError};
use crate::base::id::CommitId;
use crate::base::limits::SYMLINK_TARGET_BYTES_MAX;
use crate::base::time::Timestamp;
use crate::layout::attributes::FileKind;
use crate::layout::path::VolumePath;
use crate::layout::plain::{self, ObjectFacts};
use crate::store::{
    ErrorKind, HeadOptions, ListOptions, ListedObject, ObjectInfo, ObjectKey, Operation, StoreError,
};

impl Volume {
    /// Looks at a path of unknown type: a HEAD and a listing of one key in parallel, for a
    /// directory with a marker one HEAD more. `None` when nothing is there.
    pub async fn stat(&self, path: &VolumePath) -> Result<Option<Stat>> {
        if path.is_root() {
            return self.stat_directory(path).await.map(|found| {
                Some(found.unwrap_or_else(|| self.implicit_directory(Timestamp::now(), false)))
            });
        }
        let (file, directory) = join(self.stat_file(path), self.stat_directory(path)).await;
        Ok(match (directory?, file) {
            // An object that does not open is hidden all the same.
            (Some(directory), Err(error))
                if error.concerns_encryption() || error.object_error().is_some() =>
            {
                Some(Stat {
                    hides_object: true,
                    ..directory
                })
            }
            (Some(directory), file) => Some(Stat {
                hides_object: file?.is_some(),
                ..directory
            }),
            (None, file) => file?,
        })
    }

    /// Looks at the object of a file, symlink or special file only: one HEAD, in a client-side
    /// volume one HEAD or GET.
    pub async fn stat_file(&self, path: &VolumePath) -> Result<Option<Stat>> {
        let key = self.file_key(path)?;
        if self.is_sealed() {
            return Box::pin(self.stat_sealed(path, &key, None)).await;
        }
        let info = self.look(&key).await;
        let info = info.map_err(|error| VolumeError::store(path, error))?;
        Ok(info.map(|info| self.decode(info, false)))
    }

    /// The same for an object that a listing has just shown.
    pub async fn stat_listed(
        &self,
        path: &VolumePath,
        listed: &ListedObject,
    ) -> Result<Option<Stat>> {
        if self.is_sealed() {
            let key = self.file_key(path)?;
            return Box::pin(self.stat_sealed(path, &key, Some(listed))).await;
        }
        self.stat_file(path).await
    }

    /// Objects with more bytes than this are files, whatever their metadata say.
    #[must_use]
    pub const fn bytes_of_other_types_max(&self) -> u64 {
        match self.sealed {
            Some(_) => LINK_STORED_BYTES_MAX,
            None => SYMLINK_TARGET_BYTES_MAX as u64,
        }
    }

    /// A HEAD; `None` when nothing is there.
    pub(super) async fn look(
        &self,
        key: &ObjectKey,
    ) -> std::result::Result<Option<ObjectInfo>, StoreError> {
        match self.store.head(key, HeadOptions::default()).await {
            Ok(info) => {
                self.modes
                    .told(key, Operation::HeadObject, &info.encryption);
                Ok(Some(info))
            }
            Err(error) if is_absent(&error) => {
                self.modes.settled(key);
                Ok(None)
            }
            Err(error) => {
                self.modes.refused(key, &error);
                Err(error)
            }
        }
    }

    /// Looks for a directory: a listing of one key, and a HEAD of its marker if it has one.
    pub async fn stat_directory(&self, path: &VolumePath) -> Result<Option<Stat>> {
        let marker = self.marker_key(path)?;
        let prefix = self.directory(path)?.prefix().to_owned();
        let options = ListOptions {
            prefix: prefix.clone(),
            max_keys: Some(1),
            ..ListOptions::default()
        };
        // The root always exists and its marker may be outside of its own listing.
        let first = if path.is_root() {
            None
        } else {
            let page = self.store.list(options).await;
            let page = page.map_err(|error| VolumeError::store(path, error))?;
            match page.objects.into_iter().next() {
                Some(first) => Some(first),
                None => return Ok(None),
            }
        };
        if first
            .as_ref()
            .is_none_or(|first| first.key == marker.as_str())
        {
            let found = self.stat_marker(path, &marker, first.as_ref()).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(first.map(|first| self.implicit_directory(first.last_modified, false)))
    }

    /// Looks at the marker of a directory that had one: one HEAD. `None` where that tells
    /// nothing, and the directory is to be looked for.
    pub async fn stat_marked_directory(&self, path: &VolumePath) -> Result<Option<Stat>> {
        let marker = self.marker_key(path)?;
        self.stat_marker(path, &marker, None).await
    }

    async fn stat_marker(
        &self,
        path: &VolumePath,
        marker: &ObjectKey,
        listed: Option<&ListedObject>,
    ) -> Result<Option<Stat>> {
        if self.is_sealed() {
            return Box::pin(self.stat_sealed_marker(path, marker, listed)).await;
        }
        let info = self.look(marker).await;
        let info = info.map_err(|error| VolumeError::store(path, error))?;
        Ok(info.map(|info| self.decode(info, true)))
    }

    /// What a listing alone tells about an object, for `--attributes s3` and for sizes that no
    /// symlink can have.
    #[must_use]
    pub fn stat_from_listing(&self, listed: &ListedObject) -> Stat {
        let facts = ObjectFacts {
            size: listed.size,
            last_modified: listed.last_modified,
            is_marker: false,
        };
        let decoded = plain::decode(
            &crate::store::Metadata::new(),
            None,
            facts,
            &self.options.defaults,
        );
        Stat {
            meta: ObjectMeta {
                attributes: decoded.attributes,
                foreign: decoded.foreign,
                content_type: None,
                lineage: Lineage::new(),
                commit: None,
            },
            size: listed.size,
            version: Some(Version {
                etag: listed.etag.clone(),
                version: None,
            }),
            commit: None,
            last_modified: listed.last_modified,
            encryption: None,
            s3ec: None,
            hides_object: false,
        }
    }

    /// A directory that only the keys below it make.
    #[must_use]
    pub fn implicit_directory(&self, modified: Timestamp, hides_object: bool) -> Stat {
        let facts = ObjectFacts {
            size: 0,
            last_modified: modified,
            is_marker: true,
        };
        let decoded = plain::decode(
            &crate::store::Metadata::new(),
            None,
            facts,
            &self.options.defaults,
        );
        Stat {
            meta: ObjectMeta::new(decoded.attributes),
            size: 0,
            version: None,
            commit: None,
            last_modified: modified,
            encryption: None,
            s3ec: None,
            hides_object,
        }
    }

    pub(super) fn decode(&self, info: ObjectInfo, is_marker: bool) -> Stat {
        let facts = ObjectFacts {
            size: info.size,
            last_modified: info.last_modified,
            is_marker,
        };
        let content_type = info.attributes.content_type;
        let mut metadata = info.attributes.metadata;
        let commit = metadata.remove(CommitId::METADATA_NAME);
        let decoded = plain::decode(
            &metadata,
            content_type.as_deref(),
            facts,
            &self.options.defaults,
        );
        let attributes = if self.options.trust_listing && !is_marker {
            // What a listing would tell, so that both ways tell the same.
            let nothing = crate::store::Metadata::new();
            plain::decode(&nothing, None, facts, &self.options.defaults).attributes
        } else {
            decoded.attributes
        };
        let size = match attributes.kind {
            FileKind::File | FileKind::Symlink => info.size,
            _ => 0,
        };
        Stat {
            meta: ObjectMeta {
                attributes,
                foreign: decoded.foreign,
                content_type,
                lineage: Lineage::new(),
                commit: None,
            },
            size,
            version: Some(Version::new(info.etag, info.version)),
            commit,
            last_modified: info.last_modified,
            encryption: Some(info.encryption),
            s3ec: None,
            hides_object: false,
        }
    }
}

/// A HEAD cannot say why it is 404; a key that the server refuses to look at is not there.
pub(super) fn is_absent(error: &StoreError) -> bool {
    error.kind() == ErrorKind::NotFound
        || matches!(
            error.code(),
            Some("XMinioInvalidObjectName" | "KeyTooLongError")
        )
}
