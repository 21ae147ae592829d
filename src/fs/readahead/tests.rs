use proptest::prelude::*;

use super::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Reads `file_len` bytes from `start` in steps of `step`; what was asked for, by reader offset.
fn sequential(
    ahead: &mut ReadAhead,
    start: u64,
    end: u64,
    step: u64,
    file_len: u64,
) -> Vec<(u64, ByteRange)> {
    let mut asked = Vec::new();
    let mut offset = start;
    while offset < end {
        asked.extend(
            ahead
                .on_read(offset, step, file_len)
                .map(|range| (offset, range)),
        );
        offset += step;
    }
    asked
}

#[test]
fn the_second_sequential_read_asks_for_256_kib_and_the_window_doubles() {
    let mut ahead = ReadAhead::default();
    assert_eq!(ahead.on_read(0, 128 * KIB, 1 << 30), None);
    assert_eq!(
        ahead.on_read(128 * KIB, 128 * KIB, 1 << 30),
        Some(ByteRange::new(256 * KIB, 512 * KIB))
    );
    let asked = sequential(&mut ahead, 256 * KIB, 128 * MIB, 128 * KIB, 1 << 30);
    let in_front: Vec<u64> = asked
        .iter()
        .map(|(offset, range)| range.end() - (offset + 128 * KIB))
        .collect();
    for (before, after) in in_front.iter().zip(&in_front[1..]) {
        assert!(after <= &(before * 2 + 8 * MIB), "{in_front:?}");
    }
    let furthest = *in_front.iter().max().unwrap();
    assert!((24 * MIB..=32 * MIB).contains(&furthest), "{furthest}");
    let (_, last) = asked.last().unwrap();
    assert!(last.end().is_multiple_of(8 * MIB) && last.start().is_multiple_of(8 * MIB));
}

#[test]
fn a_sequential_reader_never_overtakes_its_window() {
    let mut ahead = ReadAhead::default();
    let mut covered_to = 0;
    let step = 128 * KIB;
    for offset in (0..256 * MIB).step_by(usize::try_from(step).unwrap()) {
        assert!(
            offset < 2 * step || offset + step <= covered_to,
            "the read at {offset} was not asked for"
        );
        if let Some(range) = ahead.on_read(offset, step, 1 << 30) {
            covered_to = range.end();
        }
    }
}

#[test]
fn a_new_position_ends_the_stream_and_asks_for_nothing() {
    let mut ahead = ReadAhead::default();
    sequential(&mut ahead, 0, 64 * MIB, 128 * KIB, 1 << 40);
    for i in 1..10 {
        assert_eq!(ahead.on_read(i << 32, 4 * KIB, 1 << 40), None);
    }
    assert_eq!(
        ahead.on_read(64 * MIB, 128 * KIB, 1 << 40),
        None,
        "begins anew"
    );
    assert_eq!(
        ahead
            .on_read(64 * MIB + 128 * KIB, 128 * KIB, 1 << 40)
            .map(ByteRange::len),
        Some(256 * KIB)
    );
}

#[test]
fn one_look_elsewhere_does_not_end_a_stream() {
    let mut ahead = ReadAhead::default();
    sequential(&mut ahead, 0, 64 * MIB, 128 * KIB, 1 << 40);
    assert_eq!(ahead.on_read(1 << 38, 4 * KIB, 1 << 40), None);
    let asked = sequential(&mut ahead, 64 * MIB, 96 * MIB, 128 * KIB, 1 << 40);
    assert!(
        asked.iter().all(|(_, range)| range.len() >= 8 * MIB),
        "{asked:?}"
    );
}

#[test]
fn two_streams_on_one_handle_are_both_followed() {
    let mut ahead = ReadAhead::default();
    let mut asked = [0, 0];
    for i in 0..512 {
        for (stream, base) in [(0, 0), (1, 1u64 << 35)] {
            if let Some(range) = ahead.on_read(base + i * 128 * KIB, 128 * KIB, 1 << 40) {
                assert!(range.start() >= base && range.end() <= base + 128 * MIB);
                asked[stream] += range.len();
            }
        }
    }
    assert!(asked[0] >= 64 * MIB && asked[0] == asked[1], "{asked:?}");
}

#[test]
fn the_cache_is_not_asked_for_more_than_the_limit() {
    let mut ahead = ReadAhead::new(ReadAheadLimits {
        window_bytes_min: 256 * KIB,
        window_bytes_max: MIB,
    });
    for (offset, range) in sequential(&mut ahead, 0, 64 * MIB, 128 * KIB, 1 << 30) {
        assert!(
            range.end() - offset <= MIB + 128 * KIB,
            "{range} at {offset}"
        );
    }
    let mut off = ReadAhead::new(ReadAheadLimits {
        window_bytes_min: 0,
        window_bytes_max: 0,
    });
    assert_eq!(sequential(&mut off, 0, 4 * MIB, 128 * KIB, 1 << 30), []);
}

/// Sequential requests, each moved back by up to three places.
fn reordered(count: u64) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0..4u64, usize::try_from(count).unwrap()).prop_map(|delays| {
        let mut order: Vec<(u64, u64)> = (0..).zip(delays).map(|(i, d)| (i + d, i)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, i)| i).collect()
    })
}

proptest! {
    #[test]
    fn sequential_reads_ask_for_each_byte_once_and_for_none_beyond_the_end(
        start in 0..1u64 << 20, step in 1..4u64 << 20, file_len in 1..200u64 << 20
    ) {
        let mut ahead = ReadAhead::default();
        let mut asked_to = 0;
        for (offset, range) in sequential(&mut ahead, start, file_len, step, file_len) {
            prop_assert!(!range.is_empty());
            prop_assert!(range.start() >= asked_to, "{range} was asked for before");
            prop_assert!(range.start() >= offset + step, "{range} is being read already");
            prop_assert!(range.end() <= file_len);
            prop_assert!(range.end() <= offset + step + WINDOW_BYTES_MAX);
            asked_to = range.end();
        }
    }

    #[test]
    fn random_reads_ask_for_nothing(
        blocks in prop::collection::hash_set(0..1u64 << 20, 0..200)
    ) {
        let mut ahead = ReadAhead::default();
        for block in blocks {
            // No two of them touch, whatever their order.
            prop_assert_eq!(ahead.on_read(block * 8 * KIB, 4 * KIB, 1 << 33), None);
        }
    }

    #[test]
    fn reordered_requests_of_one_stream_are_one_stream(order in reordered(1024)) {
        let mut ahead = ReadAhead::default();
        let (mut fetched, mut asked) = (0, 0);
        let mut last = None;
        for i in order {
            if let Some(range) = ahead.on_read(i * 128 * KIB, 128 * KIB, 1 << 30) {
                asked += 1;
                fetched += range.len();
                last = Some(range);
            }
        }
        let last = last.unwrap();
        prop_assert!(last.end() >= 128 * MIB, "the window reaches the end: {last}");
        prop_assert!(last.len() >= 8 * MIB, "the window is wide: {last}");
        prop_assert!(fetched <= 170 * MIB, "{fetched} bytes asked for in {asked} requests");
    }

    #[test]
    fn any_reads_are_survived(
        reads in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..50)
    ) {
        let mut ahead = ReadAhead::default();
        for (offset, len, file_len) in reads {
            if let Some(range) = ahead.on_read(offset, len, file_len) {
                prop_assert!(range.end() <= file_len);
            }
        }
    }
}
