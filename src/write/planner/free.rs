//! Plans of a commit that numbers its parts as it likes, because none of them was uploaded
//! before: what is clean is copied, and what is uploaded are the segments that changed, each a
//! part of its own, however long the file is.
//!
//! An upload has 10,000 parts at most, and each copy and each upload takes at least one. Where
//! there would be more,
//! 1. uploads of neighbouring segments are joined, no further than needed;
//! 2. copies are as long as S3 takes them;
//! 3. clean gaps between two uploads are uploaded with them, the shortest first: each makes one
//!    part of three. One at an end of the file makes one of two, so all four ways of uploading
//!    those ends or not are tried, and the one that sends least is taken.
//!
//! The third is minimal where such a gap is one copy and what is uploaded together is one part.
//! On S3 a gap that is filled is one copy: thousands of longer ones remain, and an object has
//! 5 TiB. What is uploaded together is more than one part only above 4 GiB.

use std::ops::Range;

use super::{Base, ExtentSet, PartSource, PartStep, Plan, PlanError, PlanLimits, whole_plan};
use crate::base::range::ByteRange;
use crate::store::PartNumber;

/// A segment, or what of one is copied or uploaded by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// To the end of its data.
    pub range: ByteRange,
    /// Where it ends when something follows it.
    pub grid_end: u64,
    /// What a copy of it has in the bucket; `None` where it has to be uploaded.
    pub copy_bytes: Option<u64>,
    /// What an upload of it sends.
    pub upload_bytes: u64,
}

/// Plans the commit of a file of `size` bytes whose parts have no numbers yet; `base` is `None`
/// for a new file.
///
/// # Errors
/// When the file is longer than an object can be.
///
/// # Panics
/// When there are dirty bytes after the end of the file.
pub fn plan(
    base: Option<Base>,
    dirty: &ExtentSet,
    size: u64,
    limits: &PlanLimits,
) -> Result<Plan, PlanError> {
    if let Some(plan) = whole_plan(base, dirty, size, limits)? {
        return Ok(plan);
    }
    let valid = base.map_or(0, Base::valid);
    let mut pieces = Vec::new();
    for segment in segments(size, limits) {
        let clean = |range: ByteRange| !range.is_empty() && !dirty.intersects(range);
        let kept = ByteRange::new(
            segment.start(),
            segment.end().min(valid).max(segment.start()),
        );
        if kept == segment {
            pieces.push(Piece::plain(segment, clean(segment)));
            continue;
        }
        // What is appended to the last segment is uploaded without it, if it can be copied with
        // what is before.
        let joins =
            pieces.last().is_some_and(Piece::is_copy) || kept.len() >= limits.part_bytes_min;
        if clean(kept) && joins {
            pieces.push(Piece::plain(kept, true));
            pieces.push(Piece::plain(
                ByteRange::new(kept.end(), segment.end()),
                false,
            ));
        } else {
            pieces.push(Piece::plain(segment, false));
        }
    }
    Ok(Plan::Multipart(steps(pieces, limits, 0)))
}

fn segments(size: u64, limits: &PlanLimits) -> impl Iterator<Item = ByteRange> {
    let segment = limits.grid.segment_bytes();
    let starts = (0..size.div_ceil(segment)).map(move |number| number * segment);
    starts.map(move |start| ByteRange::new(start, size.min(start + segment)))
}

/// The parts that these pieces become. The last one may be short if it is uploaded, or has
/// `last_copy_bytes_min`.
pub(super) fn steps(
    mut pieces: Vec<Piece>,
    limits: &PlanLimits,
    last_copy_bytes_min: u64,
) -> Vec<PartStep> {
    give_up_short_copies(&mut pieces, limits, last_copy_bytes_min);
    for copy_bytes in [limits.copy_bytes_max, limits.copy_bytes_limit] {
        if let Some(parts) = fewest_joined(&pieces, limits, copy_bytes) {
            return numbered(&parts);
        }
    }
    fill_gaps(&mut pieces, limits);
    let parts = fewest_joined(&pieces, limits, limits.copy_bytes_limit);
    // Of a file that is uploaded whole, the longest parts are few enough.
    numbered(&parts.unwrap_or_else(|| cut(&pieces, limits, Lengths::longest(limits))))
}

