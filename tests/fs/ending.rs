//! The end of a mount whose files are still open.

use cloakfs::fs::SetAttr;

use crate::harness::{Bucket, Layout, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    what_was_acknowledged_is_stored_and_nothing_more_is,
}

async fn what_was_acknowledged_is_stored_and_nothing_more_is(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("closed", b"closed").await.unwrap();
    let (_, handle) = mount
        .open("open", libc::O_RDWR | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(handle, 0, b"in time").await.unwrap();

    mount.fs.refuse_changes().await;
    let size = SetAttr {
        size: Some(1),
        ..SetAttr::default()
    };
    let refused = [
        errno(mount.write_at(handle, 0, b"too late").await),
        errno(mount.open("new", libc::O_RDWR | libc::O_CREAT).await),
        errno(mount.open("closed", libc::O_WRONLY).await),
        errno(mount.open("closed", libc::O_RDONLY | libc::O_TRUNC).await),
        errno(mount.mkdir("directory").await),
        errno(mount.unlink("closed").await),
        errno(mount.rename("closed", "other").await),
        errno(mount.set("closed", size).await),
    ];
    assert_eq!(refused, [libc::EIO; 8]);
    assert_eq!(mount.read_file("closed").await.unwrap(), b"closed");

    assert_eq!(mount.fs.uncommitted_paths(), ["open"]);
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert!(mount.fs.uncommitted_paths().is_empty());
    assert_eq!(bucket.body("open").await.unwrap(), b"in time");
    assert_eq!(bucket.keys(), ["closed", "open"]);
    mount.fs.shut_down().await;
}
