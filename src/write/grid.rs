//! How a file is cut into parts that go up while it is still growing: a fixed grid, so that a
//! part's number and bytes can be known before the file's length is.
//!
//! Part numbers go to 10,000 and files to 5 TiB, so parts have to grow: blocks of 1,024 parts,
//! those of the first 8 MiB (one segment), those of each next block twice as long.
//!
//! | block | part   | block begins at | files up to there have |
//! |-------|--------|-----------------|------------------------|
//! | 0     | 8 MiB  | 0               |                        |
//! | 1     | 16 MiB | 8 GiB           | 1,024 parts            |
//! | 2     | 32 MiB | 24 GiB          | 2,048 parts            |
//! | 9     | 4 GiB  | 4,088 GiB       | 9,216 parts            |
//! |       |        | 5 TiB           | 9,474 parts            |
//!
//! So a part is never above S3's 5 GiB, never below its 5 MiB but at the end of a file, and
//! never longer than 1/512 of what lies before it, or one segment. A part longer than
//! a segment is not held in memory: it is uploaded from staging, segment by segment.

use crate::base::limits;
use crate::base::range::ByteRange;
use crate::store::PartNumber;

/// A part of the grid, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartIndex(u64);

/// The grid: blocks of parts, the parts of each block twice as long as those of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    part_bytes: u64,
    parts_per_block: u64,
}

const _: () = {
    let parts = Grid::S3.parts(limits::OBJECT_BYTES_MAX);
    assert!(
        parts <= limits::PARTS_MAX as u64,
        "every object fits 10,000 parts"
    );
    let longest = Grid::S3.range(PartIndex(parts - 1));
    assert!(
        longest.len() <= limits::PART_BYTES_MAX,
        "no part is above 5 GiB"
    );
    assert!(
        limits::SEGMENT_BYTES >= limits::PART_BYTES_MIN,
        "no part is below 5 MiB"
    );
};

impl Grid {
    /// The grid of every file that is uploaded in parts.
    pub const S3: Self = Self {
        part_bytes: limits::SEGMENT_BYTES,
        parts_per_block: 1024,
    };

    #[cfg(test)]
    pub(super) const fn tiny(part_bytes: u64, parts_per_block: u64) -> Self {
        Self {
            part_bytes,
            parts_per_block,
        }
    }

    /// Length of the first parts: a segment.
    #[must_use]
    pub const fn segment_bytes(self) -> u64 {
        self.part_bytes
    }

    /// The part that holds the byte at `offset`.
    ///
    /// # Panics
    /// Far above the largest object; callers have checked the size.
    #[must_use]
    pub const fn part_at(self, offset: u64) -> PartIndex {
        // Block k begins at (2^k - 1) first blocks.
        let block = (offset / self.block_bytes() + 1).ilog2() as u64;
        let into_block = offset - self.block_start(block);
        let part = into_block / (self.part_bytes << block);
        PartIndex(block * self.parts_per_block + part)
    }

    /// The bytes of a part; the last part of a file ends with the file instead.
    #[must_use]
    pub const fn range(self, part: PartIndex) -> ByteRange {
        let block = part.0 / self.parts_per_block;
        let len = self.part_bytes << block;
        let start = self.block_start(block) + part.0 % self.parts_per_block * len;
        ByteRange::new(start, start + len)
    }

    /// Number of parts of a file of `size` bytes.
    #[must_use]
    pub const fn parts(self, size: u64) -> u64 {
        match size.checked_sub(1) {
            Some(last) => self.part_at(last).0 + 1,
            None => 0,
        }
    }

    /// The parts of a file of `size` bytes, ascending, with their bytes in it.
    pub fn cut(self, size: u64) -> impl Iterator<Item = (PartIndex, ByteRange)> {
        (0..self.parts(size)).map(move |index| {
            let range = self.range(PartIndex(index));
            let end = range.end().min(size);
            (PartIndex(index), ByteRange::new(range.start(), end))
        })
    }

    const fn block_bytes(self) -> u64 {
        self.part_bytes * self.parts_per_block
    }

    const fn block_start(self, block: u64) -> u64 {
        ((1 << block) - 1) * self.block_bytes()
    }
}

impl PartIndex {
    /// Its number in an upload.
    ///
    /// # Panics
    /// For a part after 5 TiB.
    #[must_use]
    pub fn number(self) -> PartNumber {
        u32::try_from(self.0 + 1)
            .ok()
            .and_then(PartNumber::new)
            .expect("parts of objects up to 5 TiB have numbers")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn the_table_above_is_true() {
        let block = |offset| {
            let part = Grid::S3.part_at(offset);
            (
                part.0,
                Grid::S3.range(part).start(),
                Grid::S3.range(part).len(),
            )
        };
        assert_eq!(block(0), (0, 0, 8 * MIB));
        assert_eq!(block(8 * GIB - 1), (1023, 8 * GIB - 8 * MIB, 8 * MIB));
        assert_eq!(block(8 * GIB), (1024, 8 * GIB, 16 * MIB));
        assert_eq!(block(24 * GIB), (2048, 24 * GIB, 32 * MIB));
        assert_eq!(block(4088 * GIB), (9216, 4088 * GIB, 4 * GIB));
        assert_eq!(Grid::S3.parts(5 << 40), 9474);
        assert_eq!(Grid::S3.parts(0), 0);
        assert_eq!(PartIndex(0).number().value(), 1);
        assert_eq!(PartIndex(9473).number().value(), 9474);
    }

    #[test]
    fn parts_follow_each_other_without_gaps() {
        let mut end = 0;
        for index in 0..9474 {
            let range = Grid::S3.range(PartIndex(index));
            assert_eq!(range.start(), end);
            end = range.end();
        }
        assert!(end >= limits::OBJECT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn a_byte_lies_in_its_part(offset in 0_u64..5 << 40) {
            let range = Grid::S3.range(Grid::S3.part_at(offset));
            prop_assert!(range.start() <= offset && offset < range.end());
            prop_assert!(range.len() <= (range.start() / 512).max(8 * MIB));
        }

        #[test]
        fn a_cut_is_the_file(size in 0_u64..3000) {
            let mut end = 0;
            for (index, (part, range)) in Grid::tiny(4, 3).cut(size).enumerate() {
                prop_assert_eq!(part.0, index as u64);
                prop_assert_eq!(range.start(), end);
                prop_assert!(!range.is_empty());
                end = range.end();
            }
            prop_assert_eq!(end, size);
        }
    }
}
