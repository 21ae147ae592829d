//! What others do between our steps, and answers that come late or never.

use std::time::Duration;

use cloakfs::fs::SetAttr;
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::harness::{Bucket, Layout, Mount, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_directory_that_another_removed_is_there_while_a_new_file_in_it_is_not_saved,
    a_directory_is_kept_for_its_unsaved_file_when_the_kernel_forgets_both,
    writing_to_a_file_whose_name_another_removed_is_refused,
    every_writer_of_a_file_that_was_lost_is_told,
    what_a_handle_writes_to_a_version_that_was_replaced_is_not_saved_in_silence,
    parallel_first_writes_to_a_small_file_are_all_kept,
    a_file_is_read_while_its_changes_are_uploaded,
    a_new_file_that_replaced_another_takes_it_along,
    a_new_file_replaces_one_that_a_reader_has_open,
    an_object_that_another_replaced_during_a_directory_rename_is_not_adopted,
    a_directory_rename_that_fails_leaves_the_old_tree_and_nothing_else,
    an_unlink_that_fails_leaves_the_file_as_it_was,
    our_own_write_whose_answer_was_lost_for_good_is_no_conflict,
    a_change_of_attributes_is_made_to_the_newest_also_within_the_time_to_live,
    entries_that_go_while_they_are_listed_do_not_end_the_listing,
    a_rename_is_refused_before_it_overwrites_where_nothing_may_be_deleted,
    without_conditional_delete_a_look_decides,
    without_conditional_delete_a_file_of_a_renamed_directory_is_renamed,
}

/// Where the conflict copies are.
fn conflict_copies(bucket: &Bucket) -> Vec<String> {
    let is_copy = |key: &String| key.contains(".conflict-testhost-");
    bucket.keys().into_iter().filter(is_copy).collect()
}

async fn a_directory_that_another_removed_is_there_while_a_new_file_in_it_is_not_saved(
    layout: Layout,
) {
    let bucket = Bucket::of(layout);
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    one.mkdir("d").await.unwrap();
    let (_, handle) = one
        .open("d/f", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    one.write_at(handle, 0, b"acknowledged").await.unwrap();
    two.rmdir("d").await.unwrap();
    // Whatever looks at it must not make the file nameless.
    one.attr("d").await.unwrap();
    one.list("").await.unwrap();
    one.close(handle).await.unwrap();
    assert_eq!(bucket.body("d/f").await.unwrap(), b"acknowledged");
}

async fn a_directory_is_kept_for_its_unsaved_file_when_the_kernel_forgets_both(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    let rule = bucket
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::PutObject));
    assert_eq!(errno(mount.write_file("d/f", b"data").await), libc::EIO);
    let directory = mount.walk("d").await.unwrap().attr.ino;
    let file = mount.walk("d/f").await.unwrap().attr.ino;
    // More than was ever counted: as if every reference were given back.
    mount.fs.forget(file, 1000);
    mount.fs.forget(directory, 1000);
    bucket.fault.remove(rule);
    mount.fs.sync_all(|_| ()).await.unwrap();
    assert_eq!(bucket.body("d/f").await.unwrap(), b"data");
    let status = mount.fs.status();
    assert_eq!(
        (status.uncommitted_files, status.inodes),
        (0, 1),
        "nothing is left in the table"
    );
}

async fn writing_to_a_file_whose_name_another_removed_is_refused(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("log", b"line").await.unwrap();
    let (_, handle) = mount.open("log", libc::O_WRONLY).await.unwrap();
    bucket.delete("log").await;
    assert_eq!(errno(mount.attr("log").await), libc::ENOENT);
    assert_eq!(
        errno(mount.write_at(handle, 0, b"more").await),
        libc::ESTALE
    );
}

async fn every_writer_of_a_file_that_was_lost_is_told(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    bucket.put("f", &vec![b'o'; 20 << 20]).await;
    let (_, first) = mount.open("f", libc::O_WRONLY).await.unwrap();
    let (_, second) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount.write_at(first, 0, b"first").await.unwrap();
    mount.write_at(second, 10 << 20, b"second").await.unwrap();
    bucket.put("f", b"theirs").await;
    assert_eq!(errno(mount.close(first).await), libc::ESTALE);
    assert_eq!(errno(mount.close(second).await), libc::ESTALE);
}

async fn what_a_handle_writes_to_a_version_that_was_replaced_is_not_saved_in_silence(
    layout: Layout,
) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"mine").await.unwrap();
    let (_, old) = mount.open("f", libc::O_RDWR).await.unwrap();
    bucket.put("f", b"theirs").await;
    let (_, new) = mount.open("f", libc::O_RDWR).await.unwrap();
    assert_eq!(errno(mount.write_at(old, 0, b"lost").await), libc::ESTALE);
    mount.write_at(new, 0, b"T").await.unwrap();
    mount.close(new).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"Theirs");
    mount.fs.release(old).await;
}