/// What parts are cut to.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    upload_bytes: u64,
    copy_bytes: u64,
}

impl Lengths {
    const fn longest(limits: &PlanLimits) -> Self {
        Self {
            upload_bytes: limits.upload_bytes_max,
            copy_bytes: limits.copy_bytes_limit,
        }
    }
}

/// A copy that is too short for a part, alone between two uploads, is uploaded.
fn give_up_short_copies(pieces: &mut [Piece], limits: &PlanLimits, last_copy_bytes_min: u64) {
    let mut at = 0;
    while at < pieces.len() {
        let run = runs(&pieces[at..]).next().map_or(0, <[Piece]>::len);
        let (run, after) = pieces[at..].split_at_mut(run);
        let min = match after {
            [] => last_copy_bytes_min,
            _ => limits.part_bytes_min,
        };
        at += run.len();
        if run.iter().filter_map(|piece| piece.copy_bytes).sum::<u64>() < min {
            upload_all(run);
        }
    }
}

fn upload_all(pieces: &mut [Piece]) {
    for piece in pieces {
        piece.copy_bytes = None;
    }
}

/// The parts, with no more segments in each upload than needed for their number to be allowed.
fn fewest_joined(pieces: &[Piece], limits: &PlanLimits, copy_bytes: u64) -> Option<Vec<Part>> {
    let shortest = limits.grid.segment_bytes();
    let lengths = std::iter::successors(Some(shortest), |length| length.checked_mul(2));
    let lengths = lengths.take_while(|length| *length <= limits.upload_bytes_max);
    let cuts = lengths.map(|upload_bytes| {
        let lengths = Lengths {
            upload_bytes,
            copy_bytes,
        };
        cut(pieces, limits, lengths)
    });
    let mut fitting = cuts.filter(|parts| parts.len() <= limits.parts_max as usize);
    fitting.next()
}

/// Neighbouring pieces that are one part.
#[derive(Clone, Copy, Debug)]
struct Part {
    range: ByteRange,
    grid_end: u64,
    how: PartSource,
}

fn cut(pieces: &[Piece], limits: &PlanLimits, lengths: Lengths) -> Vec<Part> {
    let mut parts = Vec::new();
    for run in runs(pieces) {
        let (cuts, how) = if run[0].is_copy() {
            (copies(run, limits, lengths.copy_bytes), PartSource::Copy)
        } else {
            (
                uploads(run, limits, lengths.upload_bytes),
                PartSource::Upload,
            )
        };
        parts.extend(cuts.into_iter().map(|cut| {
            let (first, last) = (&run[cut.start], &run[cut.end - 1]);
            Part {
                range: ByteRange::new(first.range.start(), last.range.end()),
                grid_end: last.grid_end,
                how,
            }
        }));
    }
    parts
}

/// Neighbours of one kind, from each change of the kind to the next.
fn runs(pieces: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    pieces.chunk_by(|a, b| a.is_copy() == b.is_copy())
}

/// As few copies as it takes; what remains for the last is long enough for a part.
fn copies(run: &[Piece], limits: &PlanLimits, longest: u64) -> Vec<Range<usize>> {
    let bytes = |piece: &Piece| piece.copy_bytes.unwrap_or_default();
    let mut cuts = gather(run, |so_far, piece| so_far + bytes(piece) <= longest, bytes);
    if let [.., before, last] = cuts.as_mut_slice() {
        while run[last.clone()].iter().map(bytes).sum::<u64>() < limits.part_bytes_min
            && before.len() > 1
        {
            before.end -= 1;
            last.start -= 1;
        }
    }
    cuts
}

/// Uploads of this length, or of what is the least for a part.
fn uploads(run: &[Piece], limits: &PlanLimits, longest: u64) -> Vec<Range<usize>> {
    let joins = |so_far: u64, piece: &Piece| {
        so_far < limits.part_bytes_min || so_far + piece.grid_bytes() <= longest
    };
    gather(run, joins, Piece::grid_bytes)
}

