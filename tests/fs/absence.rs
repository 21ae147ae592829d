//! Names that are known not to be there: what a mount sees of its own changes and of others', and
//! what it asks for.

use std::time::{Duration, Instant};

use cloakfs::fs::{CommitMode, ROOT, SetAttr};
use cloakfs::store::Operation::{ListObjects, PutObject};
use cloakfs::store::fault::{Effect, Rule};

use crate::crashes::state;
use crate::harness::{Bucket, Layout, Mount, errno, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    an_archive_in_a_new_directory_costs_its_puts,
    an_archive_in_write_back_waits_for_no_look,
    an_archive_in_an_old_directory_costs_one_listing_more,
    what_this_mount_makes_in_a_known_directory_is_there,
    what_comes_while_a_directory_is_listed_is_there,
    what_others_make_is_seen_after_the_time_to_live,
    what_others_make_is_seen_at_once_by_who_only_looks,
    what_others_made_is_not_replaced_unseen,
    a_name_in_a_directory_too_long_to_list_is_looked_up,
}

const LONG: Duration = Duration::from_hours(1);
const FILES: u64 = 100;

/// As tar makes a file: it is looked up, made, written, given its attributes and closed.
async fn unpack(mount: &Mount, directory: &str, flags: i32) {
    for number in 0..FILES {
        let path = format!("{directory}/{number}");
        let flags = flags | libc::O_WRONLY | libc::O_CREAT;
        let (ino, handle) = mount.open(&path, flags).await.unwrap();
        mount.write_at(handle, 0, path.as_bytes()).await.unwrap();
        let set = SetAttr {
            mode: Some(0o640),
            ..SetAttr::default()
        };
        mount
            .fs
            .setattr(me(), ino, set, Some(handle))
            .await
            .unwrap();
        mount.close(handle).await.unwrap();
        mount.fs.forget(ino, 1);
    }
}

/// So many names that are not there.
async fn miss(mount: &Mount, directory: &str, names: u32) {
    for number in 0..names {
        let path = format!("{directory}/missing {number}");
        let missed = mount.walk(path.trim_start_matches('/')).await;
        assert_eq!(errno(missed), libc::ENOENT);
    }
}

/// This mount makes names in a directory, which is when its listing is worth something.
async fn make_names(mount: &Mount, directory: &str) {
    for number in 0..2 {
        let path = format!("{directory}/own {number}");
        let path = path.trim_start_matches('/');
        mount.write_file(path, b"own").await.unwrap();
    }
}

async fn an_archive_in_a_new_directory_costs_its_puts(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    for (directory, flags, puts) in [("exclusive", libc::O_EXCL, 2), ("shared", 0, 1)] {
        assert_eq!(errno(mount.walk(directory).await), libc::ENOENT);
        let (_, calls) = bucket.calls(mount.mkdir(directory)).await;
        assert_eq!((calls.of(PutObject), calls.total()), (1, 1), "{calls:?}");
        let ((), calls) = bucket.calls(unpack(&mount, directory, flags)).await;
        let made = (calls.of(PutObject), calls.total());
        assert_eq!(made, (puts * FILES, puts * FILES), "{calls:?}");
        assert_eq!(mount.list(directory).await.unwrap().len() as u64, FILES);
    }
    // Without attributes of its own, too: those that it was made with are known.
    let written = async {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let (_, handle) = mount.open("shared/new", flags).await.unwrap();
        mount.write_at(handle, 0, b"new").await.unwrap();
        mount.close(handle).await.unwrap();
    };
    let ((), calls) = bucket.calls(written).await;
    assert_eq!((calls.of(PutObject), calls.total()), (2, 2), "{calls:?}");
}

/// What is made exclusively is decided by the listing that answered the lookup.
async fn an_archive_in_write_back_waits_for_no_look(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = bucket.mount_in_with(state.path(), CommitMode::WriteBack, |config| {
        config.ttl = LONG;
    });
    let mount = mount.await;
    assert_eq!(errno(mount.walk("d").await), libc::ENOENT);
    mount.mkdir("d").await.unwrap();
    let archive = async {
        unpack(&mount, "d", libc::O_EXCL).await;
        mount.fs.sync_all(|_| ()).await.unwrap();
    };
    let ((), calls) = bucket.calls(archive).await;
    let made = (calls.of(PutObject), calls.total());
    assert_eq!(made, (FILES, FILES), "{calls:?}");
}

async fn an_archive_in_an_old_directory_costs_one_listing_more(layout: Layout) {
    let bucket = Bucket::of(layout);
    for number in 0..FILES {
        bucket.put(&format!("d/old {number}"), b"x").await;
    }
    let mount = bucket.mount_with(LONG).await;
    mount.walk("d").await.unwrap();
    let ((), calls) = bucket.calls(unpack(&mount, "d", 0)).await;
    // The first two names are looked up one by one.
    let looked = 2;
    assert_eq!(calls.of(PutObject), FILES, "{calls:?}");
    assert_eq!(calls.of(ListObjects), looked + 1, "{calls:?}");
    assert_eq!(calls.total(), FILES + 2 * looked + 1, "{calls:?}");
    // What is there is looked at as ever.
    assert_eq!(mount.read_file("d/old 7").await.unwrap(), b"x");
}

