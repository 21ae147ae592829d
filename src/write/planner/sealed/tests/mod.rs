mod format;

use proptest::prelude::*;

use super::super::Grid;
use super::*;

const SEGMENT: u64 = limits::SEGMENT_BYTES;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Parts of one segment, of two, of four, three of each, and copies of a few.
const FEW: PlanLimits = PlanLimits {
    put_bytes_max: SEGMENT,
    copy_bytes_max: 5 * SEGMENT,
    copy_bytes_limit: 5 * SEGMENT,
    part_bytes_min: limits::PART_BYTES_MIN,
    upload_bytes_max: 16 * SEGMENT,
    parts_max: 10_000,
    object_bytes_max: 64 * SEGMENT,
    grid: Grid::tiny(SEGMENT, 3),
};

#[derive(Clone, Copy, Debug)]
enum Change {
    Write { at: u64, len: u64 },
    Resize(u64),
}

/// Offsets where something may go wrong, and others.
fn offset(segments: u64) -> impl Strategy<Value = u64> {
    let near = [0, 1, 4096, 5 * MIB, SEGMENT - 1];
    (0..segments, prop::sample::select(near.to_vec())).prop_map(|(at, into)| at * SEGMENT + into)
}

fn change(segments: u64) -> impl Strategy<Value = Change> {
    let len = prop_oneof![
        1..5000_u64,
        Just(3 * MIB),
        Just(SEGMENT),
        Just(2 * SEGMENT + 1)
    ];
    prop_oneof![
        3 => (offset(segments), len).prop_map(|(at, len)| Change::Write { at, len }),
        1 => offset(segments).prop_map(Change::Resize),
    ]
}

/// A base: the length of the file, and of each segment's message.
fn base(segments: u64) -> impl Strategy<Value = (u64, Vec<u32>)> {
    let length = prop_oneof![
        3 => Just(SEGMENT),
        2 => Just(0),
        1 => prop::sample::select(vec![1, 4096, 5 * MIB, 6 * MIB]),
    ];
    let lengths = prop::collection::vec(length, 0..usize::try_from(segments).unwrap());
    (lengths, 0..2 * SEGMENT).prop_map(|(mut lengths, more)| {
        while lengths.pop_if(|length| *length == 0).is_some() {}
        let last = lengths.len().saturating_sub(1) as u64 * SEGMENT;
        let size = last + lengths.last().copied().unwrap_or(0) + more;
        let lengths = lengths
            .into_iter()
            .map(|length| u32::try_from(length).unwrap());
        (size, lengths.collect())
    })
}

/// What the write path knows of a changed file.
struct Changed {
    base: Option<Base>,
    stored: StoredSegments,
    dirty: ExtentSet,
    size: u64,
}

impl Changed {
    fn new(base: Option<&(u64, Vec<u32>)>, changes: &[Change]) -> Self {
        let mut file = Self {
            base: base.map(|(size, _)| Base::whole(*size)),
            stored: StoredSegments::from_lengths(base.iter().flat_map(|(_, of)| of.clone())),
            dirty: ExtentSet::new(),
            size: base.map_or(0, |(size, _)| *size),
        };
        for change in changes {
            match *change {
                Change::Write { at, len } => {
                    file.size = file.size.max(at + len);
                    file.dirty.insert(ByteRange::new(at, at + len));
                }
                Change::Resize(size) => {
                    file.size = size;
                    file.dirty.truncate(size);
                    file.base = file.base.map(|base| base.truncated(size));
                }
            }
        }
        file
    }

