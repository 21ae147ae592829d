//! Nothing that was changed is read as data. One error answers all of it.

use super::*;
use crate::crypto::{Context, Purpose, seal};
use crate::layout::sealed::metadata::{KEY, RECORD};
use crate::layout::sealed::writer::{BodyWriter, SealedSegment, seal_segment};

const REFUSED: ObjectError = ObjectError::NotAuthentic;

/// Three segments with a hole between them and extended attributes: every part a body has.
fn sample() -> File {
    let mut file = File::of(
        &[(0, &[1; 30]), (1, &[2; 30]), (3, &vec![3; 20_000])],
        4 * SEGMENT_BYTES,
    );
    file.attributes.xattrs = XattrPlace::Body;
    file.body_xattrs = Xattrs::from([("user.x".to_owned(), vec![4; 9])]);
    file
}

fn written() -> (Volume, Record, StoredObject) {
    let (volume, mut record) = (Volume::new(), record(FileKind::File));
    record.attributes.xattrs = XattrPlace::Body;
    let object = volume.encode("f", &record, &sample());
    (volume, record, object)
}

/// Where in the body of [`sample`] its parts are.
fn parts(object: &StoredObject) -> [std::ops::Range<usize>; 6] {
    let lengths = [102, 102, 56 + 20_000 + 32, 72 + 20, 72 + 4 * 28, 205];
    let mut at = 0;
    let parts = lengths.map(|len| {
        at += len;
        at - len..at
    });
    assert_eq!(at, object.body.len());
    parts
}

/// Opens, and reads the stored bytes but not the holes, to be quick.
fn refused(volume: &Volume, object: &StoredObject) -> bool {
    let Ok(opened) = volume.open("f", object) else {
        return true;
    };
    [(0, 30), (SEGMENT_BYTES, 30), (3 * SEGMENT_BYTES, 20_000)]
        .into_iter()
        .any(|(at, len)| {
            let range = PlainRange(ByteRange::at(at, len).unwrap());
            read(&opened, &object.body, range).is_err()
        })
}

#[test]
fn the_sample_is_read() {
    let (volume, _, object) = written();
    assert!(!refused(&volume, &object));
    assert!(volume.read("f", &object).unwrap().1 == sample().content());
}

#[test]
fn every_flipped_byte_of_a_body_is_found() {
    let (volume, _, mut object) = written();
    let body = object.body.clone();
    for at in (0..body.len()).filter(|at| !(400..19_800).contains(at) || at % 97 == 0) {
        object.body[at] ^= 0x10;
        assert!(refused(&volume, &object), "byte {at}");
        object.body[at] = body[at];
    }
}

#[test]
fn every_flipped_character_of_the_metadata_is_found() {
    let (volume, _, object) = written();
    for header in [KEY, RECORD] {
        let value = object.metadata[header].clone();
        for at in 0..value.len() {
            let mut changed = object.clone();
            let mut text = value.clone().into_bytes();
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(text).unwrap();
            changed.metadata.insert(header.to_owned(), text);
            let unwrapped = SealedMetadata::decode(&changed.metadata).map(|m| m.key);
            // The wrapped key is opened before the object is: another one does not unwrap.
            if header == RECORD {
                assert!(refused(&volume, &changed), "{header} {at}");
            } else {
                assert_ne!(unwrapped, Ok(volume.wrapped.clone()), "{header} {at}");
            }
        }
    }
}

#[test]
fn a_body_that_was_cut_or_added_to_is_refused() {
    let (volume, _, object) = written();
    let with = |body: Vec<u8>| StoredObject {
        body,
        ..object.clone()
    };
    let parts_of = parts(&object).map(|part| object.body[part].to_vec());
    let [ref a, ref b, ref c, ref xattrs, ref pins, ref end] = parts_of;
    let zeros = &vec![0; 102];
    let joined: [(&str, Vec<&Vec<u8>>); 16] = [
        ("empty", vec![]),
        ("the footer alone", vec![end]),
        ("no footer", vec![a, b, c, xattrs, pins]),
        ("no manifest", vec![a, b, c, xattrs, end]),
        ("no extended attributes", vec![a, b, c, pins, end]),
        ("a segment dropped", vec![b, c, xattrs, pins, end]),
        ("the last segment dropped", vec![a, b, xattrs, pins, end]),
        ("segments swapped", vec![b, a, c, xattrs, pins, end]),
        ("a segment twice", vec![a, a, c, xattrs, pins, end]),
        ("a segment doubled", vec![a, a, b, c, xattrs, pins, end]),
        ("zeros for a segment", vec![zeros, b, c, xattrs, pins, end]),
        (
            "zeros at the start",
            vec![zeros, a, b, c, xattrs, pins, end],
        ),
        (
            "a segment after the last",
            vec![a, b, c, a, xattrs, pins, end],
        ),
        ("zeros at the end", vec![a, b, c, xattrs, pins, end, zeros]),
        ("two footers", vec![a, b, c, xattrs, pins, end, end]),
        ("two manifests", vec![a, b, c, xattrs, pins, pins, end]),
    ];
    for (what, parts) in joined {
        let body = parts.into_iter().flatten().copied().collect();
        assert!(refused(&volume, &with(body)), "{what}");
    }
    for cut in 0..object.body.len() {
        if cut % 53 == 0 || cut > object.body.len() - 300 {
            assert!(
                refused(&volume, &with(object.body[..cut].to_vec())),
                "cut at {cut}"
            );
        }
    }
}

