//! While a directory is renamed, which can take minutes, the rest of the mount goes on.

use std::time::Duration;

use cloakfs::fs::SetAttr;
use cloakfs::store::Operation;
use cloakfs::store::fault::{Effect, Rule};
use tokio::time::{Instant, timeout};

use crate::harness::{Bucket, Layout, Mount, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    the_rest_of_the_mount_goes_on_while_a_directory_is_renamed,
    what_is_below_waits_for_the_rename,
    two_directories_are_renamed_at_once,
    a_rename_that_waits_too_long_for_another_says_so,
    uploads_elsewhere_go_on_while_a_directory_is_renamed,
    a_file_that_is_read_follows_its_directory,
    a_directory_that_another_removed_is_there_while_one_is_moved_into_it,
}

/// How long each copy takes.
const COPY: Duration = Duration::from_secs(20);
const NEW: i32 = libc::O_WRONLY | libc::O_CREAT;

/// Directories with something in them, whose copies are slow from now on.
async fn slow(bucket: &Bucket, mount: &Mount) {
    for directory in ["d", "d/moved", "e", "e/f", "side"] {
        mount.mkdir(directory).await.unwrap();
    }
    for file in ["d/moved/f", "d/beside", "e/f/f", "side/f", "side/g", "top"] {
        mount.write_file(file, file.as_bytes()).await.unwrap();
    }
    tokio::time::pause();
    let below = bucket.key("e/moved/f").as_str().to_owned();
    let slow = Rule::new(Effect::Delay(COPY)).on(Operation::CopyObject);
    bucket.fault.inject(slow.exactly(&below));
}

fn files(bucket: &Bucket) -> Vec<String> {
    let mut keys = bucket.keys();
    keys.retain(|key| !key.ends_with('/'));
    keys
}

/// Runs `work` in the middle of `mv d/moved e/moved`, whose result it gives too.
fn beside<T>(
    mount: &Mount,
    work: impl Future<Output = T>,
) -> impl Future<Output = (cloakfs::fs::Result<()>, T)> {
    Box::pin(async move {
        let began = Instant::now();
        let rename = mount.rename("d/moved", "e/moved");
        let work = async {
            while mount.fs.status().renames.is_empty() {
                assert!(began.elapsed() < COPY, "no rename is under way");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            work.await
        };
        let (renamed, worked) = tokio::join!(rename, work);
        assert!(began.elapsed() >= COPY, "the copy was not slow");
        (renamed, worked)
    })
}

async fn the_rest_of_the_mount_goes_on_while_a_directory_is_renamed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    slow(&bucket, &mount).await;
    let work = async {
        let began = Instant::now();
        mount.write_file("side/new", b"new").await.unwrap();
        mount.write_file("d/new", b"new").await.unwrap();
        assert_eq!(mount.read_file("side/f").await.unwrap(), b"side/f");
        assert_eq!(mount.read_file("d/beside").await.unwrap(), b"d/beside");
        mount.rename("side/f", "d/from side").await.unwrap();
        mount.rename("d/beside", "side/beside").await.unwrap();
        mount.unlink("side/g").await.unwrap();
        mount.mkdir("side/sub").await.unwrap();
        mount.rmdir("side/sub").await.unwrap();
        let mode = SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        };
        assert_eq!(mount.set("top", mode).await.unwrap().perm, 0o600);
        let names = mount.list("side").await.unwrap();
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["beside", "new"]);
        assert!(mount.list("").await.unwrap().len() == 4);
        assert_eq!(errno(mount.attr("d/absent").await), libc::ENOENT);
        assert_eq!(mount.attr("e").await.unwrap().nlink, 2);
        mount.fs.sync_all(|_| {}).await.unwrap();
        began.elapsed()
    };
    let (renamed, took) = Box::pin(beside(&mount, work)).await;
    renamed.unwrap();
    assert!(took < COPY / 4, "something waited for the rename: {took:?}");
    assert_eq!(
        files(&bucket),
        [
            "d/from side",
            "d/new",
            "e/f/f",
            "e/moved/f",
            "side/beside",
            "side/new",
            "top"
        ]
    );
    for (path, data) in [
        ("e/moved/f", "d/moved/f"),
        ("d/from side", "side/f"),
        ("side/beside", "d/beside"),
    ] {
        assert_eq!(mount.read_file(path).await.unwrap(), data.as_bytes());
    }
}

