//! What is sealed when something is written: the record for its key, and the body of what is
//! whole at once.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::opened::SUFFIX_BYTES;
use super::{Opened, StoredSegments};
use crate::base::limits::SYMLINK_TARGET_BYTES_MAX;
use crate::layout::attributes::{FileKind, Xattrs};
use crate::layout::sealed::writer::seal_segment_into;
use crate::layout::sealed::xattrs::{self, XattrsError};
use crate::layout::sealed::{
    AttributeVersion, BodyId, BodyWriter, Content, FOOTER_STORED_BYTES, ObjectError, Record,
    SEGMENT_BYTES, SealedMetadata, SegmentIndex, XattrPlace, record,
};
use crate::store::commit;
use crate::store::{ETag, ObjectAttributes, ObjectKey, PutOptions, WriteCondition};
use crate::volume::types::commit_id;
use crate::volume::{Committed, Condition, ObjectMeta, Result, Volume, VolumeError};

/// More than this is sealed by a thread that may be busy for a while.
const SEAL_HERE_BYTES: usize = 256 << 10;
/// A footer, and a manifest of a few segments.
const TAIL_BYTES: usize = 512;

/// The content type of every object: what it is nobody is told.
const CONTENT_TYPE: &str = "application/octet-stream";

/// More extended attributes than an object holds (`ENOSPC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum XattrsDoNotFit {
    #[error(transparent)]
    Never(#[from] XattrsError),
    #[error(
        "the extended attributes have {0} bytes together, and links and special files hold at most {max}; remove some or make them shorter",
        max = record::XATTR_BYTES_MAX
    )]
    NotInRecord(usize),
}

/// These attributes under this number, to be sealed in a record or footer.
pub(in crate::volume) fn attribute_version(
    meta: &ObjectMeta,
    sequence: u64,
    xattrs: XattrPlace,
) -> AttributeVersion {
    let mut attributes = meta.attributes.clone();
    attributes.perm &= 0o7777;
    if !matches!(
        attributes.kind,
        FileKind::CharDevice | FileKind::BlockDevice
    ) {
        attributes.rdev = 0;
    }
    if xattrs != XattrPlace::Record {
        attributes.xattrs.clear();
    }
    AttributeVersion {
        sequence,
        attributes,
        xattrs,
    }
}

/// Where the extended attributes of such an object go.
///
/// # Errors
/// When it holds fewer.
pub(in crate::volume) fn xattr_place(path: impl Display, meta: &ObjectMeta) -> Result<XattrPlace> {
    let attributes = &meta.attributes;
    let refused = |error: XattrsDoNotFit| VolumeError::metadata(&path, &error);
    xattrs::check(&attributes.xattrs).map_err(|error| refused(error.into()))?;
    if attributes.xattrs.is_empty() {
        return Ok(XattrPlace::None);
    }
    if record::holds(&attributes.xattrs) {
        return Ok(XattrPlace::Record);
    }
    match attributes.kind {
        FileKind::File | FileKind::Directory => Ok(XattrPlace::Body),
        _ => {
            let bytes = xattrs::encoded_bytes(&attributes.xattrs);
            Err(refused(XattrsDoNotFit::NotInRecord(bytes)))
        }
    }
}

/// The body of what is whole at once. Long content is sealed where it holds up nobody.
pub(super) async fn seal_whole(
    record: Record,
    plain: Bytes,
    body_xattrs: Xattrs,
) -> (Record, Bytes) {
    if plain.len() <= SEAL_HERE_BYTES {
        let body = seal_body(&record, &plain, &body_xattrs);
        return (record, body);
    }
    let seal = move || {
        let body = seal_body(&record, &plain, &body_xattrs);
        (record, body)
    };
    let task = tokio::task::spawn_blocking(seal);
    task.await
        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
}

fn seal_body(record: &Record, plain: &[u8], body_xattrs: &Xattrs) -> Bytes {
    let segment_bytes = usize::try_from(SEGMENT_BYTES).expect("8 MiB fit");
    let stored = |segment: &[u8]| {
        let bytes = StoredSegments::stored_bytes(segment.len() as u64);
        usize::try_from(bytes).expect("a message of what is in memory")
    };
    let segments: usize = plain.chunks(segment_bytes).map(stored).sum();
    let mut writer = BodyWriter::new(record.body);
    // With room for the tail of an ordinary file: a second copy of the body would be no help.
    let mut body = Vec::with_capacity(segments + TAIL_BYTES);
    body.resize(segments, 0);
    let mut rest = body.as_mut_slice();
    for (index, segment) in (0_u32..).zip(plain.chunks(segment_bytes)) {
        let (message, after) = rest.split_at_mut(stored(segment));
        let pin = seal_segment_into(&record.content, SegmentIndex(index), segment, message);
        writer.put(SegmentIndex(index), Some(pin));
        rest = after;
    }
    let length = plain.len() as u64;
    let tail = writer.finish(&record.content, length, &record.attributes, body_xattrs);
    body.extend_from_slice(&tail);
    body.into()
}

