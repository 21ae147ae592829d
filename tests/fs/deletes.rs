//! Deleting takes away the version that this mount knows, and no other.

use std::time::Duration;

use cloakfs::fs::ROOT;
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_every_layout;
use crate::races::mount_without_conditional_delete;

in_every_layout! {
    a_changed_file_that_another_replaced_stays_theirs,
    a_file_replaced_since_it_was_looked_at_is_deleted_at_the_second_look,
    without_conditional_delete_a_look_spares_what_another_stored,
    a_changed_file_that_another_deleted_is_deleted,
    a_new_file_that_another_made_too_is_deleted_here_alone,
    a_new_file_whose_put_was_never_answered_is_deleted,
}

async fn a_changed_file_that_another_replaced_stays_theirs(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    let refused = mount.unlink("f").await.unwrap_err();
    assert_eq!(refused.errno(), libc::ESTALE);
    assert_eq!(
        refused.to_string(),
        "ESTALE: \"f\" was not deleted: somebody else replaced it while it was changed here; \
         theirs stays, and yours is kept beside it when it is closed or synced"
    );
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    assert!(bucket.private_keys().is_empty());
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    let copy = &mount.fs.status().conflicts[0].kept_as;
    assert_eq!(bucket.body(copy).await.unwrap(), b"ours");
    // It has been seen now.
    mount.unlink("f").await.unwrap();
    assert_eq!(bucket.keys(), [copy.as_str()]);
}

async fn a_file_replaced_since_it_was_looked_at_is_deleted_at_the_second_look(layout: Layout) {
    let bucket = Bucket::of(layout);
    // It trusts what it has looked at.
    let mount = bucket.mount_with(Duration::from_hours(1)).await;
    bucket.put("f", b"base").await;
    mount.attr("f").await.unwrap();
    bucket.put("f", b"theirs").await;
    let refused = mount.unlink("f").await.unwrap_err();
    assert_eq!(refused.errno(), libc::ESTALE);
    assert_eq!(
        refused.to_string(),
        "ESTALE: \"f\" was not deleted: somebody else replaced it since it was looked at; look at \
         it and delete it again"
    );
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    // The kernel answers ESTALE by looking and trying again.
    let looked = mount.fs.lookup(ROOT, "f".as_ref()).await.unwrap();
    assert_eq!(looked.attr.size, 6);
    mount.unlink("f").await.unwrap();
    assert!(bucket.keys().is_empty());
}

async fn without_conditional_delete_a_look_spares_what_another_stored(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = mount_without_conditional_delete(&bucket).await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    assert_eq!(errno(mount.unlink("f").await), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    mount.fs.release(handle).await;
}

async fn a_changed_file_that_another_deleted_is_deleted(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.delete("f").await;
    mount.unlink("f").await.unwrap();
    mount.close(handle).await.unwrap();
    assert!(bucket.keys().is_empty());
    assert_eq!(mount.fs.status().conflicts_total, 0);
}

async fn a_new_file_that_another_made_too_is_deleted_here_alone(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let (_, handle) = mount.open("f", flags).await.unwrap();
    bucket.put("f", b"theirs").await;
    mount.unlink("f").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(mount.read_file("f").await.unwrap(), b"theirs");
}

async fn a_new_file_whose_put_was_never_answered_is_deleted(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut));
    bucket.fault.inject(lost.on(Operation::PutObject));
    let unseen = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
    bucket.fault.inject(
        unseen
            .on(Operation::HeadObject)
            .exactly(bucket.key("f").as_str()),
    );
    let made = mount.fs.create(me(), ROOT, "f".as_ref(), 0o644, 0);
    let (_, opened) = made.await.unwrap();
    mount.write_at(opened.handle, 0, b"data").await.unwrap();
    assert_eq!(errno(mount.close(opened.handle).await), libc::EIO);
    bucket.fault.clear();
    assert_eq!(
        bucket.body("f").await.unwrap(),
        b"data",
        "it was carried out"
    );
    mount.unlink("f").await.unwrap();
    assert!(bucket.keys().is_empty());
}
