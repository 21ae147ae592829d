//! Objects of version 1 as they were written once. They stay readable for ever: a change that
//! makes one of these fail needs another version number, not new fixtures.
//!
//! They were made by `CLOAKFS_TEST_NEW_FIXTURES=DIRECTORY cargo test --test format`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cloakfs::base::range::ByteRange;
use cloakfs::base::secret::Secret;
use cloakfs::crypto::{DataKey, MasterKey};
use cloakfs::layout::sealed::map::PlainRange;
use cloakfs::layout::sealed::object::{Place, StoredObject, open_object, read};
use cloakfs::layout::sealed::volume::SealedVolume;
use cloakfs::layout::sealed::{Names, SealedMetadata, StoredKey, StoredPath, WrappedKey};
use serde_json::{Value, json};

use crate::cases::{Case, describe, hex, sha256};
use crate::decryptor::decrypt;

/// Larger ones are made anew by each test run.
const FIXTURE_BYTES_MAX: usize = 4_096;

pub fn write(directory: &Path, cases: &[Case]) {
    std::fs::create_dir_all(directory).unwrap();
    for case in cases
        .iter()
        .filter(|case| case.body.len() <= FIXTURE_BYTES_MAX)
    {
        let fixture = json!({
            "sealed": case.sealed,
            "body": hex(&case.body),
            "expected": case.expected,
        });
        let text = serde_json::to_string_pretty(&fixture).unwrap() + "\n";
        std::fs::write(directory.join(format!("{}.json", case.name)), text).unwrap();
    }
}

fn fixtures() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/fixtures/v1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 44, "no fixture is ever taken away");
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let mut fixture: Value = serde_json::from_str(&text).unwrap();
            Case {
                name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
                sealed: fixture["sealed"].take(),
                body: unhex(fixture["body"].as_str().unwrap()),
                expected: fixture["expected"].take(),
            }
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn secret<const N: usize>(text: &str) -> Secret<N> {
    let mut bytes: [u8; N] = unhex(text).try_into().unwrap();
    Secret::take(&mut bytes)
}

/// The master key that a root is, or what KMS would answer.
fn unwrap(root: &Value, volume: &SealedVolume, wrapped: &WrappedKey) -> DataKey {
    let id = volume.header().id;
    let master = match (wrapped, &root["passphrase"]) {
        (WrappedKey::Kms(blob), _) => {
            return DataKey::from_secret(secret(root["kms"][hex(blob)].as_str().unwrap()));
        }
        (_, Value::String(passphrase)) => {
            let lock = volume.header().lock.as_ref().unwrap();
            lock.open(passphrase.as_bytes(), id.as_bytes())
                .unwrap_or_else(|error| panic!("{error}"))
        }
        _ => MasterKey::from_secret(secret(root["master"].as_str().unwrap())),
    };
    let WrappedKey::Master(wrapped) = wrapped else {
        unreachable!("a key of KMS was answered")
    };
    master
        .unwrap(id.as_bytes(), wrapped)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn plain_path(names: &Names, key: &StoredKey) -> String {
    let mut parent = StoredPath::root();
    let mut names_found = Vec::new();
    for stored in key.as_str().split('/').filter(|part| !part.is_empty()) {
        let name = names.open(&parent, stored).unwrap();
        names_found.push(name.as_str().to_owned());
        parent = parent.join(stored);
    }
    names_found.join("/")
}

/// What this code reads in a case, as decrypt.py would say it.
fn open(case: &Case) -> Value {
    let sealed = &case.sealed;
    let volume = SealedVolume::decode(&unhex(sealed["record"].as_str().unwrap())).unwrap();
    let root = &sealed["root"];
    let settings = volume
        .open(&unwrap(root, &volume, &volume.header().key))
        .unwrap_or_else(|error| panic!("{error}"));
    let metadata: BTreeMap<String, String> =
        serde_json::from_value(sealed["metadata"].clone()).unwrap();
    let wrapped = SealedMetadata::decode(&metadata).unwrap().key;
    let key = unwrap(root, &volume, &wrapped);
    let at = StoredKey::below("", sealed["key"].as_str().unwrap()).unwrap();
    let place = Place {
        key: &key,
        volume: volume.header().id,
        at: &at,
    };
    let object = StoredObject {
        metadata,
        body: case.body.clone(),
    };
    let opened = open_object(&place, &object).unwrap_or_else(|error| panic!("{error}"));
    let all = PlainRange(ByteRange::new(0, opened.map.length()));
    let content = read(&opened, &object.body, all).unwrap();
    let attributes = &opened.attributes.attributes;
    let xattrs: BTreeMap<_, _> = attributes
        .xattrs
        .iter()
        .map(|(name, value)| (name, hex(value)))
        .collect();
    json!({
        "path": plain_path(&settings.names, &at),
        "length": content.len(),
        "sha256": sha256(&content),
        "attributes": describe(opened.attributes.sequence, attributes),
        "xattrs": xattrs,
    })
}

#[test]
fn objects_of_version_1_stay_readable() {
    let fixtures = fixtures();
    for case in &fixtures {
        assert_eq!(open(case), case.expected, "{}", case.name);
    }
}

#[test]
fn the_decryptor_reads_the_fixtures_too() {
    let fixtures = fixtures();
    for (case, answer) in fixtures.iter().zip(decrypt(&fixtures)) {
        assert_eq!(answer, case.expected, "{}", case.name);
    }
}
