//! What no reader without memory can tell: something whole and older in the place of what is new.
//!
//! docs/SECURITY.md says that this is not promised; here is what happens then.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{CONTENT, on_both_places, write};
use crate::sealed::{RECORDS, Sealed};

on_both_places!(
    a_whole_older_object_is_read_as_what_it_was,
    older_attributes_of_the_same_body_come_back,
    an_older_volume_record_opens_the_volume,
    a_deleted_object_that_is_put_back_is_there_again,
);

fn a_whole_older_object_is_read_as_what_it_was(volume: &Sealed) {
    write(volume, &[("file", b"old")]);
    let old = volume.read("file");
    write(volume, &[("file", b"and new")]);
    volume.write("file", &old);
    let mount = volume.mount();
    assert_eq!(
        fs::read(mount.path().join("file")).expect("reading"),
        b"old"
    );
}

/// The record alone: the body has not changed since.
fn older_attributes_of_the_same_body_come_back(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let mount = volume.mount();
    let path = mount.path().join("file");
    let chmod = |mode| fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
    chmod(0o644);
    let open = volume.read("file");
    chmod(0o600);
    drop(mount);
    volume.change("file", |object| {
        assert!(object.body == open.body, "a change of mode leaves the body");
        object.metadata = open.metadata;
    });
    let mount = volume.mount();
    let seen = fs::metadata(mount.path().join("file")).expect("stat");
    assert_eq!(seen.permissions().mode() & 0o7777, 0o644);
    assert_eq!(
        fs::read(mount.path().join("file")).expect("reading"),
        CONTENT
    );
}

fn an_older_volume_record_opens_the_volume(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let old = RECORDS.map(|record| volume.read(record));
    write(volume, &[("another", CONTENT)]);
    for (record, old) in RECORDS.iter().zip(old) {
        volume.objects.delete(record);
        volume.write(record, &old);
    }
    let mount = volume.mount();
    for name in ["file", "another"] {
        assert_eq!(fs::read(mount.path().join(name)).expect("reading"), CONTENT);
    }
}

fn a_deleted_object_that_is_put_back_is_there_again(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let old = volume.read("file");
    let mount = volume.mount();
    fs::rename(mount.path().join("file"), mount.path().join("moved")).expect("renaming");
    drop(mount);
    volume.write("file", &old);
    let mount = volume.mount();
    for name in ["file", "moved"] {
        assert_eq!(fs::read(mount.path().join(name)).expect("reading"), CONTENT);
    }
}
