//! Odd names and what is hidden.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use cloakfs::fs::{FileKind, ROOT};

use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_directory_hides_an_object_of_its_name_and_status_says_so,
    names_have_the_limits_that_statfs_tells,
    the_reserved_prefix_is_neither_seen_nor_made,
    names_of_all_kinds_come_back,
}

async fn a_directory_hides_an_object_of_its_name_and_status_says_so(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("a", b"plain").await;
    bucket.put("a/b", b"below").await;
    let mount = bucket.mount().await;
    assert_eq!(mount.attr("a").await.unwrap().kind, FileKind::Directory);
    assert_eq!(
        mount.list("").await.unwrap(),
        [("a".to_owned(), FileKind::Directory)]
    );
    assert_eq!(mount.read_file("a/b").await.unwrap(), b"below");
    let hidden = mount.fs.status().hidden;
    assert!(
        hidden["a"].contains("rename or delete the plain object"),
        "{hidden:?}"
    );
}

#[tokio::test]
async fn keys_that_no_path_names_are_hidden_and_do_no_harm() {
    let bucket = Bucket::new();
    for key in ["x//y", "./a", "../b", "ok/./c", "ok/fine", "/leading"] {
        bucket.put(key, b"x").await;
    }
    let mount = bucket.mount().await;
    let names: Vec<_> = mount
        .list("")
        .await
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["ok", "x"]);
    assert_eq!(mount.list("x").await.unwrap(), []);
    assert_eq!(
        mount.list("ok").await.unwrap(),
        [("fine".to_owned(), FileKind::File)]
    );
    assert_eq!(
        errno(mount.rmdir("x").await),
        libc::ENOTEMPTY,
        "what is hidden is not lost"
    );
    assert_eq!(
        mount.fs.status().hidden_total,
        5,
        "{:?}",
        mount.fs.status().hidden
    );
}

async fn names_have_the_limits_that_statfs_tells(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let longest = "n".repeat(mount.fs.statfs().name_bytes_max as usize);
    mount.write_file(&longest, b"x").await.unwrap();
    let longer = format!("{longest}n");
    assert_eq!(
        errno(mount.write_file(&longer, b"x").await),
        libc::ENAMETOOLONG
    );
    let wrong = OsStr::from_bytes(b"\xff");
    assert_eq!(
        errno(mount.fs.mkdir(me(), ROOT, wrong, 0o755).await),
        libc::EILSEQ
    );
}

async fn the_reserved_prefix_is_neither_seen_nor_made(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put(".cloakfs/something", b"x").await;
    let mount = bucket.mount().await;
    assert_eq!(mount.list("").await.unwrap(), []);
    assert_eq!(errno(mount.attr(".cloakfs").await), libc::ENOENT);
    assert_eq!(errno(mount.mkdir(".cloakfs").await), libc::EPERM);
}

async fn names_of_all_kinds_come_back(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let names = [
        "with space",
        "per%cent",
        "plus+",
        "new\nline",
        "ünïcödé",
        "#hash?",
        "a&b<c>",
    ];
    for name in names {
        mount.write_file(name, name.as_bytes()).await.unwrap();
    }
    let again = bucket.mount().await;
    for name in names {
        assert_eq!(
            again.read_file(name).await.unwrap(),
            name.as_bytes(),
            "{name:?}"
        );
    }
    let mut expected: Vec<_> = names.into_iter().map(str::to_owned).collect();
    expected.sort();
    let listed: Vec<_> = again
        .list("")
        .await
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(listed, expected);
}
