//! Plans for client-side files: the same, but what is stored of a part are the messages of its
//! segments (docs/FORMAT.md, section 6).
//!
//! What that changes:
//! - A segment without a dirty byte is *clean* while all bytes of its message are the file's
//!   still: growing a file does not change its last segment. One that has neither dirty bytes
//!   nor any of the base is a *hole*. A part of holes is no part at all.
//! - A segment is stored up to its part's end, or its own; only the last one that is stored ends
//!   where its data ends. So every uploaded part but the last has at least one full segment.
//! - A message that is short may make a copy that S3 takes only at the end. It is copied with
//!   its neighbours; alone, it counts as changed.
//!
//! Lengths of copies are those in the bucket. What follows the segments is no step: it is sent
//! with the completion.

use super::{Base, ExtentSet, PartIndex, PartSource, PartStep, Plan, PlanError, PlanLimits, free};
use crate::base::limits;
use crate::base::range::ByteRange;
use crate::volume::StoredSegments;

/// Kept for what follows the segments of the longest file.
const TAIL_BYTES_MAX: u64 = 64 << 20;

/// Longest file whose object S3 takes.
#[must_use]
pub fn file_bytes_max() -> u64 {
    let stored = StoredSegments::stored_bytes(limits::SEGMENT_BYTES);
    (limits::OBJECT_BYTES_MAX - TAIL_BYTES_MAX) / stored * limits::SEGMENT_BYTES
}

/// Segments of one part, or of neighbours that are copied in one request.
#[derive(Clone, Copy, Debug)]
struct Piece {
    part: PartIndex,
    /// From the part's beginning to the end of its data.
    range: ByteRange,
    /// To the end of the last part.
    grid_end: u64,
    /// What a copy of it has in the bucket; `None` where it cannot be copied.
    copy_bytes: Option<u64>,
}

/// A file of `size` bytes: what its base was, what of it is stored, and what is dirty.
#[derive(Clone, Copy, Debug)]
pub struct SealedFile<'a> {
    pub base: Option<Base>,
    /// Of the base.
    pub stored: &'a StoredSegments,
    pub dirty: &'a ExtentSet,
    pub size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    Hole,
    /// Its message in the base has these bytes of the file.
    Clean(ByteRange),
    /// It has to be sealed, and its data ends here.
    Changed {
        data_end: u64,
    },
}

impl SealedFile<'_> {
    /// Plans an upload on the grid, as [`super::plan`] does.
    ///
    /// # Errors
    /// When the file is longer than an object can be.
    pub fn plan(&self, limits: &PlanLimits) -> Result<Plan, PlanError> {
        let whole = super::whole_plan(self.base, self.dirty, self.size, limits)?;
        Ok(whole.unwrap_or_else(|| Plan::Multipart(self.steps(limits))))
    }

    /// Plans a commit whose parts have no numbers yet, as [`super::free::plan`] does.
    ///
    /// # Errors
    /// When the file is longer than an object can be.
    pub fn plan_free(&self, limits: &PlanLimits) -> Result<Plan, PlanError> {
        let whole = super::whole_plan(self.base, self.dirty, self.size, limits)?;
        Ok(whole.unwrap_or_else(|| Plan::Multipart(self.free_steps(limits))))
    }

    /// The parts of a commit whose parts have no numbers yet. The tail follows, so that no copy
    /// is the last part.
    fn free_steps(&self, limits: &PlanLimits) -> Vec<PartStep> {
        let pieces = segments_of(ByteRange::new(0, self.size)).filter_map(|segment| {
            let (data_end, clean) = match self.segment(segment) {
                Segment::Hole => return None,
                Segment::Clean(message) => (message.end(), true),
                Segment::Changed { data_end } => (data_end, false),
            };
            let range = ByteRange::new(segment.start(), data_end);
            Some(free::Piece {
                range,
                grid_end: segment.end(),
                copy_bytes: clean.then(|| StoredSegments::stored_bytes(range.len())),
                upload_bytes: StoredSegments::stored_bytes(segment.len()),
            })
        });
        free::steps(pieces.collect(), limits, limits.part_bytes_min)
    }

    /// The parts of an upload of the whole file; none where all of it is a hole.
    #[must_use]
    pub fn steps(&self, limits: &PlanLimits) -> Vec<PartStep> {
        let parts = limits.grid.cut(self.size);
        let mut pieces = parts
            .filter_map(|(part, range)| self.piece(part, range))
            .collect::<Vec<_>>();
        pieces = merge(&pieces, limits);
        let last = pieces.len().saturating_sub(1);
        let steps = pieces.iter().enumerate().map(|(at, piece)| {
            let how = match piece.copy_bytes {
                Some(_) => PartSource::Copy,
                None => PartSource::Upload,
            };
            let range = match how {
                PartSource::Upload if at < last => {
                    ByteRange::new(piece.range.start(), piece.grid_end)
                }
                _ => piece.range,
            };
            PartStep {
                number: piece.part.number(),
                range,
                how,
            }
        });
        steps.collect()
    }

    /// The segments of an uploaded part that are no holes, with the bytes that are sealed of
    /// each.
    #[must_use]
    pub fn messages(&self, part: ByteRange) -> Vec<ByteRange> {
        let segments = segments_of(part);
        let stored = segments.filter(|segment| self.segment(*segment) != Segment::Hole);
        stored.collect()
    }

    fn piece(&self, part: PartIndex, range: ByteRange) -> Option<Piece> {
        let mut copy_bytes = Some(0);
        let mut data_end = None;
        for segment in segments_of(range) {
            match self.segment(segment) {
                Segment::Hole => {}
                Segment::Clean(message) => {
                    let stored = StoredSegments::stored_bytes(message.len());
                    copy_bytes = copy_bytes.map(|bytes| bytes + stored);
                    data_end = Some(message.end());
                }
                Segment::Changed { data_end: end } => {
                    copy_bytes = None;
                    data_end = Some(end);
                }
            }
        }
        Some(Piece {
            part,
            range: ByteRange::new(range.start(), data_end?),
            grid_end: range.end(),
            copy_bytes,
        })
    }

    fn segment(&self, range: ByteRange) -> Segment {
        let valid = self.base.map_or(0, Base::valid);
        let number = range.start() / limits::SEGMENT_BYTES;
        let message = self.stored.range(number);
        let kept = message.and_then(|message| message.intersection(ByteRange::new(0, valid)));
        let dirty_end = self.dirty.within(range).last().map(ByteRange::end);
        match (dirty_end, kept) {
            (None, None) => Segment::Hole,
            (None, Some(kept)) if Some(kept) == message && self.stored.can_be_copied() => {
                Segment::Clean(kept)
            }
            (dirty, kept) => Segment::Changed {
                data_end: dirty.max(kept.map(ByteRange::end)).unwrap_or_default(),
            },
        }
    }
}

