//! What is kept, what is being fetched and what goes first: the cache without its waiting.
//!
//! Pure but for its own state. `F` is the handle on a fetch under way, which readers of the
//! same blocks share.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use lru::LruCache;

use super::{BLOCK_BYTES, CacheStats, FileTag, RUN_BYTES_MAX};
use crate::base::range::ByteRange;

/// Charged for each run besides its bytes, so that a million tiny files count for what they
/// take: map entries, the list's links, the buffer's header.
const RUN_OVERHEAD_BYTES: u64 = 256;

/// Runs are at most this part of the capacity, so that a small cache still holds several.
const RUNS_MIN: u64 = 8;

#[derive(Debug)]
pub(super) struct Table<F> {
    files: HashMap<FileTag, File<F>>,
    /// The kept runs, by when they were last read.
    recent: LruCache<(FileTag, u64), ()>,
    /// Blocks in the longest run; a power of two.
    run_blocks_max: u64,
    /// Of `stats.bytes`, what runs being fetched will take.
    reserved_bytes: u64,
    next_claim: u64,
    stats: CacheStats,
}

/// A run that the caller has to fetch and then [`Table::settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    tag: FileTag,
    number: u64,
    first_block: u64,
    /// The bytes to fetch.
    pub(super) range: ByteRange,
}

/// Where a stretch of a read comes from. Its range is the whole run's.
#[derive(Debug)]
pub(super) enum Piece<F> {
    Kept(ByteRange, Bytes),
    Awaited(ByteRange, F),
}

#[derive(Debug)]
struct File<F> {
    /// Length in bytes.
    len: u64,
    /// By first block; they do not overlap.
    runs: BTreeMap<u64, Run<F>>,
}

#[derive(Debug)]
struct Run<F> {
    range: ByteRange,
    state: State<F>,
}

#[derive(Debug)]
enum State<F> {
    Kept(Bytes),
    Fetching { claim: u64, flight: F },
}

impl<F: Clone> Table<F> {
    pub(super) fn new(capacity: u64) -> Self {
        let blocks = (capacity / RUNS_MIN).min(RUN_BYTES_MAX) / BLOCK_BYTES;
        Self {
            files: HashMap::new(),
            recent: LruCache::unbounded(),
            run_blocks_max: 1 << blocks.max(1).ilog2(),
            reserved_bytes: 0,
            next_claim: 0,
            stats: CacheStats {
                capacity,
                ..CacheStats::default()
            },
        }
    }

    pub(super) fn stats(&self) -> CacheStats {
        self.stats
    }

    /// The pieces that cover `range`, in order. What is missing is claimed, with one new flight
    /// for each claim in the second list. `range` lies within the file.
    pub(super) fn read(
        &mut self,
        tag: FileTag,
        file_len: u64,
        range: ByteRange,
        mut new_flight: impl FnMut() -> F,
    ) -> (Vec<Piece<F>>, Vec<Claim>) {
        let mut pieces = Vec::new();
        let mut claims = Vec::new();
        let (mut block, end) = blocks_of(range);
        while block < end {
            let known = self.file(tag, file_len).piece_at(block);
            let piece = known.unwrap_or_else(|| {
                let flight = new_flight();
                let claim = self.claim(tag, block, end, flight.clone());
                let awaited = Piece::Awaited(claim.range, flight);
                claims.push(claim);
                awaited
            });
            let covered = piece.range();
            let next = covered.end().div_ceil(BLOCK_BYTES).min(end);
            match &piece {
                Piece::Kept(..) => {
                    self.recent.promote(&(tag, covered.start() / BLOCK_BYTES));
                    self.stats.hits += next - block;
                }
                Piece::Awaited(..) => self.stats.misses += next - block,
            }
            pieces.push(piece);
            block = next;
        }
        self.evict();
        (pieces, claims)
    }

    /// The pieces that cover `range` when all of it is kept.
    pub(super) fn read_kept(
        &mut self,
        tag: FileTag,
        file_len: u64,
        range: ByteRange,
    ) -> Option<Vec<Piece<F>>> {
        let file = self.files.get(&tag).filter(|file| file.len == file_len)?;
        let mut pieces = Vec::new();
        let (first, end) = blocks_of(range);
        let mut block = first;
        while block < end {
            let piece = file.piece_at(block)?;
            let Piece::Kept(covered, _) = piece else {
                return None;
            };
            block = covered.end().div_ceil(BLOCK_BYTES);
            pieces.push(piece);
        }
        for piece in &pieces {
            self.recent
                .promote(&(tag, piece.range().start() / BLOCK_BYTES));
        }
        self.stats.hits += end - first;
        Some(pieces)
    }

    /// Claims what is missing of `range`, in order, as far as fetches under way may take half of
    /// the capacity.
    pub(super) fn prefetch(
        &mut self,
        tag: FileTag,
        file_len: u64,
        range: ByteRange,
        mut new_flight: impl FnMut() -> F,
    ) -> Vec<Claim> {
        let mut claims = Vec::new();
        let (mut block, end) = blocks_of(range);
        while block < end {
            let file = self.file(tag, file_len);
            if let Some(piece) = file.piece_at(block) {
                block = piece.range().end().div_ceil(BLOCK_BYTES);
                continue;
            }
            let wanted = self.gap(tag, block, end);
            if self.reserved_bytes + cost(wanted) > self.stats.capacity / 2 {
                break;
            }
            let claim = self.claim(tag, block, end, new_flight());
            block = claim.range.end().div_ceil(BLOCK_BYTES);
            claims.push(claim);
        }
        self.drop_if_empty(tag);
        self.evict();
        claims
    }

