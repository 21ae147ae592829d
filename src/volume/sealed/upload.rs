//! Uploads of client-side objects in parts: the record is sealed when the upload begins, each
//! part's segments when it is sent, and the tail ([`super::tail`]) when it is completed.
//!
//! The pins of a part are in its [`Part`], with the receipt for the same bytes. A part that S3
//! would find too short to be followed by others waits for the tail.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::sealing::{attribute_version, xattr_place};
use super::tail::Ending;
use crate::base::range::ByteRange;
use crate::layout::sealed::map::StoredRange;
use crate::layout::sealed::writer::seal_segment_into;
use crate::layout::sealed::{BodyId, Content, Pin, Record, SEGMENT_BYTES, SegmentIndex};
use crate::store::{ObjectAttributes, ObjectKey, PartNumber};
use crate::volume::s3ec::Body;
use crate::volume::upload::Sent;
use crate::volume::{
    Condition, ObjectMeta, ObjectRef, Part, Result, StoredSegments, Upload, Version, Volume,
    VolumeError,
};

/// Shorter segments are sealed where they are; others would keep a thread of the runtime busy.
const SEAL_INLINE_BYTES: usize = 64 << 10;

/// What an upload's segments and tail are sealed with.
pub struct Sealing {
    pub(super) record: Arc<Record>,
    pub(super) ending: Mutex<Option<Ending>>,
}

/// What an upload begins with.
pub struct UploadRecord {
    pub sealing: Sealing,
    pub attributes: ObjectAttributes,
}

/// The messages of a part's segments, being put together.
pub struct SealedPart {
    stored: Vec<u8>,
    filled: usize,
    pins: Vec<(SegmentIndex, Pin)>,
}

impl SealedPart {
    /// A part that has room for the messages of these bytes of a file, each within a segment.
    #[must_use]
    pub fn for_segments(segments: &[ByteRange]) -> Self {
        Self {
            stored: vec![0; index(Self::stored_bytes(segments))],
            filled: 0,
            pins: Vec::with_capacity(segments.len()),
        }
    }

    /// What such a part takes in the bucket, and in memory.
    #[must_use]
    pub fn stored_bytes(segments: &[ByteRange]) -> u64 {
        let stored = |range: &ByteRange| StoredSegments::stored_bytes(range.len());
        segments.iter().map(stored).sum()
    }
}

impl std::fmt::Debug for SealedPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedPart({} segments)", self.pins.len())
    }
}

impl Sealing {
    pub fn body(&self) -> BodyId {
        self.record.body
    }

    /// What its segments are sealed with.
    pub fn content(&self) -> Content {
        self.record.content.duplicate()
    }
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealing({:?})", self.record.body)
    }
}

impl Volume {
    /// The record that an upload to this key begins with; `path` is for errors.
    pub(in crate::volume) async fn record_of_upload(
        &self,
        path: impl Display,
        key: &ObjectKey,
        meta: &ObjectMeta,
        base: Option<(&ObjectRef, &Version)>,
        condition: &Condition,
    ) -> Result<UploadRecord> {
        let content = match base {
            Some((object, version)) => match self.body_of(object, version).await? {
                Body::Native(opened) => opened.record.content.duplicate(),
                Body::S3ec(_) => Content::random(),
            },
            None => Content::random(),
        };
        self.record_of_content(path, key, meta, content, condition)
            .await
    }

    /// The same, of segments under this content's key.
    pub(in crate::volume) async fn record_of_content(
        &self,
        path: impl Display,
        key: &ObjectKey,
        meta: &ObjectMeta,
        content: Content,
        condition: &Condition,
    ) -> Result<UploadRecord> {
        let place = xattr_place(&path, meta)?;
        let lineage = &meta.lineage;
        let generation = self
            .next_generation(key, lineage.generation, condition)
            .await?;
        let sequence = self.sequence_after(key, lineage.sequence, condition);
        let record = Record {
            file: lineage.file,
            content,
            body: BodyId::random(),
            generation,
            attributes: attribute_version(meta, sequence, place),
        };
        let mut attributes = self.seal_record(path, key, &record).await?;
        meta.mark(&mut attributes);
        Ok(UploadRecord {
            sealing: Sealing {
                record: Arc::new(record),
                ending: Mutex::default(),
            },
            attributes,
        })
    }