fn gather(
    run: &[Piece],
    joins: impl Fn(u64, &Piece) -> bool,
    bytes: impl Fn(&Piece) -> u64,
) -> Vec<Range<usize>> {
    let mut cuts: Vec<Range<usize>> = Vec::new();
    let mut so_far = 0;
    for (at, piece) in run.iter().enumerate() {
        match cuts.last_mut() {
            Some(cut) if joins(so_far, piece) => cut.end = at + 1,
            _ => {
                cuts.push(at..at + 1);
                so_far = 0;
            }
        }
        so_far += bytes(piece);
    }
    cuts
}

/// A clean run that may be uploaded.
#[derive(Clone, Debug)]
struct Gap {
    pieces: Range<usize>,
    /// How many parts fewer there are without it.
    saves: usize,
    upload_bytes: u64,
}

/// Uploads clean runs until the number of parts is allowed.
fn fill_gaps(pieces: &mut [Piece], limits: &PlanLimits) {
    let max = limits.parts_max as usize;
    let mut parts = cut(pieces, limits, Lengths::longest(limits)).len();
    // Again only where uploads were too long to become one part.
    while parts > max {
        let Some(chosen) = cheapest(&gaps(pieces, limits), parts - max) else {
            return;
        };
        for gap in chosen {
            upload_all(&mut pieces[gap.pieces]);
        }
        parts = cut(pieces, limits, Lengths::longest(limits)).len();
    }
}

fn gaps(pieces: &[Piece], limits: &PlanLimits) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut at = 0;
    for run in runs(pieces) {
        let range = at..at + run.len();
        at = range.end;
        if !run[0].is_copy() {
            continue;
        }
        let copies = copies(run, limits, limits.copy_bytes_limit).len();
        let between = range.start > 0 && range.end < pieces.len();
        gaps.push(Gap {
            saves: copies + usize::from(between),
            pieces: range,
            upload_bytes: run.iter().map(|piece| piece.upload_bytes).sum(),
        });
    }
    gaps
}

/// The gaps to upload so that there are `excess` parts fewer; all, if that is not enough. None
/// where there are none.
fn cheapest(gaps: &[Gap], excess: usize) -> Option<Vec<Gap>> {
    let (ends, mut inner): (Vec<Gap>, Vec<Gap>) =
        gaps.iter().cloned().partition(|gap| gap.saves == 1);
    // Of equals those far from each other, so that what is uploaded together stays short.
    inner.sort_by_key(|gap| (gap.upload_bytes, gap.pieces.start.reverse_bits()));
    let choices = (0..1_usize << ends.len()).map(|choice| {
        let chosen = ends.iter().enumerate();
        let chosen = chosen.filter(|(at, _)| choice & 1 << at != 0);
        let mut chosen: Vec<Gap> = chosen.map(|(_, gap)| gap.clone()).collect();
        let mut saved = chosen.len();
        for gap in &inner {
            if saved >= excess {
                break;
            }
            saved += gap.saves;
            chosen.push(gap.clone());
        }
        let bytes: u64 = chosen.iter().map(|gap| gap.upload_bytes).sum();
        (saved < excess, bytes, chosen)
    });
    let (_, _, chosen) = choices.min_by_key(|(short, bytes, _)| (*short, *bytes))?;
    (!chosen.is_empty()).then_some(chosen)
}

fn numbered(parts: &[Part]) -> Vec<PartStep> {
    let last = parts.len().saturating_sub(1);
    let steps = parts.iter().enumerate().zip(1..);
    let steps = steps.map(|((at, part), number)| {
        let end = match part.how {
            PartSource::Upload if at < last => part.grid_end,
            _ => part.range.end(),
        };
        PartStep {
            number: PartNumber::new(number).expect("at most 10,000 parts"),
            range: ByteRange::new(part.range.start(), end),
            how: part.how,
        }
    });
    steps.collect()
}

impl Piece {
    fn plain(range: ByteRange, copied: bool) -> Self {
        Self {
            range,
            grid_end: range.end(),
            copy_bytes: copied.then_some(range.len()),
            upload_bytes: range.len(),
        }
    }

    const fn is_copy(&self) -> bool {
        self.copy_bytes.is_some()
    }

    /// Bytes of the file that it takes.
    const fn grid_bytes(&self) -> u64 {
        self.grid_end - self.range.start()
    }
}

#[cfg(test)]
mod tests;
