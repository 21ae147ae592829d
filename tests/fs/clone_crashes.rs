//! Clones whose answer is lost, and clones over what only a journal has.

use cloakfs::fs::{CopyRange, HandleId};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::crashes::{NEW, contents, crash, state, write_back};
use crate::harness::{Bucket, Layout, Mount, Result, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_clone_over_what_was_just_closed_leaves_nothing_to_replay,
    what_was_not_changed_is_not_taken_from_a_clone_that_was_made_unheard,
}

async fn copy_whole(mount: &Mount, source: HandleId, target: HandleId) -> Result<u32> {
    let copy = CopyRange {
        source,
        source_offset: 0,
        target,
        target_offset: 0,
        bytes: 1 << 30,
    };
    mount.fs.copy_range(me(), copy).await
}

async fn a_clone_over_what_was_just_closed_leaves_nothing_to_replay(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    let content = vec![b'c'; 200 << 10];
    mount.write_file("source", &content).await.unwrap();
    mount.fs.sync_all(|_| ()).await.unwrap();
    let (_, first) = mount.open("f", NEW).await.unwrap();
    mount.write_at(first, 0, b"closed before").await.unwrap();
    mount.close(first).await.unwrap();
    let (_, source) = mount.open("source", libc::O_RDONLY).await.unwrap();
    let (_, target) = mount.open("f", libc::O_RDWR).await.unwrap();
    let copied = copy_whole(&mount, source, target).await.unwrap();
    assert_eq!(copied as usize, content.len());
    mount.close(target).await.unwrap();
    assert_eq!(mount.fs.status().write_back.unwrap().pending_files, 0);
    crash(mount).await;
    let mount = write_back(&bucket, &state).await;
    assert_eq!(mount.fs.replayed(), Vec::<String>::new());
    let files = contents(&bucket).await;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["f", "source"]);
    assert_eq!(files["f"], content);
}

/// Large, so that what is not changed of it stays in the bucket.
async fn what_was_not_changed_is_not_taken_from_a_clone_that_was_made_unheard(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let (cloned, before) = (vec![b'c'; 12 << 20], vec![b'b'; 9 << 20]);
    mount.write_file("source", &cloned).await.unwrap();
    mount.write_file("f", &before).await.unwrap();
    let (_, source) = mount.open("source", libc::O_RDONLY).await.unwrap();
    let (_, target) = mount.open("f", libc::O_RDWR).await.unwrap();
    let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut));
    let lost = lost.on(Operation::CompleteMultipartUpload).times(1);
    bucket.fault.inject(lost);
    // The first one asks for the attributes.
    let away = Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::HeadObject);
    bucket.fault.inject(away.after(1));
    let failed = errno(copy_whole(&mount, source, target).await);
    assert!([libc::EIO, libc::ETIMEDOUT].contains(&failed), "{failed}");
    bucket.fault.clear();
    mount.write_at(target, 0, b"changed").await.unwrap();
    assert_eq!(errno(mount.close(target).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), cloned);
}