async fn parallel_first_writes_to_a_small_file_are_all_kept(layout: Layout) {
    for _ in 0..50 {
        let bucket = Bucket::of(layout);
        let mount = bucket.mount().await;
        bucket.put("f", &vec![b'-'; 64 << 10]).await;
        let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
        let page = |index: u64| mount.write_at(handle, index * 4096, &[b'#'; 4096]);
        let (a, b, c, d) = tokio::join!(page(0), page(5), page(9), page(15));
        assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
        mount.close(handle).await.unwrap();
        let body = bucket.body("f").await.unwrap();
        for index in 0..16_usize {
            let expected = if [0, 5, 9, 15].contains(&index) {
                b'#'
            } else {
                b'-'
            };
            let page = &body[index * 4096..(index + 1) * 4096];
            assert!(page.iter().all(|byte| *byte == expected), "page {index}");
        }
    }
}

/// The bucket has the new version, and this mount has not heard of it yet.
async fn a_file_is_read_while_its_changes_are_uploaded(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"old content").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"OLD").await.unwrap();
    mount.fs.fsync(handle, false).await.unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    tokio::time::pause();
    let late = Effect::DelayAfter(Duration::from_secs(5));
    bucket
        .fault
        .inject(Rule::new(late).on(Operation::PutObject));
    let (synced, read) = tokio::join!(mount.fs.fsync(handle, false), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        mount.read_all(handle).await
    });
    synced.unwrap();
    assert_eq!(read.unwrap(), b"new content");
    mount.close(handle).await.unwrap();
}

async fn a_new_file_that_replaced_another_takes_it_along(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    // Unlinked: the object that it replaced does not come back.
    mount.write_file("f", b"old").await.unwrap();
    let (_, handle) = mount.open("temp", flags).await.unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    mount.rename("temp", "f").await.unwrap();
    mount.unlink("f").await.unwrap();
    assert_eq!(errno(mount.attr("f").await), libc::ENOENT);
    mount.close(handle).await.unwrap();
    assert!(bucket.keys().is_empty(), "{:?}", bucket.keys());
    // Renamed on: nothing stays at the name in between, and there is no conflict.
    mount.write_file("f", b"old").await.unwrap();
    let (_, handle) = mount.open("temp", flags).await.unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    mount.rename("temp", "f").await.unwrap();
    mount.rename("f", "g").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.keys(), ["g"]);
    assert_eq!(bucket.body("g").await.unwrap(), b"new");
}

async fn a_new_file_replaces_one_that_a_reader_has_open(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"old").await.unwrap();
    let (_, reader) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (_, writer) = mount
        .open("temp", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(writer, 0, b"new").await.unwrap();
    mount.rename("temp", "f").await.unwrap();
    mount.close(writer).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"new");
    assert_eq!(mount.read_all(reader).await.unwrap(), b"old");
    mount.close(reader).await.unwrap();
    assert!(conflict_copies(&bucket).is_empty());
    assert!(bucket.private_keys().is_empty());
}

async fn an_object_that_another_replaced_during_a_directory_rename_is_not_adopted(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    bucket.put("d/f", &vec![b'o'; 20 << 20]).await;
    let (_, handle) = mount.open("d/f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put("d/f", &vec![b't'; 20 << 20]).await;
    mount.rename("d", "e").await.unwrap();
    assert_eq!(errno(mount.close(handle).await), libc::ESTALE);
    let body = bucket.body("e/f").await.unwrap();
    assert!(body.iter().all(|byte| *byte == b't'), "theirs is whole");
}

async fn a_directory_rename_that_fails_leaves_the_old_tree_and_nothing_else(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    for index in 0..20 {
        mount.write_file(&format!("d/{index}"), b"x").await.unwrap();
    }
    let before = bucket.keys();
    let rule = bucket.fault.inject(
        Rule::new(Effect::FailBefore(ErrorKind::Denied))
            .on(Operation::CopyObject)
            .after(7),
    );
    assert_eq!(errno(mount.rename("d", "e").await), libc::EACCES);
    assert_eq!(bucket.keys(), before);
    assert_eq!(errno(mount.attr("e").await), libc::ENOENT);
    bucket.fault.remove(rule);
    mount.rename("d", "e").await.unwrap();
    assert_eq!(mount.list("e").await.unwrap().len(), 20);
}

async fn an_unlink_that_fails_leaves_the_file_as_it_was(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"content").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    let rule = bucket.fault.inject(
        Rule::new(Effect::FailBefore(ErrorKind::Denied))
            .on(Operation::DeleteObject)
            .under(bucket.key("f").as_str()),
    );
    assert_eq!(errno(mount.unlink("f").await), libc::EACCES);
    bucket.fault.remove(rule);
    mount.write_at(handle, 0, b"CON").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"CONtent");
    assert!(conflict_copies(&bucket).is_empty());
    assert!(
        bucket.private_keys().is_empty(),
        "{:?}",
        bucket.private_keys()
    );
}

