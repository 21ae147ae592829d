//! What operations do.

use std::time::Duration;

use cloakfs::base::time::Timestamp;
use cloakfs::fs::{Caller, FileKind, SetAttr, SetTime};

use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_file_is_one_object_with_its_content_and_attributes,
    what_was_written_is_seen_before_it_is_committed,
    a_created_file_is_committed_by_its_opener_even_if_never_written,
    only_the_close_of_a_process_that_wrote_commits,
    attributes_set_before_close_go_with_the_content,
    truncating_up_and_down_leaves_zeros_between,
    appending_goes_to_the_end_wherever_the_kernel_thinks_it_is,
    an_unlinked_file_lives_until_it_is_closed,
    symlinks_fifos_and_xattrs_come_back,
    a_failed_upload_is_told_at_close_and_leaves_the_old_object,
    sync_commits_what_a_failed_close_left,
    set_group_id_directories_hand_on_their_group,
    a_handle_keeps_its_time_to_live_promises,
}

async fn a_file_is_one_object_with_its_content_and_attributes(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("dir").await.unwrap();
    mount.write_file("dir/file", b"hello").await.unwrap();
    assert_eq!(bucket.keys(), ["dir/", "dir/file"]);
    assert_eq!(bucket.body("dir/file").await.unwrap(), b"hello");
    assert_eq!(bucket.metadata("dir/file", "mode").await.unwrap(), "33188");
    assert_eq!(bucket.metadata("dir/file", "uid").await.unwrap(), "1000");
    let again = bucket.mount().await;
    assert_eq!(again.read_file("dir/file").await.unwrap(), b"hello");
    let (before, after) = (
        mount.attr("dir/file").await.unwrap(),
        again.attr("dir/file").await.unwrap(),
    );
    assert_eq!(
        before, after,
        "a remount shows the same attributes, inode number included"
    );
}

async fn what_was_written_is_seen_before_it_is_committed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let (_, writer) = mount.open("f", libc::O_RDWR | libc::O_CREAT).await.unwrap();
    mount.write_at(writer, 3, b"abc").await.unwrap();
    assert!(bucket.keys().is_empty());
    assert_eq!(mount.attr("f").await.unwrap().size, 6);
    assert_eq!(
        mount.list("").await.unwrap(),
        [("f".to_owned(), FileKind::File)]
    );
    assert_eq!(mount.read_file("f").await.unwrap(), b"\0\0\0abc");
    assert_eq!(errno(mount.rmdir("f").await), libc::ENOTDIR);
    mount.close(writer).await.unwrap();
    assert_eq!(bucket.keys(), ["f"]);
}

async fn a_created_file_is_committed_by_its_opener_even_if_never_written(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("empty", b"").await.unwrap();
    assert_eq!(bucket.body("empty").await.unwrap(), b"");
}

async fn only_the_close_of_a_process_that_wrote_commits(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let (_, handle) = mount
        .open("f", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(handle, 0, b"one").await.unwrap();
    // Another living process closes the descriptor that it inherited.
    let parent = Caller { pid: 1, ..me() };
    mount.fs.flush(parent, handle).await.unwrap();
    assert!(
        bucket.keys().is_empty(),
        "somebody else's close does not commit"
    );
    mount.fs.flush(me(), handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"one");
    mount.write_at(handle, 3, b" two").await.unwrap();
    mount.fs.release(handle).await;
    assert_eq!(
        bucket.body("f").await.unwrap(),
        b"one two",
        "the last release commits the rest"
    );
}

async fn attributes_set_before_close_go_with_the_content(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let (ino, handle) = mount
        .open("f", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(handle, 0, b"x").await.unwrap();
    let then = Timestamp::new(1_000_000_000, 5).unwrap();
    let set = SetAttr {
        mode: Some(0o600),
        mtime: Some(SetTime::At(then)),
        ..SetAttr::default()
    };
    mount
        .fs
        .setattr(me(), ino, set, Some(handle))
        .await
        .unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(
        bucket.metadata("f", "mtime").await.unwrap(),
        "1000000000.000000005"
    );
    assert_eq!(bucket.metadata("f", "mode").await.unwrap(), "33152");
    let attr = bucket.mount().await.attr("f").await.unwrap();
    assert_eq!((attr.perm, attr.mtime), (0o600, then));
}

async fn truncating_up_and_down_leaves_zeros_between(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"0123456789").await.unwrap();
    let size = |size| SetAttr {
        size: Some(size),
        ..SetAttr::default()
    };
    mount.set("f", size(4)).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"0123");
    mount.set("f", size(8)).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"0123\0\0\0\0");
    assert_eq!(mount.read_file("f").await.unwrap(), b"0123\0\0\0\0");
}

async fn appending_goes_to_the_end_wherever_the_kernel_thinks_it_is(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"abc").await.unwrap();
    let flags = libc::O_WRONLY | libc::O_APPEND;
    let (_, handle) = mount.open("f", flags).await.unwrap();
    let data = bytes::Bytes::from_static(b"def");
    mount
        .fs
        .write(me(), handle, 0, data, flags, false)
        .await
        .unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"abcdef");
}

