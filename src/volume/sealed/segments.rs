//! Which segments of a version are stored: what planning an upload must know of a body.

use crate::base::range::ByteRange;
use crate::crypto::MessageLength;
use crate::layout::sealed::{BodyMap, SEGMENT_BYTES};
use crate::volume::s3ec::Body;
use crate::volume::{ObjectRef, Result, Version, Volume};

/// The lengths of a version's segments. By segment, so that nobody outside of this layer sees
/// a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredSegments {
    /// Bytes of the file; 0 for a hole.
    lengths: Vec<u32>,
    /// They are no messages of this format, and cannot be copied as such.
    foreign: bool,
}

impl StoredSegments {
    fn of(map: &BodyMap) -> Self {
        let length = |pin: &crate::layout::sealed::Pin| pin.length().plain();
        let lengths = map.pins().iter().map(|pin| pin.as_ref().map_or(0, length));
        let lengths = lengths.map(|length| u32::try_from(length).expect("at most a segment"));
        Self {
            lengths: lengths.collect(),
            foreign: false,
        }
    }

    /// Of a file of `size` bytes in another format: all of it is stored, and none of it as
    /// segments.
    #[must_use]
    pub fn foreign(size: u64) -> Self {
        let numbers = 0..size.div_ceil(SEGMENT_BYTES);
        let length = |number| SEGMENT_BYTES.min(size - number * SEGMENT_BYTES);
        let lengths = numbers.map(|number| u32::try_from(length(number)).expect("a segment"));
        Self {
            lengths: lengths.collect(),
            foreign: true,
        }
    }

    /// Whether messages of it can be copied.
    #[must_use]
    pub const fn can_be_copied(&self) -> bool {
        !self.foreign
    }

    /// From the lengths of the first segments, each at most a segment's.
    #[must_use]
    pub fn from_lengths(lengths: impl IntoIterator<Item = u32>) -> Self {
        let lengths: Vec<u32> = lengths.into_iter().collect();
        let fit = |length: &u32| u64::from(*length) <= SEGMENT_BYTES;
        assert!(lengths.iter().all(fit), "a segment is 8 MiB at most");
        Self {
            lengths,
            foreign: false,
        }
    }

    /// The bytes of the file that a segment's message has; `None` for a hole.
    #[must_use]
    pub fn range(&self, segment: u64) -> Option<ByteRange> {
        let length = *self.lengths.get(usize::try_from(segment).ok()?)?;
        (length > 0).then(|| ByteRange::at(segment * SEGMENT_BYTES, length.into()))?
    }

    /// What a message with so many bytes of a file takes in the bucket.
    #[must_use]
    pub fn stored_bytes(plain: u64) -> u64 {
        let length = MessageLength::of_plain(plain).expect("segments are far below 4 PiB");
        length.stored()
    }
}

impl Volume {
    /// Which segments of a version are stored; `None` in the plain layout.
    ///
    /// # Errors
    /// When the object does not open, or the store does not answer.
    pub async fn stored_segments(
        &self,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Option<StoredSegments>> {
        if !self.is_sealed() {
            return Ok(None);
        }
        let opened = match self.body_of(object, version).await? {
            Body::Native(opened) => opened,
            Body::S3ec(found) => return Ok(Some(StoredSegments::foreign(found.size))),
        };
        let map = self.body_map(&opened, object, version).await?;
        Ok(Some(StoredSegments::of(map)))
    }
}
