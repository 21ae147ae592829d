//! truncate(2) of a path, while others write to the file and close it.

use std::sync::Arc;
use std::time::Duration;

use cloakfs::fs::{FsError, HandleId, Ino, SetAttr};
use cloakfs::store::Operation::{GetObject, PutObject};
use cloakfs::store::fault::{Effect, Rule};
use tokio::task::JoinHandle;

use crate::harness::{Bucket, Mount, errno, me};

const OLD: &[u8] = b"content of before";
const NEW: &[u8] = b"content";

/// A mount with a changed file whose upload takes a minute, and its handle.
async fn changed(bucket: &Bucket) -> (Mount, Ino, HandleId) {
    let mount = bucket.mount_with(Duration::from_hours(1)).await;
    mount.write_file("f", OLD).await.unwrap();
    let (ino, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount.write_at(handle, 0, NEW).await.unwrap();
    (mount, ino, handle)
}

/// Closes the handle, and truncates the file to four bytes while its upload is under way.
async fn truncated_meanwhile(
    bucket: &Bucket,
    mount: &Mount,
    ino: Ino,
    handle: HandleId,
) -> (Result<(), FsError>, Result<(), FsError>) {
    let slow = Rule::new(Effect::Delay(Duration::from_mins(1))).on(PutObject);
    bucket.fault.inject(slow.times(1));
    let before = bucket.fault.calls().of(PutObject);
    let fs = Arc::clone(&mount.fs);
    // As the kernel does: the release follows the flush, whatever else is asked for.
    let closing: JoinHandle<Result<(), FsError>> = tokio::spawn(async move {
        let flushed = fs.flush(me(), handle).await;
        fs.release(handle).await;
        flushed
    });
    while bucket.fault.calls().of(PutObject) == before {
        tokio::task::yield_now().await;
    }
    let set = SetAttr {
        size: Some(4),
        ..SetAttr::default()
    };
    let truncated = mount.fs.setattr(me(), ino, set, None).await.map(|_| ());
    (closing.await.unwrap(), truncated)
}

#[tokio::test(start_paused = true)]
async fn a_truncate_while_the_last_handle_is_closed_is_not_lost() {
    let bucket = Bucket::new();
    let (mount, ino, handle) = changed(&bucket).await;
    let (closed, truncated) = truncated_meanwhile(&bucket, &mount, ino, handle).await;
    closed.unwrap();
    truncated.unwrap();
    mount.fs.sync_all(|_| ()).await.unwrap();
    assert_eq!(mount.attr("f").await.unwrap().size, 4);
    assert_eq!(bucket.body("f").await.unwrap(), &NEW[..4]);
}

/// The kernel walks the path again at ESTALE, and truncates what is there now.
#[tokio::test(start_paused = true)]
async fn a_truncate_of_what_somebody_else_replaced_meanwhile_is_refused() {
    let bucket = Bucket::new();
    let (mount, ino, handle) = changed(&bucket).await;
    bucket.put("f", b"theirs").await;
    let (closed, truncated) = truncated_meanwhile(&bucket, &mount, ino, handle).await;
    assert_eq!(errno(closed), libc::ESTALE);
    assert_eq!(errno(truncated), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
}

/// What replaces all of a file does not wait until its old content is loaded for another change.
#[tokio::test(start_paused = true)]
async fn a_truncate_does_not_bring_back_what_was_replaced_while_it_loaded_the_file() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.write_file("f", OLD).await.unwrap();
    let ino = mount.walk("f").await.unwrap().attr.ino;
    let slow = Rule::new(Effect::DelayAfter(Duration::from_mins(1))).on(GetObject);
    bucket.fault.inject(slow.times(1));
    let before = bucket.fault.calls().of(GetObject);
    let fs = Arc::clone(&mount.fs);
    let truncating = tokio::spawn(async move {
        let set = SetAttr {
            size: Some(10),
            ..SetAttr::default()
        };
        fs.setattr(me(), ino, set, None).await
    });
    while bucket.fault.calls().of(GetObject) == before {
        tokio::task::yield_now().await;
    }
    let empty = SetAttr {
        size: Some(0),
        ..SetAttr::default()
    };
    let (_, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount
        .fs
        .setattr(me(), ino, empty, Some(handle))
        .await
        .unwrap();
    mount
        .write_at(handle, 0, b"replaced by more")
        .await
        .unwrap();
    mount.close(handle).await.unwrap();
    assert!(!truncating.is_finished());
    truncating.await.unwrap().unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"replaced b");
}
