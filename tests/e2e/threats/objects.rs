//! Whole objects that are genuine and not where they belong, and parts of two versions put
//! together.

use std::fs::File;
use std::os::unix::fs::{FileExt, symlink};

use super::{CONTENT, NOT_AUTHENTIC, SEGMENT, assert_refused, on_both_places, write};
use crate::sealed::{Row, Sealed};
use crate::tree::bytes;

on_both_places!(
    objects_swapped_and_copied_over_other_keys,
    an_object_of_another_volume_or_another_prefix,
    old_manifest_with_new_segments_and_the_reverse,
    a_record_on_another_body,
    a_link_and_a_file_in_each_others_place,
    an_object_that_is_not_ours,
);

fn objects_swapped_and_copied_over_other_keys(volume: &Sealed) {
    let files: [(&str, &[u8]); 4] = [
        ("swapped-1", b"first"),
        ("swapped-2", b"second"),
        ("directory/below", b"third"),
        ("overwritten", b"fourth"),
    ];
    write(volume, &files);
    let [first, second, below, _] = files.map(|(name, _)| volume.read(name));
    volume.write("swapped-1", &second);
    volume.write("swapped-2", &first);
    volume.write("overwritten", &first);
    // To another directory, and to a name that was free.
    volume.write("below", &below);
    volume.write("directory/new", &first);
    let refused = [
        "swapped-1",
        "swapped-2",
        "overwritten",
        "below",
        "directory/new",
    ];
    assert_refused(volume, &refused.map(|name| (name, NOT_AUTHENTIC)));
}

fn an_object_of_another_volume_or_another_prefix(volume: &Sealed) {
    // Under the same master key.
    let other = Sealed::new(Row::plain_names(volume.place()), "other-volume");
    let files: [(&str, &[u8]); 2] = [("same-key", CONTENT), ("prefix/same-name", CONTENT)];
    write(volume, &files);
    write(&other, &files);
    volume.write("same-key", &other.read("same-key"));
    volume.write("same-name", &volume.read("prefix/same-name"));
    assert_refused(
        volume,
        &[("same-key", NOT_AUTHENTIC), ("same-name", NOT_AUTHENTIC)],
    );
}

/// Versions of one file, which share the key of their content.
fn old_manifest_with_new_segments_and_the_reverse(volume: &Sealed) {
    let names = ["old-tail", "new-tail", "old-body", "new-body"];
    let content = bytes(1, SEGMENT + 100);
    write(volume, &names.map(|name| (name, &*content)));
    let before = names.map(|name| volume.read(name));
    let mount = volume.mount();
    for name in names {
        let file = File::options().write(true).open(mount.path().join(name));
        file.expect("opening")
            .write_all_at(b"!", 5)
            .expect("writing");
    }
    drop(mount);
    // What follows the segments, which are as long as before.
    let tail = super::stored(SEGMENT) + super::stored(100);
    for (name, old) in names.into_iter().zip(before) {
        volume.change(name, |new| match name {
            "old-tail" => new.body[tail..].copy_from_slice(&old.body[tail..]),
            "new-tail" => {
                new.body[..tail].copy_from_slice(&old.body[..tail]);
            }
            // Under the new record.
            "old-body" => new.body = old.body,
            _ => new.metadata = old.metadata,
        });
    }
    assert_refused(volume, &names.map(|name| (name, NOT_AUTHENTIC)));
}

/// Two files of one length, whose records and bodies are exchanged.
fn a_record_on_another_body(volume: &Sealed) {
    write(
        volume,
        &[("one", CONTENT), ("two", CONTENT), ("small", b"")],
    );
    let (one, two) = (volume.read("one"), volume.read("two"));
    volume.change("one", |object| object.body.clone_from(&two.body));
    volume.change("two", |object| object.metadata.clone_from(&one.metadata));
    volume.change("small", |object| object.body = two.body);
    let refused = ["one", "two", "small"];
    assert_refused(volume, &refused.map(|name| (name, NOT_AUTHENTIC)));
}

fn a_link_and_a_file_in_each_others_place(volume: &Sealed) {
    write(volume, &[("file", CONTENT)]);
    let mount = volume.mount();
    symlink("/etc/shadow", mount.path().join("link")).expect("symlink");
    symlink("harmless", mount.path().join("changed")).expect("symlink");
    drop(mount);
    let (file, link) = (volume.read("file"), volume.read("link"));
    volume.write("file", &link);
    volume.write("link", &file);
    // The target is content.
    volume.change("changed", |object| object.body[60] ^= 1);
    let mount = volume.mount();
    for name in ["link", "changed"] {
        // What does not open is shown as a file where its name is asked for: EINVAL then.
        let refused = std::fs::read_link(mount.path().join(name)).expect_err("no target");
        let errno = refused.raw_os_error();
        assert!(
            matches!(errno, Some(libc::EIO | libc::EINVAL)),
            "{name}: {refused}"
        );
    }
    drop(mount);
    let refused = ["file", "link", "changed"];
    assert_refused(volume, &refused.map(|name| (name, NOT_AUTHENTIC)));
}

/// No plain object is served in a client-side volume, nor one of another client's format.
fn an_object_that_is_not_ours(volume: &Sealed) {
    let files: [(&str, &[u8]); 5] = [
        ("plain", CONTENT),
        ("with-attributes", CONTENT),
        ("s3ec-v2", CONTENT),
        ("s3ec-v3", CONTENT),
        ("both", CONTENT),
    ];
    write(volume, &files);
    let v2 = [
        ("x-amz-iv", "AAAAAAAAAAAAAAAA"),
        ("x-amz-key-v2", "AAAA"),
        ("x-amz-cek-alg", "AES/GCM/NoPadding"),
        ("x-amz-wrap-alg", "AES/GCM"),
        ("x-amz-tag-len", "128"),
    ];
    let v3 = [
        ("x-amz-c", "115"),
        ("x-amz-w", "02"),
        ("x-amz-3", "AAAA"),
        ("x-amz-d", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
        ("x-amz-i", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    for (name, metadata) in [
        ("plain", &[][..]),
        (
            "with-attributes",
            &[("mode", "35309"), ("uid", "0"), ("gid", "0")],
        ),
        ("s3ec-v2", &v2),
        ("s3ec-v3", &v3),
    ] {
        volume.change(name, |object| {
            object.body = CONTENT.to_vec();
            object.metadata = metadata
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
        });
    }
    // A broken object of ours is not given to another format.
    volume.change("both", |object| {
        object.body[60] ^= 1;
        let more = v2.map(|(name, value)| (name.to_owned(), value.to_owned()));
        object.metadata.extend(more);
    });
    let not_ours = "was not written by cloakfs in a client-side mode";
    let forged = "is not authentic under the keys of this mount";
    assert_refused(
        volume,
        &[
            ("plain", not_ours),
            ("with-attributes", not_ours),
            ("s3ec-v2", forged),
            ("s3ec-v3", forged),
            ("both", NOT_AUTHENTIC),
        ],
    );
}
