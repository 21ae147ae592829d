use proptest::prelude::*;

use super::*;
use crate::base::limits;
use crate::volume::StoredSegments;
use crate::write::grid::Grid;
use crate::write::planner::sealed::{SealedFile, file_bytes_max};
use crate::write::planner::{Source, sources};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const SEGMENT: u64 = limits::SEGMENT_BYTES;

/// Segments of eight bytes, parts of five and more, and any part as long as the file.
const TINY: PlanLimits = PlanLimits {
    put_bytes_max: 8,
    copy_bytes_max: 1 << 10,
    copy_bytes_limit: 1 << 10,
    part_bytes_min: 5,
    upload_bytes_max: 1 << 10,
    parts_max: 10_000,
    object_bytes_max: 1 << 10,
    grid: Grid::tiny(8, 3),
};

#[derive(Clone, Debug)]
struct File {
    base: Option<Base>,
    dirty: ExtentSet,
    size: u64,
}

prop_compose! {
    fn file()(
        base in prop::option::of(0..100_u64),
        cut in prop::option::of(0..100_u64),
        size in 9..100_u64,
        writes in prop::collection::vec((0..100_u64, 1..12_u64), 0..6),
    ) -> File {
        let base = base.map(|len| Base::whole(len).truncated(cut.unwrap_or(len).min(size)));
        let writes = writes.into_iter().filter_map(|(at, len)| {
            let write = ByteRange::new(at, at + len).intersection(ByteRange::new(0, size))?;
            (!write.is_empty()).then_some(write)
        });
        File { base, dirty: writes.collect(), size }
    }
}

impl File {
    fn valid(&self) -> u64 {
        self.base.map_or(0, Base::valid).min(self.size)
    }

    fn steps(&self, limits: &PlanLimits) -> Vec<PartStep> {
        match plan(self.base, &self.dirty, self.size, limits).unwrap() {
            Plan::Multipart(steps) => steps,
            Plan::Nothing => Vec::new(),
            Plan::Put { .. } => panic!("it is longer than that"),
        }
    }

    /// Every byte once, in order, from where it is; no part breaks a limit.
    fn check(&self, steps: &[PartStep], limits: &PlanLimits) -> Result<(), TestCaseError> {
        let mut end = 0;
        for (at, step) in steps.iter().enumerate() {
            let last = at + 1 == steps.len();
            prop_assert_eq!(step.range.start(), end, "every byte once, in order");
            prop_assert_eq!(step.number.value() as usize, at + 1);
            prop_assert!(
                last || step.range.len() >= limits.part_bytes_min,
                "{steps:?}"
            );
            match step.how {
                PartSource::Copy => {
                    prop_assert!(step.range.len() <= limits.copy_bytes_limit);
                    let from: Vec<_> = sources(self.base, &self.dirty, step.range).collect();
                    prop_assert_eq!(from, vec![Source::Base(step.range)]);
                }
                PartSource::Upload => prop_assert!(step.range.len() <= limits.upload_bytes_max),
            }
            end = step.range.end();
        }
        prop_assert_eq!(end, self.size);
        prop_assert!(steps.len() <= limits.parts_max as usize, "{steps:?}");
        Ok(())
    }

    /// Every way to upload more of the clean cells than needed, and the least of what they send.
    /// A cell is a segment, or what the base has of one and what follows.
    fn least_upload(&self, limits: &PlanLimits) -> u64 {
        let segment = limits.grid.segment_bytes();
        let mut ends: Vec<u64> = (1..=self.size.div_ceil(segment))
            .map(|number| self.size.min(number * segment))
            .chain([self.valid()])
            .filter(|end| *end > 0)
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let starts = [0].into_iter().chain(ends.iter().copied());
        let cells: Vec<ByteRange> = starts
            .zip(&ends)
            .map(|(start, end)| ByteRange::new(start, *end))
            .collect();
        let is_clean =
            |cell: &ByteRange| cell.end() <= self.valid() && !self.dirty.intersects(*cell);
        let clean: Vec<usize> = (0..cells.len())
            .filter(|at| is_clean(&cells[*at]))
            .collect();
        let ways = 0..1_u32 << clean.len();
        let sent = ways.filter_map(|way| {
            let copied = |at: usize| {
                clean
                    .iter()
                    .position(|clean| *clean == at)
                    .is_some_and(|bit| way & 1 << bit != 0)
            };
            let kinds: Vec<(bool, u64)> = (0..cells.len())
                .map(|at| (copied(at), cells[at].len()))
                .collect();
            let parts: Vec<(bool, u64)> = kinds
                .chunk_by(|a, b| a.0 == b.0)
                .map(|run| (run[0].0, run.iter().map(|(_, len)| len).sum()))
                .collect();
            let (_, before) = parts.split_last()?;
            let allowed = parts.len() <= limits.parts_max as usize
                && before.iter().all(|(_, len)| *len >= limits.part_bytes_min);
            allowed.then(|| uploads(&parts))
        });
        sent.min().expect("one upload of everything is allowed")
    }
}

