//! Which bytes of a staging file are taken. Pure.
//!
//! Room is given in whole blocks, so that giving it back frees whole blocks of the disk, and
//! from the first gap that is long enough, so that a file does not grow while it has holes.

use crate::base::range::ByteRange;
use crate::write::extents::ExtentSet;

/// What disks allocate by; 4 KiB on every file system of note.
const BLOCK_BYTES: u64 = 4096;

/// The room of one staging file.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Taken, then given back; all before `end`.
    free: ExtentSet,
    end: u64,
}

/// Bytes of disk that `len` bytes of a message take.
pub(super) const fn room_for(len: u64) -> u64 {
    len.next_multiple_of(BLOCK_BYTES)
}

impl Space {
    /// Takes `room` bytes, which is a result of [`room_for`].
    pub(super) fn take(&mut self, room: u64) -> ByteRange {
        let gap = self.free.iter().find(|gap| gap.len() >= room);
        let start = gap.map_or(self.end, ByteRange::start);
        let taken = ByteRange::new(start, start + room);
        self.free.remove(taken);
        self.end = self.end.max(taken.end());
        taken
    }

    /// Gives back what [`Self::take`] gave.
    pub(super) fn give_back(&mut self, taken: ByteRange) {
        assert!(!self.free.intersects(taken), "{taken} given back twice");
        self.free.insert(taken);
        if self.free.end() == self.end {
            let last = self
                .free
                .iter()
                .last()
                .expect("what ends somewhere is not empty");
            self.end = last.start();
            self.free.remove(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_taken_twice(
            steps in proptest::collection::vec((any::<bool>(), 1_u64..40_000), 0..60),
        ) {
            let (mut space, mut taken) = (Space::default(), Vec::new());
            for (give_back, len) in steps {
                if give_back && !taken.is_empty() {
                    let at = usize::try_from(len).unwrap() % taken.len();
                    space.give_back(taken.swap_remove(at));
                } else {
                    let got = space.take(room_for(len));
                    prop_assert!(got.len() >= len && got.start() % BLOCK_BYTES == 0);
                    taken.push(got);
                }
                // Disjoint, and exactly what is not free.
                let all: ExtentSet = taken.iter().copied().collect();
                let total: u64 = taken.iter().map(|range| range.len()).sum();
                prop_assert_eq!(all.total_bytes(), total);
                prop_assert_eq!(space.end, all.end());
                prop_assert_eq!(space.free.total_bytes(), space.end - total);
            }
        }
    }
}