async fn an_unlinked_file_lives_until_it_is_closed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"still here").await.unwrap();
    let (ino, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.unlink("f").await.unwrap();
    assert!(bucket.keys().is_empty());
    assert_eq!(errno(mount.attr("f").await), libc::ENOENT);
    assert_eq!(
        mount.fs.getattr(ino, Some(handle)).await.unwrap().0.nlink,
        0
    );
    assert_eq!(mount.read_all(handle).await.unwrap(), b"still here");
    mount.write_at(handle, 0, b"STILL").await.unwrap();
    assert_eq!(mount.read_all(handle).await.unwrap(), b"STILL here");
    // The name is free for another file meanwhile.
    mount.write_file("f", b"new").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"new");
    assert!(
        bucket.private_keys().is_empty(),
        "its content is gone with the last handle"
    );
}

async fn symlinks_fifos_and_xattrs_come_back(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount
        .fs
        .symlink(me(), 1, "link".as_ref(), "to/there".as_ref())
        .await
        .unwrap();
    mount
        .fs
        .mknod(me(), 1, "pipe".as_ref(), libc::S_IFIFO | 0o600, 0)
        .await
        .unwrap();
    mount.write_file("f", b"x").await.unwrap();
    let ino = mount.walk("f").await.unwrap().attr.ino;
    mount
        .fs
        .setxattr(ino, "user.colour".as_ref(), b"\0blue\xff", 0)
        .await
        .unwrap();
    let again = bucket.mount().await;
    assert_eq!(
        again.list("").await.unwrap(),
        [
            ("f".to_owned(), FileKind::File),
            ("link".to_owned(), FileKind::Symlink),
            ("pipe".to_owned(), FileKind::Fifo)
        ]
    );
    let link = again.walk("link").await.unwrap().attr;
    assert_eq!((link.size, link.perm), (8, 0o777));
    assert_eq!(&again.fs.readlink(link.ino).await.unwrap()[..], b"to/there");
    let ino = again.walk("f").await.unwrap().attr.ino;
    let colour = again
        .fs
        .getxattr(ino, "user.colour".as_ref())
        .await
        .unwrap();
    assert_eq!(colour, b"\0blue\xff");
    let names = again.fs.listxattr(ino).await.unwrap();
    let names = String::from_utf8(names).unwrap();
    let stored: Vec<_> = names
        .split_terminator('\0')
        .filter(|name| !name.starts_with("user.cloakfs."))
        .collect();
    assert_eq!(stored, ["user.colour"]);
    let (huge, fit) = match layout {
        Layout::Plain => (4000, 0),
        Layout::Sealed | Layout::SealedNames => (64 << 10, 15),
    };
    for index in 0..=fit {
        let name = format!("user.huge-{index}");
        let value = vec![b'x'; huge];
        let set = again.fs.setxattr(ino, name.as_ref(), &value, 0).await;
        if index < fit {
            set.unwrap();
        } else {
            assert_eq!(errno(set), libc::ENOSPC);
        }
    }
    let none = again.fs.getxattr(ino, "user.none".as_ref()).await;
    assert_eq!(errno(none), libc::ENODATA);
    let acl = again
        .fs
        .setxattr(ino, "system.posix_acl_access".as_ref(), b"x", 0)
        .await;
    assert_eq!(errno(acl), libc::EOPNOTSUPP);
}

async fn a_failed_upload_is_told_at_close_and_leaves_the_old_object(layout: Layout) {
    use cloakfs::store::fault::{Effect, Rule};
    use cloakfs::store::{ErrorKind, Operation};
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"old").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    let rule = bucket
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::PutObject));
    assert_eq!(errno(mount.fs.fsync(handle, false).await), libc::EACCES);
    assert_eq!(errno(mount.fs.flush(me(), handle).await), libc::EACCES);
    assert_eq!(bucket.body("f").await.unwrap(), b"old");
    assert!(mount.fs.status().failed.contains_key("f"));
    assert_eq!(
        mount.read_all(handle).await.unwrap(),
        b"new",
        "the data is kept"
    );
    bucket.fault.remove(rule);
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"new");
    assert!(mount.fs.status().failed.is_empty());
}

async fn sync_commits_what_a_failed_close_left(layout: Layout) {
    use cloakfs::store::fault::{Effect, Rule};
    use cloakfs::store::{ErrorKind, Operation};
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let rule = bucket
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::PutObject));
    assert_eq!(errno(mount.write_file("f", b"data").await), libc::EIO);
    assert_eq!(mount.fs.status().uncommitted_files, 1);
    bucket.fault.remove(rule);
    mount.fs.sync_all(|_| ()).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"data");
    assert_eq!(mount.fs.status().uncommitted_files, 0);
}

async fn set_group_id_directories_hand_on_their_group(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    let set = SetAttr {
        mode: Some(0o2775),
        gid: Some(77),
        ..SetAttr::default()
    };
    mount.set("d", set).await.unwrap();
    mount.mkdir("d/e").await.unwrap();
    mount.write_file("d/f", b"").await.unwrap();
    let attr = mount.attr("d/e").await.unwrap();
    assert_eq!((attr.gid, attr.perm), (77, 0o2755));
    assert_eq!(mount.attr("d/f").await.unwrap().gid, 77);
}

async fn a_handle_keeps_its_time_to_live_promises(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(Duration::from_hours(1)).await;
    mount.write_file("f", b"mine").await.unwrap();
    bucket.put("f", b"theirs now").await;
    // Within the time to live attributes may be old, but open asks.
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    assert_eq!(mount.read_all(handle).await.unwrap(), b"theirs now");
}