async fn what_is_below_waits_for_the_rename(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    slow(&bucket, &mount).await;
    let (d, e) = (
        mount.walk("d").await.unwrap(),
        mount.walk("e").await.unwrap(),
    );
    let moved = mount.walk("d/moved").await.unwrap();
    let work = async {
        let in_time = Duration::from_secs(1);
        let name = std::ffi::OsStr::new;
        let (d, e, moved) = (d.attr.ino, e.attr.ino, moved.attr.ino);
        // The old name, the new one, what is below, and the lists that both names are in.
        let old = timeout(in_time, mount.fs.lookup(d, name("moved"))).await;
        let new = timeout(in_time, mount.fs.lookup(e, name("moved"))).await;
        let below = timeout(in_time, mount.fs.lookup(moved, name("g"))).await;
        let list = timeout(in_time, mount.list_items(e, false)).await;
        let gone = timeout(in_time, mount.rmdir("d")).await;
        assert!(
            old.is_err() && new.is_err() && below.is_err() && list.is_err() && gone.is_err(),
            "one was not kept out: {old:?} {new:?} {below:?} {list:?} {gone:?}"
        );
        // This is made below the new name, since there is no other by then.
        mount
            .fs
            .create(crate::harness::me(), moved, name("made"), 0o644, NEW)
            .await
    };
    let (renamed, made) = Box::pin(beside(&mount, work)).await;
    renamed.unwrap();
    let (_, opened) = made.unwrap();
    mount.close(opened.handle).await.unwrap();
    assert_eq!(
        files(&bucket),
        [
            "d/beside",
            "e/f/f",
            "e/moved/f",
            "e/moved/made",
            "side/f",
            "side/g",
            "top"
        ]
    );
}

async fn two_directories_are_renamed_at_once(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    slow(&bucket, &mount).await;
    let work = async {
        let began = Instant::now();
        mount.rename("e/f", "side/f2").await.unwrap();
        let disjoint = began.elapsed();
        // It may only begin when the other has ended.
        mount.rename("e/moved", "last").await.unwrap();
        disjoint
    };
    let (renamed, disjoint) = Box::pin(beside(&mount, work)).await;
    renamed.unwrap();
    assert!(disjoint < COPY / 4, "{disjoint:?}");
    assert_eq!(
        files(&bucket),
        ["d/beside", "last/f", "side/f", "side/f2/f", "side/g", "top"]
    );
    assert_eq!(mount.read_file("last/f").await.unwrap(), b"d/moved/f");
}

async fn a_rename_that_waits_too_long_for_another_says_so(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    slow(&bucket, &mount).await;
    bucket.fault.clear();
    // Longer than the mount's patience, which is a minute.
    let slow = Rule::new(Effect::Delay(COPY * 4)).on(Operation::CopyObject);
    let below = bucket.key("e/moved/f").as_str().to_owned();
    bucket.fault.inject(slow.exactly(&below));
    let work = async { mount.rename("d", "gone").await.unwrap_err() };
    let (renamed, refused) = Box::pin(beside(&mount, work)).await;
    renamed.unwrap();
    assert_eq!(refused.errno(), libc::EBUSY);
    assert_eq!(
        refused.to_string(),
        "EBUSY: \"d\" cannot be renamed while another directory at, above or below one of its two names is being renamed; try again when that is done"
    );
}

async fn uploads_elsewhere_go_on_while_a_directory_is_renamed(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), crate::crashes::state());
    let mount = crate::crashes::write_back(&bucket, &state).await;
    slow(&bucket, &mount).await;
    mount.fs.sync_all(|_| {}).await.unwrap();
    let work = async {
        let began = Instant::now();
        mount.write_file("side/late", b"late").await.unwrap();
        while mount.fs.status().write_back.unwrap().pending_files > 0 {
            assert!(began.elapsed() < COPY, "it is not uploaded");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    };
    let (renamed, took) = Box::pin(beside(&mount, work)).await;
    renamed.unwrap();
    assert!(took < COPY / 4, "{took:?}");
    assert_eq!(bucket.body("side/late").await.unwrap(), b"late");
}

async fn a_file_that_is_read_follows_its_directory(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    slow(&bucket, &mount).await;
    let large: Vec<u8> = (0..9_u32 << 18).flat_map(u32::to_le_bytes).collect();
    mount.write_file("d/moved/large", &large).await.unwrap();
    let (_, handle) = mount.open("d/moved/large", libc::O_RDONLY).await.unwrap();
    let (renamed, read) = Box::pin(beside(&mount, mount.read_all(handle))).await;
    renamed.unwrap();
    assert!(read.unwrap() == large);
    mount.close(handle).await.unwrap();
}

async fn a_directory_that_another_removed_is_there_while_one_is_moved_into_it(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (mount, other) = (bucket.mount().await, bucket.mount().await);
    for directory in ["d", "d/moved", "e"] {
        mount.mkdir(directory).await.unwrap();
    }
    let (_, handle) = mount.open("d/moved/f", NEW).await.unwrap();
    mount.write_at(handle, 0, b"acknowledged").await.unwrap();
    tokio::time::pause();
    let slow = Rule::new(Effect::Delay(COPY)).on(Operation::CopyObject);
    bucket.fault.inject(slow);
    let work = async {
        other.rmdir("e").await.unwrap();
        // Whatever looks at it must not make what is moved into it nameless.
        mount.attr("e").await.unwrap();
        mount.list("").await.unwrap();
    };
    let (renamed, ()) = beside(&mount, work).await;
    renamed.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("e/moved/f").await.unwrap(), b"acknowledged");
}