async fn what_this_mount_makes_in_a_known_directory_is_there(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.mkdir("d").await.unwrap();
    mount.write_file("elsewhere", b"moved").await.unwrap();
    mount.mkdir("tree").await.unwrap();
    mount.write_file("tree/leaf", b"leaf").await.unwrap();
    make_names(&mount, "d").await;
    miss(&mount, "d", 5).await;
    let ((), calls) = bucket.calls(miss(&mount, "d", 5)).await;
    assert_eq!(calls.total(), 0, "{calls:?}");

    mount.write_file("d/file", b"file").await.unwrap();
    mount.mkdir("d/directory").await.unwrap();
    let d = mount.walk("d").await.unwrap().attr.ino;
    mount
        .fs
        .symlink(me(), d, "link".as_ref(), "target".as_ref())
        .await
        .unwrap();
    mount.rename("elsewhere", "d/moved").await.unwrap();
    mount.rename("tree", "d/tree").await.unwrap();
    for name in ["file", "directory", "link", "moved", "tree", "tree/leaf"] {
        let path = format!("d/{name}");
        let ino = mount.walk(&path).await.unwrap().attr.ino;
        // The kernel forgets it: nothing in memory remembers it but what was noted.
        mount.fs.forget(ino, 1000);
        mount
            .walk(&path)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    mount.unlink("d/file").await.unwrap();
    assert_eq!(errno(mount.walk("d/file").await), libc::ENOENT);
    mount.write_file("d/file", b"again").await.unwrap();
    assert_eq!(mount.read_file("d/file").await.unwrap(), b"again");
    // A directory that is made once more is as empty as the first.
    mount.unlink("d/tree/leaf").await.unwrap();
    mount.rmdir("d/tree").await.unwrap();
    assert_eq!(errno(mount.walk("d/tree").await), libc::ENOENT);
    mount.mkdir("d/tree").await.unwrap();
    assert_eq!(errno(mount.walk("d/tree/leaf").await), libc::ENOENT);
    mount.write_file("d/tree/leaf", b"new").await.unwrap();
    assert_eq!(mount.read_file("d/tree/leaf").await.unwrap(), b"new");
}

/// The listing shows the directory as it was before, and its answer comes after.
async fn what_comes_while_a_directory_is_listed_is_there(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("d/old", b"x").await;
    let mount = bucket.mount_with(LONG).await;
    make_names(&mount, "d").await;
    let before = bucket.fault.calls().of(ListObjects);
    let late = Rule::new(Effect::DelayAfter(Duration::from_millis(300))).on(ListObjects);
    let rule = bucket.fault.inject(late);
    let (listed, ()) = tokio::join!(mount.walk("d/third"), async {
        let deadline = Instant::now() + Duration::from_secs(10);
        while bucket.fault.calls().of(ListObjects) == before {
            assert!(Instant::now() < deadline, "the directory is not listed");
            tokio::task::yield_now().await;
        }
        let (parent, name) = mount.parent("d/new").await.unwrap();
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let made = mount.fs.create(me(), parent, name, 0o644, flags).await;
        let (entry, opened) = made.unwrap();
        mount.close(opened.handle).await.unwrap();
        mount.fs.forget(entry.attr.ino, 1000);
    });
    bucket.fault.remove(rule);
    assert_eq!(errno(listed), libc::ENOENT);
    let ((), calls) = bucket.calls(miss(&mount, "d", 5)).await;
    assert_eq!(calls.total(), 0, "the listing was learnt: {calls:?}");
    mount.walk("d/new").await.unwrap();
}

async fn what_others_make_is_seen_after_the_time_to_live(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(Duration::from_millis(200)).await;
    bucket.put("d/old", b"x").await;
    make_names(&mount, "d").await;
    miss(&mount, "d", 5).await;
    bucket.put("d/theirs", b"theirs").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while mount.walk("d/theirs").await.is_err() {
        assert!(Instant::now() < deadline, "it is never seen");
        tokio::task::yield_now().await;
    }
    assert_eq!(mount.read_file("d/theirs").await.unwrap(), b"theirs");
}

async fn what_others_make_is_seen_at_once_by_who_only_looks(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("d/old", b"x").await;
    let mount = bucket.mount_with(LONG).await;
    miss(&mount, "d", 10).await;
    bucket.put("d/theirs", b"theirs").await;
    assert_eq!(mount.read_file("d/theirs").await.unwrap(), b"theirs");
}

/// Within the time to live a name of others is not seen; what would replace it asks the bucket.
async fn what_others_made_is_not_replaced_unseen(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("ours", b"ours").await.unwrap();
    make_names(&mount, "").await;
    miss(&mount, "", 3).await;
    let theirs = bucket.mount().await;
    theirs.write_file("theirs", b"theirs").await.unwrap();
    assert_eq!(errno(mount.walk("theirs").await), libc::ENOENT);
    theirs.write_file("shown", b"shown").await.unwrap();
    assert!(mount.list("").await.unwrap().len() > 2);
    assert_eq!(mount.read_file("shown").await.unwrap(), b"shown");

    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let made = mount
        .fs
        .create(me(), ROOT, "theirs".as_ref(), 0o644, flags)
        .await;
    assert_eq!(errno(made), libc::EEXIST);
    let kept = mount
        .rename_with("ours", "theirs", libc::RENAME_NOREPLACE)
        .await;
    assert_eq!(errno(kept), libc::EEXIST);
    assert_eq!(theirs.read_file("ours").await.unwrap(), b"ours");
}

async fn a_name_in_a_directory_too_long_to_list_is_looked_up(layout: Layout) {
    let bucket = Bucket::of(layout);
    // Only their names count.
    for number in 0..4001 {
        let key = bucket.key(&format!("d/{number}"));
        bucket.put_with(key.as_str(), b"", &[]).await;
    }
    let mount = bucket.mount_with(LONG).await;
    make_names(&mount, "d").await;
    let ((), calls) = bucket.calls(miss(&mount, "d", 10)).await;
    let ((), more) = bucket.calls(miss(&mount, "d", 10)).await;
    assert_eq!(more.of(ListObjects), 10, "each by itself: {more:?}");
    assert!(calls.of(ListObjects) <= 10 + 1 + 4, "{calls:?}");
}