impl Volume {
    /// The generation of what is written at `key` next. `known` is that of the version which the
    /// caller replaces, as far as it was told.
    pub(in crate::volume) async fn next_generation(
        &self,
        key: &ObjectKey,
        known: u64,
        condition: &Condition,
    ) -> Result<u64> {
        let sealed = self.sealed.as_ref().expect("a client-side volume");
        let highest = sealed.generations.highest(key);
        let replaced = match (condition, highest) {
            (Condition::IfAbsent, _) => 0,
            (_, Some(highest)) => known.max(highest),
            (Condition::None, None) => known,
            (Condition::IfVersion(version), None) => {
                let etag = Some(&version.etag);
                let Some(end) = self.end_of(key, FOOTER_STORED_BYTES, etag).await? else {
                    // The write finds that out, too.
                    return Ok(known.saturating_add(1));
                };
                match self.open_end(key, end).await {
                    Ok(opened) => known.max(opened.record.generation),
                    // What does not open has no generation to be above.
                    Err(error) if error.object_error().is_some() => known,
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(replaced.saturating_add(1))
    }

    /// A record as it is stored beside an object at `key`; `path` is for errors.
    pub(in crate::volume) async fn seal_record(
        &self,
        path: impl Display,
        key: &ObjectKey,
        record: &Record,
    ) -> Result<ObjectAttributes> {
        let sealed = self.sealed.as_ref().expect("a client-side volume");
        let data_key = sealed.keys.to_seal().await;
        let data_key = data_key.map_err(|error| VolumeError::data_key(path, error))?;
        let metadata = SealedMetadata {
            key: data_key.wrapped.clone(),
            record: record.seal(&data_key.key, sealed.id, &self.stored_key(key)),
        };
        Ok(ObjectAttributes {
            metadata: metadata.encode(),
            content_type: Some(CONTENT_TYPE.to_owned()),
        })
    }

    /// [`Volume::put`] of a client-side volume.
    pub(in crate::volume) async fn put_sealed(
        &self,
        name: &(dyn Display + Sync),
        key: ObjectKey,
        meta: &ObjectMeta,
        plain: Bytes,
        condition: &Condition,
    ) -> Result<Committed> {
        check_content(name, meta.attributes.kind, &plain)?;
        let place = xattr_place(name, meta)?;
        let lineage = &meta.lineage;
        let generation = self
            .next_generation(&key, lineage.generation, condition)
            .await?;
        let sequence = self.sequence_after(&key, lineage.sequence, condition);
        let record = Record {
            file: lineage.file,
            content: Content::random(),
            body: BodyId::random(),
            generation,
            attributes: attribute_version(meta, sequence, place),
        };
        let mut attributes = self.seal_record(name, &key, &record).await?;
        meta.mark(&mut attributes);
        let (record, body) = seal_whole(record, plain, body_xattrs(meta, place)).await;
        let condition = condition.to_store();
        self.put_body(name, &key, body, attributes, condition, record)
            .await
    }

    /// Puts a sealed body with its sealed record.
    pub(super) async fn put_body(
        &self,
        name: &(dyn Display + Sync),
        key: &ObjectKey,
        body: Bytes,
        attributes: ObjectAttributes,
        condition: WriteCondition,
        record: Record,
    ) -> Result<Committed> {
        let options = PutOptions {
            attributes,
            condition,
        };
        let (id, sent) = (commit_id(&options.attributes), Some(record.body));
        let written = commit::put(self.store.as_ref(), key, body.clone(), options, id).await;
        let written = written
            .inspect_err(|error| self.note_doubt(id, sent, error))
            .map_err(|error| VolumeError::store(name, error))?;
        self.modes.settled(key);
        let bytes = body.len() as u64;
        let start = bytes.saturating_sub(SUFFIX_BYTES);
        let kept = usize::try_from(start).expect("it is in memory");
        // A slice would keep the whole body in memory.
        let end = Bytes::copy_from_slice(&body[kept..]);
        self.keep(key, &written.etag, || {
            Opened::new(record, bytes, (start, end))
        });
        Ok(Committed {
            version: written.into(),
            commit: id.to_string(),
        })
    }

    /// Keeps what was written, so that whoever reads or changes it next asks for nothing.
    pub(in crate::volume) fn keep(
        &self,
        key: &ObjectKey,
        etag: &ETag,
        opened: impl FnOnce() -> std::result::Result<Opened, ObjectError>,
    ) {
        let sealed = self.sealed.as_ref().expect("a client-side volume");
        let opened = opened().expect("it was sealed just now");
        sealed.keep(key, etag, &Arc::new(opened));
    }

    /// Above the attributes of what is replaced, as far as they are known.
    pub(in crate::volume) fn sequence_after(
        &self,
        key: &ObjectKey,
        known: u64,
        condition: &Condition,
    ) -> u64 {
        let replaced = match (&self.sealed, condition) {
            (Some(sealed), Condition::IfVersion(version)) => sealed.opened.get(key, &version.etag),
            _ => None,
        };
        next_sequence(known, replaced.as_deref())
    }
}

/// Above what the caller knows and what a body's record and footer have.
pub(in crate::volume) fn next_sequence(known: u64, of: Option<&Opened>) -> u64 {
    let sealed = of.map_or(0, |opened| {
        let record = opened.record.attributes.sequence;
        record.max(opened.footer.attributes.sequence)
    });
    known.max(sealed).saturating_add(1)
}

/// The extended attributes that go into the body.
pub(in crate::volume) fn body_xattrs(meta: &ObjectMeta, place: XattrPlace) -> Xattrs {
    match place {
        XattrPlace::Body => meta.attributes.xattrs.clone(),
        XattrPlace::None | XattrPlace::Record => Xattrs::new(),
    }
}

/// What the format has no object for.
pub(super) fn check_content(name: &dyn Display, kind: FileKind, content: &[u8]) -> Result<()> {
    let fits = match kind {
        FileKind::File => true,
        FileKind::Symlink => (1..=SYMLINK_TARGET_BYTES_MAX).contains(&content.len()),
        _ => content.is_empty(),
    };
    if fits {
        Ok(())
    } else {
        let message = format!("{} bytes are no content of its type", content.len());
        Err(VolumeError::invalid(name, &message))
    }
}