async fn our_own_write_whose_answer_was_lost_for_good_is_no_conflict(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"OURS").await.unwrap();
    // The put is carried out, and neither its answer nor the HEAD after it comes back.
    let put = bucket.fault.inject(
        Rule::new(Effect::FailAfter(ErrorKind::TimedOut))
            .on(Operation::PutObject)
            .times(1),
    );
    let head = bucket.fault.inject(
        Rule::new(Effect::FailBefore(ErrorKind::Unavailable))
            .on(Operation::HeadObject)
            .after(1),
    );
    assert_eq!(errno(mount.fs.fsync(handle, false).await), libc::EIO);
    bucket.fault.remove(put);
    bucket.fault.remove(head);
    mount.write_at(handle, 4, b" twice").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"OURS twice");
    assert!(conflict_copies(&bucket).is_empty());
}

async fn a_change_of_attributes_is_made_to_the_newest_also_within_the_time_to_live(layout: Layout) {
    let bucket = Bucket::of(layout);
    let ttl = Duration::from_hours(1);
    let (one, two) = (bucket.mount_with(ttl).await, bucket.mount_with(ttl).await);
    one.write_file("f", b"x").await.unwrap();
    let ino = two.walk("f").await.unwrap().attr.ino;
    let here = one.walk("f").await.unwrap().attr.ino;
    one.fs
        .setxattr(here, "user.a".as_ref(), b"kept", 0)
        .await
        .unwrap();
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    two.fs.setattr(me(), ino, set, None).await.unwrap();
    let third = bucket.mount().await;
    let ino = third.walk("f").await.unwrap().attr.ino;
    assert_eq!(
        third.fs.getxattr(ino, "user.a".as_ref()).await.unwrap(),
        b"kept"
    );
    assert_eq!(third.attr("f").await.unwrap().perm, 0o600);
}

async fn entries_that_go_while_they_are_listed_do_not_end_the_listing(layout: Layout) {
    let bucket = Bucket::of(layout);
    for index in 0..40 {
        bucket.put(&format!("d/{index:02}"), b"x").await;
    }
    let mount = bucket.mount().await;
    let ino = mount.walk("d").await.unwrap().attr.ino;
    let handle = mount.fs.opendir(ino).await.unwrap();
    let first = mount.fs.readdir(handle, 0, false, 7).await.unwrap();
    let seen = first.len() - 2;
    // In the order in which they are stored, and so listed.
    for key in &bucket.mem.keys()[seen..30] {
        bucket.delete_key(key).await;
    }
    let mut names = Vec::new();
    let mut offset = first.last().unwrap().next_offset;
    loop {
        let more = mount.fs.readdir(handle, offset, true, 7).await.unwrap();
        let Some(last) = more.last() else { break };
        offset = last.next_offset;
        names.extend(more.into_iter().map(|item| item.name));
    }
    mount.fs.releasedir(handle);
    assert_eq!(names.len(), 10, "{names:?}");
}

async fn a_rename_is_refused_before_it_overwrites_where_nothing_may_be_deleted(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("a", b"a").await;
    bucket.put("b", b"b").await;
    bucket
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::DeleteObject));
    let mount = bucket.mount().await;
    assert_eq!(errno(mount.rename("a", "b").await), libc::EACCES);
    assert_eq!(bucket.body("b").await.unwrap(), b"b");
}

async fn without_conditional_delete_a_look_decides(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = mount_without_conditional_delete(&bucket).await;
    mount.write_file("f", b"old").await.unwrap();
    let (_, handle) = mount
        .open("temp", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    mount.rename("temp", "f").await.unwrap();
    mount.rename("f", "g").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.keys(), ["g"]);
    let (renamed, calls) = bucket.calls(mount.rename("g", "h")).await;
    renamed.unwrap();
    assert_eq!(bucket.body("h").await.unwrap(), b"new");
    assert_eq!(bucket.keys(), ["h"]);
    assert_eq!(calls.of(Operation::DeleteObject), 1, "{calls:?}");
}

async fn without_conditional_delete_a_file_of_a_renamed_directory_is_renamed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = mount_without_conditional_delete(&bucket).await;
    mount.mkdir("d").await.unwrap();
    mount.write_file("d/f", b"content").await.unwrap();
    mount.rename("d", "e").await.unwrap();
    mount.rename("e/f", "e/g").await.unwrap();
    assert_eq!(bucket.keys(), ["e/", "e/g"]);
    assert_eq!(bucket.body("e/g").await.unwrap(), b"content");
}

/// The probe cannot find out whether the server has it.
pub async fn mount_without_conditional_delete(bucket: &Bucket) -> Mount {
    let refused = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
    let rule = bucket.fault.inject(refused.on(Operation::DeleteObject));
    let mount = bucket.mount_with(Duration::from_hours(1)).await;
    bucket.fault.remove(rule);
    mount
}
