//! Copies on the server: attribute changes, renames, and what handles keep of a file that loses
//! its name. The body is the same bytes and none of them passes through here; only the record is
//! sealed again, for the key that the copy is stored at.
//!
//! Where the extended attributes outgrow the record, the body needs another tail: what a body id
//! pins never changes, so that is a new body of the same segments.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::Opened;
use super::sealing::{attribute_version, body_xattrs, next_sequence, xattr_place};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::layout::attributes::Xattrs;
use crate::layout::path::VolumePath;
use crate::layout::sealed::map::StoredRange;
use crate::layout::sealed::{BodyId, BodyWriter, FOOTER_STORED_BYTES, Record, XattrPlace, xattrs};
use crate::store::commit;
use crate::store::{CopySource, ETag, ObjectKey, Operation, StoreError};
use crate::volume::s3ec::Body;
use crate::volume::upload::Beginning;
use crate::volume::{
    Committed, Condition, CopyWay, ObjectMeta, ObjectRef, Result, Version, Volume, VolumeError,
};

impl Volume {
    /// [`Volume::copy_to`] of a client-side volume; a copy of an object onto itself changes its
    /// attributes.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides of a copy, and how"
    )]
    pub(in crate::volume) async fn copy_sealed(
        self: &Arc<Self>,
        way: CopyWay,
        source: &ObjectRef,
        version: &Version,
        target: &VolumePath,
        key: ObjectKey,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let place = xattr_place(target, meta)?;
        let opened = match self.body_of(source, version).await? {
            Body::Native(opened) => opened,
            Body::S3ec(found) => {
                let at = self.place_of(source, version)?;
                let id = way.id;
                let rewrite = self.rewrite_s3ec(id, &at, &found, target, key, meta, condition);
                return Box::pin(rewrite).await;
            }
        };
        let (kind, stored) = (meta.attributes.kind, &opened.footer.attributes.attributes);
        if kind != stored.kind {
            let message = format!("it is a {:?}, and would become a {kind:?}", stored.kind);
            return Err(VolumeError::invalid(target, &message));
        }
        let known = match condition {
            Condition::IfVersion(_) => meta.lineage.generation,
            Condition::None | Condition::IfAbsent => 0,
        };
        if key == self.object_key(source)? {
            let sealed = self.sealed.as_ref().expect("a client-side volume");
            sealed.generations.note(&key, opened.record.generation);
        }
        let generation = self.next_generation(&key, known, condition).await?;
        let sequence = next_sequence(meta.lineage.sequence, Some(&opened));
        let mut record = Record {
            file: meta.lineage.file,
            content: opened.record.content.duplicate(),
            body: opened.record.body,
            generation,
            attributes: attribute_version(meta, sequence, place),
        };
        let wanted = &meta.attributes.xattrs;
        let same_body = place != XattrPlace::Body
            || self.body_xattrs(&opened, source, version).await?.as_ref() == Some(wanted);
        if same_body {
            let source = self.copy_source(source, version, None)?;
            return self
                .copy_body(way, target, source, &key, &opened, record, condition)
                .await;
        }
        record.body = BodyId::random();
        let pins = self.body_map(&opened, source, version).await?.pins();
        let writer = BodyWriter::with_pins(record.body, pins.to_vec());
        let tail = writer.finish(
            &record.content,
            opened.footer.length,
            &record.attributes,
            &body_xattrs(meta, place),
        );
        let segments = StoredRange(ByteRange::new(0, opened.tail.segments_end));
        let attributes = self.seal_record(target, &key, &record).await?;
        if segments.0.len() < self.store.limits().part_bytes_min {
            let mut body = Vec::new();
            if !segments.0.is_empty() {
                let stored = self
                    .stored_bytes(&opened, source, version, segments)
                    .await?;
                body.extend_from_slice(&stored);
            }
            body.extend_from_slice(&tail);
            let (mut attributes, condition) = (attributes, condition.to_store());
            commit::mark(&mut attributes, way.id);
            return self
                .put_body(target, &key, body.into(), attributes, condition, record)
                .await;
        }
        let source = self.copy_source(source, version, None)?;
        let attributes = Beginning::sealed(attributes, record.body, way.id);
        let (size, tail) = (segments.0.len(), Bytes::from(tail));
        let sent = Some(tail.clone());
        let done = self
            .copy_in_parts(source, size, sent, key.clone(), attributes, condition)
            .await?;
        self.keep(&key, &done.version.etag, || {
            Opened::written(record, &tail, pins.to_vec())
        });
        Ok(done)
    }

    /// A copy with the attributes that the source has, for a key below the reserved prefix.
    pub(in crate::volume) async fn copy_as_it_is(
        self: &Arc<Self>,
        source: &ObjectRef,
        version: &Version,
        path: &VolumePath,
        key: ObjectKey,
    ) -> Result<Version> {
        let way = CopyWay::marked(CommitId::random());
        let opened = match self.body_of(source, version).await? {
            Body::Native(opened) => opened,
            Body::S3ec(found) => {
                let at = self.place_of(source, version)?;
                let meta = self.meta_of_s3ec(&at.key, &found, Timestamp::now());
                let (id, none) = (way.id, &Condition::None);
                let rewrite = self.rewrite_s3ec(id, &at, &found, path, key, &meta, none);
                return Ok(Box::pin(rewrite).await?.version);
            }
        };
        let source = self.copy_source(source, version, None)?;
        let record = self.record_for(path, &key, &opened).await?;
        let done = self
            .copy_body(way, path, source, &key, &opened, record, &Condition::None)
            .await?;
        Ok(done.version)
    }

    /// A copy of the object at `key`, attributes and all, while it has this `ETag`. A copy can
    /// keep the `ETag`, so what it has now is asked for.
    pub(in crate::volume) async fn move_sealed(
        self: &Arc<Self>,
        name: &(dyn Display + Sync),
        key: &ObjectKey,
        target: &ObjectKey,
        etag: ETag,
    ) -> Result<Committed> {
        let sealed = self.sealed.as_ref().expect("a client-side volume");
        let met = sealed.opened.get(key, &etag);
        let end = self.end_of(key, FOOTER_STORED_BYTES, Some(&etag)).await?;
        let gone = || VolumeError::store(key, StoreError::not_found(Operation::GetObject, key));
        let end = end.ok_or_else(gone)?;
        let info = end.info.clone();
        let opened = match self.open_end(key, end).await {
            Ok(opened) => opened,
            Err(error) => {
                let found = Box::pin(self.s3ec_instead(key, &info, error)).await;
                let found = found.map_err(|error| error.named(name))?;
                let rewrite = self.move_s3ec(name, key, target, &found, info);
                return Box::pin(rewrite).await;
            }
        };
        let record = self.record_for(name, target, &opened).await?;
        // What was met before may have more of the same body.
        let body = met.filter(|met| met.record.body == record.body);
        let source = CopySource {
            key: key.clone(),
            if_match: Some(etag),
            version: None,
            range: None,
        };
        let opened = body.as_deref().unwrap_or(&opened);
        let way = CopyWay::marked(CommitId::random());
        self.copy_body(way, name, source, target, opened, record, &Condition::None)
            .await
    }

    /// The record of a copy at `key` that is like the object that was just opened.
    async fn record_for(
        &self,
        name: &(dyn Display + Sync),
        key: &ObjectKey,
        opened: &Opened,
    ) -> Result<Record> {
        let attributes = opened
            .attributes()
            .map_err(|error| VolumeError::object(name, error))?;
        Ok(Record {
            file: opened.record.file,
            content: opened.record.content.duplicate(),
            body: opened.record.body,
            generation: self.next_generation(key, 0, &Condition::None).await?,
            attributes,
        })
    }

    /// Copies a body as it is, beside another record.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides of a copy, and how"
    )]
    pub(super) async fn copy_body(
        self: &Arc<Self>,
        way: CopyWay,
        name: &(dyn Display + Sync),
        source: CopySource,
        key: &ObjectKey,
        opened: &Opened,
        record: Record,
        condition: &Condition,
    ) -> Result<Committed> {
        let attributes = self.seal_record(name, key, &record).await?;
        let size = opened.object_bytes;
        let done = if way.in_parts(size, self.store.limits().copy_bytes_max) {
            let attributes = Beginning::sealed(attributes, record.body, way.id);
            self.copy_in_parts(source, size, None, key.clone(), attributes, condition)
                .await?
        } else {
            let (id, sent, guard) = (way.id, Some(record.body), way.condition(condition));
            let copy = commit::copy(self.store.as_ref(), key, source, attributes, guard, id);
            let copied = copy.await;
            let written = copied
                .inspect_err(|error| self.note_doubt(id, sent, error))
                .map_err(|error| VolumeError::store(name, error))?;
            self.modes.settled(key);
            Committed {
                version: written.into(),
                commit: id.to_string(),
            }
        };
        self.keep(key, &done.version.etag, || Ok(opened.copied(record)));
        Ok(done)
    }

    /// The extended attributes in the body of an opened object, if it has any there.
    pub(in crate::volume) async fn body_xattrs(
        &self,
        opened: &Opened,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Option<Xattrs>> {
        let Some((pin, range)) = opened.tail.xattrs else {
            return Ok(None);
        };
        let message = self.stored_bytes(opened, object, version, range).await?;
        let (content, body) = (&opened.record.content, opened.record.body);
        xattrs::open(content, body, &pin, &message)
            .map(Some)
            .map_err(|error| self.refused(object, error))
    }
}

#[cfg(test)]
mod tests;
