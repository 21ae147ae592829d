//! What the kernel is told and gives back: pages, references, refusals.

use cloakfs::fs::SetAttr;
use cloakfs::store::Operation;

use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_second_version_is_not_put_into_the_first_ones_pages,
    a_read_only_mount_writes_nothing,
    the_kernel_gives_back_what_it_was_given,
}

async fn a_second_version_is_not_put_into_the_first_ones_pages(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    bucket.put("f", b"one").await;
    let entry = mount.walk("f").await.unwrap();
    let ino = entry.attr.ino;
    let first = mount.fs.open(me(), ino, libc::O_RDONLY).await.unwrap();
    assert!(!first.keep_cache && !first.direct_io);
    let again = mount.fs.open(me(), ino, libc::O_RDONLY).await.unwrap();
    assert!(again.keep_cache, "nothing has changed");
    bucket.put("f", b"two").await;
    mount.walk("f").await.unwrap();
    let second = mount.fs.open(me(), ino, libc::O_RDONLY).await.unwrap();
    assert!(
        second.direct_io && !second.keep_cache,
        "the first version is still open"
    );
    for opened in [first, again, second] {
        mount.close(opened.handle).await.unwrap();
    }
    let third = mount.fs.open(me(), ino, libc::O_RDONLY).await.unwrap();
    assert!(!third.keep_cache, "the pages may be the first version's");
    mount.close(third.handle).await.unwrap();
}

async fn a_read_only_mount_writes_nothing(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("f", b"x").await;
    let before = bucket.mem.keys();
    let mount = bucket.mount_read_only().await;
    assert_eq!(mount.read_file("f").await.unwrap(), b"x");
    assert_eq!(errno(mount.write_file("g", b"x").await), libc::EROFS);
    assert_eq!(errno(mount.mkdir("d").await), libc::EROFS);
    assert_eq!(errno(mount.unlink("f").await), libc::EROFS);
    assert_eq!(errno(mount.rename("f", "g").await), libc::EROFS);
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    assert_eq!(errno(mount.set("f", set).await), libc::EROFS);
    assert_eq!(bucket.mem.keys(), before);
    assert_eq!(
        bucket.fault.calls().of(Operation::PutObject),
        0,
        "not even a probe"
    );
}

async fn the_kernel_gives_back_what_it_was_given(layout: Layout) {
    let bucket = Bucket::of(layout);
    for index in 0..30 {
        bucket.put(&format!("d/{index}"), b"x").await;
    }
    let mount = bucket.mount().await;
    let entry = mount.walk("d").await.unwrap();
    let items = mount.list_items(entry.attr.ino, true).await.unwrap();
    assert_eq!(mount.fs.status().inodes, 32);
    for item in items.iter().filter(|item| item.entry.is_some()) {
        mount.fs.forget(item.ino, 1);
    }
    assert_eq!(mount.fs.status().inodes, 2);
    mount.fs.forget(entry.attr.ino, 1);
    assert_eq!(mount.fs.status().inodes, 1, "only the root is left");
}