    /// Ends a claim with what was fetched, which is as long as the claim's range, or with
    /// nothing. Keeps it unless the file was forgotten meanwhile.
    pub(super) fn settle(&mut self, claim: &Claim, fetched: Option<Bytes>) {
        self.reserved_bytes -= cost(claim.range);
        self.stats.bytes -= cost(claim.range);
        self.stats.fetched_bytes += fetched.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let Some(file) = self.files.get_mut(&claim.tag) else {
            return;
        };
        let Some(run) = file.runs.get_mut(&claim.first_block) else {
            return;
        };
        if !matches!(run.state, State::Fetching { claim: number, .. } if number == claim.number) {
            return;
        }
        if let Some(bytes) = fetched {
            run.state = State::Kept(bytes);
            self.stats.bytes += cost(claim.range);
            self.recent.put((claim.tag, claim.first_block), ());
            self.evict();
        } else {
            file.runs.remove(&claim.first_block);
            self.drop_if_empty(claim.tag);
        }
    }

    /// Drops all of a file. Fetches under way serve those who wait and are not kept.
    pub(super) fn forget(&mut self, tag: FileTag) {
        let Some(file) = self.files.remove(&tag) else {
            return;
        };
        for (first_block, run) in file.runs {
            if let State::Kept(_) = run.state {
                self.recent.pop(&(tag, first_block));
                self.stats.bytes -= cost(run.range);
            }
        }
    }

    fn file(&mut self, tag: FileTag, len: u64) -> &mut File<F> {
        if self.files.get(&tag).is_some_and(|file| file.len != len) {
            self.forget(tag);
        }
        self.files.entry(tag).or_insert_with(|| File {
            len,
            runs: BTreeMap::new(),
        })
    }

    /// The bytes of the next request for missing blocks from `block` to `end`: to the next run,
    /// or the next multiple of the longest run. `block` itself is missing.
    fn gap(&self, tag: FileTag, block: u64, end: u64) -> ByteRange {
        let file = &self.files[&tag];
        let aligned_end = (block / self.run_blocks_max + 1) * self.run_blocks_max;
        let next_run = file.runs.range(block..).next().map(|(&first, _)| first);
        let end = end.min(aligned_end).min(next_run.unwrap_or(u64::MAX));
        ByteRange::new(block * BLOCK_BYTES, (end * BLOCK_BYTES).min(file.len))
    }

    fn claim(&mut self, tag: FileTag, block: u64, end: u64, flight: F) -> Claim {
        let range = self.gap(tag, block, end);
        let number = self.next_claim;
        self.next_claim += 1;
        let state = State::Fetching {
            claim: number,
            flight,
        };
        let file = self.files.get_mut(&tag).expect("claims are made of a file");
        let before = file.runs.insert(block, Run { range, state });
        assert!(before.is_none(), "block {block} is claimed twice");
        self.reserved_bytes += cost(range);
        self.stats.bytes += cost(range);
        Claim {
            tag,
            number,
            first_block: block,
            range,
        }
    }

    fn evict(&mut self) {
        while self.stats.bytes > self.stats.capacity {
            let Some(((tag, first_block), ())) = self.recent.pop_lru() else {
                return;
            };
            let file = self.files.get_mut(&tag).expect("a kept run has its file");
            let run = file.runs.remove(&first_block).expect("a kept run is there");
            self.stats.bytes -= cost(run.range);
            let (first, end) = blocks_of(run.range);
            self.stats.evictions += end - first;
            self.drop_if_empty(tag);
        }
    }

    fn drop_if_empty(&mut self, tag: FileTag) {
        if self
            .files
            .get(&tag)
            .is_some_and(|file| file.runs.is_empty())
        {
            self.files.remove(&tag);
        }
    }
}

impl<F: Clone> File<F> {
    fn piece_at(&self, block: u64) -> Option<Piece<F>> {
        let (_, run) = self.runs.range(..=block).next_back()?;
        (block * BLOCK_BYTES < run.range.end()).then(|| match &run.state {
            State::Kept(bytes) => Piece::Kept(run.range, bytes.clone()),
            State::Fetching { flight, .. } => Piece::Awaited(run.range, flight.clone()),
        })
    }
}

impl<F> Piece<F> {
    pub(super) fn range(&self) -> ByteRange {
        match self {
            Self::Kept(range, _) | Self::Awaited(range, _) => *range,
        }
    }
}

/// The blocks that `range` touches: first and one past the last.
fn blocks_of(range: ByteRange) -> (u64, u64) {
    (
        range.start() / BLOCK_BYTES,
        range.end().div_ceil(BLOCK_BYTES),
    )
}

fn cost(range: ByteRange) -> u64 {
    range.len() + RUN_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
