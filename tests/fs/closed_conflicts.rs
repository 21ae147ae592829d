//! Two writers, one name, and one of them cannot open what the other wrote: nobody's bytes
//! disappear there either.

use std::sync::Arc;
use std::time::Duration;

use cloakfs::fs::{HandleId, ROOT};
use cloakfs::store::Operation::{
    CompleteMultipartUpload, CopyObject, GetObject, HeadObject, ListObjects, PutObject,
    UploadPartCopy,
};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::harness::{Bucket, Mount, errno};

/// The object is under a customer's key that the mount does not have. The copies of it that a
/// conflict leaves are the mount's own.
fn lock(bucket: &Bucket, key: &str) {
    for operation in [HeadObject, GetObject, CopyObject, UploadPartCopy] {
        let rule = Rule::new(Effect::AskForKey).on(operation);
        bucket.fault.inject(rule.exactly(key));
    }
}

fn refuse(bucket: &Bucket, effect: Effect, operations: &[Operation], key: &str) {
    for operation in operations {
        let rule = Rule::new(effect).on(*operation);
        bucket.fault.inject(rule.exactly(key));
    }
}

async fn changed(mount: &Mount, path: &str, data: &[u8]) -> HandleId {
    let (_, handle) = mount.open(path, libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, data).await.unwrap();
    handle
}

fn conflict_copy(bucket: &Bucket) -> String {
    let mut copies = bucket.keys();
    copies.retain(|key| key.contains(".conflict-testhost-"));
    assert_eq!(copies.len(), 1, "{:?}", bucket.keys());
    copies.remove(0)
}

/// Amazon S3 compares and then answers 412; MinIO refuses for the key before it compares, in the
/// words of a missing permission or of a wrong request.
#[tokio::test]
async fn a_version_that_cannot_be_opened_is_a_conflict_like_any_other() {
    for refusal in [None, Some(ErrorKind::Denied), Some(ErrorKind::Invalid)] {
        let bucket = Bucket::new();
        let mount = bucket.mount().await;
        mount.write_file("f", b"base").await.unwrap();
        let handle = changed(&mount, "f", b"ours").await;
        bucket.put("f", b"theirs").await;
        lock(&bucket, "f");
        if let Some(kind) = refusal {
            refuse(&bucket, Effect::FailBefore(kind), &[PutObject], "f");
        }
        let lost = mount.close(handle).await.unwrap_err();
        assert_eq!(lost.errno(), libc::ESTALE, "{refusal:?}: {lost}");
        let copy = conflict_copy(&bucket);
        assert_eq!(
            lost.to_string(),
            format!(
                "ESTALE: \"f\" was changed by somebody else since it was opened: their version \
                 stays, yours is kept as {copy:?}"
            )
        );
        assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
        assert_eq!(bucket.body(&copy).await.unwrap(), b"ours");
        assert_eq!(mount.read_file(&copy).await.unwrap(), b"ours");
        let status = mount.fs.status();
        assert_eq!((status.conflicts_total, status.uncommitted_files), (1, 0));
        mount.fs.sync_all(|_| {}).await.unwrap();
        // The name is theirs, and is shown as such.
        let shown = mount.attr("f").await.unwrap();
        assert_eq!((shown.size, shown.perm), (6, 0));
        assert_eq!(errno(mount.read_file("f").await), libc::EACCES);
    }
}

/// A server that wants the key before it compares refuses for what is under none, too.
#[tokio::test]
async fn a_write_refused_for_a_version_that_can_be_opened_is_a_conflict_too() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let handle = changed(&mount, "f", b"ours").await;
    bucket.put("f", b"theirs").await;
    let invalid = Effect::FailBefore(ErrorKind::Invalid);
    refuse(&bucket, invalid, &[PutObject], "f");
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    assert_eq!(bucket.body(&conflict_copy(&bucket)).await.unwrap(), b"ours");
    assert_eq!(mount.read_file("f").await.unwrap(), b"theirs");
}

#[tokio::test]
async fn a_new_file_over_one_that_cannot_be_opened_is_kept_beside_it() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let (_, handle) = mount.open("f", flags).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    lock(&bucket, "f");
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    assert_eq!(bucket.body(&conflict_copy(&bucket)).await.unwrap(), b"ours");
}

#[tokio::test]
async fn a_large_file_replaced_under_another_key_is_given_up_in_words() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    bucket.put("f", &vec![b'o'; 20 << 20]).await;
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 9 << 20, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    // What is copied from names what is copied to.
    let copies = Rule::new(Effect::AskForKey).on(UploadPartCopy);
    bucket.fault.inject(copies);
    lock(&bucket, "f");
    let lost = mount.close(handle).await.unwrap_err();
    assert_eq!(lost.errno(), libc::ESTALE);
    assert!(
        lost.to_string().contains("your version cannot be kept"),
        "{lost}"
    );
    assert_eq!(bucket.keys(), ["f"]);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    mount.fs.sync_all(|_| {}).await.unwrap();
}

