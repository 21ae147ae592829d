//! Renames of large directories: what is seen of them, and what is left when the daemon is killed
//! in the middle.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::{Mount, Source};
use crate::other_client::OtherClient;
use crate::request_counts::RequestCounts;
use crate::sealed::cse_c;
use crate::wait::until;

/// For a rename to come to a point, on a busy machine.
const DEADLINE: Duration = Duration::from_mins(3);

/// Files of the directory: `RENAME_FILES`, or what a short run takes.
fn files() -> usize {
    let wanted = std::env::var("RENAME_FILES");
    wanted.map_or(1_000, |files| files.parse().expect("a number"))
}

fn content(file: usize) -> String {
    format!("content of {file}")
}

pub fn assert_whole(root: &Path, files: usize) {
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

/// A directory of so many files.
fn fill(directory: &Path, files: usize) {
    fs::create_dir(directory).expect("mkdir");
    for file in 0..files {
        fs::write(directory.join(file.to_string()), content(file)).expect("writing");
    }
}

/// A mount that renames a directory of so many files.
fn renaming(mount: &Mount, files: usize) -> JoinHandle<io::Result<()>> {
    let root = mount.path();
    fill(&root.join("old"), files);
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

/// Kills the daemon of a mount while it renames a directory `old` of so many files to `new`.
pub fn killed(mount: &mut Mount, files: usize) {
    let renaming = renaming(mount, files);
    let seen = seen_in_the_middle(mount, 20, 0);
    mount.kill();
    renaming.join().expect("a thread").unwrap_err();
    assert!(seen.is_some(), "the rename in status");
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
    // The mount waits for them, and the test for the mount: a minute.
    let files = files().min(1_000);
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

/// A tree as `mkdir -p` and many small files make it; the paths of its files.
fn tree(root: &Path, files: usize) -> Vec<String> {
    let paths: Vec<_> = (0..files)
        .map(|file| format!("{}/{}/{file}", file % 10, file % 7))
        .collect();
    for path in &paths {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
        fs::write(&path, path.file_name().expect("a name").as_encoded_bytes()).expect("writing");
    }
    paths
}

/// Itself, 10 in it, and 7 in each of those.
const DEEP_DIRECTORIES: usize = 1 + 10 + 70;

/// Renames with `rename`; what that takes is printed.
#[expect(clippy::print_stderr, reason = "figures for docs/BENCHMARKS.md")]
fn measured(
    what: &str,
    minio: &PrivateMinio,
    (objects, each): (usize, u64),
    rename: impl FnOnce(),
) {
    let began = Instant::now();
    let ((), counts) = RequestCounts::during(minio, rename);
    let (seconds, requests) = (began.elapsed().as_secs_f64(), counts.total());
    eprintln!(
        "{what}: {objects} objects renamed in {seconds:.1} s with {requests} requests: {counts:?}"
    );
    let most = each * objects as u64 + 200;
    assert!(requests <= most, "{counts:?}");
}

/// Renames a flat directory and a deep one.
fn renamed_whole(encryption: &str, minio: &PrivateMinio, source: &Source, options: &[&str]) {
    // A copy and a delete, and on this server a HEAD before that; and what the record of a
    // client-side object says, which is sealed again for its new key.
    let each = if encryption == "none" { 3 } else { 4 };
    let mut mount = Mount::new(source, options);
    let (root, files) = (mount.path(), files());
    fill(&root.join("old"), files);
    measured(
        &format!("{encryption}, flat"),
        minio,
        (files + 1, each),
        || {
            let (old, new) = (root.join("old"), root.join("new"));
            let renaming = thread::spawn(move || fs::rename(old, new));
            let seen = seen_in_the_middle(&mount, 1, 0);
            renaming.join().expect("a thread").expect("the rename");
            let seen = seen.expect("the rename in status");
            assert_eq!(seen["objects"], files as u64 + 1);
        },
    );
    assert_eq!(progress(&mount), None, "it is over");

    let paths = tree(&root.join("deep"), files);
    let objects = files + DEEP_DIRECTORIES;
    measured(
        &format!("{encryption}, deep"),
        minio,
        (objects, each),
        || {
            fs::rename(root.join("deep"), root.join("moved")).expect("the rename");
        },
    );
    mount.remount();
    assert_whole(&root.join("new"), files);
    for path in paths {
        let read = fs::read_to_string(root.join("moved").join(&path)).expect("reading");
        assert_eq!(Some(&*read), path.rsplit('/').next());
    }
    assert!(!root.join("old").exists() && !root.join("deep").exists());
}

/// What is in the bucket after the mount: each object once, and nothing half done.
fn assert_no_orphan(client: &OtherClient) {
    let (own, keys): (Vec<_>, Vec<_>) = client
        .keys("")
        .into_iter()
        .partition(|key| key.starts_with(".cloakfs/"));
    assert_eq!(keys.len(), (files() + 1) + (files() + DEEP_DIRECTORIES));
    let of_the_volume = |key: &String| key.contains("/volume-");
    assert!(own.iter().all(of_the_volume), "{own:?}");
}

#[test]
fn directories_are_renamed_whole_without_encryption() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("rename");
    renamed_whole("none", &minio, &bucket.source(), &[]);
    assert_no_orphan(&bucket.client);
}

#[test]
fn directories_are_renamed_whole_in_a_client_side_volume() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("rename");
    let place = tempfile::tempdir().expect("a directory");
    let mut source = bucket.source();
    let key = CustomerKey::new(61).file(place.path());
    source.options.extend(cse_c(&key));
    renamed_whole("cse-c", &minio, &source, &["--create"]);
    assert_no_orphan(&bucket.client);
}

/// renameat2(2) with `RENAME_NOREPLACE`, as mv(1) asks first.
fn rename_unless_there(from: &Path, to: &Path) -> io::Result<()> {
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("a path");
    let (from, to) = (path(from), path(to));
    let (here, flags) = (libc::AT_FDCWD, libc::RENAME_NOREPLACE);
    // SAFETY: two strings that end in a zero and live until the call returns.
    let renamed = unsafe { libc::renameat2(here, from.as_ptr(), here, to.as_ptr(), flags) };
    if renamed == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// On a server without conditional copies a file that may replace nothing is copied in parts.
fn replaces_nothing(minio: &PrivateMinio, source: &Source, options: &[&str], in_parts: u64) {
    let mount = Mount::new(source, options);
    let root = mount.path();
    let sizes = [0, 1, 100_000, 6 << 20];
    let content = |size: usize| vec![7; size];
    for size in sizes {
        fs::write(root.join(format!("from-{size}")), content(size)).expect("writing");
    }
    let ((), counts) = RequestCounts::during(minio, || {
        for size in sizes {
            let (from, to) = (format!("from-{size}"), format!("to-{size}"));
            rename_unless_there(&root.join(from), &root.join(to)).expect("the rename");
        }
    });
    assert_eq!(counts.of("CompleteMultipartUpload"), in_parts, "{counts:?}");
    assert_eq!(counts.of("CopyObject"), 0, "{counts:?}");
    assert!(counts.bytes < 200_000, "no content: {counts:?}");
    for size in sizes {
        let read = fs::read(root.join(format!("to-{size}"))).expect("reading");
        assert!(read == content(size), "{size} bytes");
    }
    fs::write(root.join("there"), "stays").expect("writing");
    let refused = rename_unless_there(&root.join("to-1"), &root.join("there"));
    let refused = refused.expect_err("it is there").raw_os_error();
    assert_eq!(refused, Some(libc::EEXIST));
    assert_eq!(fs::read(root.join("there")).expect("reading"), b"stays");

    for file in 0..100 {
        fs::write(root.join(file.to_string()), content(4096)).expect("writing");
    }
    let each = |from: &str, to: &str, rename: &dyn Fn(&Path, &Path) -> io::Result<()>| {
        let path = |place: &str, file| root.join(format!("{place}{file}"));
        measured(&format!("{from:?} to {to:?}"), minio, (100, 10), || {
            for file in 0..100 {
                rename(&path(from, file), &path(to, file)).expect("the rename");
            }
        });
    };
    each("", "unless-there-", &rename_unless_there);
    each("unless-there-", "always-", &|from, to| fs::rename(from, to));
}

#[test]
fn a_rename_that_may_replace_nothing_goes_through_without_encryption() {
    let minio = PrivateMinio::start();
    let source = minio.reach().bucket("rename").source();
    // Of the empty one no part is made.
    replaces_nothing(&minio, &source, &[], 3);
}

#[test]
fn a_rename_that_may_replace_nothing_goes_through_in_a_client_side_volume() {
    let minio = PrivateMinio::start();
    let place = tempfile::tempdir().expect("a directory");
    let mut source = minio.reach().bucket("rename").source();
    let key = CustomerKey::new(62).file(place.path());
    source.options.extend(cse_c(&key));
    replaces_nothing(&minio, &source, &["--create"], 4);
}