    /// Where the messages of all segments that begin in `range` are, and which they are.
    pub(in crate::volume) async fn messages_to_copy(
        &self,
        sealing: &Sealing,
        source: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<(ByteRange, Arc<[(SegmentIndex, Pin)]>)> {
        let opened = self.opened(source, version).await?;
        let invalid = |message| VolumeError::invalid(format!("{source:?}"), message);
        if opened.record.content.id != sealing.record.content.id {
            return Err(invalid(
                "its segments cannot be copied into an upload of another content",
            ));
        }
        assert!(
            range.start().is_multiple_of(SEGMENT_BYTES),
            "segments are copied whole"
        );
        let map = self.body_map(&opened, source, version).await?;
        let mut pins = Vec::new();
        let mut stored: Option<ByteRange> = None;
        for index in segments_in(range) {
            let Some((pin, StoredRange(message))) = map.message(index) else {
                continue;
            };
            pins.push((index, pin));
            stored = Some(stored.map_or(message, |before| {
                ByteRange::new(before.start(), message.end())
            }));
        }
        let stored = stored.ok_or_else(|| invalid("nothing is stored in a range to copy"))?;
        Ok((stored, pins.into()))
    }
}

impl Upload {
    /// Whether its parts are to be sealed.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.sealing().is_some()
    }

    /// Seals the next segment of a part under a fresh salt: `plain` begins at `start` of the
    /// file, where a segment begins. Nothing is added for no bytes.
    ///
    /// # Panics
    /// In a volume of the plain layout; when the part has no room for it.
    pub async fn seal(&self, mut part: SealedPart, start: u64, plain: Bytes) -> SealedPart {
        assert!(start.is_multiple_of(SEGMENT_BYTES), "a whole segment");
        if plain.is_empty() {
            return part;
        }
        let sealing = self.sealing().expect("a client-side volume");
        let record = Arc::clone(&sealing.record);
        let number = SegmentIndex(u32::try_from(start / SEGMENT_BYTES).expect("below 2^23"));
        let is_short = plain.len() <= SEAL_INLINE_BYTES;
        let add = move || {
            let end = part.filled + index(StoredSegments::stored_bytes(plain.len() as u64));
            let message = &mut part.stored[part.filled..end];
            let pin = seal_segment_into(&record.content, number, &plain, message);
            part.filled = end;
            part.pins.push((number, pin));
            part
        };
        if is_short {
            return add();
        }
        match tokio::task::spawn_blocking(add).await {
            Ok(part) => part,
            Err(died) => match died.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is ending, and this task with it: nobody waits for the part.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Uploads a part that was sealed; a number that was used before is replaced. One that S3
    /// takes only as an upload's last waits for the tail.
    pub async fn upload_sealed(&self, number: PartNumber, part: SealedPart) -> Result<Part> {
        let SealedPart {
            mut stored,
            filled,
            pins,
        } = part;
        stored.truncate(filled);
        let body = Bytes::from(stored);
        let sent = if (body.len() as u64) < self.volume().store.limits().part_bytes_min {
            Sent::Held(body)
        } else {
            Sent::Receipt(self.send_part(number, body).await?.etag)
        };
        Ok(Part {
            number,
            sent,
            pins: pins.into(),
        })
    }
}

/// The segments that begin in a range of a file which begins with one.
fn segments_in(range: ByteRange) -> impl Iterator<Item = SegmentIndex> {
    let numbers = range.start() / SEGMENT_BYTES..range.end().div_ceil(SEGMENT_BYTES);
    numbers.filter_map(|number| u32::try_from(number).ok().map(SegmentIndex))
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}
