//! Whether what is at the new place of an object is the copy of what is at the old one.
//!
//! In a client-side volume the sealed record tells: the same file and the same body. In the plain
//! layout it is the commit id, which a copy keeps, or else the content itself, as objects of other
//! programs have no id and a copy can have another `ETag`.

use std::sync::Arc;

use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::layout::path::VolumePath;
use crate::layout::sealed::FOOTER_STORED_BYTES;
use crate::store::{
    ETag, ErrorKind, GetOptions, GetRange, HeadOptions, ObjectInfo, ObjectKey, StoreError,
};
use crate::volume::{Result, Volume, VolumeError};

/// What of two objects is in memory at a time, of each.
const PIECE_BYTES: u64 = 4 << 20;

/// What is at the new place.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::volume) enum Compared {
    /// There is nothing at the old one any more.
    Gone,
    /// Nothing, or an older copy of the same file: what is at the old place is to be copied.
    Missing,
    /// The copy; the `ETag` that each has.
    Copied { source: ETag, copy: ETag },
    /// Something else.
    Other,
}

impl Volume {
    pub(in crate::volume) async fn compare(
        self: &Arc<Self>,
        source: &ObjectKey,
        target: &ObjectKey,
    ) -> Result<Compared> {
        let is_marker = source.as_str().ends_with('/');
        if self.is_sealed() && !is_marker {
            return Box::pin(self.compare_sealed(source, target)).await;
        }
        let Some(old) = self.head_or_none(source).await? else {
            return Ok(Compared::Gone);
        };
        let Some(new) = self.head_or_none(target).await? else {
            return Ok(Compared::Missing);
        };
        let commit = |info: &ObjectInfo| {
            let metadata = &info.attributes.metadata;
            metadata.get(CommitId::METADATA_NAME).cloned()
        };
        let copied = Compared::Copied {
            source: old.etag.clone(),
            copy: new.etag.clone(),
        };
        if is_marker && (self.is_sealed() || old.size == 0) {
            // A directory that is there is there, whoever made its marker.
            return Ok(copied);
        }
        match (commit(&old), commit(&new)) {
            (Some(old), Some(new)) if old == new => return Ok(copied),
            _ if old.size != new.size => return Ok(Compared::Other),
            _ => {}
        }
        if old.etag != new.etag && !self.same_content(source, target, &old, &new).await? {
            return Ok(Compared::Other);
        }
        // The same bytes with other attributes: both times are the server's.
        let is_older_copy =
            old.attributes != new.attributes && old.last_modified > new.last_modified;
        Ok(if is_older_copy {
            Compared::Missing
        } else {
            copied
        })
    }

    /// Deletes what a copy for a directory rename may have left at its new place although it
    /// failed, if it is the copy.
    pub async fn drop_copy_below(
        self: &Arc<Self>,
        from: &VolumePath,
        to: &VolumePath,
        rest: &str,
    ) -> Result<()> {
        let (source, target) = (self.key_below(from, rest)?, self.key_below(to, rest)?);
        match self.compare(&source, &target).await? {
            Compared::Copied { copy, .. } => self.delete_below(to, rest, Some(&copy)).await,
            Compared::Gone | Compared::Missing | Compared::Other => Ok(()),
        }
    }

    async fn compare_sealed(
        self: &Arc<Self>,
        source: &ObjectKey,
        target: &ObjectKey,
    ) -> Result<Compared> {
        let Some(old) = self.end_of(source, FOOTER_STORED_BYTES, None).await? else {
            return Ok(Compared::Gone);
        };
        let Some(new) = self.end_of(target, FOOTER_STORED_BYTES, None).await? else {
            return Ok(Compared::Missing);
        };
        let copied = Compared::Copied {
            source: old.info.etag.clone(),
            copy: new.info.etag.clone(),
        };
        let info = old.info.clone();
        let old = match self.open_end(source, old).await {
            Ok(old) => old,
            Err(error) => {
                // Its copy is an object of the volume's own, of the file that it is.
                let old = self.s3ec_instead(source, &info, error).await?;
                let new = self.open_end(target, new).await?;
                let is_copy = new.record.file == old.file_id(source);
                return Ok(if is_copy { copied } else { Compared::Other });
            }
        };
        let new = self.open_end(target, new).await?;
        if (old.record.file, old.record.body) != (new.record.file, new.record.body) {
            return Ok(Compared::Other);
        }
        let is_older_copy = old.record.attributes.sequence > new.record.attributes.sequence;
        Ok(if is_older_copy {
            Compared::Missing
        } else {
            copied
        })
    }

    async fn head_or_none(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>> {
        match self.store.head(key, HeadOptions::default()).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(VolumeError::store(key, error)),
        }
    }

    /// Compares two objects of the same length byte by byte.
    async fn same_content(
        &self,
        source: &ObjectKey,
        target: &ObjectKey,
        old: &ObjectInfo,
        new: &ObjectInfo,
    ) -> Result<bool> {
        let piece = async |key: &ObjectKey, etag: &ETag, range: ByteRange| {
            let options = GetOptions {
                range: Some(GetRange::Bytes(range)),
                if_match: Some(etag.clone()),
                version: None,
            };
            let got = self.store.get(key, options).await;
            let got = got.map_err(|error: StoreError| VolumeError::store(key, error))?;
            Ok::<_, VolumeError>(got.body)
        };
        let mut start = 0;
        while start < old.size {
            let range = ByteRange::new(start, old.size.min(start + PIECE_BYTES));
            let (one, other) = tokio::try_join!(
                piece(source, &old.etag, range),
                piece(target, &new.etag, range)
            )?;
            if one != other {
                return Ok(false);
            }
            start = range.end();
        }
        Ok(true)
    }
}
