//! Objects of a client-side volume that get under another root, and those that are sealed anew.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::Opened;
use super::sealing::{attribute_version, body_xattrs, check_content, seal_whole, xattr_place};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::layout::sealed::map::{PlainRange, StoredRange};
use crate::layout::sealed::{
    BodyId, BodyMap, Content, FOOTER_STORED_BYTES, ObjectError, Piece, Record, SEGMENT_BYTES,
    SealedMetadata,
};
use crate::store::{
    CopySource, ETag, ErrorKind, Metadata, ObjectInfo, ObjectKey, Operation, StoreError,
};
use crate::volume::{
    Committed, Condition, CopyWay, ObjectMeta, Result, Version, Volume, VolumeError,
};

use super::data_keys::DataKeyError;

impl Volume {
    /// Whether the data key in an object's metadata is wrapped under the root of this volume.
    ///
    /// # Errors
    /// When the metadata is none of the client-side format, or KMS does not tell.
    pub async fn wraps(&self, key: &str, metadata: &Metadata) -> Result<bool> {
        let Some(sealed) = &self.sealed else {
            return Ok(false);
        };
        let metadata = SealedMetadata::decode(metadata);
        let metadata = metadata.map_err(|error| VolumeError::object(key, error))?;
        match sealed.keys.to_open(&metadata.key).await {
            Ok(_) => Ok(true),
            Err(DataKeyError::Object(ObjectError::NotAuthentic)) => Ok(false),
            Err(error) => Err(VolumeError::data_key(key, error)),
        }
    }

    /// Whether the record in an object's metadata is authentic in this volume, at this key. Asks
    /// the store nothing.
    ///
    /// # Errors
    /// When KMS does not tell.
    pub async fn authenticates(&self, key: &ObjectKey, info: &ObjectInfo) -> Result<bool> {
        match self.open_record(key, info).await {
            Ok(_) => Ok(true),
            Err(error) if error.object_error().is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Seals the record of an object again under the root of this volume, in a copy onto itself:
    /// the body is the same bytes, its content key stays, and none of it passes through here but
    /// the footer. `of` is the same volume under the root that the record is sealed under now.
    ///
    /// # Errors
    /// When the object is another version, does not open under that root, or the server refuses.
    pub async fn seal_again(
        self: &Arc<Self>,
        of: &Self,
        key: &ObjectKey,
        etag: &ETag,
    ) -> Result<Committed> {
        assert!(self.sealed().id == of.sealed().id, "one volume, two roots");
        let end = of.end_of(key, FOOTER_STORED_BYTES, Some(etag)).await?;
        let gone = || VolumeError::store(key, StoreError::not_found(Operation::GetObject, key));
        let opened = of.open_end(key, end.ok_or_else(gone)?).await?;
        let attributes = opened.attributes();
        let record = Record {
            file: opened.record.file,
            content: opened.record.content.duplicate(),
            body: opened.record.body,
            generation: opened.record.generation.saturating_add(1),
            attributes: attributes.map_err(|error| VolumeError::object(key, error))?,
        };
        let source = CopySource {
            key: key.clone(),
            if_match: Some(etag.clone()),
            version: None,
            range: None,
        };
        let way = CopyWay::marked(CommitId::random());
        let condition = Condition::IfVersion(Version::new(etag.clone(), None));
        self.copy_body(way, key, source, key, &opened, record, &condition)
            .await
    }

    /// [`Volume::put_proven`] of a client-side volume.
    pub(in crate::volume) async fn put_sealed_proven(
        &self,
        name: &(dyn Display + Sync),
        key: ObjectKey,
        meta: &ObjectMeta,
        plain: Bytes,
        condition: &Condition,
    ) -> Result<Committed> {
        assert!(plain.len() as u64 <= SEGMENT_BYTES, "one segment");
        check_content(name, meta.attributes.kind, &plain)?;
        let place = xattr_place(name, meta)?;
        let known = meta.lineage.generation;
        let generation = self.next_generation(&key, known, condition).await?;
        let sequence = self.sequence_after(&key, meta.lineage.sequence, condition);
        let record = Record {
            file: meta.lineage.file,
            content: Content::random(),
            body: BodyId::random(),
            generation,
            attributes: attribute_version(meta, sequence, place),
        };
        let mut attributes = self.seal_record(name, &key, &record).await?;
        meta.mark(&mut attributes);
        let sealed = seal_whole(record, plain.clone(), body_xattrs(meta, place)).await;
        let (record, body) = sealed;
        if !opens_to(&record, &body, &plain).map_err(|error| VolumeError::object(name, error))? {
            let message = "what was sealed does not open to what it was, and was not sent";
            return Err(VolumeError::other(name, ErrorKind::Corrupt, message));
        }
        let condition = condition.to_store();
        self.put_body(name, &key, body, attributes, condition, record)
            .await
    }
}

/// Whether a body of one segment at most holds these bytes.
fn opens_to(record: &Record, body: &Bytes, plain: &[u8]) -> std::result::Result<bool, ObjectError> {
    let opened = Opened::new(record.duplicate(), body.len() as u64, (0, body.clone()))?;
    let map = BodyMap::small(&opened.footer, &opened.tail)?;
    let length = opened.footer.length;
    let mut at = 0;
    let mut is_same = length == plain.len() as u64;
    for piece in map.pieces(PlainRange(ByteRange::new(0, length))) {
        let Piece::Sealed(piece) = piece else {
            return Ok(false);
        };
        let StoredRange(stored) = piece.stored;
        let bytes = opened.kept(StoredRange(stored));
        let bytes = bytes.ok_or(ObjectError::NotAuthentic)?;
        let found = piece.open(&record.content, &bytes)?;
        is_same &= plain.get(at..at + found.len()) == Some(found.as_slice());
        at += found.len();
    }
    Ok(is_same && at == plain.len())
}
