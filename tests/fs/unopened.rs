//! Objects of a client-side volume that do not open: shown, refused with the reason, and gone
//! when they are deleted or replaced.

use std::time::Duration;

use cloakfs::fs::{FileKind, ROOT, SetAttr};
use cloakfs::store::{GetOptions, ObjectKey, PutOptions, Store};

use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_client_side_layouts;

in_client_side_layouts! {
    what_was_changed_is_listed_and_refused_with_the_reason,
    what_is_of_another_program_is_told_so,
    what_does_not_open_can_be_deleted_and_replaced,
    a_directory_with_a_marker_of_another_program_is_one_without,
    an_empty_object_is_not_an_empty_file,
    a_file_that_opens_again_is_as_before,
    a_directory_with_what_does_not_open_is_not_renamed,
    a_marker_of_another_program_with_content_is_not_lost,
    what_replaced_a_link_is_not_read_as_one,
}

const LONG: Duration = Duration::from_hours(1);
const NOT_AUTHENTIC: &str = "is not authentic: it was changed, moved here without its key, or \
                             mixed from two versions; restore an older version of the object";

async fn what_was_changed_is_listed_and_refused_with_the_reason(layout: Layout) {
    let bucket = Bucket::of(layout);
    for name in ["d/a", "d/bad", "d/z"] {
        bucket.put(name, name.as_bytes()).await;
    }
    let footer = 100;
    bucket.tamper("d/bad", footer).await;
    let mount = bucket.mount_with(LONG).await;
    let dir = mount.walk("d").await.unwrap().attr.ino;
    let listed = mount.list("d").await.unwrap();
    let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "bad", "z"]);
    for item in mount.list_items(dir, true).await.unwrap() {
        if item.name == "bad" {
            let attr = item.entry.unwrap().attr;
            assert_eq!((attr.kind, attr.perm), (FileKind::File, 0o400));
        }
    }
    let opened = mount.open("d/bad", libc::O_RDONLY).await.unwrap_err();
    assert_eq!(opened.errno(), libc::EIO);
    assert_eq!(opened.to_string(), format!("\"d/bad\" {NOT_AUTHENTIC}"));
    let mode = SetAttr {
        mode: Some(0o777),
        ..SetAttr::default()
    };
    assert_eq!(errno(mount.set("d/bad", mode).await), libc::EIO);
    assert_eq!(errno(mount.rename("d/bad", "d/good").await), libc::EIO);
    let flags = libc::O_WRONLY | libc::O_TRUNC;
    assert_eq!(errno(mount.open("d/bad", flags).await), libc::EIO);
    let made = mount.fs.create(me(), dir, "bad".as_ref(), 0o644, flags);
    assert_eq!(errno(made.await), libc::EIO);
    assert_eq!(mount.read_file("d/a").await.unwrap(), b"d/a");
    assert_eq!(bucket.keys(), ["d/a", "d/bad", "d/z"]);
}

async fn what_is_of_another_program_is_told_so(layout: Layout) {
    let bucket = Bucket::of(layout);
    let key = bucket.key("f").as_str().to_owned();
    bucket
        .put_with(&key, b"anything", &[("mode", "33188")])
        .await;
    let mount = bucket.mount().await;
    let opened = mount.open("f", libc::O_RDONLY).await.unwrap_err();
    assert_eq!(opened.errno(), libc::EIO);
    assert_eq!(
        opened.to_string(),
        "\"f\" was not written by cloakfs in a client-side mode: it has none of its metadata; \
         move it out of this volume"
    );
    let later = [("cloakfs-format", "2"), ("cloakfs-key", "x")];
    bucket.put_with(&key, b"anything", &later).await;
    let opened = mount.open("f", libc::O_RDONLY).await.unwrap_err();
    assert!(
        opened.to_string().contains("has format version 2"),
        "{opened}"
    );
}

async fn what_does_not_open_can_be_deleted_and_replaced(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    for name in ["one", "two", "new"] {
        bucket.put(name, name.as_bytes()).await;
    }
    bucket.tamper("one", 0).await;
    bucket.tamper("two", 100).await;
    assert_eq!(errno(mount.read_file("one").await), libc::EIO);
    mount.unlink("one").await.unwrap();
    mount.rename("new", "two").await.unwrap();
    assert_eq!(bucket.keys(), ["two"]);
    assert_eq!(mount.read_file("two").await.unwrap(), b"new");
}

