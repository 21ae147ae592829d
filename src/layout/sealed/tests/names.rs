//! Names as they are stored.

use std::ffi::OsStr;

use proptest::prelude::*;

use super::*;
use crate::crypto::NameKey;
use crate::layout::path::{NameError, PlainName, VolumePath};
use crate::layout::sealed::names::{ENCRYPTED_NAME_BYTES_MAX, StoredNameError};

fn encrypted() -> Names {
    Names::Encrypted(Box::new(NameKey::random()))
}

fn name(text: &str) -> PlainName {
    PlainName::new(OsStr::new(text)).unwrap()
}

#[test]
fn the_longest_name_becomes_255_bytes() {
    assert_eq!(ENCRYPTED_NAME_BYTES_MAX, 175);
    let (names, root) = (encrypted(), StoredPath::root());
    assert_eq!(names.name_bytes_max(), 175);
    assert_eq!(Names::Plain.name_bytes_max(), 255);
    let stored = names.seal(&root, &name(&"x".repeat(175))).unwrap();
    assert_eq!(stored.len(), 255);
    assert!(names.open(&root, &stored).is_ok());
    let long = name(&"x".repeat(176));
    assert_eq!(names.seal(&root, &long), Err(NameError::TooLong));
    assert!(Names::Plain.seal(&root, &long).is_ok());
}

#[test]
fn a_name_opens_only_in_its_directory() {
    let (names, root) = (encrypted(), StoredPath::root());
    let other = root.join("other");
    let stored = names.seal(&root, &name("a")).unwrap();
    assert_ne!(names.seal(&other, &name("a")).unwrap(), stored);
    assert_eq!(names.open(&root, &stored), Ok(name("a")));
    assert_eq!(
        names.open(&other, &stored),
        Err(StoredNameError::NotAuthentic)
    );
    assert_eq!(
        encrypted().open(&root, &stored),
        Err(StoredNameError::NotAuthentic)
    );
    for (not_encoded, error) in [
        ("readme.txt", StoredNameError::NotEncoded),
        (".cloakfs", StoredNameError::NotEncoded),
        ("", StoredNameError::NotAuthentic),
        ("AAAA", StoredNameError::NotAuthentic),
    ] {
        assert_eq!(names.open(&root, not_encoded), Err(error), "{not_encoded}");
    }
    assert_eq!(
        StoredNameError::NotAuthentic.to_string(),
        "cannot be decrypted: its name was changed, or it was moved here from another directory; move it back to where it was"
    );
}

/// A name that no path can have is refused although the key's holder sealed it.
#[test]
fn what_opens_is_still_checked() {
    let key = NameKey::random();
    let seal = |bytes: &[u8]| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.seal("", bytes))
    };
    let stored: Vec<String> = [
        b"a/b".as_slice(),
        b"",
        b".",
        b"..",
        b"a\0",
        b"\xff",
        &[b'x'; 176],
    ]
    .map(seal)
    .to_vec();
    let names = Names::Encrypted(Box::new(key));
    for stored in stored {
        assert_eq!(
            names.open(&StoredPath::root(), &stored),
            Err(StoredNameError::NotAName)
        );
    }
}

proptest! {
    /// Every other text that decodes to the same bytes is refused: one stored name for a name.
    #[test]
    fn a_stored_name_is_the_only_spelling(text in "[^/\0]{1,20}", last in "[A-Za-z0-9_-]") {
        prop_assume!(text != "." && text != "..");
        let (names, root) = (encrypted(), StoredPath::root());
        let stored = names.seal(&root, &name(&text)).unwrap();
        prop_assert_eq!(names.open(&root, &stored), Ok(name(&text)));
        let other = format!("{}{last}", &stored[..stored.len() - 1]);
        if other != stored {
            prop_assert!(names.open(&root, &other).is_err());
        }
        for spelling in [format!("{stored}="), format!("{stored}A"), format!(" {stored}")] {
            prop_assert!(names.open(&root, &spelling).is_err());
        }
    }

    #[test]
    fn a_path_is_sealed_component_by_component(parts in proptest::collection::vec("[a-z]{1,9}", 1..5)) {
        let names = encrypted();
        let path: VolumePath = parts.join("/").parse().unwrap();
        let stored = names.stored_path(&path).unwrap();
        let mut parent = StoredPath::root();
        for (component, part) in stored.as_str().split('/').zip(&parts) {
            prop_assert_eq!(names.open(&parent, component), Ok(name(part)));
            parent = parent.join(component);
        }
        prop_assert_eq!(&parent, &stored);
        prop_assert!(stored.directory_key().is_directory());
        prop_assert!(!stored.file_key().is_directory());
        let plain = Names::Plain.stored_path(&path).unwrap();
        prop_assert_eq!(plain.as_str(), path.as_str());
    }
}
