//! Where in an object a body's parts are (section 6): arithmetic over authenticated lengths.
//!
//! ```text
//! 0                    segments_end                                   object's length
//! │ segment messages … │ extended attributes? │ manifest? │ footer (205) │
//! ```
//!
//! Invariant: a [`BodyMap`] exists only where all stored lengths together are the object's, so
//! an object that was cut or added to has none.

use std::fmt;

use super::SEGMENT_BYTES;
use super::error::ObjectError;
use super::footer::{FOOTER_STORED_BYTES, Footer, Segments};
use super::pin::{Pin, SegmentIndex};
use super::record::Content;
use crate::base::range::ByteRange;
use crate::crypto::{Context, OpenError, Opener, Purpose};

/// Bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PlainRange(pub ByteRange);

/// Bytes of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StoredRange(pub ByteRange);

/// Where what follows the segments is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// All segments' messages together end here.
    pub segments_end: u64,
    pub xattrs: Option<(Pin, StoredRange)>,
    pub manifest: Option<(Pin, StoredRange)>,
}

/// Where each segment of a body is.
#[derive(Clone, PartialEq, Eq)]
pub struct BodyMap {
    length: u64,
    pins: Vec<Option<Pin>>,
    /// Where segment i begins in the object, or would; one more for the end.
    starts: Vec<u64>,
}

/// A part of a range of a file that is read in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Nothing is stored for these bytes, and they are zeros.
    Zeros(PlainRange),
    /// These bytes are in chunks of one segment's message.
    Sealed(SealedPiece),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedPiece {
    pub segment: SegmentIndex,
    pub pin: Pin,
    pub plain: PlainRange,
    /// The chunks to fetch: all that hold a byte of `plain`, and no more but for the header
    /// before the first chunk, so that reading everything checks every byte.
    pub stored: StoredRange,
}

/// Where the footer of an object of this length is.
///
/// # Errors
/// When it is too short to have one.
pub fn footer_range(object_bytes: u64) -> Result<StoredRange, ObjectError> {
    let start = object_bytes
        .checked_sub(FOOTER_STORED_BYTES)
        .ok_or(ObjectError::NotAuthentic)?;
    Ok(StoredRange(ByteRange::new(start, object_bytes)))
}

impl Tail {
    /// # Errors
    /// When an object of this length has no room for what the footer pins.
    pub fn new(footer: &Footer, object_bytes: u64) -> Result<Self, ObjectError> {
        let mut end = footer_range(object_bytes)?.0.start();
        let mut before = |pin: Pin| {
            let start = end
                .checked_sub(pin.length().stored())
                .ok_or(ObjectError::NotAuthentic)?;
            let range = StoredRange(ByteRange::new(start, end));
            end = start;
            Ok::<_, ObjectError>((pin, range))
        };
        let manifest = match footer.segments {
            Segments::Many { manifest, .. } => Some(before(manifest)?),
            Segments::None | Segments::One(_) => None,
        };
        let xattrs = footer.xattrs.map(before).transpose()?;
        Ok(Self {
            segments_end: end,
            xattrs,
            manifest,
        })
    }
}

impl BodyMap {
    /// Bytes of memory that each segment takes.
    pub const BYTES_PER_SEGMENT: u64 = (size_of::<Option<Pin>>() + size_of::<u64>()) as u64;

    /// The map of a body without a manifest.
    ///
    /// # Errors
    /// When the object's length is not that of all its parts.
    ///
    /// # Panics
    /// When the footer pins a manifest.
    pub fn small(footer: &Footer, tail: &Tail) -> Result<Self, ObjectError> {
        match footer.segments {
            Segments::None => Self::checked(footer.length, Vec::new(), tail),
            Segments::One(pin) => Self::checked(footer.length, vec![Some(pin)], tail),
            Segments::Many { .. } => panic!("the segments are in the manifest"),
        }
    }

    /// The map of a body with the pins of its manifest.
    ///
    /// # Errors
    /// When a segment passes the file's end, or the object's length is not that of its parts.
    pub fn new(footer: &Footer, tail: &Tail, pins: Vec<Option<Pin>>) -> Result<Self, ObjectError> {
        Self::checked(footer.length, pins, tail)
    }

    fn checked(length: u64, pins: Vec<Option<Pin>>, tail: &Tail) -> Result<Self, ObjectError> {
        let mut starts = Vec::with_capacity(pins.len() + 1);
        let mut at = 0;
        starts.push(at);
        for (index, pin) in (0_u64..).zip(&pins) {
            if let Some(pin) = pin {
                if index * SEGMENT_BYTES + pin.length().plain() > length {
                    return Err(ObjectError::Malformed("a segment passes the file's end"));
                }
                at += pin.length().stored();
            }
            starts.push(at);
        }
        if at == tail.segments_end {
            Ok(Self {
                length,
                pins,
                starts,
            })
        } else {
            Err(ObjectError::NotAuthentic)
        }
    }

    /// The file's length.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The segments' pins; `None` for a hole. What follows the last one is a hole.
    #[must_use]
    pub fn pins(&self) -> &[Option<Pin>] {
        &self.pins
    }

