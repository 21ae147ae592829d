use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Small enough to keep every byte of the file: parts of 8, 16, 32, 64 bytes, three of each.
const TINY: PlanLimits = PlanLimits {
    put_bytes_max: 8,
    copy_bytes_max: 70,
    copy_bytes_limit: 70,
    part_bytes_min: 0,
    upload_bytes_max: 64,
    parts_max: 10_000,
    object_bytes_max: 400,
    grid: Grid::tiny(8, 3),
};

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, len: usize },
    Resize(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0_usize..280, 1_usize..24).prop_map(|(at, len)| Change::Write { at, len }),
        1 => (0_usize..300).prop_map(Change::Resize),
    ]
}

/// A file as the write path sees it, beside every byte that it should have.
struct File {
    object: Option<Vec<u8>>,
    base: Option<Base>,
    dirty: ExtentSet,
    content: Vec<u8>,
}

fn edited(base_len: Option<usize>, changes: &[Change]) -> File {
    // Bytes of the base are 1 to 100, written bytes from 101, so that none passes for another
    // or for a hole.
    let object: Option<Vec<u8>> = base_len.map(|len| {
        (0..len)
            .map(|i| u8::try_from(i % 100 + 1).unwrap())
            .collect()
    });
    let mut file = File {
        base: base_len.map(|len| Base::whole(len as u64)),
        dirty: ExtentSet::new(),
        content: object.clone().unwrap_or_default(),
        object,
    };
    for (stamp, change) in changes.iter().enumerate() {
        match *change {
            Change::Write { at, len } => {
                let size = file.content.len().max(at + len);
                file.content.resize(size, 0);
                file.content[at..at + len].fill(u8::try_from(101 + stamp).unwrap());
                file.dirty
                    .insert(ByteRange::new(at as u64, (at + len) as u64));
            }
            Change::Resize(size) => {
                file.content.resize(size, 0);
                file.dirty.truncate(size as u64);
                file.base = file.base.map(|base| base.truncated(size as u64));
            }
        }
    }
    file
}

fn usize_range(range: ByteRange) -> std::ops::Range<usize> {
    usize::try_from(range.start()).unwrap()..usize::try_from(range.end()).unwrap()
}

impl File {
    fn plan(&self) -> Plan {
        plan(self.base, &self.dirty, self.content.len() as u64, &TINY).unwrap()
    }

    /// The bytes of an upload of `range`, from where [`sources`] says that they are.
    fn gather(&self, range: ByteRange) -> Vec<u8> {
        let mut bytes = Vec::new();
        for source in sources(self.base, &self.dirty, range) {
            assert_eq!(source.range().start(), range.start() + bytes.len() as u64);
            match source {
                Source::Dirty(range) => bytes.extend(&self.content[usize_range(range)]),
                Source::Base(range) => {
                    bytes.extend(&self.object.as_ref().unwrap()[usize_range(range)]);
                }
                Source::Zeros(range) => bytes.resize(bytes.len() + usize_range(range).len(), 0),
            }
        }
        bytes
    }