/// The content's key opens every version's segments and tails: pins and body ids tell them apart.
#[test]
fn versions_of_one_file_do_not_mix() {
    let (volume, old_record, old) = written();
    let new_record = Record {
        file: old_record.file,
        content: same_content(&old_record.content),
        body: BodyId::random(),
        generation: 2,
        attributes: old_record.attributes.clone(),
    };
    let new = volume.encode("f", &new_record, &sample());
    assert!(!refused(&volume, &new));
    for mixed in [
        StoredObject {
            metadata: new.metadata.clone(),
            body: old.body.clone(),
        },
        StoredObject {
            metadata: old.metadata.clone(),
            body: new.body.clone(),
        },
    ] {
        assert_eq!(volume.open("f", &mixed).err(), Some(REFUSED));
    }
    for part in parts(&old) {
        let mut mixed = new.clone();
        mixed.body[part.clone()].copy_from_slice(&old.body[part.clone()]);
        assert!(refused(&volume, &mixed), "part {part:?}");
    }
}

/// What a part copy does: the untouched segment's message lies elsewhere in the new object.
#[test]
fn an_untouched_segment_is_read_at_another_offset() {
    let (volume, record, object) = written();
    let opened = volume.open("f", &object).unwrap();
    let body = BodyId::random();
    let mut writer = BodyWriter::with_pins(body, opened.map.pins().to_vec());
    let SealedSegment { pin, message } =
        seal_segment(&record.content, SegmentIndex(0), &vec![9; 50_000]);
    writer.put(SegmentIndex(0), Some(pin));
    writer.put(SegmentIndex(1), None);
    let (_, kept) = opened.map.message(SegmentIndex(3)).unwrap();
    let kept = &object.body[parts(&object)[2].clone()][..usize::try_from(kept.0.len()).unwrap()];
    let tail = writer.finish(
        &record.content,
        4 * SEGMENT_BYTES,
        &attributes(FileKind::File, 2),
        &Xattrs::new(),
    );
    let content = same_content(&record.content);
    let next = Record {
        body,
        content,
        generation: 2,
        ..record
    };
    let next = StoredObject {
        metadata: SealedMetadata {
            key: volume.wrapped.clone(),
            record: next.seal(&volume.key, volume.id, &key("f")),
        }
        .encode(),
        body: [message.as_slice(), kept, &tail].concat(),
    };
    let mut expected = sample();
    expected.segments.insert(0, vec![9; 50_000]);
    expected.segments.remove(&1);
    assert!(volume.read("f", &next).unwrap().1 == expected.content());
}

#[test]
fn an_object_opens_only_at_its_place() {
    let (volume, _, object) = written();
    for elsewhere in ["g", "d/f", "f/", ""] {
        assert_eq!(volume.open(elsewhere, &object).err(), Some(REFUSED));
    }
    let mut other = Volume::new();
    assert_eq!(other.open("f", &object).err(), Some(REFUSED));
    other.id = volume.id;
    assert_eq!(other.open("f", &object).err(), Some(REFUSED), "another key");
    other.key = volume.key;
    assert!(other.open("f", &object).is_ok());
}

#[test]
fn a_rename_seals_the_record_again_and_moves_no_content() {
    let (volume, record, mut object) = written();
    let metadata = SealedMetadata {
        key: volume.wrapped.clone(),
        record: record.seal(&volume.key, volume.id, &key("d/g")),
    };
    object.metadata = metadata.encode();
    assert!(volume.open("d/g", &object).is_ok());
    assert_eq!(volume.open("f", &object).err(), Some(REFUSED));
}

