//! Which file an object is, and that it is newer than what it replaced: through everything that
//! a mount does to a file.

use cloakfs::fs::SetAttr;
use cloakfs::layout::sealed::Record;

use crate::harness::{Bucket, Layout, errno};
use crate::layouts::in_client_side_layouts;

in_client_side_layouts! {
    a_file_stays_itself_and_each_object_is_above_the_one_before,
    a_file_that_takes_anothers_name_is_above_it,
    a_conflict_copy_is_another_file,
}

async fn a_file_stays_itself_and_each_object_is_above_the_one_before(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    one.write_file("f", b"first").await.unwrap();
    let mut last = bucket.record("f").await;
    assert_eq!((last.generation, last.attributes.sequence), (1, 1));
    for round in 0..2 {
        // By turns: what one mount knows the other has overtaken.
        for mount in [&one, &two] {
            mount.write_file("f", b"other content").await.unwrap();
            last = newer(&bucket, &last).await;
            let chmod = SetAttr {
                mode: Some(0o600 + round),
                ..SetAttr::default()
            };
            mount.set("f", chmod).await.unwrap();
            let changed = newer(&bucket, &last).await;
            assert!(changed.attributes.sequence > last.attributes.sequence);
            assert_eq!(changed.body, last.body);
            last = changed;
            let cut = SetAttr {
                size: Some(3),
                ..SetAttr::default()
            };
            mount.set("f", cut).await.unwrap();
            mount.fs.sync_all(|_| ()).await.unwrap();
            last = newer(&bucket, &last).await;
        }
    }
    one.rename("f", "g").await.unwrap();
    let moved = bucket.record("g").await;
    assert_eq!((moved.file, moved.body), (last.file, last.body));
    assert_eq!(moved.generation, 1, "nothing was there");
    assert!(moved.attributes.sequence > last.attributes.sequence);
}

/// The object at `f` is the file that `last` is, in a newer object.
async fn newer(bucket: &Bucket, last: &Record) -> Record {
    let record = bucket.record("f").await;
    assert_eq!(record.file, last.file);
    assert!(record.generation > last.generation);
    record
}

async fn a_file_that_takes_anothers_name_is_above_it(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    for content in [b"1", b"2", b"3"] {
        one.write_file("taken", content).await.unwrap();
    }
    let taken = bucket.record("taken").await;
    assert!(taken.generation >= 3);
    two.write_file("f", b"f").await.unwrap();
    let file = bucket.record("f").await.file;
    two.rename("f", "taken").await.unwrap();
    let renamed = bucket.record("taken").await;
    assert_eq!(renamed.file, file);
    assert!(renamed.generation > taken.generation);

    // One that takes the name before the bucket has it.
    let (_, handle) = one
        .open("new", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    one.write_at(handle, 0, b"new").await.unwrap();
    one.rename("new", "taken").await.unwrap();
    one.close(handle).await.unwrap();
    let new = bucket.record("taken").await;
    assert_ne!(new.file, file);
    assert!(new.generation > renamed.generation);
    assert_eq!(bucket.body("taken").await.unwrap(), b"new");
}

async fn a_conflict_copy_is_another_file(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let file = bucket.record("f").await.file;
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    let other = bucket.mount().await;
    other.write_file("f", b"theirs").await.unwrap();
    assert_eq!(errno(mount.fs.fsync(handle, false).await), libc::ESTALE);
    assert_eq!(bucket.record("f").await.file, file);
    let kept = mount.fs.status().conflicts[0].kept_as.clone();
    assert_eq!(bucket.body(&kept).await.unwrap(), b"ours");
    assert_ne!(bucket.record(&kept).await.file, file);
}
