//! The table against a plain vector, with a bucket and a staging area that are vectors too.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Evicted, Missing, Need, Supply, Table};
use crate::base::range::ByteRange;
use crate::store::{ETag, PartReceipt};
use crate::volume::Part;
use crate::volume::{ObjectRef, Version};
use crate::write::Base;
use crate::write::grid::{Grid, PartIndex};
use crate::write::pool::Pool;

const CELL: u64 = 8;
const GRID: Grid = Grid::tiny(CELL, 2);

#[derive(Clone, Debug)]
enum Step {
    Write {
        at: usize,
        len: usize,
    },
    Truncate(usize),
    Read {
        at: usize,
        len: usize,
    },
    /// Takes a cell out of memory; when it has to be staged, with a write before that is done.
    Evict {
        cell: u64,
        meanwhile: Option<usize>,
    },
    Stage,
    BeginUpload,
    EndUpload {
        which: usize,
        fails: bool,
    },
    DropStaged,
    Checkpoint,
    /// The bucket carries a checkpoint out, and its answer is lost.
    LostCheckpoint,
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..120_usize, 1..40_usize).prop_map(|(at, len)| Step::Write { at, len }),
        1 => (0..130_usize).prop_map(Step::Truncate),
        3 => (0..130_usize, 1..60_usize).prop_map(|(at, len)| Step::Read { at, len }),
        3 => (0..16_u64, prop::option::of(0..120_usize))
            .prop_map(|(cell, meanwhile)| Step::Evict { cell, meanwhile }),
        1 => Just(Step::Stage),
        3 => Just(Step::BeginUpload),
        3 => (0..4_usize, prop::bool::weighted(0.2))
            .prop_map(|(which, fails)| Step::EndUpload { which, fails }),
        1 => Just(Step::DropStaged),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::LostCheckpoint),
        1 => Just(Step::Commit),
    ]
}

/// A file, what it should hold, and the outside world.
struct World {
    table: Table<Vec<u8>>,
    model: Vec<u8>,
    base: Vec<u8>,
    pool: Pool<()>,
    /// Bodies of the private upload by receipt.
    bucket: BTreeMap<String, Vec<u8>>,
    running: Vec<(PartIndex, ByteRange, Vec<u8>)>,
    /// What a checkpoint made whose answer was lost.
    unanswered: Option<Vec<u8>>,
    stamp: u8,
}

impl World {
    fn new(base: Vec<u8>) -> Self {
        Self {
            table: Table::new(CELL, GRID, Some(base_of(base.len()))),
            model: base.clone(),
            base,
            pool: Pool::new(1 << 20),
            bucket: BTreeMap::new(),
            running: Vec::new(),
            unanswered: None,
            stamp: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Write { at, len } => self.write(*at, *len),
            Step::Truncate(size) => {
                while self.table.truncate(*size as u64).is_none() {
                    self.checkpoint();
                }
                self.model.resize(*size, 0);
            }
            Step::Read { at, len } => {
                let end = (at + len).min(self.model.len());
                let at = (*at).min(end);
                assert_eq!(self.read(at, end), self.model[at..end]);
            }
            Step::Evict { cell, meanwhile } => {
                if let Evicted::Spill(buffer) = self.table.evict(*cell) {
                    if let Some(at) = meanwhile {
                        self.write(*at, 1);
                    }
                    let sealed = buffer.bytes().to_vec();
                    self.table.spilled(*cell, &buffer, sealed);
                }
            }
            Step::Stage => {
                for cell in 0..16 {
                    if let Evicted::Spill(buffer) = self.table.evict(cell) {
                        let sealed = buffer.bytes().to_vec();
                        assert!(self.table.spilled(cell, &buffer, sealed));
                    }
                }
            }
            Step::BeginUpload => {
                if let Some((part, range)) = self.table.next_ready() {
                    let body = self
                        .peek(range)
                        .expect("a part being uploaded is not remote");
                    self.running.push((part, range, body));
                }
            }
            Step::EndUpload { which, fails } => {
                if *which < self.running.len() {
                    let (part, range, body) = self.running.remove(*which);
                    let receipt = (!fails).then(|| self.receive(part, body));
                    self.table.end_part(part, range, receipt);
                }
            }
            Step::DropStaged => {
                self.table.drop_staged_copies();
            }
            Step::Checkpoint => {
                self.checkpoint();
                assert_eq!(self.pool.used(), 0, "a checkpoint frees all memory");
            }
            Step::LostCheckpoint => {
                if self.unanswered.is_none() {
                    let object = self.upload();
                    self.unanswered = Some(object);
                }
            }
            Step::Commit => {
                self.checkpoint();
                self.table.committed(base_of(self.base.len()));
                assert!(!self.table.is_changed());
            }
        }
        assert_eq!(self.table.size(), self.model.len() as u64);
        assert!(self.table.dirty().end() <= self.table.size());
    }

    fn write(&mut self, at: usize, len: usize) {
        self.stamp = self.stamp.wrapping_add(1).max(1);
        let data = vec![self.stamp; len];
        let mut rest = ByteRange::new(at as u64, (at + len) as u64);
        while !rest.is_empty() {
            let piece = self.table.first_piece(rest);
            let from = usize::try_from(piece.start()).unwrap() - at;
            let slice = &data[from..from + usize::try_from(piece.len()).unwrap()];
            let mut supply = Supply::default();
            loop {
                match self.table.write(piece.start(), slice, &mut supply) {
                    Need::Nothing => break,
                    Need::Room(bytes) => supply.lease = self.pool.try_reserve(bytes),
                    Need::Load { slot, room } => {
                        let bytes = slot.to_vec().into();
                        supply.lease = self.pool.try_reserve(room);
                        supply.loaded = Some((slot, bytes));
                    }
                    Need::Checkpoint => self.checkpoint(),
                }
            }
            let index = |offset| usize::try_from(offset).unwrap();
            let (start, end) = (index(piece.start()), index(piece.end()));
            self.model.resize(self.model.len().max(end), 0);
            self.model[start..end].fill(self.stamp);
            rest = ByteRange::new(piece.end(), rest.end());
        }
    }

