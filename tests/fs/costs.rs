//! What operations cost in requests: the table in README.md, asserted.

use std::time::Duration;

use cloakfs::fs::{ROOT, SetAttr};
use cloakfs::store::Operation::{
    CopyObject, DeleteObject, GetObject, HeadObject, ListObjects, PutObject,
};

use crate::harness::{Bucket, errno, me};

const LONG: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_new_file_with_attributes_is_one_put() {
    let bucket = Bucket::new();
    let mount = bucket.mount_with(LONG).await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let ((), calls) = bucket
        .calls(async {
            let (entry, opened) = mount
                .fs
                .create(me(), ROOT, "f".as_ref(), 0o644, flags)
                .await
                .unwrap();
            mount.write_at(opened.handle, 0, &[7; 4096]).await.unwrap();
            let set = SetAttr {
                mode: Some(0o600),
                uid: Some(1),
                ..SetAttr::default()
            };
            mount
                .fs
                .setattr(me(), entry.attr.ino, set, Some(opened.handle))
                .await
                .unwrap();
            mount.close(opened.handle).await.unwrap();
        })
        .await;
    assert_eq!((calls.of(PutObject), calls.total()), (1, 1), "{calls:?}");
}

#[tokio::test]
async fn a_lookup_is_a_head_and_a_listing_of_one_key() {
    let bucket = Bucket::new();
    bucket.put("f", b"x").await;
    let mount = bucket.mount_with(LONG).await;
    let (_, calls) = bucket.calls(mount.fs.lookup(ROOT, "f".as_ref())).await;
    assert_eq!(
        (calls.of(HeadObject), calls.of(ListObjects), calls.total()),
        (1, 1, 2)
    );
    let (_, calls) = bucket.calls(mount.fs.lookup(ROOT, "f".as_ref())).await;
    assert_eq!(calls.total(), 0, "within the time to live memory answers");
}

#[tokio::test]
async fn a_directory_that_is_known_is_confirmed_by_a_head() {
    let bucket = Bucket::new();
    bucket.put("implicit/f", b"x").await;
    let mount = bucket.mount().await;
    let ino = mount.mkdir("d").await.unwrap().attr.ino;
    let (found, calls) = bucket.calls(mount.fs.lookup(ROOT, "d".as_ref())).await;
    assert_eq!(found.unwrap().attr.ino, ino);
    assert_eq!((calls.of(HeadObject), calls.total()), (1, 1), "{calls:?}");
    let (found, calls) = bucket.calls(mount.fs.getattr(ino, None)).await;
    found.unwrap();
    assert_eq!((calls.of(HeadObject), calls.total()), (1, 1), "{calls:?}");
    // Without its marker it is there for what is in it, and gone when that is.
    bucket.put("d/f", b"x").await;
    bucket.delete_key("d/").await;
    assert_eq!(mount.walk("d").await.unwrap().attr.ino, ino);
    bucket.delete("d/f").await;
    assert_eq!(errno(mount.walk("d").await), libc::ENOENT);
    // One that never had a marker is looked for.
    mount.walk("implicit").await.unwrap();
    let (_, calls) = bucket
        .calls(mount.fs.lookup(ROOT, "implicit".as_ref()))
        .await;
    assert_eq!((calls.of(HeadObject), calls.of(ListObjects)), (1, 1));
}

#[tokio::test]
async fn a_small_file_is_read_with_one_get_after_its_lookup() {
    let bucket = Bucket::new();
    bucket.put("f", &[1; 5000]).await;
    let mount = bucket.mount().await;
    let entry = mount.fs.lookup(ROOT, "f".as_ref()).await.unwrap();
    let ((), calls) = bucket
        .calls(async {
            let opened = mount
                .fs
                .open(me(), entry.attr.ino, libc::O_RDONLY)
                .await
                .unwrap();
            mount.read_all(opened.handle).await.unwrap();
            mount.read_all(opened.handle).await.unwrap();
            mount.close(opened.handle).await.unwrap();
        })
        .await;
    assert_eq!((calls.of(GetObject), calls.total()), (1, 1), "{calls:?}");
}

#[tokio::test]
async fn chmod_is_a_look_and_a_copy_and_rename_a_copy_and_a_delete() {
    let bucket = Bucket::new();
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("f", &vec![1; 100_000]).await.unwrap();
    let ino = mount.walk("f").await.unwrap().attr.ino;
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    let (_, calls) = bucket.calls(mount.fs.setattr(me(), ino, set, None)).await;
    let made = (calls.of(HeadObject), calls.of(CopyObject), calls.total());
    assert_eq!(made, (1, 1, 2), "{calls:?}");
    let (renamed, calls) = bucket
        .calls(mount.fs.rename(ROOT, "f".as_ref(), ROOT, "g".as_ref(), 0))
        .await;
    renamed.unwrap();
    assert_eq!((calls.of(CopyObject), calls.of(DeleteObject)), (1, 1));
    // The target must be looked for; the server in memory has conditional delete.
    assert_eq!(calls.total(), 4, "{calls:?}");
    let (_, calls) = bucket.calls(mount.fs.unlink(ROOT, "g".as_ref())).await;
    assert_eq!((calls.of(DeleteObject), calls.total()), (1, 1), "{calls:?}");
}

#[tokio::test]
async fn listing_with_attributes_is_a_list_and_a_head_for_each_object_once() {
    let bucket = Bucket::new();
    for index in 0..50 {
        bucket.put(&format!("d/{index}"), b"x").await;
    }
    let mount = bucket.mount_with(LONG).await;
    let ino = mount.walk("d").await.unwrap().attr.ino;
    let (items, calls) = bucket.calls(mount.list_items(ino, true)).await;
    assert_eq!(items.unwrap().len(), 52);
    assert_eq!(
        (calls.of(ListObjects), calls.of(HeadObject), calls.total()),
        (1, 50, 51)
    );
    let (items, calls) = bucket.calls(mount.list_items(ino, true)).await;
    assert_eq!(items.unwrap().len(), 52);
    assert_eq!((calls.of(ListObjects), calls.total()), (1, 1), "{calls:?}");
}

#[tokio::test]
async fn large_objects_are_files_without_a_look() {
    let bucket = Bucket::new();
    for index in 0..20 {
        bucket.put(&format!("{index}"), &[0; 5000]).await;
    }
    let mount = bucket.mount_with(LONG).await;
    let (items, calls) = bucket.calls(mount.list_items(ROOT, false)).await;
    assert_eq!(items.unwrap().len(), 22);
    assert_eq!((calls.of(ListObjects), calls.total()), (1, 1), "{calls:?}");
}

#[tokio::test]
async fn a_directory_of_files_is_renamed_with_a_copy_and_a_delete_each() {
    let bucket = Bucket::new();
    let mount = bucket.mount_with(LONG).await;
    mount.mkdir("d").await.unwrap();
    for index in 0..30 {
        mount
            .write_file(&format!("d/{index}"), b"content")
            .await
            .unwrap();
    }
    let (renamed, calls) = bucket.calls(mount.rename("d", "e")).await;
    renamed.unwrap();
    assert_eq!(
        (calls.of(CopyObject), calls.of(DeleteObject)),
        (31, 32),
        "{calls:?}"
    );
    // The new marker, and the intent, which is deleted in the end.
    assert_eq!(calls.of(PutObject), 2, "{calls:?}");
    assert!(
        calls.bytes_up < 400,
        "no content goes through the client: {calls}"
    );
    assert_eq!(calls.bytes_down, 0);
}
