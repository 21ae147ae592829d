//! Whole objects in memory: what a file of this length and these segments is in the bucket, and
//! back. Mounts read and write the parts one by one; this is the format in one place, for
//! small objects, single ones without a mount, and tests.

use std::collections::BTreeMap;

use super::attributes::{AttributeVersion, XattrPlace};
use super::error::ObjectError;
use super::footer::{Footer, Segments};
use super::id::VolumeId;
use super::map::{BodyMap, Piece, PlainRange, StoredRange, Tail, footer_range};
use super::metadata::{SealedMetadata, WrappedKey};
use super::names::StoredKey;
use super::pin::SegmentIndex;
use super::record::Record;
use super::writer::{BodyWriter, seal_segment};
use super::{manifest, xattrs};
use crate::base::range::ByteRange;
use crate::crypto::DataKey;
use crate::layout::attributes::Xattrs;

/// Where an object is and what opens it.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Place<'a> {
    pub key: &'a DataKey,
    pub volume: VolumeId,
    pub at: &'a StoredKey,
}

/// An object's user metadata and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    pub metadata: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What a file consists of besides its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileData<'a> {
    pub length: u64,
    /// What is no hole: the first bytes of these segments.
    pub segments: BTreeMap<u32, &'a [u8]>,
    /// Attributes at commit.
    pub attributes: &'a AttributeVersion,
    /// The extended attributes that go into the body.
    pub body_xattrs: &'a Xattrs,
}

/// An object that was opened and read up to its content.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct OpenedObject {
    pub record: Record,
    pub footer: Footer,
    pub map: BodyMap,
    /// Those that hold, with all extended attributes wherever they are.
    pub attributes: AttributeVersion,
}

/// # Panics
/// Where [`Record::seal`] and [`BodyWriter::finish`] do.
#[must_use]
pub fn encode_object(
    place: &Place<'_>,
    wrapped: &WrappedKey,
    record: &Record,
    data: &FileData<'_>,
) -> StoredObject {
    let mut writer = BodyWriter::new(record.body);
    let mut body = Vec::new();
    for (&index, plaintext) in &data.segments {
        let sealed = seal_segment(&record.content, SegmentIndex(index), plaintext);
        body.extend_from_slice(&sealed.message);
        writer.put(SegmentIndex(index), Some(sealed.pin));
    }
    let tail = writer.finish(
        &record.content,
        data.length,
        data.attributes,
        data.body_xattrs,
    );
    body.extend_from_slice(&tail);
    let metadata = SealedMetadata {
        key: wrapped.clone(),
        record: record.seal(place.key, place.volume, place.at),
    };
    StoredObject {
        metadata: metadata.encode(),
        body,
    }
}

/// Opens everything of an object but its content.
///
/// # Errors
/// When anything of it is not what was stored there.
pub fn open_object(place: &Place<'_>, object: &StoredObject) -> Result<OpenedObject, ObjectError> {
    let metadata = SealedMetadata::decode(&object.metadata)?;
    let record = Record::open(place.key, place.volume, place.at, &metadata.record)?;
    let bytes = object.body.len() as u64;
    let at = |StoredRange(range)| slice(&object.body, range);
    let footer = Footer::open(&record.content, record.body, at(footer_range(bytes)?))?;
    let tail = Tail::new(&footer, bytes)?;
    let map = match (footer.segments, &tail.manifest) {
        (Segments::Many { .. }, Some((pin, range))) => {
            let pins = manifest::open_pins(&record.content, record.body, pin, at(*range))?;
            BodyMap::new(&footer, &tail, pins)?
        }
        _ => BodyMap::small(&footer, &tail)?,
    };
    let mut attributes = AttributeVersion::current(&record.attributes, &footer.attributes)?;
    let body_xattrs = match &tail.xattrs {
        Some((pin, range)) => Some(xattrs::open(&record.content, record.body, pin, at(*range))?),
        None => None,
    };
    if attributes.xattrs == XattrPlace::Body {
        attributes.attributes.xattrs = body_xattrs.ok_or(ObjectError::Malformed(
            "its extended attributes should be in the body and are not",
        ))?;
    }
    Ok(OpenedObject {
        record,
        footer,
        map,
        attributes,
    })
}

/// The bytes of `wanted` that the file has.
///
/// # Errors
/// When a segment is not authentic.
///
/// # Panics
/// When `body` is not as long as that of the object that was opened.
pub fn read(
    object: &OpenedObject,
    body: &[u8],
    wanted: PlainRange,
) -> Result<Vec<u8>, ObjectError> {
    let mut content = Vec::new();
    for piece in object.map.pieces(wanted) {
        match piece {
            Piece::Zeros(PlainRange(zeros)) => {
                content.resize(content.len() + index(zeros.len()), 0);
            }
            Piece::Sealed(piece) => {
                let stored = slice(body, piece.stored.0);
                content.extend(piece.open(&object.record.content, stored)?);
            }
        }
    }
    Ok(content)
}

fn slice(body: &[u8], range: ByteRange) -> &[u8] {
    &body[index(range.start())..index(range.end())]
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}
