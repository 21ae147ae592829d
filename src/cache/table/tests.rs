use proptest::prelude::*;

use super::*;

const TAG: FileTag = FileTag(1);

impl<F> Table<F> {
    /// Asserts what must hold between any two calls. `pending` are the claims not settled.
    fn check(&self, pending: &[Claim]) {
        let mut kept = 0;
        let mut kept_runs = 0;
        for (tag, file) in &self.files {
            assert!(!file.runs.is_empty(), "an empty file is kept");
            let mut covered_to = 0;
            for (first, run) in &file.runs {
                assert!(run.range.start() >= covered_to, "runs overlap");
                assert_eq!(run.range.start(), first * BLOCK_BYTES);
                assert!(run.range.len() <= RUN_BYTES_MAX);
                assert!(run.range.end() == file.len || run.range.end().is_multiple_of(BLOCK_BYTES));
                covered_to = run.range.end();
                if let State::Kept(bytes) = &run.state {
                    assert_eq!(bytes.len() as u64, run.range.len());
                    assert!(self.recent.contains(&(*tag, *first)));
                    kept += cost(run.range);
                    kept_runs += 1;
                }
            }
        }
        assert_eq!(self.recent.len(), kept_runs);
        let reserved: u64 = pending.iter().map(|claim| cost(claim.range)).sum();
        assert_eq!(self.reserved_bytes, reserved);
        assert_eq!(self.stats.bytes, kept + reserved);
        assert!(
            self.stats.bytes <= self.stats.capacity || kept == 0,
            "{} bytes are kept while {} are reserved of {}",
            kept,
            reserved,
            self.stats.capacity
        );
    }
}

fn zeros(range: ByteRange) -> Bytes {
    Bytes::from(vec![0; usize::try_from(range.len()).unwrap()])
}

fn blocks(first: u64, end: u64) -> ByteRange {
    ByteRange::new(first * BLOCK_BYTES, end * BLOCK_BYTES)
}

fn claimed(table: &mut Table<()>, file_len: u64, range: ByteRange) -> Vec<Claim> {
    table.read(TAG, file_len, range, || ()).1
}

fn ranges(claims: &[Claim]) -> Vec<ByteRange> {
    claims.iter().map(|claim| claim.range).collect()
}

#[test]
fn missing_blocks_are_fetched_in_runs_that_end_at_multiples_of_eight_mebibytes() {
    let mut table = Table::new(1 << 30);
    let len = 200 * BLOCK_BYTES + 5;
    let middle = claimed(
        &mut table,
        len,
        ByteRange::new(130 * BLOCK_BYTES + 7, 130 * BLOCK_BYTES + 8),
    );
    assert_eq!(ranges(&middle), [blocks(130, 131)]);
    let rest = claimed(&mut table, len, ByteRange::new(60 * BLOCK_BYTES + 1, len));
    assert_eq!(
        ranges(&rest),
        [
            blocks(60, 64),
            blocks(64, 128),
            blocks(128, 130),
            blocks(131, 192),
            ByteRange::new(192 * BLOCK_BYTES, len),
        ]
    );
    assert!(claimed(&mut table, len, ByteRange::new(60 * BLOCK_BYTES, len)).is_empty());
}

#[test]
fn the_run_read_longest_ago_goes_first() {
    let mut table = Table::new(4 * (BLOCK_BYTES + RUN_OVERHEAD_BYTES));
    let len = 100 * BLOCK_BYTES;
    for block in [0, 10, 20, 30] {
        for claim in claimed(&mut table, len, blocks(block, block + 1)) {
            table.settle(&claim, Some(zeros(claim.range)));
        }
    }
    assert!(claimed(&mut table, len, blocks(0, 1)).is_empty());
    assert_eq!(claimed(&mut table, len, blocks(40, 41)).len(), 1);
    assert!(table.read_kept(TAG, len, blocks(0, 1)).is_some());
    assert!(table.read_kept(TAG, len, blocks(10, 11)).is_none());
    assert_eq!(table.stats().evictions, 1);
}

#[test]
fn prefetch_takes_no_more_than_half_of_the_capacity() {
    let mut table: Table<()> = Table::new(64 << 20);
    let claims = table.prefetch(TAG, 1 << 40, ByteRange::new(0, 1 << 30), || ());
    let reserved: u64 = claims.iter().map(|claim| claim.range.len()).sum();
    assert_eq!(
        reserved,
        24 << 20,
        "three requests of 8 MiB and their bookkeeping"
    );
    assert!(
        table
            .prefetch(FileTag(2), 1 << 40, blocks(0, 64), || ())
            .is_empty()
    );
    table.check(&claims);
    for claim in &claims {
        table.settle(claim, Some(zeros(claim.range)));
    }
    assert_eq!(
        table
            .prefetch(FileTag(2), 1 << 40, blocks(0, 64), || ())
            .len(),
        1
    );
}