    /// The object after the plan.
    fn execute(&self, plan: &Plan) -> Vec<u8> {
        match plan {
            Plan::Nothing => self.object.clone().unwrap(),
            Plan::Put { size } => self.gather(ByteRange::new(0, *size)),
            Plan::Multipart(steps) => steps.iter().fold(Vec::new(), |mut object, step| {
                match step.how {
                    PartSource::Upload => object.extend(self.gather(step.range)),
                    PartSource::Copy => {
                        object.extend(&self.object.as_ref().unwrap()[usize_range(step.range)]);
                    }
                }
                object
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn executing_a_plan_makes_the_file(
        base in proptest::option::of(0_usize..280),
        changes in proptest::collection::vec(change(), 0..8),
    ) {
        let file = edited(base, &changes);
        let plan = file.plan();
        prop_assert_eq!(&file.execute(&plan), &file.content);
        let size = file.content.len() as u64;
        match plan {
            Plan::Nothing => prop_assert!(file.dirty.is_empty()),
            Plan::Put { size } => prop_assert!(size <= TINY.put_bytes_max),
            Plan::Multipart(steps) => check_steps(&file, size, &steps)?,
        }
    }

    /// The same number and range, whatever happens to other parts: what was streamed stays.
    #[test]
    fn an_uploaded_part_keeps_its_number_and_range(
        base in proptest::option::of(0_usize..280),
        changes in proptest::collection::vec(change(), 1..8),
        written in 1_usize..9, later in change(),
    ) {
        let mut changes = changes;
        // Write part `written` whole, so that it is one that streams.
        let part = TINY.grid.range(TINY.grid.part_at(written as u64 * 8));
        let part_at = usize_range(part);
        changes.push(Change::Write { at: part_at.start, len: part_at.len() });
        let find = |file: &File| match file.plan() {
            Plan::Multipart(steps) => steps.into_iter().find(|step| step.range == part),
            Plan::Nothing | Plan::Put { .. } => None,
        };
        let before = find(&edited(base, &changes)).expect("a written part is uploaded");
        changes.push(later);
        let file = edited(base, &changes);
        if file.content.len() as u64 >= part.end() && file.dirty.covers(part) {
            prop_assert_eq!(find(&file), Some(before));
        }
    }
}

fn check_steps(file: &File, size: u64, steps: &[PartStep]) -> Result<(), TestCaseError> {
    let valid = file.base.map_or(0, Base::valid);
    let (mut end, mut number) = (0, 0);
    for (at, step) in steps.iter().enumerate() {
        prop_assert_eq!(step.range.start(), end, "every byte once, in order");
        prop_assert!(step.number.value() > number, "numbers ascend");
        let last = at + 1 == steps.len();
        prop_assert!(last || step.range.len() >= 8, "only the last part is short");
        (end, number) = (step.range.end(), step.number.value());
        match step.how {
            PartSource::Copy => {
                prop_assert!(step.range.len() <= TINY.copy_bytes_max);
                prop_assert!(step.range.end() <= valid);
                prop_assert!(!file.dirty.intersects(step.range));
            }
            // No more than parts of the grid with a byte that the base has not.
            PartSource::Upload => {
                let part = TINY.grid.part_at(step.range.start());
                prop_assert_eq!(step.number, part.number());
                prop_assert_eq!(step.range.end(), TINY.grid.range(part).end().min(size));
                prop_assert!(file.dirty.intersects(step.range) || step.range.end() > valid);
            }
        }
    }
    prop_assert_eq!(end, size);
    // Copies are merged as far as the limit lets them.
    for pair in steps.windows(2) {
        let both = pair.iter().all(|step| step.how == PartSource::Copy);
        let merged = pair[0].range.len()
            + TINY
                .grid
                .range(TINY.grid.part_at(pair[1].range.start()))
                .len();
        prop_assert!(!both || merged > TINY.copy_bytes_max || pair[1].range.end() == size);
    }
    Ok(())
}

fn dirty(ranges: &[(u64, u64)]) -> ExtentSet {
    ranges
        .iter()
        .map(|&(start, len)| ByteRange::at(start, len).unwrap())
        .collect()
}

fn steps(base: Option<Base>, dirty: &ExtentSet, size: u64) -> Vec<PartStep> {
    match plan(base, dirty, size, &PlanLimits::S3).unwrap() {
        Plan::Multipart(steps) => steps,
        other => panic!("{other:?}"),
    }
}

fn uploaded_bytes(steps: &[PartStep]) -> u64 {
    let uploads = steps.iter().filter(|step| step.how == PartSource::Upload);
    uploads.map(|step| step.range.len()).sum()
}

#[test]
fn four_kib_in_a_gib_uploads_one_segment() {
    let steps = steps(Some(Base::whole(GIB)), &dirty(&[(512 * MIB, 4096)]), GIB);
    assert_eq!(uploaded_bytes(&steps), 8 * MIB);
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[2].number.value(), 66);
}

#[test]
fn an_append_copies_what_was_there() {
    let (old, new) = (GIB, GIB + MIB);
    let steps = steps(Some(Base::whole(old)), &dirty(&[(old, MIB)]), new);
    assert_eq!(uploaded_bytes(&steps), MIB);
    assert_eq!(steps.len(), 2);
}

/// Every limit of S3 at sizes where the blocks of the grid change, for a new file, for one with
/// a change at each end, and for a copy of everything but the last byte.
#[test]
fn the_limits_of_s3_hold_up_to_the_largest_object() {
    let max = limits::OBJECT_BYTES_MAX;
    for size in [
        8 * MIB + 1,
        8 * GIB,
        8 * GIB + 1,
        24 * GIB + 5,
        4088 * GIB,
        max - 1,
        max,
    ] {
        let ends = dirty(&[(0, 1), (size - 1, 1)]);
        for (base, dirty) in [
            (None, dirty(&[(0, size)])),
            (Some(Base::whole(size)), ends.clone()),
            (Some(Base::whole(size)), dirty(&[(size - 1, 1)])),
            (Some(Base::whole(size).truncated(size / 2)), ends),
        ] {
            let steps = steps(base, &dirty, size);
            assert!(steps.len() <= limits::PARTS_MAX as usize);
            for (at, step) in steps.iter().enumerate() {
                assert!(step.range.len() <= limits::PART_BYTES_MAX);
                assert!(step.range.len() >= limits::PART_BYTES_MIN || at + 1 == steps.len());
            }
            assert_eq!(steps.iter().map(|step| step.range.len()).sum::<u64>(), size);
        }
    }
    let error = plan(None, &ExtentSet::new(), max + 1, &PlanLimits::S3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a file of 5497558138881 bytes is longer than an object can be (5497558138880 bytes)"
    );
}

#[test]
fn small_files_go_up_whole_and_unchanged_ones_not_at_all() {
    let plan = |base, dirty: &ExtentSet, size| plan(base, dirty, size, &PlanLimits::S3).unwrap();
    assert_eq!(plan(None, &ExtentSet::new(), 0), Plan::Put { size: 0 });
    assert_eq!(
        plan(None, &dirty(&[(0, 8 * MIB)]), 8 * MIB),
        Plan::Put { size: 8 * MIB }
    );
    assert_eq!(
        plan(Some(Base::whole(7)), &ExtentSet::new(), 7),
        Plan::Nothing
    );
    assert_eq!(
        plan(Some(Base::whole(7)), &ExtentSet::new(), 5),
        Plan::Put { size: 5 }
    );
    // Cut and grown back: the tail is zeros now, although size and dirty bytes say nothing.
    let regrown = Base::whole(7).truncated(3);
    assert_eq!(
        plan(Some(regrown), &ExtentSet::new(), 7),
        Plan::Put { size: 7 }
    );
}
