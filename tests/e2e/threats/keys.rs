//! Algorithms and keys: there is one algorithm, nothing names another, and a key that was put in
//! another's place opens nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::{
    BROKEN, CONTENT, FOOTER, HEADER, NOT_AUTHENTIC, SEGMENT, assert_refused, on_both_places,
    stored, write,
};
use crate::customer_key::CustomerKey;
use crate::mount::refusal;
use crate::sealed::{Sealed, cse_c};
use crate::tree::bytes;

on_both_places!(
    another_version_is_refused_by_its_number,
    a_wrapped_key_of_another_object_opens_nothing,
    a_wrong_key_is_one_sentence_at_mount,
    every_segment_that_is_written_has_a_salt_of_its_own,
    a_message_of_one_purpose_serves_no_other,
);

/// The version is the only field that could ask for something weaker, and it is in every context.
fn another_version_is_refused_by_its_number(volume: &Sealed) {
    let versions = ["0", "2", "3", "18446744073709551615"];
    let names = versions.map(|version| format!("version-{version}"));
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, CONTENT)).collect();
    write(volume, &files);
    for (name, version) in names.iter().zip(versions) {
        volume.change(name, |object| {
            let format = object.metadata.get_mut("cloakfs-format");
            version.clone_into(format.expect("a version"));
        });
    }
    let reasons = versions
        .map(|version| format!("has format version {version}, and this cloakfs reads version 1"));
    let tampered: Vec<(&str, &str)> = names
        .iter()
        .zip(&reasons)
        .map(|(name, reason)| (&**name, &**reason))
        .collect();
    assert_refused(volume, &tampered);
}

/// Another data key, under the same root and volume: the record's commitment is to its own.
fn a_wrapped_key_of_another_object_opens_nothing(volume: &Sealed) {
    // A mount has a data key of its own.
    write(volume, &[("other-key", CONTENT), ("no-key", CONTENT)]);
    write(volume, &[("replaced", CONTENT)]);
    let other = volume.read("other-key").metadata["cloakfs-key"].clone();
    volume.change("replaced", |object| {
        object.metadata.insert("cloakfs-key".into(), other);
    });
    volume.change("no-key", |object| {
        object.metadata.insert("cloakfs-key".into(), "_w".into());
    });
    assert_refused(volume, &[("replaced", NOT_AUTHENTIC), ("no-key", BROKEN)]);
}

fn a_wrong_key_is_one_sentence_at_mount(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let wrong = CustomerKey::new(41).file(volume.directory());
    let source = volume.source_with(&cse_c(&wrong));
    let point = tempfile::tempdir().expect("a mountpoint");
    let sentence = refusal(&source, point.path(), &[]);
    assert!(sentence.contains("key"), "{sentence}");
    assert!(
        sentence.contains("wrong") || sentence.contains("not the key"),
        "{sentence}"
    );
    // Neither does it make another volume.
    let refused = refusal(&source, point.path(), &["--create", "--names", "plain"]);
    assert_eq!(refused, sentence);
}

/// Salts of segments, wherever they were written, and of footers: none comes twice.
fn every_segment_that_is_written_has_a_salt_of_its_own(volume: &Sealed) {
    let content = bytes(1, 2 * SEGMENT + 10);
    let mut salts = BTreeSet::new();
    let mut messages = 0;
    let mut look = |name: &str| {
        let body = volume.read(name).body;
        let footer = body.len() - FOOTER;
        for at in [0, stored(SEGMENT), 2 * stored(SEGMENT), footer] {
            messages += 1;
            salts.insert(body[at..at + 24].to_vec());
        }
    };
    let write_again = |name: &str| write(volume, &[(name, &*content)]);
    // The same bytes: anew, by another mount, over what is there, by two mounts at once.
    write_again("one");
    look("one");
    write_again("one");
    look("one");
    let (first, second) = (volume.mount(), volume.mount());
    for mount in [&first, &second] {
        let name = format!("of-{}", mount.pid());
        fs::write(mount.path().join(&name), &content).expect("writing");
        look(&name);
    }
    let file = File::options().write(true).open(first.path().join("one"));
    let file = file.expect("opening");
    for _ in 0..3 {
        file.write_all_at(&content, 0).expect("the same content");
        file.sync_all().expect("fsync");
        look("one");
    }
    assert_eq!(salts.len(), messages);
}

/// All are messages under the same content key, and some have the same length.
fn a_message_of_one_purpose_serves_no_other(volume: &Sealed) {
    // As long as a footer's plaintext, and as a manifest of two.
    const LIKE_A_FOOTER: usize = FOOTER - HEADER - 16;
    const MANIFEST: usize = stored(2 * 28);
    let mount = volume.mount();
    let names = [
        "segment-as-footer",
        "segment-as-manifest",
        "manifest-as-segment",
    ];
    for (name, length) in names.into_iter().zip([LIKE_A_FOOTER, 2 * 28, 2 * 28]) {
        let file = File::create(mount.path().join(name)).expect("creating");
        file.write_all_at(&bytes(2, length), SEGMENT as u64)
            .expect("writing");
    }
    drop(mount);
    for name in names {
        volume.change(name, |object| {
            let body = &mut object.body;
            let footer = body.len() - FOOTER;
            let manifest = footer - MANIFEST;
            match name {
                "segment-as-footer" => body.copy_within(..FOOTER, footer),
                "segment-as-manifest" => body.copy_within(..MANIFEST, manifest),
                _ => body.copy_within(manifest..footer, 0),
            }
        });
    }
    assert_refused(volume, &names.map(|name| (name, NOT_AUTHENTIC)));
}