    /// Where a segment's whole message is; `None` for a hole.
    #[must_use]
    pub fn message(&self, SegmentIndex(index): SegmentIndex) -> Option<(Pin, StoredRange)> {
        let index = index as usize;
        let pin = (*self.pins.get(index)?)?;
        let range = ByteRange::new(self.starts[index], self.starts[index + 1]);
        Some((pin, StoredRange(range)))
    }

    /// The bytes of `wanted` that the file has, in order.
    #[must_use]
    pub fn pieces(&self, PlainRange(wanted): PlainRange) -> Vec<Piece> {
        let end = wanted.end().min(self.length);
        let mut at = wanted.start();
        let mut pieces = Vec::new();
        while at < end {
            let index = at / SEGMENT_BYTES;
            let grid = index * SEGMENT_BYTES;
            let known = u32::try_from(index)
                .ok()
                .map(SegmentIndex)
                .and_then(|index| Some((index, self.message(index)?)));
            let upto = match known {
                Some((segment, (pin, message))) if at < grid + pin.length().plain() => {
                    let upto = end.min(grid + pin.length().plain());
                    let within = ByteRange::new(at - grid, upto - grid);
                    let span = pin.length().span(within);
                    let skipped = match span.first_chunk() {
                        0 => 0,
                        _ => span.stored().start(),
                    };
                    let first = message.0.start();
                    pieces.push(Piece::Sealed(SealedPiece {
                        segment,
                        pin,
                        plain: PlainRange(ByteRange::new(at, upto)),
                        stored: StoredRange(ByteRange::new(
                            first + skipped,
                            first + span.stored().end(),
                        )),
                    }));
                    upto
                }
                _ => {
                    let upto = self.zeros_end(index).min(end);
                    zeros(&mut pieces, ByteRange::new(at, upto));
                    upto
                }
            };
            at = upto;
        }
        pieces
    }

    /// Where the zeros end that segment `index` is, or ends in.
    fn zeros_end(&self, index: u64) -> u64 {
        if index >= self.pins.len() as u64 {
            self.length
        } else {
            (index + 1) * SEGMENT_BYTES
        }
    }
}

/// Appends zeros, joined with those before.
fn zeros(pieces: &mut Vec<Piece>, range: ByteRange) {
    if let Some(Piece::Zeros(PlainRange(last))) = pieces.last_mut()
        && last.end() == range.start()
    {
        *last = ByteRange::new(last.start(), range.end());
    } else {
        pieces.push(Piece::Zeros(PlainRange(range)));
    }
}

impl SealedPiece {
    /// Opens what was fetched from `stored`.
    ///
    /// # Errors
    /// When it is not authentic, or not as long as that range.
    pub fn open(&self, content: &Content, stored: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (opener, chunks) = self.opener(content, stored)?;
        opener.open_range(self.within(), chunks)
    }

    /// As [`Self::open`], into room of the caller's; after an error it holds zeros, or what was
    /// there.
    ///
    /// # Errors
    /// As [`Self::open`].
    ///
    /// # Panics
    /// When `plain` is not as long as the piece.
    pub fn open_into(
        &self,
        content: &Content,
        stored: &[u8],
        plain: &mut [u8],
    ) -> Result<(), OpenError> {
        let (opener, chunks) = self.opener(content, stored)?;
        let span = self.pin.length().span(self.within());
        let whole = span.plain() == self.within();
        if whole && chunks.len() as u64 == span.stored().len() {
            // Whole chunks, as nearly all are: opened where they are wanted.
            opener.open_chunks_into(span.first_chunk(), chunks, plain)
        } else {
            plain.copy_from_slice(&opener.open_range(self.within(), chunks)?);
            Ok(())
        }
    }

    /// What opens the chunks, and the chunks.
    fn opener<'s>(
        &self,
        content: &Content,
        stored: &'s [u8],
    ) -> Result<(Opener, &'s [u8]), OpenError> {
        let context = segment_context(content, self.segment);
        let (key, pin) = (content.key.input(), &self.pin);
        if pin.length().span(self.within()).first_chunk() > 0 {
            let opener = Opener::pinned(key, &context, pin.salt(), pin.length());
            return Ok((opener, stored));
        }
        let (header, chunks) = stored.split_first_chunk().ok_or(OpenError)?;
        if !header.starts_with(pin.salt()) {
            return Err(OpenError);
        }
        let opener = Opener::new(key, &context, header, pin.length().stored())?;
        Ok((opener, chunks))
    }

    /// The bytes within the segment.
    fn within(&self) -> ByteRange {
        let grid = u64::from(self.segment.0) * SEGMENT_BYTES;
        let PlainRange(range) = self.plain;
        ByteRange::new(range.start() - grid, range.end() - grid)
    }
}

pub(super) fn segment_context(content: &Content, SegmentIndex(index): SegmentIndex) -> Context {
    Context::new(Purpose::Segment)
        .bytes(content.id.as_bytes())
        .number(index.into())
}

impl fmt::Debug for BodyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BodyMap({} bytes, {} segments)",
            self.length,
            self.pins.len()
        )
    }
}
