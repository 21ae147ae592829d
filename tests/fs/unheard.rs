//! What was carried out although its answer was lost, and was then taken for something else.

use std::time::Duration;

use cloakfs::fs::{CopyRange, SetAttr};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::crashes::{state, write_back};
use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    another_file_of_the_same_length_is_not_taken_for_a_copy_with_other_attributes,
    a_file_is_closed_after_its_clone_was_made_unheard,
    a_small_change_after_a_background_upload_survives_a_conflict_whole,
}

fn lost(operation: Operation, effect: Effect) -> Rule {
    Rule::new(effect).on(operation).times(1)
}

async fn another_file_of_the_same_length_is_not_taken_for_a_copy_with_other_attributes(
    layout: Layout,
) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(Duration::from_hours(1)).await;
    mount.write_file("a", b"aaaa").await.unwrap();
    mount.write_file("b", b"bbbb").await.unwrap();
    let (_, reader) = mount.open("b", libc::O_RDONLY).await.unwrap();
    assert_eq!(mount.read_all(reader).await.unwrap(), b"bbbb");
    let unavailable = Effect::FailBefore(ErrorKind::Unavailable);
    let looks = bucket
        .fault
        .inject(Rule::new(unavailable).on(Operation::HeadObject));
    let copies = Rule::new(Effect::FailBefore(ErrorKind::TimedOut)).on(Operation::CopyObject);
    let copies = bucket.fault.inject(copies);
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    mount.set("b", set).await.unwrap_err();
    bucket.fault.remove(copies);
    let unheard = Effect::FailAfter(ErrorKind::TimedOut);
    bucket.fault.inject(lost(Operation::CopyObject, unheard));
    mount.rename("a", "b").await.unwrap_err();
    bucket.fault.remove(looks);
    let stored = bucket.body("b").await.unwrap();
    assert_eq!(mount.read_file("b").await.unwrap(), stored);
}

async fn a_file_is_closed_after_its_clone_was_made_unheard(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let content = vec![b'c'; 200 << 10];
    mount.write_file("source", &content).await.unwrap();
    let (_, source) = mount.open("source", libc::O_RDONLY).await.unwrap();
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let (_, target) = mount.open("f", flags).await.unwrap();
    let unheard = Effect::FailAfter(ErrorKind::TimedOut);
    for operation in [Operation::CompleteMultipartUpload, Operation::CopyObject] {
        bucket.fault.inject(lost(operation, unheard));
    }
    // The first one asks for the attributes.
    let away = Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::HeadObject);
    bucket.fault.inject(away.after(1));
    let copy = CopyRange {
        source,
        source_offset: 0,
        target,
        target_offset: 0,
        bytes: 1 << 30,
    };
    mount.fs.copy_range(me(), copy).await.unwrap_err();
    bucket.fault.clear();
    assert_eq!(bucket.body("f").await.unwrap(), content, "it was made");
    mount.close(target).await.unwrap();
    assert_eq!(mount.fs.status().uncommitted_files, 0);
    assert_eq!(mount.read_file("f").await.unwrap(), content);
}

async fn a_small_change_after_a_background_upload_survives_a_conflict_whole(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    mount.write_file("f", b"one ").await.unwrap();
    mount.fs.sync_all(|_| ()).await.unwrap();
    let (_, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount.write_at(handle, 4, b"two").await.unwrap();
    mount.close(handle).await.unwrap();
    bucket.put("f", b"theirs").await;
    assert_eq!(errno(mount.fs.sync_all(|_| ()).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    let kept = mount.fs.status().conflicts[0].kept_as.clone();
    assert_eq!(bucket.body(&kept).await.unwrap(), b"one two");
}