/// Joins neighbours that are copied, and gives up copies that S3 would find too short.
fn merge(parts: &[Piece], limits: &PlanLimits) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::with_capacity(parts.len());
    let is_copy = |piece: &Piece| piece.copy_bytes.is_some();
    for run in parts.chunk_by(|a, b| is_copy(a) && is_copy(b)) {
        let mut pieces: Vec<(Piece, usize)> = Vec::new();
        for (at, part) in run.iter().enumerate() {
            match pieces.last_mut() {
                Some((last, _)) if last.takes(part, limits.copy_bytes_max) => last.join(part),
                _ => pieces.push((*part, at)),
            }
        }
        // What remained is short perhaps; it may make the copy before it a little longer.
        if let [.., (before, _), (last, _)] = pieces.as_mut_slice()
            && last.is_short(limits)
            && before.takes(last, limits::PART_BYTES_MAX)
        {
            before.join(&last.clone());
            pieces.pop();
        }
        let ends = pieces.iter().skip(1).map(|(_, at)| *at);
        let ends: Vec<usize> = ends.chain([run.len()]).collect();
        for ((piece, at), end) in pieces.into_iter().zip(ends) {
            if piece.is_short(limits) {
                let changed = run[at..end].iter().map(|part| Piece {
                    copy_bytes: None,
                    ..*part
                });
                merged.extend(changed);
            } else {
                merged.push(piece);
            }
        }
    }
    merged
}

impl Piece {
    fn takes(&self, next: &Self, bytes_max: u64) -> bool {
        let both = self.copy_bytes.zip(next.copy_bytes);
        both.is_some_and(|(a, b)| a + b <= bytes_max)
    }

    fn join(&mut self, next: &Self) {
        self.range = ByteRange::new(self.range.start(), next.range.end());
        self.grid_end = next.grid_end;
        self.copy_bytes = self.copy_bytes.zip(next.copy_bytes).map(|(a, b)| a + b);
    }

    fn is_short(&self, limits: &PlanLimits) -> bool {
        self.copy_bytes
            .is_some_and(|bytes| bytes < limits.part_bytes_min)
    }
}

/// The segments of a range that begins with one.
fn segments_of(range: ByteRange) -> impl Iterator<Item = ByteRange> {
    let numbers =
        range.start() / limits::SEGMENT_BYTES..range.end().div_ceil(limits::SEGMENT_BYTES);
    numbers.filter_map(move |number| {
        let segment = ByteRange::at(number * limits::SEGMENT_BYTES, limits::SEGMENT_BYTES)?;
        segment.intersection(range)
    })
}

#[cfg(test)]
mod tests;