async fn a_directory_with_a_marker_of_another_program_is_one_without(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("d/f", b"x").await;
    let marker = bucket.key("d/").as_str().to_owned();
    bucket.put_with(&marker, b"", &[]).await;
    let mount = bucket.mount().await;
    let attr = mount.attr("d").await.unwrap();
    assert_eq!((attr.kind, attr.perm), (FileKind::Directory, 0o755));
    assert_eq!(mount.read_file("d/f").await.unwrap(), b"x");
    // One that claims to be ours and is not is no such thing.
    let ours = [
        ("cloakfs-format", "1"),
        ("cloakfs-key", "Ag"),
        ("cloakfs-record", "AA"),
    ];
    bucket.put_with(&marker, b"", &ours).await;
    assert_eq!(mount.attr("d").await.unwrap().perm, 0);
    let mode = SetAttr {
        mode: Some(0o777),
        ..SetAttr::default()
    };
    assert_eq!(errno(mount.set("d", mode).await), libc::EIO);
}

async fn an_empty_object_is_not_an_empty_file(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("f", b"content").await;
    let key = bucket.key("f");
    let object = bucket.mem.get(&key, GetOptions::default()).await.unwrap();
    let options = PutOptions {
        attributes: object.info.attributes,
        ..PutOptions::default()
    };
    bucket.mem.put(&key, "".into(), options).await.unwrap();
    let mount = bucket.mount().await;
    let opened = mount.open("f", libc::O_RDONLY).await.unwrap_err();
    assert_eq!(opened.to_string(), format!("\"f\" {NOT_AUTHENTIC}"));
}

async fn a_file_that_opens_again_is_as_before(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("f", b"content").await;
    let mount = bucket.mount().await;
    bucket.tamper("f", 100).await;
    let closed = mount.attr("f").await.unwrap();
    assert_eq!(closed.perm, 0o400);
    bucket.tamper("f", 100).await;
    let attr = mount.fs.getattr(closed.ino, None).await.unwrap().0;
    assert_eq!((attr.perm, attr.size), (0o644, 7));
    assert_eq!(mount.read_file("f").await.unwrap(), b"content");
}

async fn a_directory_with_what_does_not_open_is_not_renamed(layout: Layout) {
    let bucket = Bucket::of(layout);
    for name in ["d/a", "d/b", "d/c"] {
        bucket.put(name, name.as_bytes()).await;
    }
    bucket.tamper("d/b", 100).await;
    let mount = bucket.mount().await;
    assert_eq!(errno(mount.rename("d", "e").await), libc::EIO);
    // Before a rename begins a directory gets a marker.
    assert_eq!(bucket.keys(), ["d/", "d/a", "d/b", "d/c"]);
    assert_eq!(bucket.private_keys(), [""; 0]);
}

async fn a_marker_of_another_program_with_content_is_not_lost(layout: Layout) {
    for bytes in [1, 300] {
        let bucket = Bucket::of(layout);
        bucket.put("e/f", b"x").await;
        let marker = bucket.key("d/").as_str().to_owned();
        let page = vec![b'<'; bytes];
        bucket.put_with(&marker, &page, &[]).await;
        let mount = bucket.mount().await;
        assert_eq!(mount.list("d").await.unwrap(), []);
        let mode = SetAttr {
            mode: Some(0o700),
            ..SetAttr::default()
        };
        let refused = [
            mount.rmdir("d").await.unwrap_err(),
            mount.rename("d", "g").await.unwrap_err(),
            mount.rename("e", "d").await.unwrap_err(),
            mount.set("d", mode).await.unwrap_err(),
        ];
        for refused in refused {
            assert_eq!(refused.errno(), libc::EIO, "{refused}");
            assert_eq!(
                refused.to_string(),
                "\"d/\" was not written by cloakfs in a client-side mode: it has none of its \
                 metadata; move it out of this volume"
            );
        }
        assert_eq!(bucket.keys(), ["d/", "e/f"]);
        let key = bucket.key("d/");
        let kept = bucket.mem.get(&key, GetOptions::default()).await.unwrap();
        assert_eq!(kept.body, page);
        // One without content goes.
        bucket.put_with(&marker, b"", &[]).await;
        mount.rmdir("d").await.unwrap();
        assert_eq!(bucket.keys(), ["e/f"]);
    }
}

