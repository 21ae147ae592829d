//! The map of a body against a model that lays it out byte by byte.

use proptest::prelude::*;

use super::*;
use crate::layout::sealed::map::StoredRange;
use crate::layout::sealed::writer::{BodyWriter, seal_segment};

/// A map of segments with these lengths (0: hole), made without their messages being joined.
fn map(lengths: &[usize], more: u64) -> (BodyMap, u64) {
    let content = Content::random();
    let body = BodyId::random();
    let mut writer = BodyWriter::new(body);
    let (mut length, mut stored) = (0, 0);
    for (index, len) in (0_u32..).zip(lengths) {
        if *len > 0 {
            let sealed = seal_segment(&content, SegmentIndex(index), &vec![1; *len]);
            stored += sealed.message.len() as u64;
            writer.put(SegmentIndex(index), Some(sealed.pin));
            length = u64::from(index) * SEGMENT_BYTES + *len as u64;
        }
    }
    let length = length + more;
    let tail = writer.finish(
        &content,
        length,
        &attributes(FileKind::File, 1),
        &Xattrs::new(),
    );
    let bytes = stored + tail.len() as u64;
    let footer_at = tail.len() - 205;
    let footer = Footer::open(&content, body, &tail[footer_at..]).unwrap();
    let parts = Tail::new(&footer, bytes).unwrap();
    assert_eq!(parts.segments_end, stored);
    let map = match parts.manifest {
        Some((pin, StoredRange(range))) => {
            let at = usize::try_from(range.start() - stored).unwrap();
            let pins = manifest::open_pins(&content, body, &pin, &tail[at..footer_at]).unwrap();
            BodyMap::new(&footer, &parts, pins).unwrap()
        }
        None => BodyMap::small(&footer, &parts).unwrap(),
    };
    (map, stored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pieces_are_the_range_in_order_and_where_a_walk_finds_them(
        lengths in proptest::collection::vec(prop_oneof![Just(0), 1_usize..50_000], 0..5),
        more in 0_u64..20_000_000,
        ranges in proptest::collection::vec(any::<(prop::sample::Index, u32)>(), 8),
    ) {
        let (map, stored) = map(&lengths, more);
        // Where each segment's message begins, by walking.
        let mut begins = Vec::new();
        let mut at = 0_u64;
        for len in &lengths {
            begins.push(at);
            if *len > 0 {
                at += 56 + *len as u64 + 16 * (*len as u64 / 16_384 + 1);
            }
        }
        prop_assert_eq!(at, stored);
        for (start, len) in ranges {
            let start = start.index(usize::try_from(map.length()).unwrap() + 1) as u64;
            let wanted = ByteRange::new(start, start + u64::from(len) % 30_000_000);
            let mut expected_start = start;
            for piece in map.pieces(PlainRange(wanted)) {
                let plain = match piece {
                    Piece::Zeros(PlainRange(plain)) => {
                        // The first and last byte are in no segment.
                        for byte in [plain.start(), plain.end() - 1] {
                            let index = usize::try_from(byte / SEGMENT_BYTES).unwrap();
                            let len = lengths.get(index).copied().unwrap_or(0) as u64;
                            prop_assert!(byte % SEGMENT_BYTES >= len);
                        }
                        plain
                    }
                    Piece::Sealed(piece) => {
                        let plain = piece.plain.0;
                        let index = usize::try_from(piece.segment.0).unwrap();
                        let grid = u64::from(piece.segment.0) * SEGMENT_BYTES;
                        let (first, last) = (plain.start() - grid, plain.end() - 1 - grid);
                        prop_assert!(last < lengths[index] as u64);
                        let header = if first < 16_384 { 0 } else { 56 };
                        let stored = piece.stored.0;
                        prop_assert_eq!(stored.start(), begins[index] + header + first / 16_384 * 16_400);
                        let message_end = begins.get(index + 1).copied().unwrap_or(at);
                        let chunk_end = begins[index] + 56 + (last / 16_384 + 1) * 16_400;
                        prop_assert_eq!(stored.end(), chunk_end.min(message_end));
                        plain
                    }
                };
                prop_assert_eq!(plain.start(), expected_start);
                prop_assert!(!plain.is_empty());
                expected_start = plain.end();
            }
            prop_assert_eq!(expected_start, wanted.end().min(map.length()).max(start));
        }
    }
}

#[test]
fn a_large_file_has_one_zeros_piece_for_one_hole() {
    let (map, _) = map(&[5, 0, 0, 7], 100);
    let pieces = map.pieces(PlainRange(ByteRange::new(0, u64::MAX)));
    assert_eq!(pieces.len(), 4);
    let hole = ByteRange::new(5, 3 * SEGMENT_BYTES);
    assert_eq!(pieces[1], Piece::Zeros(PlainRange(hole)));
    assert_eq!(map.message(SegmentIndex(1)), None);
    assert_eq!(map.message(SegmentIndex(9)), None);
    assert!(
        map.pieces(PlainRange(ByteRange::new(u64::MAX, u64::MAX)))
            .is_empty()
    );
}
