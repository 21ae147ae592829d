//! Looks at a file while this mount changes where it is.

use std::ffi::OsStr;
use std::time::Duration;

use cloakfs::fs::ROOT;
use cloakfs::store::Operation;
use cloakfs::store::fault::{Effect, Rule};

use crate::harness::{Bucket, Layout, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_file_that_is_renamed_is_not_taken_for_deleted,
    a_file_that_is_deleted_is_gone_for_who_looks_meanwhile,
}

/// How late the answer to a delete is.
const LATE: Duration = Duration::from_secs(5);

/// The old name is deleted, and the mount has not heard of it yet.
async fn in_the_middle() {
    tokio::time::sleep(LATE / 2).await;
}

async fn a_file_that_is_renamed_is_not_taken_for_deleted(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("log", b"first ").await.unwrap();
    let (ino, handle) = mount.open("log", libc::O_RDWR).await.unwrap();
    tokio::time::pause();
    let late = Rule::new(Effect::DelayAfter(LATE)).on(Operation::DeleteObject);
    bucket.fault.inject(late);
    let (renamed, looked, found) = tokio::join!(
        mount.rename("log", "log.1"),
        async {
            in_the_middle().await;
            mount.fs.getattr(ino, None).await
        },
        async {
            in_the_middle().await;
            mount.fs.lookup(ROOT, OsStr::new("log")).await
        },
    );
    renamed.unwrap();
    assert_eq!(looked.unwrap().0.size, 6);
    assert_eq!(errno(found), libc::ENOENT);
    mount.write_at(handle, 6, b"and last").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.keys(), ["log.1"]);
    assert_eq!(bucket.body("log.1").await.unwrap(), b"first and last");
}

async fn a_file_that_is_deleted_is_gone_for_who_looks_meanwhile(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"data").await.unwrap();
    let (ino, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    tokio::time::pause();
    let late = Rule::new(Effect::DelayAfter(LATE)).on(Operation::DeleteObject);
    bucket.fault.inject(late.exactly(bucket.key("f").as_str()));
    let (deleted, looked, found) = tokio::join!(
        mount.unlink("f"),
        async {
            in_the_middle().await;
            mount.fs.getattr(ino, None).await
        },
        async {
            in_the_middle().await;
            mount.fs.lookup(ROOT, OsStr::new("f")).await
        },
    );
    deleted.unwrap();
    assert_eq!(looked.unwrap().0.size, 4);
    assert_eq!(errno(found), libc::ENOENT);
    assert_eq!(mount.read_all(handle).await.unwrap(), b"data");
    mount.close(handle).await.unwrap();
}