fn uploads(parts: &[(bool, u64)]) -> u64 {
    let uploads = parts.iter().filter(|(copied, _)| !copied);
    uploads.map(|(_, len)| len).sum()
}

fn uploaded(steps: &[PartStep]) -> u64 {
    let uploads = steps.iter().filter(|step| step.how == PartSource::Upload);
    uploads.map(|step| step.range.len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No choice of what to upload sends less, whatever the number of parts.
    #[test]
    fn what_is_uploaded_is_the_least_that_the_limits_allow(
        file in file(), parts_max in 1..8_u32, part_bytes_min in prop::sample::select(vec![0, 5]),
    ) {
        let limits = PlanLimits { part_bytes_min, parts_max, ..TINY };
        let steps = file.steps(&limits);
        if !steps.is_empty() {
            file.check(&steps, &limits)?;
            prop_assert_eq!(uploaded(&steps), file.least_upload(&limits), "{:?}", steps);
        }
    }

    /// Where parts may not be long, too.
    #[test]
    fn the_limits_hold_with_short_parts(file in file(), parts_max in 9..12_u32) {
        let limits = PlanLimits {
            parts_max,
            copy_bytes_max: 24,
            copy_bytes_limit: 32,
            upload_bytes_max: 16,
            ..TINY
        };
        let steps = file.steps(&limits);
        if !steps.is_empty() {
            file.check(&steps, &limits)?;
        }
    }

    /// With numbers enough, a part for each segment that changed, and no other upload.
    #[test]
    fn only_segments_that_changed_are_uploaded(file in file()) {
        let limits = PlanLimits { part_bytes_min: 0, ..TINY };
        let valid = file.valid();
        for step in file.steps(&limits) {
            if step.how == PartSource::Upload {
                prop_assert!(step.range.len() <= 8);
                prop_assert!(file.dirty.intersects(step.range) || step.range.end() > valid);
            }
        }
    }
}

fn changed(size: u64, at: impl IntoIterator<Item = u64>) -> File {
    let writes = at.into_iter().filter_map(|at| ByteRange::at(at, 4096));
    File {
        base: Some(Base::whole(size)),
        dirty: writes.collect(),
        size,
    }
}

fn shape(steps: &[PartStep]) -> Vec<(PartSource, u64)> {
    steps
        .iter()
        .map(|step| (step.how, step.range.len()))
        .collect()
}

fn holds(file: &File) -> Vec<PartStep> {
    let steps = file.steps(&PlanLimits::S3);
    file.check(&steps, &PlanLimits::S3).unwrap();
    steps
}

#[test]
fn four_kib_in_a_hundred_gib_upload_one_segment() {
    let steps = holds(&changed(100 * GIB, [50 * GIB]));
    assert_eq!(uploaded(&steps), SEGMENT);
    assert_eq!(steps.len(), 10 + 1 + 10, "copies of 5 GiB: {steps:?}");
}

#[test]
fn an_append_uploads_what_was_appended_wherever_the_file_ended() {
    use PartSource::{Copy, Upload};
    for old in [GIB, GIB - 100_000, GIB + 1] {
        let mut file = changed(old, []);
        file.dirty.insert(ByteRange::new(old, old + MIB));
        file.size = old + MIB;
        assert_eq!(uploaded(&holds(&file)), MIB);
        assert_eq!(shape(&holds(&file))[0], (Copy, old));
    }
    // A first part of the rest of a segment would be too short, so it is longer.
    let mut file = changed(GIB - MIB, []);
    file.dirty.insert(ByteRange::new(GIB - MIB, GIB + 9 * MIB));
    file.size = GIB + 9 * MIB;
    let expected = [(Copy, GIB - MIB), (Upload, 9 * MIB), (Upload, MIB)];
    assert_eq!(shape(&holds(&file)), expected);
}

#[test]
fn a_thousand_small_writes_send_their_segments_once() {
    let writes = (0..1000_u64).map(|at| at * 7919 % 65_536 * 4096);
    let file = changed(256 * MIB, writes);
    let segments = (0..32).filter(|number| {
        let segment = ByteRange::at(number * SEGMENT, SEGMENT).unwrap();
        file.dirty.intersects(segment)
    });
    assert_eq!(uploaded(&holds(&file)), segments.count() as u64 * SEGMENT);
}

/// The largest object, changed in more places than an upload has parts.
#[test]
fn the_largest_object_takes_any_number_of_changes() {
    let few = holds(&changed(5 * TIB, [0, TIB, 3 * TIB + 5, 5 * TIB - 4096]));
    assert_eq!(uploaded(&few), 4 * SEGMENT);

    // 4,096 changes have 4,095 gaps and one at the end; with the copies there are numbers enough.
    let many = holds(&changed(5 * TIB, (0..4096).map(|n| n * (5 * TIB / 4096))));
    assert_eq!(uploaded(&many), 4096 * SEGMENT);

    // 8,192 have not: 16,384 parts less 2 for each gap that is uploaded too, and it makes no
    // difference to the gaps which.
    let apart = 5 * TIB / 8192;
    let more = holds(&changed(5 * TIB, (0..8192).map(|n| n * apart)));
    let filled = (2 * 8192 - u64::from(PlanLimits::S3.parts_max)).div_ceil(2);
    assert_eq!(uploaded(&more), 8192 * SEGMENT + filled * (apart - SEGMENT));

    // Every other segment: nearly all gaps.
    let all = holds(&changed(
        5 * TIB,
        (0..5 * TIB / (2 * SEGMENT)).map(|n| 2 * n * SEGMENT),
    ));
    let kept = u64::from(PlanLimits::S3.parts_max) / 2;
    assert_eq!(5 * TIB - uploaded(&all), kept * SEGMENT);
}

/// Of an encrypted file: what is stored of it, at every limit.
#[test]
fn the_largest_client_side_file_takes_any_number_of_changes() {
    let size = file_bytes_max();
    let segment = u32::try_from(SEGMENT).unwrap();
    let lengths = vec![segment; usize::try_from(size / SEGMENT).unwrap()];
    let stored = StoredSegments::from_lengths(lengths);
    for changes in [1, 4000, 8192] {
        let apart = size / SEGMENT / changes * SEGMENT;
        let file = changed(size, (0..changes).map(|n| n * apart));
        let sealed = SealedFile {
            base: file.base,
            stored: &stored,
            dirty: &file.dirty,
            size,
        };
        let Plan::Multipart(steps) = sealed.plan_free(&PlanLimits::S3).unwrap() else {
            panic!("it is a long file");
        };
        assert!(
            steps.len() < limits::PARTS_MAX as usize,
            "the tail needs one"
        );
        let mut end = 0;
        for step in &steps {
            let bytes: u64 = sealed
                .messages(step.range)
                .iter()
                .map(|message| StoredSegments::stored_bytes(message.len()))
                .sum();
            assert!((limits::PART_BYTES_MIN..=limits::PART_BYTES_MAX).contains(&bytes));
            assert_eq!(step.range.start(), end);
            end = step.range.end();
        }
        assert_eq!(end, size);
        if changes < 5000 {
            assert_eq!(uploaded(&steps), changes * SEGMENT);
        } else {
            assert!(uploaded(&steps) < 4 * TIB, "the gaps that had to be");
        }
    }
}
