//! Encrypted names: one path has one key, and what is no name of the volume is told and hides
//! nothing.

use std::fs;

use super::CONTENT;
use crate::sealed::{Place, Root, Row, Sealed};

const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Both places are covered by the tests' kind: names are keys, whatever the store.
fn volume() -> Sealed {
    Sealed::new(
        Row::new(Place::Minio, Root::MasterKey, "encrypted"),
        "names",
    )
}

/// The key with the last character replaced by one that has the same used bits.
fn respelled(key: &str) -> String {
    let (start, last) = key.split_at(key.len() - 1);
    let value = BASE64URL.find(last).expect("base64url");
    // 20 bytes leave four bits of the last character, which are followed by two that are zero.
    assert_eq!((key.len(), value % 4), (27, 0), "{key}");
    format!("{start}{}", &BASE64URL[value + 1..=value + 1])
}

#[test]
fn a_second_spelling_of_a_name_is_no_second_file() {
    let volume = volume();
    super::write(&volume, &[("name", CONTENT)]);
    let [key] = &volume.keys()[..] else {
        panic!("one file is one object: {:?}", volume.keys())
    };
    let object = volume.read(key);
    let spellings = [respelled(key), format!("{key}=")];
    for spelling in &spellings {
        volume.write(spelling, &object);
    }
    let mount = volume.mount();
    let names: Vec<_> = fs::read_dir(mount.path())
        .expect("listing")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names.iter().filter(|name| *name == "name").count(), 1);
    assert_eq!(
        fs::read(mount.path().join("name")).expect("reading"),
        CONTENT
    );
    for spelling in &spellings {
        assert!(
            mount.has_logged(spelling),
            "{spelling} is not reported:\n{}",
            mount.log()
        );
    }
    assert!(
        mount.log().contains("cannot be decrypted"),
        "{}",
        mount.log()
    );
    // A change is one of the file, and leaves the others where they are.
    fs::write(mount.path().join("name"), "changed").expect("writing");
    drop(mount);
    assert!(volume.read(key) != object);
    assert!(volume.read(&spellings[0]) == object);
}

#[test]
fn a_name_that_was_changed_or_moved_is_told_and_hides_nothing() {
    let volume = volume();
    super::write(
        &volume,
        &[
            ("changed", CONTENT),
            ("kept", CONTENT),
            ("directory/moved", CONTENT),
        ],
    );
    let keys = volume.keys();
    let below = keys
        .iter()
        .find(|key| key.contains('/') && !key.ends_with('/'));
    let below = below.expect("the file in the directory");
    let moved = below.split('/').next_back().expect("its name");
    let decrypted = volume.decrypted();
    assert!(decrypted.contains_key("directory/moved"), "{decrypted:?}");
    volume.write(moved, &volume.read(below));
    let changed = keys
        .iter()
        .filter(|key| !key.contains('/'))
        .find(|key| is_of(&volume, key, "changed"))
        .expect("the key of the file");
    // Bits of the synthetic IV.
    let other = if changed.starts_with('A') { "B" } else { "A" };
    let unreadable = format!("{other}{}", &changed[1..]);
    volume.write(&unreadable, &volume.read(changed));
    volume.objects.delete(changed);
    volume.write("put here by another program", &volume.read(below));

    let mount = volume.mount();
    let listed: Vec<_> = fs::read_dir(mount.path())
        .expect("listing")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    for name in ["kept", "directory"] {
        assert!(listed.iter().any(|entry| entry == name), "{listed:?}");
    }
    for name in ["changed", "moved"] {
        assert!(!listed.iter().any(|entry| entry == name), "{listed:?}");
        let gone = fs::read(mount.path().join(name)).expect_err("it has no such name");
        assert_eq!(gone.kind(), std::io::ErrorKind::NotFound, "{name}");
    }
    for name in ["kept", "directory/moved"] {
        assert_eq!(fs::read(mount.path().join(name)).expect("reading"), CONTENT);
    }
    for key in [&*unreadable, moved, "put here by another program"] {
        assert!(
            mount.has_logged(key),
            "{key:?} is not reported:\n{}",
            mount.log()
        );
    }
}

/// Whether decrypt.py finds this path at a key.
fn is_of(volume: &Sealed, key: &str, path: &str) -> bool {
    volume.path_of(key) == path
}