    fn view(&self) -> SealedFile<'_> {
        SealedFile {
            base: self.base,
            stored: &self.stored,
            dirty: &self.dirty,
            size: self.size,
        }
    }

    /// The bytes of a segment's message that are still the file's.
    fn kept(&self, segment: u64) -> Option<ByteRange> {
        let valid = ByteRange::new(0, self.base?.valid());
        self.stored.range(segment)?.intersection(valid)
    }

    fn is_clean(&self, segment: u64) -> bool {
        let grid = ByteRange::at(segment * SEGMENT, SEGMENT).unwrap();
        !self.dirty.intersects(grid) && self.kept(segment) == self.stored.range(segment)
    }

    /// Where the bytes of a segment that are not known to be zeros end.
    fn data_end(&self, segment: u64) -> Option<u64> {
        let grid = ByteRange::at(segment * SEGMENT, SEGMENT).unwrap();
        let dirty = self.dirty.within(grid).last().map(ByteRange::end);
        dirty.max(self.kept(segment).map(ByteRange::end))
    }

    fn check(&self, steps: &[PartStep], limits: &PlanLimits) -> Result<(), TestCaseError> {
        let view = self.view();
        let (mut at, mut number) = (0, 0);
        let mut has_data: Vec<u64> = (0..self.size.div_ceil(SEGMENT))
            .filter(|segment| self.data_end(*segment).is_some())
            .collect();
        has_data.reverse();
        for (index, step) in steps.iter().enumerate() {
            let is_last = index + 1 == steps.len();
            prop_assert!(step.range.start() >= at && step.range.end() <= self.size);
            prop_assert!(step.number.value() > number, "numbers ascend");
            (at, number) = (step.range.end(), step.number.value());
            let part = limits.grid.part_at(step.range.start());
            prop_assert_eq!(step.number, part.number());
            let mut stored = 0;
            match step.how {
                PartSource::Copy => {
                    for segment in segments_of(step.range) {
                        let segment = segment.start() / SEGMENT;
                        prop_assert!(self.is_clean(segment), "segment {segment}: {step:?}");
                        if let Some(message) = self.stored.range(segment) {
                            stored += StoredSegments::stored_bytes(message.len());
                            prop_assert_eq!(has_data.pop(), Some(segment));
                        }
                    }
                    prop_assert!(stored >= limits.part_bytes_min, "{step:?}");
                    let joined = limits.copy_bytes_max + limits.part_bytes_min;
                    let one = limits.grid.range(part).end() >= step.range.end();
                    prop_assert!(stored < joined || one, "{step:?}");
                }
                PartSource::Upload => {
                    for message in view.messages(step.range) {
                        let segment = message.start() / SEGMENT;
                        prop_assert_eq!(message.start() % SEGMENT, 0);
                        prop_assert_eq!(has_data.pop(), Some(segment));
                        prop_assert!(self.data_end(segment).unwrap() <= message.end());
                        stored += StoredSegments::stored_bytes(message.len());
                        prop_assert!(!is_last || message.end() <= step.range.end());
                        prop_assert!(is_last || message.len() == SEGMENT, "{step:?}");
                    }
                    let end = limits.grid.range(part).end();
                    prop_assert!(step.range.end() <= end);
                    prop_assert!(is_last || stored >= limits.part_bytes_min);
                    let needed = segments_of(step.range)
                        .any(|segment| !self.is_clean(segment.start() / SEGMENT));
                    let short = || {
                        let own = segments_of(step.range)
                            .filter_map(|segment| self.stored.range(segment.start() / SEGMENT))
                            .map(|message| StoredSegments::stored_bytes(message.len()));
                        own.sum::<u64>() < limits.part_bytes_min
                    };
                    prop_assert!(needed || short(), "it could be copied: {step:?}");
                }
            }
        }
        prop_assert_eq!(
            has_data,
            Vec::<u64>::new(),
            "all that is stored is in a step"
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_segment_with_data_is_in_one_step_and_the_limits_hold(
        base in prop::option::of(base(30)),
        changes in prop::collection::vec(change(30), 0..8),
    ) {
        let file = Changed::new(base.as_ref(), &changes);
        match file.view().plan(&FEW).unwrap() {
            Plan::Nothing => prop_assert!(file.dirty.is_empty()),
            Plan::Put { size } => prop_assert!(size == file.size && size <= SEGMENT),
            Plan::Multipart(steps) => file.check(&steps, &FEW)?,
        }
        // Of any file, also a copy of one that did not change.
        file.check(&file.view().steps(&FEW), &FEW)?;
    }

    /// The same number, range and messages, whatever happens to other parts: what was streamed
    /// stays.
    #[test]
    fn an_uploaded_part_stays_as_it_is(
        base in prop::option::of(base(20)),
        changes in prop::collection::vec(change(20), 0..6),
        written in 0..20_u64, later in change(20),
    ) {
        let part = FEW.grid.range(FEW.grid.part_at(written * SEGMENT));
        let mut changes = changes;
        changes.push(Change::Write { at: part.start(), len: part.len() });
        let before = Changed::new(base.as_ref(), &changes);
        changes.push(later);
        let after = Changed::new(base.as_ref(), &changes);
        if after.size >= part.end() && after.dirty.covers(part) {
            let find = |file: &Changed| {
                let steps = file.view().steps(&FEW).into_iter();
                steps.filter(|step| step.range == part).collect::<Vec<_>>()
            };
            let messages = |file: &Changed| file.view().messages(part);
            prop_assert_eq!(find(&before).len(), 1);
            prop_assert_eq!(find(&before), find(&after));
            prop_assert_eq!(messages(&before), messages(&after));
        }
    }
}

fn full(segments: u64) -> (Base, StoredSegments) {
    let lengths = (0..segments).map(|_| u32::try_from(SEGMENT).unwrap());
    let stored = StoredSegments::from_lengths(lengths);
    (Base::whole(segments * SEGMENT), stored)
}

fn steps(
    base: Option<Base>,
    stored: &StoredSegments,
    dirty: &[(u64, u64)],
    size: u64,
) -> Vec<PartStep> {
    let dirty = dirty
        .iter()
        .map(|&(at, len)| ByteRange::at(at, len).unwrap());
    let dirty: ExtentSet = dirty.collect();
    let file = SealedFile {
        base,
        stored,
        dirty: &dirty,
        size,
    };
    file.steps(&PlanLimits {
        copy_bytes_max: GIB,
        ..PlanLimits::S3
    })
}

fn shape(steps: &[PartStep]) -> Vec<(u32, PartSource, u64)> {
    let shape = |step: &PartStep| (step.number.value(), step.how, step.range.len());
    steps.iter().map(shape).collect()
}

#[test]
fn four_kib_in_a_gib_uploads_one_segment() {
    use PartSource::{Copy, Upload};
    let (base, stored) = full(128);
    let steps = steps(Some(base), &stored, &[(512 * MIB, 4096)], GIB);
    let expected = [
        (1, Copy, 512 * MIB),
        (65, Upload, SEGMENT),
        (66, Copy, 504 * MIB),
    ];
    assert_eq!(shape(&steps), expected);
}

#[test]
fn growing_a_file_changes_nothing_of_it() {
    use PartSource::{Copy, Upload};
    let lengths = [u32::try_from(SEGMENT).unwrap(), 1000];
    let stored = StoredSegments::from_lengths(lengths);
    let base = Base::whole(SEGMENT + 1000);
    let grown = steps(Some(base), &stored, &[], GIB);
    assert_eq!(shape(&grown), [(1, Copy, SEGMENT + 1000)]);
    // Four KiB far behind are stored as such, and the short segment is copied with the first.
    let far = steps(Some(base), &stored, &[(GIB, 4096)], 2 * GIB);
    assert_eq!(
        shape(&far),
        [(1, Copy, SEGMENT + 1000), (129, Upload, 4096)]
    );
    // Alone it would be too short a part, so it is stored in full.
    let alone = steps(Some(base), &stored, &[(0, 1), (GIB, 4096)], 2 * GIB);
    let expected = [
        (1, Upload, SEGMENT),
        (2, Upload, SEGMENT),
        (129, Upload, 4096),
    ];
    assert_eq!(shape(&alone), expected);
}

#[test]
fn a_file_of_holes_has_no_parts() {
    assert_eq!(steps(None, &StoredSegments::default(), &[], GIB), []);
    // What was cut off is a hole too, when the file grows back.
    let (base, stored) = full(4);
    let cut = Base::truncated(base, SEGMENT);
    let regrown = steps(Some(cut), &stored, &[], GIB);
    assert_eq!(shape(&regrown), [(1, PartSource::Copy, SEGMENT)]);
}

#[test]
fn the_largest_file_fits_an_object() {
    let max = file_bytes_max();
    let segments = max / SEGMENT;
    let stored = segments * StoredSegments::stored_bytes(SEGMENT);
    assert!(stored + TAIL_BYTES_MAX <= limits::OBJECT_BYTES_MAX);
    assert!(
        segments * 30 + 2 * MIB <= TAIL_BYTES_MAX,
        "pins and attributes"
    );
    assert!(max > limits::OBJECT_BYTES_MAX / 1000 * 998);
    let (base, stored) = full(segments);
    for dirty in [vec![(0, max)], vec![(0, 1), (max - 1, 1)], vec![]] {
        let steps = steps(Some(base), &stored, &dirty, max);
        let bytes = |step: &PartStep| {
            let segments = segments_of(step.range);
            segments
                .map(|range| StoredSegments::stored_bytes(range.len()))
                .sum::<u64>()
        };
        assert!(
            steps
                .iter()
                .all(|step| bytes(step) <= limits::PART_BYTES_MAX)
        );
        assert!(steps.last().unwrap().number.value() < limits::PARTS_MAX);
    }
}