    fn read(&mut self, at: usize, end: usize) -> Vec<u8> {
        let range = ByteRange::new(at as u64, end as u64);
        if let Some(bytes) = self.peek(range) {
            return bytes;
        }
        self.checkpoint();
        self.peek(range)
            .expect("nothing is remote after a checkpoint")
    }

    /// The bytes of `range`; `None` when some are remote.
    fn peek(&self, range: ByteRange) -> Option<Vec<u8>> {
        let index = |offset: u64| usize::try_from(offset).unwrap();
        let at =
            |range: ByteRange, start: u64| index(range.start() - start)..index(range.end() - start);
        let mut out = vec![0; index(range.len())];
        for missing in self.table.fill(range, &mut out) {
            match missing {
                Missing::Staged { slot, from, to } => {
                    out[at(to, range.start())].copy_from_slice(&slot[at(from, 0)]);
                }
                Missing::Base(gap) => {
                    out[at(gap, range.start())].copy_from_slice(&self.base[at(gap, 0)]);
                }
                Missing::Remote => return None,
            }
        }
        Some(out)
    }

    fn receive(&mut self, part: PartIndex, body: Vec<u8>) -> Part {
        let etag = format!("{}", self.bucket.len());
        self.bucket.insert(etag.clone(), body);
        Part::from(PartReceipt {
            number: part.number(),
            etag: ETag::new(etag),
        })
    }

    /// As the shell does it: learns what became of the last one, uploads, completes.
    fn checkpoint(&mut self) {
        if let Some(object) = self.unanswered.take() {
            let (_, size) = self.table.unanswered().expect("it is remembered");
            assert_eq!(size, object.len() as u64);
            self.base = object;
            self.table.checkpointed(base_of(self.base.len()));
        }
        self.base = self.upload();
        self.table.checkpointed(base_of(self.base.len()));
    }

    /// Waits for uploads, sends what has no receipt, asks for the completion; the object.
    fn upload(&mut self) -> Vec<u8> {
        while let Some((part, range, body)) = self.running.pop() {
            let receipt = self.receive(part, body);
            self.table.end_part(part, range, Some(receipt));
        }
        let mut object = Vec::new();
        for (part, range) in GRID.cut(self.table.size()) {
            match self.table.receipt(part, range) {
                Some(receipt) => {
                    object.extend(&self.bucket[receipt.receipt().unwrap().etag.as_str()]);
                }
                None => object.extend(self.peek(range).expect("what is remote has a receipt")),
            }
        }
        assert_eq!(object, self.model, "what was uploaded is the file");
        self.table.completing(Vec::new());
        object
    }
}

fn base_of(size: usize) -> Base {
    Base {
        object: ObjectRef::Private("staging/1".to_owned()),
        version: Version {
            etag: ETag::new("\"1\""),
            version: None,
        },
        size: size as u64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_table_is_a_file(
        base in prop::collection::vec(200..=255_u8, 0..100),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(base);
        for step in &steps {
            world.run(step);
        }
        let end = world.model.len();
        prop_assert_eq!(world.read(0, end), world.model.clone());
        world.checkpoint();
    }
}

fn write(table: &mut Table<()>, pool: &Pool<()>, at: u64, data: &[u8]) {
    let mut supply = Supply::default();
    loop {
        match table.write(at, data, &mut supply) {
            Need::Nothing => return,
            Need::Room(bytes) => supply.lease = pool.try_reserve(bytes),
            need => panic!("{need:?}"),
        }
    }
}

#[test]
fn a_small_file_costs_a_page_and_not_a_cell() {
    let pool = Pool::new(64 << 20);
    let mut table = Table::<()>::new(8 << 20, Grid::S3, None);
    write(&mut table, &pool, 0, b"hello");
    assert_eq!(pool.used(), 4096);
    write(&mut table, &pool, 4000, &[1; 100]);
    assert_eq!(pool.used(), 8192);
    write(&mut table, &pool, 7 << 20, b"far away");
    assert_eq!(pool.used(), 8 << 20);
}

#[test]
fn a_part_is_offered_once_the_writer_has_left_it() {
    let pool = Pool::new(1 << 20);
    let mut table = Table::<()>::new(CELL, GRID, None);
    write(&mut table, &pool, 1, &[1; 7]);
    assert!(table.next_ready().is_none(), "it is not whole");
    write(&mut table, &pool, 0, &[1; 4]);
    assert!(table.next_ready().is_none(), "the writer is in it");
    write(&mut table, &pool, 8, &[1; 1]);
    let (part, range) = table.next_ready().expect("a whole part");
    assert_eq!(range, ByteRange::new(0, 8));
    assert!(table.next_ready().is_none(), "it is under way");
    write(&mut table, &pool, 3, &[2; 1]);
    let receipt = PartReceipt {
        number: part.number(),
        etag: ETag::new("1"),
    };
    table.end_part(part, range, Some(receipt.into()));
    assert!(
        table.receipt(part, range).is_none(),
        "it was written again meanwhile"
    );
    write(&mut table, &pool, 9, &[1; 1]);
    assert!(
        table.next_ready().is_none(),
        "what is written again waits for the commit"
    );
}
