//! Two writers, one name: nobody's bytes disappear.

use cloakfs::fs::SetAttr;

use crate::harness::{Bucket, Layout, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    an_overwrite_that_lost_keeps_both_versions,
    a_file_that_two_create_is_kept_twice,
    a_whole_file_written_over_one_that_another_deleted_is_kept_beside,
    a_small_file_changed_in_part_while_another_deleted_it_is_kept_whole,
    a_large_file_changed_in_part_and_replaced_is_given_up_in_words,
    exclusive_creation_and_mkdir_have_one_winner,
    a_reader_never_sees_a_mixture_of_versions,
    a_chmod_of_another_mount_survives_our_overwrite,
    a_chmod_is_made_to_the_newest_attributes,
    a_lost_answer_is_not_taken_for_a_conflict,
    what_is_given_up_while_another_reads_is_told_to_who_wrote_it,
}

/// The key of the only conflict copy.
fn conflict_copy(bucket: &Bucket) -> String {
    let copies: Vec<_> = bucket
        .keys()
        .into_iter()
        .filter(|key| key.contains(".conflict-testhost-"))
        .collect();
    assert_eq!(copies.len(), 1, "{:?}", bucket.keys());
    copies.into_iter().next().unwrap()
}

async fn an_overwrite_that_lost_keeps_both_versions(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    assert_eq!(errno(mount.fs.fsync(handle, false).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    let copy = conflict_copy(&bucket);
    assert_eq!(bucket.body(&copy).await.unwrap(), b"ours");
    let status = mount.fs.status();
    assert_eq!(
        (status.conflicts_total, status.conflicts[0].path.as_str()),
        (1, "f")
    );
    assert_eq!(status.conflicts[0].kept_as, copy);
    assert_eq!(status.uncommitted_files, 0);
    // The handle still reads what was written through it, and takes no more.
    assert_eq!(mount.read_all(handle).await.unwrap(), b"ours");
    assert_eq!(
        errno(mount.write_at(handle, 0, b"more").await),
        libc::ESTALE
    );
    mount.fs.release(handle).await;
    assert_eq!(mount.read_file("f").await.unwrap(), b"theirs");
    mount.write_file("f", b"after").await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"after");
}

async fn a_file_that_two_create_is_kept_twice(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    let (_, first) = one.open("f", libc::O_WRONLY | libc::O_CREAT).await.unwrap();
    let (_, second) = two.open("f", libc::O_WRONLY | libc::O_CREAT).await.unwrap();
    one.write_at(first, 0, b"one").await.unwrap();
    two.write_at(second, 0, b"two").await.unwrap();
    one.close(first).await.unwrap();
    assert_eq!(errno(two.close(second).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await.unwrap(), b"one");
    assert_eq!(bucket.body(&conflict_copy(&bucket)).await.unwrap(), b"two");
}

async fn a_whole_file_written_over_one_that_another_deleted_is_kept_beside(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR | libc::O_TRUNC).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.delete("f").await;
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await, None, "a delete is not undone");
    assert_eq!(bucket.body(&conflict_copy(&bucket)).await.unwrap(), b"ours");
}

async fn a_small_file_changed_in_part_while_another_deleted_it_is_kept_whole(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 4, b" and ours").await.unwrap();
    bucket.delete("f").await;
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    assert_eq!(bucket.body("f").await, None, "a delete is not undone");
    assert_eq!(
        bucket.body(&conflict_copy(&bucket)).await.unwrap(),
        b"base and ours"
    );
    assert_eq!(mount.fs.status().uncommitted_files, 0);
}

async fn a_large_file_changed_in_part_and_replaced_is_given_up_in_words(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    bucket.put("f", &vec![b'o'; 20 << 20]).await;
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 9 << 20, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    let error = mount.close(handle).await.unwrap_err();
    assert_eq!(error.errno(), libc::ESTALE);
    assert!(
        error.to_string().contains("your version cannot be kept"),
        "{error}"
    );
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    assert!(mount.fs.status().failed["f"].contains("your version cannot be kept"));
    assert_eq!(mount.read_file("f").await.unwrap(), b"theirs");
    mount.fs.sync_all(|_| ()).await.unwrap();
}