#[test]
fn a_tag_with_another_length_is_another_content() {
    let mut table = Table::new(1 << 30);
    let old = claimed(&mut table, 10, ByteRange::new(0, 10));
    table.settle(&old[0], Some(zeros(old[0].range)));
    let new = claimed(&mut table, 20, ByteRange::new(0, 10));
    assert_eq!(ranges(&new), [ByteRange::new(0, 20)]);
    assert!(table.read_kept(TAG, 10, ByteRange::new(0, 10)).is_none());
    table.check(&new);
}

#[test]
fn what_was_forgotten_while_it_was_fetched_is_not_kept() {
    let mut table = Table::new(1 << 30);
    let old = claimed(&mut table, 10, ByteRange::new(0, 10));
    table.forget(TAG);
    table.check(&old);
    let new = claimed(&mut table, 10, ByteRange::new(0, 10));
    table.settle(&old[0], Some(zeros(old[0].range)));
    assert!(table.read_kept(TAG, 10, ByteRange::new(0, 10)).is_none());
    table.check(&new);
    table.settle(&new[0], Some(zeros(new[0].range)));
    assert!(table.read_kept(TAG, 10, ByteRange::new(0, 10)).is_some());
}

#[test]
fn a_small_cache_makes_small_requests() {
    let mut table = Table::new(4 << 20);
    let claims = claimed(&mut table, 1 << 30, blocks(0, 8));
    assert_eq!(ranges(&claims), [blocks(0, 4), blocks(4, 8)]);
}

#[derive(Clone, Debug)]
enum Step {
    Read { tag: u64, start: u64, len: u64 },
    Peek { tag: u64, start: u64, len: u64 },
    Prefetch { tag: u64, start: u64, len: u64 },
    Settle { which: usize, fails: bool },
    Forget { tag: u64 },
}

const FILE_BYTES: u64 = 20 * BLOCK_BYTES + 77;

fn any_step() -> impl Strategy<Value = Step> {
    let stretch = || (0..3u64, 0..FILE_BYTES, 1..6 * BLOCK_BYTES);
    prop_oneof![
        4 => stretch().prop_map(|(tag, start, len)| Step::Read { tag, start, len }),
        2 => stretch().prop_map(|(tag, start, len)| Step::Peek { tag, start, len }),
        2 => stretch().prop_map(|(tag, start, len)| Step::Prefetch { tag, start, len }),
        8 => (any::<usize>(), prop::bool::weighted(0.2))
            .prop_map(|(which, fails)| Step::Settle { which, fails }),
        1 => (0..3u64).prop_map(|tag| Step::Forget { tag }),
    ]
}

fn within(start: u64, len: u64) -> ByteRange {
    ByteRange::new(start, (start + len).min(FILE_BYTES))
}

/// The pieces lie in order, without gaps, over all of `range`.
fn covers(pieces: &[Piece<()>], range: ByteRange) -> bool {
    let mut at = range.start();
    for piece in pieces {
        if piece.range().start() > at || piece.range().end() <= at {
            return false;
        }
        at = piece.range().end();
    }
    at >= range.end()
}

proptest! {
    #[test]
    fn accounts_are_right_after_any_steps(
        capacity_blocks in 0..30u64, steps in prop::collection::vec(any_step(), 0..60)
    ) {
        let mut table: Table<()> = Table::new(capacity_blocks * BLOCK_BYTES);
        let mut pending: Vec<Claim> = Vec::new();
        for step in steps {
            match step {
                Step::Read { tag, start, len } => {
                    let range = within(start, len);
                    let (pieces, claims) = table.read(FileTag(tag), FILE_BYTES, range, || ());
                    prop_assert!(covers(&pieces, range));
                    pending.extend(claims);
                }
                Step::Peek { tag, start, len } => {
                    let range = within(start, len);
                    if let Some(pieces) = table.read_kept(FileTag(tag), FILE_BYTES, range) {
                        prop_assert!(covers(&pieces, range));
                    }
                }
                Step::Prefetch { tag, start, len } => {
                    pending.extend(table.prefetch(FileTag(tag), FILE_BYTES, within(start, len), || ()));
                }
                Step::Settle { which, fails } if !pending.is_empty() => {
                    let claim = pending.swap_remove(which % pending.len());
                    table.settle(&claim, (!fails).then(|| zeros(claim.range)));
                }
                Step::Settle { .. } => {}
                Step::Forget { tag } => table.forget(FileTag(tag)),
            }
            table.check(&pending);
        }
        for claim in pending.drain(..) {
            table.settle(&claim, None);
        }
        table.check(&[]);
        for tag in 0..3 {
            table.forget(FileTag(tag));
        }
        prop_assert_eq!(table.stats().bytes, 0);
    }
}