/// What a faulty holder of the key could write is refused by what is wrong with it.
#[test]
fn what_is_malformed_after_it_authenticated_is_refused() {
    let (volume, record, object) = written();
    let place = Context::new(Purpose::Record)
        .bytes(volume.id.as_bytes())
        .bytes(b"f");
    let metadata = SealedMetadata::decode(&object.metadata).unwrap();
    let plain = crate::crypto::open(volume.key.input(), &place, &metadata.record).unwrap();
    let expect = |plain: &[u8], error: ObjectError| {
        let sealed = seal(volume.key.input(), &place, plain);
        let opened = Record::open(&volume.key, volume.id, &key("f"), &sealed);
        assert_eq!(opened.err(), Some(error));
    };
    let changed = |at: usize, byte: u8| {
        let mut plain = plain.clone();
        plain[at] = byte;
        plain
    };
    expect(&changed(3, 4), ObjectError::UnknownFeature(4));
    expect(
        &plain[..152],
        ObjectError::Malformed("it ends in the middle of a field"),
    );
    expect(
        &[&plain[..], &[0]].concat(),
        ObjectError::Malformed("bytes follow its last field"),
    );
    expect(
        &[],
        ObjectError::Malformed("it ends in the middle of a field"),
    );
    expect(
        &vec![0; 769],
        ObjectError::Malformed("its record is too long"),
    );
    let attributes = 92;
    expect(
        &changed(attributes + 8, 1),
        ObjectError::Malformed("its mode has bits that are none"),
    );
    expect(
        &changed(attributes + 10, 0x01),
        ObjectError::Malformed("it has no type"),
    );
    expect(
        &changed(attributes + 10, 0x41),
        ObjectError::Malformed("its key is not one of its type"),
    );
    expect(
        &changed(attributes + 23, 1),
        ObjectError::Malformed("it has a device number and is no device"),
    );
    expect(
        &changed(attributes + 32, 0x3c),
        ObjectError::Malformed("a time has a second or more of nanoseconds"),
    );
    expect(
        &changed(attributes + 60, 3),
        ObjectError::Malformed("its extended attributes are in no known place"),
    );
    expect(
        &changed(attributes + 60, 1),
        ObjectError::Malformed("it ends in the middle of a field"),
    );
    let entry = |name: &[u8]| [&[u8::try_from(name.len()).unwrap()], name, &[0; 4]].concat();
    let with = |entries: Vec<u8>| [changed(attributes + 60, 1), entries].concat();
    expect(
        &with([entry(b"b"), entry(b"a")].concat()),
        ObjectError::Malformed("its extended attributes are not in order"),
    );
    expect(
        &with([entry(b"a"), entry(b"a")].concat()),
        ObjectError::Malformed("its extended attributes are not in order"),
    );
    for name in [b"".as_slice(), b"\xff", b"a\0"] {
        expect(
            &with(entry(name)),
            ObjectError::Malformed("an extended attribute has no name"),
        );
    }
    assert_eq!(
        ObjectError::UnknownFeature(4).to_string(),
        "was made with a feature that this cloakfs does not know (bits 0x00000004): use a newer one"
    );
    drop(record);
}

#[test]
fn a_malformed_footer_is_refused() {
    let (_, record, object) = written();
    let (content, body) = (&record.content, record.body);
    let place = Context::new(Purpose::Footer)
        .bytes(content.id.as_bytes())
        .bytes(body.as_bytes());
    let sealed = &object.body[parts(&object)[5].clone()];
    let plain = crate::crypto::open(content.key.input(), &place, sealed).unwrap();
    assert_eq!(plain.len(), 133);
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut plain = plain.clone();
        change(&mut plain);
        let sealed = seal(content.key.input(), &place, &plain);
        match Footer::open(content, body, &sealed) {
            Err(ObjectError::Malformed(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wrong(&|p| p[4] = 0x80), "it is longer than any file");
    let number = "its number of segments is impossible";
    assert_eq!(wrong(&|p| p[15] = 0), number);
    assert_eq!(wrong(&|p| p[15] = 5), number);
    assert_eq!(wrong(&|p| p[12] = 1), number);
    let pin = "a pin has a salt without a length, or a length without a salt";
    assert_eq!(wrong(&|p| p[16..40].fill(0)), pin);
    assert_eq!(wrong(&|p| p[40..44].fill(0)), pin);
    assert_eq!(
        wrong(&|p| p[68] = 1),
        "its extended attributes are too long"
    );
    assert_eq!(wrong(&|p| p.push(0)), "bytes follow its last field");
    assert_eq!(
        wrong(&|p| p[72 + 10] = 0x11),
        "its length is not one of its type",
        "a fifo with content"
    );
    let one = |p: &mut Vec<u8>, bytes: u32| {
        p[15] = 1;
        p[40..44].copy_from_slice(&bytes.to_be_bytes());
    };
    assert_eq!(wrong(&|p| one(p, (8 << 20) + 1)), "its segment is too long");
    assert_eq!(
        wrong(&|p| {
            one(p, 5);
            p[4..12].copy_from_slice(&4_u64.to_be_bytes());
        }),
        "its segment is too long"
    );
}
