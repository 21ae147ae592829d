//! The arithmetic of a sealed message: lengths, chunks, and where a byte is stored.
//!
//! From [C2SP chunked-encryption]: a header of 56 bytes, then chunks of 16 KiB, each with a
//! tag of 16 bytes; the last chunk is shorter than 16 KiB and may be empty. So every plaintext
//! length has one stored length, and some stored lengths have no plaintext: those are errors,
//! never guesses.
//!
//! [C2SP chunked-encryption]: https://c2sp.org/chunked-encryption

use super::backend::TAG_BYTES;
use crate::base::range::ByteRange;

/// Salt and commitment, at the start of a message.
pub const HEADER_BYTES: usize = 56;
/// Plaintext in every chunk but the last.
pub const CHUNK_BYTES: usize = 16 << 10;
/// The same chunk as stored.
pub const STORED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// The specification's bound, 4 PiB of plaintext.
pub(super) const CHUNKS_MAX: u64 = 1 << 38;

const HEADER: u64 = HEADER_BYTES as u64;
const CHUNK: u64 = CHUNK_BYTES as u64;
const STORED_CHUNK: u64 = STORED_CHUNK_BYTES as u64;
const TAG: u64 = TAG_BYTES as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    #[error("{0} bytes are more than one sealed message holds (4 PiB)")]
    TooLong(u64),
    #[error("no sealed message is {0} bytes long: it was cut or added to")]
    Impossible(u64),
}

/// How long a message is, before and after sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLength {
    plain: u64,
}

impl MessageLength {
    /// # Errors
    /// From 4 PiB on.
    pub const fn of_plain(plain: u64) -> Result<Self, LengthError> {
        if plain / CHUNK >= CHUNKS_MAX {
            return Err(LengthError::TooLong(plain));
        }
        Ok(Self { plain })
    }

    /// # Errors
    /// When no message is stored in so many bytes, or it would be longer than 4 PiB.
    pub const fn of_stored(stored: u64) -> Result<Self, LengthError> {
        let impossible = Err(LengthError::Impossible(stored));
        let Some(body) = stored.checked_sub(HEADER) else {
            return impossible;
        };
        let (full, last) = (body / STORED_CHUNK, body % STORED_CHUNK);
        let Some(last) = last.checked_sub(TAG) else {
            return impossible;
        };
        Self::of_plain(full * CHUNK + last)
    }

    #[must_use]
    pub const fn plain(self) -> u64 {
        self.plain
    }

    #[must_use]
    pub const fn stored(self) -> u64 {
        HEADER + self.plain + TAG * self.chunks()
    }

    /// At least 1.
    #[must_use]
    pub const fn chunks(self) -> u64 {
        self.plain / CHUNK + 1
    }

    /// The chunks that hold `plain`, a range of plaintext.
    ///
    /// An empty range takes the one chunk that it lies in.
    ///
    /// # Panics
    /// When `plain` ends after the message.
    #[must_use]
    pub fn span(self, plain: ByteRange) -> Span {
        assert!(
            plain.end() <= self.plain,
            "{plain} of a message of {} bytes",
            self.plain
        );
        let first = plain.start() / CHUNK;
        let end = plain.end().div_ceil(CHUNK).max(first + 1);
        Span {
            length: self,
            first,
            end,
        }
    }

    /// `count` chunks from the chunk with the index `first`; `None` when they are not all in
    /// the message, or none are asked for.
    #[must_use]
    pub fn chunk_span(self, first: u64, count: u64) -> Option<Span> {
        let end = first.checked_add(count)?;
        (first < end && end <= self.chunks()).then_some(Span {
            length: self,
            first,
            end,
        })
    }
}

/// Neighbouring chunks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    length: MessageLength,
    first: u64,
    end: u64,
}

impl Span {
    /// Index of the first chunk.
    #[must_use]
    pub const fn first_chunk(self) -> u64 {
        self.first
    }

    /// The bytes of plaintext in these chunks.
    #[must_use]
    pub fn plain(self) -> ByteRange {
        ByteRange::new(
            self.first * CHUNK,
            (self.end * CHUNK).min(self.length.plain),
        )
    }

    /// Where these chunks are in the stored message.
    #[must_use]
    pub fn stored(self) -> ByteRange {
        let end = HEADER + self.end * STORED_CHUNK;
        ByteRange::new(
            HEADER + self.first * STORED_CHUNK,
            end.min(self.length.stored()),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_lengths() {
        for (plain, stored, chunks) in [
            (0, 72, 1),
            (1, 73, 1),
            (16_383, 16_455, 1),
            (16_384, 16_472, 2),
            (16_385, 16_473, 2),
            (8 << 20, 8_396_872, 513),
        ] {
            let length = MessageLength::of_plain(plain).unwrap();
            assert_eq!((length.stored(), length.chunks()), (stored, chunks));
        }
    }

    #[test]
    fn impossible_lengths_are_errors() {
        for stored in (0..72).chain(56 + 16_400..72 + 16_400) {
            let error = MessageLength::of_stored(stored).unwrap_err();
            assert_eq!(error, LengthError::Impossible(stored));
        }
        assert_eq!(
            LengthError::Impossible(71).to_string(),
            "no sealed message is 71 bytes long: it was cut or added to"
        );
        assert!(MessageLength::of_plain((1 << 52) - 1).is_ok());
        assert_eq!(
            MessageLength::of_plain(1 << 52).unwrap_err().to_string(),
            "4503599627370496 bytes are more than one sealed message holds (4 PiB)"
        );
        assert!(MessageLength::of_stored(u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn a_stored_length_tells_the_plain_one(plain in 0_u64..1 << 52) {
            let length = MessageLength::of_plain(plain).unwrap();
            prop_assert_eq!(MessageLength::of_stored(length.stored()), Ok(length));
        }

        #[test]
        fn a_possible_stored_length_is_the_length_of_its_plaintext(stored in 0_u64..1 << 40) {
            if let Ok(length) = MessageLength::of_stored(stored) {
                prop_assert_eq!(length.stored(), stored);
            }
        }

        #[test]
        fn a_span_is_the_fewest_chunks_that_hold_the_range(
            len in 0_u64..200_000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        ) {
            let length = MessageLength::of_plain(len).unwrap();
            let within = usize::try_from(len).unwrap() + 1;
            let (a, b) = (a.index(within) as u64, b.index(within) as u64);
            let wanted = ByteRange::new(a.min(b), a.max(b));
            let span = length.span(wanted);
            // A model that walks the chunks one by one.
            let (mut plain_at, mut stored_at) = (0, 56);
            let (mut plain, mut stored) = (None::<ByteRange>, None::<ByteRange>);
            for index in 0..length.chunks() {
                let in_chunk = (len - plain_at).min(16_384);
                let chunk = ByteRange::at(plain_at, in_chunk).unwrap();
                let holds_empty = wanted.is_empty() && wanted.start() / 16_384 == index;
                if chunk.intersection(wanted).is_some() || holds_empty {
                    let first = plain.map_or(plain_at, ByteRange::start);
                    plain = Some(ByteRange::new(first, chunk.end()));
                    let first = stored.map_or(stored_at, ByteRange::start);
                    stored = Some(ByteRange::new(first, stored_at + in_chunk + 16));
                }
                plain_at += in_chunk;
                stored_at += in_chunk + 16;
            }
            prop_assert_eq!(stored_at, length.stored());
            prop_assert_eq!(Some(span.plain()), plain);
            prop_assert_eq!(Some(span.stored()), stored);
        }
    }
}
