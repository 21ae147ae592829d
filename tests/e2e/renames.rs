//! Renames of large directories: what is seen of them, and what is left when the daemon is killed
//! in the middle.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::{Mount, Source};
use crate::sealed::cse_c;
use crate::wait::until;

/// For a rename to come to a point, on a busy machine.
const DEADLINE: Duration = Duration::from_mins(3);

/// Files of the directory: `CLOAKFS_TEST_FILES`, or what a short run takes.
fn files() -> usize {
    let wanted = std::env::var("CLOAKFS_TEST_FILES");
    wanted.map_or(1_000, |files| files.parse().expect("a number"))
}

fn content(file: usize) -> String {
    format!("content of {file}")
}

fn assert_whole(root: &Path, files: usize) {
    let names = fs::read_dir(root).expect("listing").count();
    assert_eq!(names, files);
    for file in 0..files {
        let read = fs::read_to_string(root.join(file.to_string())).expect("reading");
        assert_eq!(read, content(file));
    }
}

/// The rename under way, as status tells.
fn progress(mount: &Mount) -> Option<Value> {
    let status = mount.cloakfs("status", &["--json"]);
    let status: Value = serde_json::from_str(&status.stdout).expect("status in JSON");
    status["filesystem"]["renames"].get(0).cloned()
}

/// A mount that renames a directory of so many files.
fn renaming(mount: &Mount, files: usize) -> JoinHandle<io::Result<()>> {
    let root = mount.path();
    fs::create_dir(root.join("old")).expect("mkdir");
    for file in 0..files {
        fs::write(root.join("old").join(file.to_string()), content(file)).expect("writing");
    }
    thread::spawn(move || fs::rename(root.join("old"), root.join("new")))
}

/// The rename under way when so many objects are at the new name and gone from the old one.
fn seen_in_the_middle(mount: &Mount, copied: u64, deleted: u64) -> Option<Value> {
    until(DEADLINE, || {
        let rename = progress(mount)?;
        let reached = |name: &str, least| rename[name].as_u64() >= Some(least);
        (reached("copied", copied) && reached("deleted", deleted)).then_some(rename)
    })
}

/// Kills the daemon in the middle of a rename.
fn killed_in_the_middle(source: &Source, options: &[&str], copied: u64, deleted: u64) {
    let mut mount = Mount::new(source, options);
    let (root, files) = (mount.path(), files());
    let renaming = renaming(&mount, files);
    let seen = seen_in_the_middle(&mount, copied, deleted);
    // Another machine that mounts now leaves it alone.
    let other = Mount::new(source, &[]);
    let was_living = progress(&mount).is_some();
    mount.kill();
    renaming.join().expect("a thread").unwrap_err();
    let seen = seen.expect("the rename in status");
    assert_eq!(seen["from"], "old");
    assert_eq!(seen["to"], "new");
    assert_eq!(seen["objects"], files as u64 + 1);
    assert!(
        was_living,
        "the rename was over before the daemon was killed"
    );
    assert!(other.has_logged("which is left to it"), "{}", other.log());

    mount.mount_again();
    assert!(
        mount.has_logged("finished the rename of \"old\" to \"new\""),
        "{}",
        mount.log()
    );
    assert!(!root.join("old").exists());
    assert_whole(&root.join("new"), files);
    assert_whole(&other.path().join("new"), files);
}

#[test]
fn a_rename_whose_daemon_is_killed_among_the_copies_is_finished_by_the_next_mount() {
    let minio = PrivateMinio::start_with_tls();
    let bucket = minio.reach().bucket("rename");
    killed_in_the_middle(&bucket.source(), &[], 50, 0);
    assert_eq!(bucket.client.keys(".cloakfs/"), [""; 0]);
    assert_eq!(bucket.client.keys("old"), [""; 0]);
}

#[test]
fn a_rename_whose_daemon_is_killed_among_the_deletes_is_finished_by_the_next_mount() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("rename");
    let place = tempfile::tempdir().expect("a directory");
    let mut source = bucket.source();
    let key = CustomerKey::new(60).file(place.path());
    source.options.extend(cse_c(&key));
    killed_in_the_middle(&source, &["--create"], 1, 1);
    let own = bucket.client.keys(".cloakfs/");
    assert!(own.iter().all(|key| key.contains("/volume-")), "{own:?}");
}

/// It believes what it has seen until it ends, so nothing may be left to be finished later.
#[test]
fn a_mount_that_is_alone_finishes_another_machines_rename_before_it_serves() {
    let minio = PrivateMinio::start();
    let source = minio.reach().bucket("rename").source();
    let short = ["--lease-term", "4", "--timeout", "2"];
    let mut dead = Mount::new(&source, &short);
    let files = files();
    let renaming = renaming(&dead, files);
    let seen = seen_in_the_middle(&dead, 50, 0);
    dead.kill();
    renaming.join().expect("a thread").unwrap_err();
    assert!(seen.is_some(), "the rename in status");
    let alone = ["--consistency", "exclusive", "--wait-for-lease"];
    let alone = Mount::new(&source, &[short.as_slice(), &alone].concat());
    assert!(
        alone.has_logged("finished the rename of \"old\" to \"new\""),
        "{}",
        alone.log()
    );
    assert!(!alone.path().join("old").exists());
    assert_whole(&alone.path().join("new"), files);
}