async fn exclusive_creation_and_mkdir_have_one_winner(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let (_, handle) = one.open("lock", flags).await.unwrap();
    assert_eq!(errno(two.open("lock", flags).await), libc::EEXIST);
    one.close(handle).await.unwrap();
    one.mkdir("d").await.unwrap();
    assert_eq!(errno(two.mkdir("d").await), libc::EEXIST);
}

async fn a_reader_never_sees_a_mixture_of_versions(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let old = vec![b'o'; 3 << 20];
    let new = vec![b'n'; 3 << 20];
    bucket.put("f", &old).await;
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let first = mount.fs.read(handle, 0, 4096).await.unwrap();
    assert!(first.iter().all(|byte| *byte == b'o'));
    bucket.put("f", &new).await;
    let rest = mount.fs.read(handle, 2 << 20, 4096).await;
    match rest {
        Err(error) => assert_eq!(error.errno(), libc::ESTALE),
        Ok(bytes) => assert!(bytes.iter().all(|byte| *byte == b'o')),
    }
    assert_eq!(
        mount.read_file("f").await.unwrap(),
        new,
        "a new open reads the new version"
    );
    mount.fs.release(handle).await;
}

async fn a_chmod_of_another_mount_survives_our_overwrite(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    one.write_file("f", b"base").await.unwrap();
    let (_, handle) = one.open("f", libc::O_RDWR).await.unwrap();
    one.write_at(handle, 0, b"ours").await.unwrap();
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    two.set("f", set).await.unwrap();
    // On a store that keeps the ETag in a metadata copy this is no conflict; on one that does
    // not, both versions are kept. Either way nothing is lost.
    match one.close(handle).await {
        Ok(()) => assert_eq!(two.attr("f").await.unwrap().perm, 0o600),
        Err(error) => {
            assert_eq!(error.errno(), libc::ESTALE);
            assert_eq!(bucket.body(&conflict_copy(&bucket)).await.unwrap(), b"ours");
        }
    }
}

async fn a_chmod_is_made_to_the_newest_attributes(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    one.write_file("f", b"x").await.unwrap();
    let ino = two.walk("f").await.unwrap().attr.ino;
    one.set(
        "f",
        SetAttr {
            uid: Some(5),
            ..SetAttr::default()
        },
    )
    .await
    .unwrap();
    let set = SetAttr {
        mode: Some(0o640),
        ..SetAttr::default()
    };
    two.fs
        .setattr(crate::harness::me(), ino, set, None)
        .await
        .unwrap();
    let attr = one.attr("f").await.unwrap();
    assert_eq!((attr.uid, attr.perm), (5, 0o640));
}

async fn a_lost_answer_is_not_taken_for_a_conflict(layout: Layout) {
    use cloakfs::store::fault::{Effect, Rule};
    use cloakfs::store::{ErrorKind, Operation};
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    bucket.fault.inject(
        Rule::new(Effect::FailAfter(ErrorKind::TimedOut))
            .times(1)
            .on(Operation::PutObject),
    );
    mount.write_file("f", b"data").await.unwrap();
    assert_eq!(bucket.keys(), ["f"]);
    assert_eq!(mount.fs.status().conflicts_total, 0);
}

/// A reader's close uploads what waits, and has nobody to tell.
async fn what_is_given_up_while_another_reads_is_told_to_who_wrote_it(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let flags = libc::O_RDWR | libc::O_CREAT;
    let (_, handle) = mount.open("f", flags).await.unwrap();
    mount.write_file("f", b"one").await.unwrap();
    assert_eq!(mount.read_file("f").await.unwrap(), b"one");
    bucket.put("f", b"theirs").await;
    mount.write_at(handle, 0, b"O").await.unwrap();
    drop(mount.read_file("f").await);
    assert_eq!(bucket.body("f").await.unwrap(), b"theirs");
    let told = mount.fs.fsync(handle, false).await;
    assert_eq!(errno(told), libc::ESTALE);
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    // Kept beside it, where it could be put together.
    let status = mount.fs.status();
    assert!(status.conflicts_total == 1 || status.failed.contains_key("f"));
}
