//! Objects come back as they were written.

use proptest::prelude::*;

use super::*;
use crate::layout::sealed::record::{RECORD_BYTES_MAX, holds};

fn xattrs(values: &[(&str, usize)]) -> Xattrs {
    values
        .iter()
        .map(|(name, len)| ((*name).to_owned(), vec![7; *len]))
        .collect()
}

#[test]
fn an_empty_file_is_its_footer() {
    let (volume, record) = (Volume::new(), record(FileKind::File));
    let object = volume.encode("f", &record, &File::of(&[], 0));
    assert_eq!(object.body.len(), 205);
    assert_eq!(FOOTER_STORED_BYTES, 205);
    let (read, content) = volume.read("f", &object).unwrap();
    assert_eq!((read, content), (record.attributes, Vec::new()));
}

#[test]
fn every_type_comes_back() {
    let volume = Volume::new();
    for (kind, at) in [
        (FileKind::Directory, "d/"),
        (FileKind::Directory, ""),
        (FileKind::Fifo, "f"),
        (FileKind::CharDevice, "c"),
        (FileKind::BlockDevice, "b"),
        (FileKind::Socket, "s"),
    ] {
        let mut record = record(kind);
        if matches!(kind, FileKind::CharDevice | FileKind::BlockDevice) {
            record.attributes.attributes.rdev = 0x0010_0803;
        }
        let mut file = File::of(&[], 0);
        file.attributes = record.attributes.clone();
        let object = volume.encode(at, &record, &file);
        let (read, content) = volume.read(at, &object).unwrap();
        assert_eq!((read, content), (record.attributes, Vec::new()));
    }
    let link = record(FileKind::Symlink);
    let mut file = File::of(&[(0, b"../target")], 9);
    file.attributes = link.attributes.clone();
    let object = volume.encode("l", &link, &file);
    assert_eq!(volume.read("l", &object).unwrap().1, b"../target");
}

#[test]
fn a_whole_segment_and_one_byte_more_come_back() {
    let volume = Volume::new();
    let byte = |i: usize| u8::try_from((i / 16_384 * 31 + i % 251) % 256).unwrap();
    let whole: Vec<u8> = (0..8 << 20).map(byte).collect();
    let file = File::of(&[(0, &whole), (1, b"x")], (8 << 20) + 1);
    let object = volume.encode("f", &record(FileKind::File), &file);
    assert_eq!(object.body.len(), 8_396_872 + 73 + (72 + 56) + 205);
    assert!(volume.read("f", &object).unwrap().1 == file.content());
}

#[test]
fn a_huge_hole_costs_nothing() {
    let (volume, record) = (Volume::new(), record(FileKind::File));
    let object = volume.encode("f", &record, &File::of(&[], i64::MAX as u64));
    assert_eq!(object.body.len(), 205);
    let opened = volume.open("f", &object).unwrap();
    let end = i64::MAX as u64;
    let last = PlainRange(ByteRange::new(end - 10, end));
    assert_eq!(read(&opened, &object.body, last), Ok(vec![0; 10]));
}

/// Metadata is fixed before the footer: what came later is in the footer, what came after that
/// is in the record again.
#[test]
fn the_higher_sequence_number_holds() {
    let volume = Volume::new();
    for (in_record, in_footer, holding) in [(1, 1, 1), (1, 2, 2), (3, 2, 3)] {
        let mut record = record(FileKind::File);
        record.attributes = attributes(FileKind::File, in_record);
        record.attributes.attributes.perm = 0o600;
        let mut file = File::of(&[(0, b"content")], 7);
        file.attributes = attributes(FileKind::File, in_footer);
        file.attributes.attributes.perm = 0o644;
        let (read, _) = volume
            .read("f", &volume.encode("f", &record, &file))
            .unwrap();
        assert_eq!(read.sequence, holding);
        let perm = if in_footer > in_record { 0o644 } else { 0o600 };
        assert_eq!(read.attributes.perm, perm);
    }
}

#[test]
fn extended_attributes_come_from_where_they_are_said_to_be() {
    use XattrPlace::{Body, None, Record};
    let (small, large) = (
        xattrs(&[("user.s", 3)]),
        xattrs(&[("user.l", 65_536), ("user.m", 0)]),
    );
    let volume = Volume::new();
    // Places in the record and the footer, which is newer, and what holds.
    for (in_record, in_footer, expected) in [
        (None, None, Xattrs::new()),
        (Record, Record, small.clone()),
        (Record, None, Xattrs::new()),
        (Record, Body, large.clone()),
        (None, Body, large.clone()),
        (Body, Body, large.clone()),
    ] {
        let mut record = record(FileKind::File);
        record.attributes.xattrs = in_record;
        if in_record == Record {
            record.attributes.attributes.xattrs = small.clone();
        }
        let mut file = File::of(&[(0, b"content"), (3, b"more")], 100 << 20);
        file.attributes = attributes(FileKind::File, 2);
        file.attributes.xattrs = in_footer;
        file.body_xattrs = large.clone();
        let opened = volume
            .open("f", &volume.encode("f", &record, &file))
            .unwrap();
        assert_eq!(
            opened.attributes.attributes.xattrs, expected,
            "{in_record:?} {in_footer:?}"
        );
    }
}

#[test]
fn what_a_record_holds_is_what_it_seals() {
    let fits = xattrs(&[("user.x", 615 - 5 - 6)]);
    assert!(holds(&fits));
    assert!(!holds(&xattrs(&[("user.x", 615 - 5 - 5)])));
    let volume = Volume::new();
    let mut record = record(FileKind::File);
    record.attributes.xattrs = XattrPlace::Record;
    record.attributes.attributes.xattrs = fits;
    let sealed = record.seal(&volume.key, volume.id, &key("f"));
    assert_eq!(sealed.len(), RECORD_BYTES_MAX + 72);
}

fn sparse_file() -> impl Strategy<Value = File> {
    let segment = proptest::collection::vec(any::<u8>(), 1..40_000);
    let segments = proptest::collection::btree_map(0_u32..4, segment, 0..4);
    (segments, 0_u64..10_000_000).prop_map(|(segments, more)| {
        let end = segments
            .iter()
            .map(|(&i, s)| u64::from(i) * SEGMENT_BYTES + s.len() as u64)
            .max();
        File {
            length: end.unwrap_or(0) + more,
            segments,
            attributes: attributes(FileKind::File, 1),
            body_xattrs: Xattrs::new(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_of_any_file_comes_back(
        file in sparse_file(),
        ranges in proptest::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 8),
    ) {
        let (volume, record) = (Volume::new(), record(FileKind::File));
        let object = volume.encode("f", &record, &file);
        let opened = volume.open("f", &object).unwrap();
        let content = file.content();
        for (a, b) in ranges {
            let (a, b) = (a.index(content.len() + 1), b.index(content.len() + 1));
            let (start, end) = (a.min(b), a.max(b));
            let range = PlainRange(ByteRange::new(start as u64, end as u64));
            let got = read(&opened, &object.body, range).unwrap();
            prop_assert!(got == content[start..end]);
        }
    }
}
