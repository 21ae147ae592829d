//! Attributes and the volume's own settings: what is outside of the sealed record counts for
//! nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::{CONTENT, NOT_AUTHENTIC, assert_refused, on_both_places, write};
use crate::mount::refusal;
use crate::process::sh;
use crate::sealed::{RECORDS, Sealed};

on_both_places!(
    attributes_in_clear_count_for_nothing,
    a_setuid_bit_of_another_file_cannot_be_taken_over,
    a_changed_volume_record_is_mended_from_the_other,
    a_volume_whose_records_are_both_changed_is_not_mounted,
    both_records_of_another_volume_of_the_root_make_it_that_volume,
);

/// The names under which the other modes keep attributes.
fn attributes_in_clear_count_for_nothing(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let seen = |what: &str| {
        let mount = volume.mount();
        let path = mount.path().join("file");
        let seen = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(fs::read(&path).expect("reading"), CONTENT);
        let xattrs = sh(&mount.path(), "getfattr -m '^user[.]e' -d file", &[]);
        (
            seen.mode(),
            seen.uid(),
            seen.gid(),
            seen.size(),
            seen.mtime(),
            xattrs,
        )
    };
    let before = seen("before");
    volume.change("file", |object| {
        let forged = [
            ("mode", "35309"), // 0o104755
            ("uid", "0"),
            ("gid", "12345"),
            ("mtime", "1.000000000"),
            ("xattr", "%7B%22user.evil%22%3A%22eA%3D%3D%22%7D"),
        ];
        let forged = forged.map(|(name, value)| (name.to_owned(), value.to_owned()));
        object.metadata.extend(forged);
    });
    assert_eq!(seen("after"), before);
}

fn a_setuid_bit_of_another_file_cannot_be_taken_over(volume: &Sealed) {
    write(volume, &[("setuid", CONTENT), ("file", CONTENT)]);
    let mount = volume.mount();
    let path = mount.path().join("setuid");
    fs::set_permissions(path, PermissionsExt::from_mode(0o4755)).expect("chmod");
    drop(mount);
    let setuid = volume.read("setuid");
    volume.change("file", |object| object.metadata = setuid.metadata);
    assert_refused(volume, &[("file", NOT_AUTHENTIC)]);
}

/// Somewhere in each of its parts but the id: key, settings, and what tells that it is a record.
fn a_changed_volume_record_is_mended_from_the_other(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let good = volume.read(RECORDS[0]).body;
    assert!(volume.read(RECORDS[1]).body == good, "two copies");
    for record in RECORDS {
        for at in [0, 27, 60, 140, 160, good.len() - 1] {
            volume.change(record, |object| object.body[at] ^= 1);
            let mount = volume.mount();
            let read = fs::read(mount.path().join("file")).expect("reading");
            assert_eq!(read, CONTENT, "{record}, byte {at}");
            assert!(volume.read(record).body == good, "{record}, byte {at}");
        }
    }
}

fn a_volume_whose_records_are_both_changed_is_not_mounted(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let good = volume.read(RECORDS[0]);
    let point = tempfile::tempdir().expect("a mountpoint");
    let refused = |at: usize, xor: u8| {
        for record in RECORDS {
            volume.objects.delete(record);
            let mut changed = good.clone();
            changed.body[at] ^= xor;
            volume.write(record, &changed);
        }
        refusal(&volume.source(), point.path(), &[])
    };
    let unknown = refused(8, 3);
    assert!(unknown.contains("version 2"), "{unknown}");
    // Two records of one volume, which is not that of the wrapped key; the key; the settings.
    for at in [12, 60, good.body.len() - 1] {
        let sentence = refused(at, 1);
        assert!(
            sentence.contains("changed") || sentence.contains("key"),
            "{sentence}"
        );
    }
}

fn both_records_of_another_volume_of_the_root_make_it_that_volume(volume: &Sealed) {
    let other = Sealed::new(volume.row(), "other-volume");
    write(volume, &[("file", CONTENT)]);
    write(&other, &[("file", CONTENT)]);
    volume.write(RECORDS[1], &other.read(RECORDS[1]));
    let point = tempfile::tempdir().expect("a mountpoint");
    let differing = refusal(&volume.source(), point.path(), &[]);
    assert!(differing.contains("volume"), "{differing}");
    // Both of them: another volume then, in which nothing here opens.
    volume.write(RECORDS[0], &other.read(RECORDS[0]));
    assert_refused(volume, &[("file", NOT_AUTHENTIC)]);
}