/// What is refused for another reason than another version is no conflict: it waits.
#[tokio::test]
async fn a_refusal_that_may_pass_makes_no_conflict() {
    for effect in [
        Effect::RefuseKey,
        Effect::FailBefore(ErrorKind::Denied),
        Effect::AskForKey,
    ] {
        let bucket = Bucket::new();
        let mount = bucket.mount().await;
        mount.write_file("f", b"base").await.unwrap();
        let handle = changed(&mount, "f", b"ours").await;
        let operations = [HeadObject, GetObject, PutObject, CompleteMultipartUpload];
        refuse(&bucket, effect, &operations, "f");
        assert_eq!(errno(mount.close(handle).await), libc::EACCES, "{effect:?}");
        assert_eq!(errno(mount.fs.sync_all(|_| {}).await), libc::EACCES);
        assert_eq!(mount.fs.uncommitted_paths(), ["f"]);
        assert_eq!(bucket.keys(), ["f"]);
        bucket.fault.clear();
        mount.fs.sync_all(|_| {}).await.unwrap();
        assert_eq!(bucket.body("f").await.unwrap(), b"ours", "{effect:?}");
        assert_eq!(mount.fs.status().conflicts_total, 0, "{effect:?}");
    }
}

/// Its own earlier write, whose answer was lost, has another ETag than the mount knows; while KMS
/// refuses nobody can tell whose it is.
#[tokio::test]
async fn a_lost_answer_is_not_taken_for_a_conflict_while_kms_refuses() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let handle = changed(&mount, "f", b"ours").await;
    let lost = Effect::FailAfter(ErrorKind::TimedOut);
    refuse(&bucket, lost, &[PutObject], "f");
    let refused = Rule::new(Effect::RefuseKey).on(HeadObject).after(1);
    bucket.fault.inject(refused.exactly("f"));
    assert_eq!(errno(mount.close(handle).await), libc::EIO);
    assert_eq!(bucket.body("f").await.unwrap(), b"ours", "it is there");
    assert_eq!(errno(mount.fs.sync_all(|_| {}).await), libc::EACCES);
    bucket.fault.clear();
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(bucket.keys(), ["f"]);
    assert_eq!(bucket.body("f").await.unwrap(), b"ours");
}

/// `exec 3>new; echo x >&3; mv new locked; exec 3>&-`, on a server that compares nothing for who
/// has no key.
#[tokio::test]
async fn a_file_that_is_not_stored_yet_replaces_one_that_cannot_be_opened() {
    for then in ["locked", "elsewhere"] {
        let bucket = Bucket::new();
        bucket.put("locked", b"theirs").await;
        let mount = bucket.mount().await;
        let locked: Vec<_> = [HeadObject, GetObject, PutObject]
            .map(|operation| Rule::new(Effect::AskForKey).on(operation).exactly("locked"))
            .map(|rule| bucket.fault.inject(rule))
            .into();
        let flags = libc::O_WRONLY | libc::O_CREAT;
        let (_, handle) = mount.open("new", flags).await.unwrap();
        mount.write_at(handle, 0, b"new").await.unwrap();
        mount.rename("new", "locked").await.unwrap();
        assert_eq!(bucket.body("locked").await.unwrap(), b"new", "at once");
        // What is there now is the mount's own.
        for rule in locked {
            bucket.fault.remove(rule);
        }
        if then != "locked" {
            mount.rename("locked", then).await.unwrap();
        }
        mount.write_at(handle, 3, b"er").await.unwrap();
        mount.close(handle).await.unwrap();
        assert_eq!(bucket.keys(), [then]);
        assert_eq!(mount.read_file(then).await.unwrap(), b"newer");
        assert_eq!(mount.fs.status().conflicts_total, 0);
    }
}

/// What cannot be stored does not take the name, and both stay as they were.
#[tokio::test]
async fn what_cannot_be_stored_does_not_replace_one_that_cannot_be_opened() {
    let bucket = Bucket::new();
    bucket.put("locked", b"theirs").await;
    lock(&bucket, "locked");
    let mount = bucket.mount().await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let (_, handle) = mount.open("new", flags).await.unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    refuse(&bucket, Effect::RefuseKey, &[PutObject], "new");
    assert_eq!(errno(mount.rename("new", "locked").await), libc::EACCES);
    assert_eq!(bucket.body("locked").await.unwrap(), b"theirs");
    bucket.fault.clear();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("new").await.unwrap(), b"new");
    assert_eq!(bucket.body("locked").await.unwrap(), b"theirs");
}

/// What a listing tells was so when it was asked for, however late the look is refused.
#[tokio::test(start_paused = true)]
async fn a_listing_does_not_undo_what_was_stored_since_it_was_asked_for() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.write_file("f", b"old").await.unwrap();
    let late = Rule::new(Effect::DelayAfter(Duration::from_mins(1))).on(ListObjects);
    bucket.fault.inject(late.exactly("").times(1));
    let before = bucket.fault.calls().of(ListObjects);
    let fs = Arc::clone(&mount.fs);
    let listing = tokio::spawn(async move {
        let handle = fs.opendir(ROOT).await.unwrap();
        fs.readdir(handle, 0, true, 10).await.unwrap()
    });
    while bucket.fault.calls().of(ListObjects) == before {
        tokio::task::yield_now().await;
    }
    mount.write_file("f", b"newer").await.unwrap();
    lock(&bucket, "f");
    let items = listing.await.unwrap();
    let shown = items.iter().find(|item| item.name == "f").unwrap();
    assert_eq!(shown.entry.unwrap().attr.size, 5);
}
