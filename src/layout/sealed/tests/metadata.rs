//! What the headers say is told apart, and fits.

use super::*;
use crate::layout::sealed::metadata::{FORMAT, KEY, RECORD};

fn object() -> (Volume, StoredObject) {
    let volume = Volume::new();
    let object = volume.encode("f", &record(FileKind::File), &File::of(&[], 0));
    (volume, object)
}

fn with(header: &str, value: Option<&str>) -> ObjectError {
    let (volume, mut object) = object();
    match value {
        Some(value) => drop(object.metadata.insert(header.to_owned(), value.to_owned())),
        None => drop(object.metadata.remove(header)),
    }
    volume.open("f", &object).err().expect("it was changed")
}

#[test]
fn an_object_of_others_is_not_ours() {
    let (volume, mut object) = object();
    object.metadata = BTreeMap::from([("mode".to_owned(), "33188".to_owned())]);
    let error = volume.open("f", &object).err().unwrap();
    assert_eq!(error, ObjectError::NotOurs);
    assert_eq!(
        error.to_string(),
        "was not written by cloakfs in a client-side mode: it has none of its metadata; move it out of this volume"
    );
}

#[test]
fn an_unknown_version_is_refused_by_its_number() {
    assert_eq!(with(FORMAT, Some("2")), ObjectError::UnknownVersion(2));
    assert_eq!(with(FORMAT, Some("0")), ObjectError::UnknownVersion(0));
    assert_eq!(
        with(FORMAT, Some("17")).to_string(),
        "has format version 17, and this cloakfs reads version 1: use a newer one"
    );
    // Another version may have other headers.
    let (volume, mut object) = object();
    object.metadata = BTreeMap::from([(FORMAT.to_owned(), "2".to_owned())]);
    let error = volume.open("f", &object).err().unwrap();
    assert_eq!(error, ObjectError::UnknownVersion(2));
    for no_number in ["", "01", "+1", "1.0", "-1", "99999999999999999999999"] {
        assert!(
            matches!(
                with(FORMAT, Some(no_number)),
                ObjectError::BrokenMetadata(_)
            ),
            "{no_number:?}"
        );
    }
}

#[test]
fn a_missing_header_makes_no_foreign_object() {
    for header in [FORMAT, KEY, RECORD] {
        assert!(matches!(with(header, None), ObjectError::BrokenMetadata(_)));
        let broken = with(header, Some("!"));
        assert!(matches!(broken, ObjectError::BrokenMetadata(_)), "{header}");
        assert!(matches!(
            with(header, Some("")),
            ObjectError::BrokenMetadata(_) | ObjectError::NotAuthentic
        ));
    }
    assert_eq!(
        with(KEY, None).to_string(),
        "has cloakfs metadata that was changed or cut: cloakfs-key is missing; restore an older version of the object"
    );
}

#[test]
fn there_is_one_spelling_of_each_header() {
    let (volume, object) = object();
    for header in [KEY, RECORD] {
        let value = object.metadata[header].clone();
        let mut spellings = vec![
            format!("{value}="),
            format!("{value}=="),
            format!(" {value}"),
        ];
        spellings.push(value.replace(['-', '_'], "+"));
        // The last character's unused bits, where there are some.
        if value.len() % 4 != 0 {
            let last = value.chars().last().unwrap();
            let next = char::from(u8::try_from(last).unwrap() + 1);
            spellings.push(format!("{}{next}", &value[..value.len() - 1]));
        }
        for spelling in spellings.into_iter().filter(|spelling| *spelling != value) {
            let mut changed = object.clone();
            changed.metadata.insert(header.to_owned(), spelling);
            assert!(volume.open("f", &changed).is_err());
        }
    }
}

/// The largest metadata stays below 2,048 bytes where the server counts `x-amz-meta-` too, as
/// MinIO does.
#[test]
fn the_largest_metadata_fits() {
    let largest = SealedMetadata {
        key: WrappedKey::Kms(vec![1; 512]),
        record: vec![1; 840],
    };
    let metadata = largest.encode();
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| "x-amz-meta-".len() + name.len() + value.len())
        .sum();
    let commit = "x-amz-meta-cloakfs-commit".len() + 32;
    assert_eq!(bytes + commit, 1934);
    assert_eq!(SealedMetadata::decode(&metadata), Ok(largest));
    assert_eq!(WrappedKey::decode(&[1; 514]), None);
    assert_eq!(WrappedKey::decode(&[1]), None);
    assert_eq!(WrappedKey::decode(&[3, 1]), None);
    assert_eq!(WrappedKey::decode(&[2; 104]), None);
    assert!(WrappedKey::decode(&[2; 105]).is_some());
    assert_eq!(WrappedKey::decode(&[]), None);
}
