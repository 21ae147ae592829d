//! Making a body (section 6): segments are sealed in any order and by any number of threads, the
//! tail is sealed last and once.

use super::SEGMENT_BYTES;
use super::attributes::{AttributeVersion, XattrPlace};
use super::footer::{FILE_BYTES_MAX, Footer, Segments};
use super::id::BodyId;
use super::manifest::{self, SEGMENTS_MAX};
use super::map::segment_context;
use super::pin::{Pin, SegmentIndex};
use super::record::Content;
use super::xattrs;
use crate::crypto::{MessageLength, Purpose, seal, seal_into};
use crate::layout::attributes::Xattrs;

/// A segment's message and its pin.
#[derive(Clone, Debug)]
pub struct SealedSegment {
    pub pin: Pin,
    pub message: Vec<u8>,
}

/// Collects which messages a body consists of. It is used up by its tail, so that a body id
/// has one footer.
#[derive(Debug)]
pub struct BodyWriter {
    body: BodyId,
    pins: Vec<Option<Pin>>,
}

/// Seals the first bytes of a segment under a fresh salt.
///
/// # Panics
/// When it is empty (that is a hole) or longer than a segment.
#[must_use]
pub fn seal_segment(content: &Content, index: SegmentIndex, plaintext: &[u8]) -> SealedSegment {
    let length = MessageLength::of_plain(plaintext.len() as u64).expect("a segment is 8 MiB");
    let length = usize::try_from(length.stored()).expect("it fits into memory");
    let mut message = vec![0; length];
    let pin = seal_segment_into(content, index, plaintext, &mut message);
    SealedSegment { pin, message }
}

/// The same into `message`, every byte of which is written.
///
/// # Panics
/// As [`seal_segment`], and when `message` is not as long as the segment's is.
#[must_use]
pub fn seal_segment_into(
    content: &Content,
    index: SegmentIndex,
    plaintext: &[u8],
    message: &mut [u8],
) -> Pin {
    assert!(
        !plaintext.is_empty() && plaintext.len() as u64 <= SEGMENT_BYTES,
        "a segment of {} bytes",
        plaintext.len()
    );
    let context = segment_context(content, index);
    seal_into(content.key.input(), &context, plaintext, message);
    Pin::of(message, plaintext.len()).expect("it is not empty")
}

impl BodyWriter {
    /// A body of holes only.
    #[must_use]
    pub const fn new(body: BodyId) -> Self {
        Self {
            body,
            pins: Vec::new(),
        }
    }

    /// A body that begins with the segments of another of the same content.
    #[must_use]
    pub const fn with_pins(body: BodyId, pins: Vec<Option<Pin>>) -> Self {
        Self { body, pins }
    }

    /// Puts a segment, or a hole, where it belongs. Messages are stored in the order of their
    /// indices, not of these calls.
    ///
    /// # Panics
    /// From [`SEGMENTS_MAX`] on.
    pub fn put(&mut self, SegmentIndex(index): SegmentIndex, pin: Option<Pin>) {
        assert!(index < SEGMENTS_MAX, "segment {index} of a file");
        let index = index as usize;
        if index >= self.pins.len() {
            self.pins.resize(index + 1, None);
        }
        self.pins[index] = pin;
    }

    /// What follows the segments: extended attributes, manifest, footer.
    ///
    /// # Panics
    /// When a segment passes `length`, or the attributes are not such as the footer takes:
    /// programmer errors.
    #[must_use]
    pub fn finish(
        mut self,
        content: &Content,
        length: u64,
        attributes: &AttributeVersion,
        body_xattrs: &Xattrs,
    ) -> Vec<u8> {
        assert!(length <= FILE_BYTES_MAX, "a file of {length} bytes");
        while self.pins.pop_if(|pin| pin.is_none()).is_some() {}
        for (index, pin) in (0_u64..).zip(&self.pins) {
            let end = pin.map_or(0, |pin| index * SEGMENT_BYTES + pin.length().plain());
            assert!(end <= length, "a segment passes the file's end");
        }
        assert!(
            attributes.xattrs != XattrPlace::Body || !body_xattrs.is_empty(),
            "extended attributes are in the body that says so"
        );
        let mut tail = Vec::new();
        let xattrs = self.seal_xattrs(content, body_xattrs, &mut tail);
        let segments = match *self.pins.as_slice() {
            [] => Segments::None,
            [pin] => Segments::One(pin.expect("holes at the end were taken off")),
            ref pins => {
                let (message, manifest) = manifest::seal_pins(content, self.body, pins);
                tail.extend_from_slice(&message);
                let count = u32::try_from(pins.len()).expect("at most SEGMENTS_MAX");
                Segments::Many { count, manifest }
            }
        };
        let mut attributes = attributes.clone();
        attributes.attributes.xattrs.clear();
        let footer = Footer {
            length,
            segments,
            xattrs,
            attributes,
        };
        tail.extend_from_slice(&footer.seal(content, self.body));
        tail
    }

    fn seal_xattrs(&self, content: &Content, xattrs: &Xattrs, tail: &mut Vec<u8>) -> Option<Pin> {
        if xattrs.is_empty() {
            return None;
        }
        let mut plain = Vec::new();
        xattrs::encode(xattrs, &mut plain);
        let context = content.context(Purpose::Xattrs, self.body);
        let message = seal(content.key.input(), &context, &plain);
        tail.extend_from_slice(&message);
        Pin::of(&message, plain.len())
    }
}
