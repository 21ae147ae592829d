//! Clones share content and stay apart; and what nobody without memory can tell, shown so that
//! nobody believes otherwise (docs/FORMAT.md, the end of section 11).

use super::*;

fn sealed(volume: &Volume, record: &Record, at: &str) -> BTreeMap<String, String> {
    let metadata = SealedMetadata {
        key: volume.wrapped.clone(),
        record: record.seal(&volume.key, volume.id, &key(at)),
    };
    metadata.encode()
}

fn next(record: &Record, body: BodyId, sequence: u64) -> Record {
    Record {
        file: record.file,
        content: same_content(&record.content),
        body,
        generation: record.generation + 1,
        attributes: attributes(FileKind::File, sequence),
    }
}

fn file(byte: u8) -> File {
    File::of(&[(0, &[byte; 100]), (1, &[byte; 9])], SEGMENT_BYTES + 9)
}

#[test]
fn a_clone_is_a_copy_with_a_record_of_its_own() {
    let (volume, original) = (Volume::new(), record(FileKind::File));
    let object = volume.encode("a", &original, &file(1));
    let mut clone = next(&original, original.body, 2);
    clone.file = FileId::random();
    let cloned = StoredObject {
        metadata: sealed(&volume, &clone, "b"),
        body: object.body.clone(),
    };
    assert!(volume.read("b", &cloned).unwrap().1 == file(1).content());
    // Once the clone is written, neither body goes with the other's record.
    let written = next(&clone, BodyId::random(), 3);
    let written = volume.encode("b", &written, &file(2));
    for (at, metadata, body) in [
        ("a", &object.metadata, &written.body),
        ("b", &written.metadata, &object.body),
    ] {
        let mixed = StoredObject {
            metadata: metadata.clone(),
            body: body.clone(),
        };
        assert_eq!(
            volume.open(at, &mixed).err(),
            Some(ObjectError::NotAuthentic)
        );
    }
    // Nor one's segment into the other's body.
    let mut mixed = written.clone();
    mixed.body[..172].copy_from_slice(&object.body[..172]);
    assert_eq!(
        volume.read("b", &mixed).err(),
        Some(ObjectError::NotAuthentic)
    );
}

#[test]
fn an_older_object_put_back_whole_is_read() {
    let (volume, old) = (Volume::new(), record(FileKind::File));
    let older = volume.encode("f", &old, &file(1));
    let newer = volume.encode("f", &next(&old, BodyId::random(), 2), &file(2));
    assert!(volume.read("f", &newer).unwrap().1 == file(2).content());
    assert!(volume.read("f", &older).unwrap().1 == file(1).content());
    let generation = |object| volume.open("f", object).ok().unwrap().record.generation;
    assert!(
        generation(&older) < generation(&newer),
        "one with memory can tell"
    );
}

#[test]
fn an_older_record_of_the_same_body_is_read() {
    let (volume, old) = (Volume::new(), record(FileKind::File));
    let mut object = volume.encode("f", &old, &file(1));
    let older = object.metadata.clone();
    let mut newer = next(&old, old.body, 2);
    newer.attributes.attributes.perm = 0o600;
    object.metadata = sealed(&volume, &newer, "f");
    assert_eq!(volume.read("f", &object).unwrap().0.attributes.perm, 0o600);
    object.metadata = older;
    assert_eq!(volume.read("f", &object).unwrap().0.attributes.perm, 0o640);
}