/// It may be of any size.
async fn what_replaced_a_link_is_not_read_as_one(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    let made = mount.fs.symlink(me(), ROOT, "link".as_ref(), "to".as_ref());
    let link = made.await.unwrap().attr.ino;
    assert_eq!(&mount.fs.readlink(link).await.unwrap()[..], b"to");
    bucket.put("link", &b"x".repeat(100_000)).await;
    let (read, calls) = bucket.calls(mount.fs.readlink(link)).await;
    assert_eq!(errno(read), libc::ESTALE);
    assert!(calls.bytes_down < 50_000, "{calls}");
}

#[tokio::test]
async fn a_name_that_does_not_decrypt_is_hidden_with_its_reason() {
    let bucket = Bucket::of(Layout::SealedNames);
    bucket.put("d/f", b"x").await;
    bucket.put("g", b"x").await;
    // By another program; and moved from another directory.
    bucket.put_with("other program", b"x", &[]).await;
    let directory = bucket.key("d/").as_str().to_owned();
    bucket
        .put_with(&format!("{directory}{}", bucket.key("g")), b"x", &[])
        .await;
    let second_spelling = format!("{}==", bucket.key("g"));
    bucket.put_with(&second_spelling, b"x", &[]).await;
    let mount = bucket.mount().await;
    let listed = mount.list("").await.unwrap();
    let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["d", "g"]);
    assert_eq!(mount.list("d").await.unwrap().len(), 1);
    let hidden = mount.fs.status().hidden;
    assert_eq!(hidden.len(), 3, "{hidden:?}");
    assert!(hidden["other program"].contains("it is not an encrypted name"));
    assert!(hidden[&second_spelling].contains("it is not an encrypted name"));
    let moved = format!("{directory}{}", bucket.key("g"));
    assert!(hidden[&moved].contains("moved here from another directory"));
    // It would be lost from sight with the directory, or left behind by a rename.
    mount.unlink("d/f").await.unwrap();
    assert_eq!(errno(mount.rmdir("d").await), libc::ENOTEMPTY);
    let renamed = mount.rename("d", "e").await.unwrap_err();
    assert_eq!(renamed.errno(), libc::EIO);
    assert!(renamed.to_string().contains(&moved), "{renamed}");
    let key = ObjectKey::new(&*moved).unwrap();
    assert!(bucket.mem.get(&key, GetOptions::default()).await.is_ok());
    assert_eq!(
        errno(mount.fs.lookup(ROOT, "other program".as_ref()).await),
        libc::ENOENT
    );
}

#[tokio::test]
async fn a_name_has_as_many_bytes_as_statfs_tells() {
    let bucket = Bucket::of(Layout::SealedNames);
    let mount = bucket.mount().await;
    assert_eq!(mount.fs.statfs().name_bytes_max, 175);
    let longest = "n".repeat(175);
    mount.write_file(&longest, b"x").await.unwrap();
    assert_eq!(mount.read_file(&longest).await.unwrap(), b"x");
    assert_eq!(bucket.key(&longest).as_str().len(), 255);
    for longer in [176, 255] {
        let name = "n".repeat(longer);
        let flags = libc::O_WRONLY;
        let made = mount
            .fs
            .create(me(), ROOT, name.as_ref(), 0o644, flags)
            .await;
        assert_eq!(errno(made), libc::ENAMETOOLONG);
        assert_eq!(errno(mount.mkdir(&name).await), libc::ENAMETOOLONG);
        assert_eq!(
            errno(mount.rename(&longest, &name).await),
            libc::ENAMETOOLONG
        );
        assert_eq!(errno(mount.attr(&name).await), libc::ENAMETOOLONG);
    }
}
