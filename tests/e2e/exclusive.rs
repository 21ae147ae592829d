//! A mount that has the volume to itself: nobody else mounts it, it asks for nothing twice, and
//! when its lease is gone it changes nothing any more.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::minio::{Minio, PrivateMinio};
use crate::mount::{Mount, Source, detach, refusal};
use crate::process::sh;
use crate::request_counts::RequestCounts;
use crate::wait::until;
use crate::{files, matrix, programs, rewrites};

const ALONE: [&str; 2] = ["--consistency", "exclusive"];
/// For what takes a few seconds.
const DEADLINE: Duration = Duration::from_mins(1);
/// The shortest term, so that two of them are not long.
const SHORT: [&str; 4] = ["--lease-term", "4", "--timeout", "2"];

fn store() -> (TempDir, Source) {
    let directory = tempfile::tempdir().expect("a store");
    let source = Source::dir(directory.path());
    (directory, source)
}

/// A place to mount at, with which nothing is shared.
fn elsewhere(source: &Source, options: &[&str]) -> String {
    let place = tempfile::tempdir().expect("a mountpoint");
    refusal(source, place.path(), options)
}

/// Writes as a program does that looks at every error.
fn store_in(path: &Path, content: &str) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

fn signal(mount: &Mount, signal: i32) {
    let pid = i32::try_from(mount.pid()).expect("a process id");
    // SAFETY: a signal to a child of this test, which has not been waited for.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "the daemon is there");
}

#[test]
fn files_on_a_directory() {
    let ((_store, source), aside) = (store(), tempfile::tempdir().expect("a directory"));
    let workloads = [files::WORKLOADS, rewrites::WORKLOADS].concat();
    matrix::work(Mount::new(&source, &ALONE), aside.path(), &workloads);
}

#[test]
fn programs_on_a_directory() {
    let ((_store, source), aside) = (store(), tempfile::tempdir().expect("a directory"));
    matrix::work(
        Mount::new(&source, &ALONE),
        aside.path(),
        programs::WORKLOADS,
    );
}

#[test]
fn files_and_programs_on_minio() {
    let bucket = Minio::shared().bucket("alone");
    let aside = tempfile::tempdir().expect("a directory");
    let mut workloads = [files::WORKLOADS, rewrites::WORKLOADS, programs::WORKLOADS].concat();
    let many = ["git_clone", "tar_extract", "copy_archive"];
    workloads.retain(|(name, _)| !many.contains(name));
    let mount = Mount::new(&bucket.source(), &ALONE);
    matrix::work(mount, aside.path(), &workloads);
    for of_the_mount in [".cloakfs/lease", ".cloakfs/mounts/"] {
        let keys = bucket.client.keys(of_the_mount);
        assert_eq!(keys, Vec::<String>::new(), "the lease is given back");
    }
}

#[test]
fn a_second_mount_is_refused_with_the_name_of_the_first() {
    let host = sh(Path::new("/"), "uname -n", &[]);
    let (_store, source) = store();
    let first = Mount::new(&source, &ALONE);
    let holder = format!(
        "is mounted with --consistency exclusive by host \"{}\" (process {}, since ",
        host.trim(),
        first.pid()
    );
    for options in [ALONE.as_slice(), &[]] {
        let words = elsewhere(&source, options);
        assert!(
            words.starts_with(&format!("{} {holder}", source.name)),
            "{words}"
        );
    }
    let status = first.cloakfs("status", &[]).stdout;
    assert!(
        status.contains("consistency     exclusive, its lease of 180 s renewed "),
        "{status}"
    );
    // Who only reads sees what is stored.
    fs::write(first.path().join("f"), "x").expect("writing");
    let reader = Mount::new(&source, &["--read-only"]);
    assert_eq!(fs::read(reader.path().join("f")).expect("reading"), b"x");
    drop(first);

    let shares = Mount::new(&source, &[]);
    let status = shares.cloakfs("status", &[]).stdout;
    assert!(
        status.contains("consistency     shared, its registration of 180 s renewed "),
        "{status}"
    );
    let words = elsewhere(&source, &ALONE);
    assert!(
        words.starts_with(&format!(
            "{} cannot be mounted with --consistency exclusive while it is mounted by host \"{}\" (process {}, ",
            source.name,
            host.trim(),
            shares.pid()
        )),
        "{words}"
    );
}

#[test]
fn a_mount_that_was_killed_is_followed_at_once_by_one_of_its_own_machine() {
    let (_store, source) = store();
    for options in [ALONE.as_slice(), &[]] {
        let mut mount = Mount::new(&source, &ALONE);
        fs::write(mount.path().join("f"), "x").expect("writing");
        signal(&mount, libc::SIGKILL);
        mount.wait_for_the_end();
        detach(&mount.path());
        let began = Instant::now();
        mount.mount_again_with(options);
        // Not for two terms of 180 s.
        assert!(began.elapsed() < DEADLINE);
        assert_eq!(fs::read(mount.path().join("f")).expect("reading"), b"x");
    }
}

#[test]
fn a_mount_that_stood_still_for_too_long_changes_nothing_any_more() {
    let (_store, source) = store();
    let alone = [ALONE.as_slice(), &SHORT].concat();
    let mut slow = Mount::new(&source, &alone);
    fs::write(slow.path().join("f"), "before").expect("writing");
    signal(&slow, libc::SIGSTOP);
    let began = Instant::now();
    let waits = [alone.as_slice(), &["--wait-for-lease"]].concat();
    let next = Mount::new(&source, &waits);
    assert!(began.elapsed() >= Duration::from_secs(8), "two terms");
    fs::write(next.path().join("f"), "after").expect("writing");
    signal(&slow, libc::SIGCONT);

    let refused = |error: std::io::Error| {
        let errno = error.raw_os_error();
        assert!(matches!(errno, Some(libc::EROFS | libc::EIO)), "{error}");
    };
    refused(store_in(&slow.path().join("f"), "during").expect_err("a write without a lease"));
    let lost = "the lease of this mount is lost: host ";
    assert!(slow.has_logged(lost), "{}", slow.log());
    refused(store_in(&slow.path().join("g"), "x").expect_err("a new file"));
    refused(fs::create_dir(slow.path().join("d")).expect_err("a new directory"));
    refused(fs::remove_file(slow.path().join("f")).expect_err("a removal"));
    let status = slow.cloakfs("status", &[]).stdout;
    assert!(
        status.contains(&format!("consistency     exclusive: {lost}")),
        "{status}"
    );
    assert!(
        status.contains("took it over, since it was not renewed in time"),
        "{status}"
    );
    // What it was told to write above may wait in it still, and nobody stores it.
    signal(&slow, libc::SIGKILL);
    slow.wait_for_the_end();
    drop(slow);

    assert_eq!(fs::read(next.path().join("f")).expect("reading"), b"after");
    let names = fs::read_dir(next.path()).expect("listing").count();
    assert_eq!(names, 1, "nothing else came");
    drop(next);
    let reader = Mount::new(&source, &["--read-only"]);
    assert_eq!(
        fs::read(reader.path().join("f")).expect("reading"),
        b"after"
    );
}

#[test]
fn a_second_look_asks_for_nothing() {
    let minio = PrivateMinio::start();
    let source = minio.reach().bucket("alone").source();
    // No renewal comes between.
    let options = [ALONE.as_slice(), &["--lease-term", "1h"]].concat();
    let mut mount = Mount::new(&source, &options);
    let root = mount.path();
    for n in 0..100 {
        fs::write(root.join(format!("f{n}")), format!("content {n}")).expect("writing");
    }
    let look = || {
        let script = "ls -l | wc -l; for n in $(seq 0 99); do stat -c %s f$n; done | wc -l
            cat f*; ! stat missing 2>/dev/null";
        sh(&root, script, &[])
    };
    let (written, counts) = RequestCounts::during(&minio, look);
    let asked = "a listing, and whether the missing name is one";
    assert!(counts.total() <= 4, "{asked}: {counts:?}");
    mount.remount();
    let (first, counts) = RequestCounts::during(&minio, look);
    assert!(counts.total() >= 100, "the count works: {counts:?}");
    let (second, counts) = RequestCounts::during(&minio, look);
    assert_eq!(counts.total(), 0, "{counts:?}");
    assert_eq!(first, second);
    assert_eq!(written, first);
    assert!(first.starts_with("101\n100\ncontent 0"), "{first}");
    // A change is asked for by itself.
    let chmod = || fs::set_permissions(root.join("f7"), Permissions::from_mode(0o600));
    let (changed, counts) = RequestCounts::during(&minio, chmod);
    changed.expect("chmod");
    assert_eq!(
        (counts.total(), counts.of("CopyObject")),
        (1, 1),
        "{counts:?}"
    );
}

#[test]
fn what_the_kernel_keeps_back_is_stored_by_a_sync() {
    let (_store, source) = store();
    let mount = Mount::new(&source, &ALONE);
    let stored = || {
        let other = Mount::new(&source, &["--read-only"]);
        fs::read(other.path().join("f")).ok()
    };
    // In a process of its own: a child of this one would close it, too, and a close stores it.
    let mut holder = Command::new("dd")
        .args(["of=f", "bs=64", "status=none"])
        .current_dir(mount.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("starting dd");
    let mut orders = holder.stdin.take().expect("a pipe");
    let path = mount.path().join("f");
    let mut write = |text: &str, len: u64| {
        orders.write_all(text.as_bytes()).expect("an order");
        let written = || (fs::metadata(&path).ok()?.len() == len).then_some(());
        assert!(
            until(DEADLINE, written).is_some(),
            "{text:?} is not written"
        );
    };
    write("kept back", 9);
    assert_eq!(
        stored().as_deref(),
        Some(b"".as_slice()),
        "dd's own dup2 stored the new file"
    );
    assert!(mount.cloakfs("sync", &[]).status.success());
    assert_eq!(stored().as_deref(), Some(b"kept back".as_slice()));
    write(" again", 15);
    signal(&mount, libc::SIGTERM);
    assert!(mount.has_logged("programs still use"), "{}", mount.log());
    assert_eq!(stored().as_deref(), Some(b"kept back again".as_slice()));
    drop(orders);
    holder.wait().expect("waiting for bash");
    let mut mount = mount;
    assert!(mount.wait_for_the_end().success(), "{}", mount.log());
}

#[test]
fn sizes_times_and_appends_are_the_kernels_and_stay() {
    let (_store, source) = store();
    let mut mount = Mount::new(&source, &ALONE);
    let path = mount.path().join("f");
    let (mut one, two) = (
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .expect("opening"),
        OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("opening"),
    );
    for _ in 0..100 {
        one.write_all(b"one").expect("appending");
        (&two).write_all(b"two").expect("appending");
    }
    assert_eq!(fs::metadata(&path).expect("stat").len(), 600);
    // A handle that may only write is read through by the kernel, to fill a page.
    let only = OpenOptions::new().write(true).open(&path).expect("opening");
    only.write_all_at(b"ONE", 300).expect("writing");
    drop((one, two, only));
    sh(
        &mount.path(),
        "truncate -s 5000 f; touch -d 2001-02-03T04:05:06.789 f; mv f g",
        &[],
    );
    let path = mount.path().join("g");
    let look = |path: &Path| {
        let metadata = fs::metadata(path).expect("stat");
        let times = (metadata.mtime(), metadata.mtime_nsec());
        (metadata.len(), times, fs::read(path).expect("reading"))
    };
    let before = look(&path);
    assert_eq!(before.0, 5000);
    assert_eq!(before.1.1, 789_000_000);
    assert_eq!(&before.2[..9], b"onetwoone");
    assert_eq!(
        &before.2[297..306],
        b"twoONEtwo".as_slice().get(..9).expect("nine")
    );
    mount.remount();
    assert_eq!(look(&path), before);
}

#[test]
fn what_an_s3_tool_changes_all_the_same_is_not_written_over() {
    let bucket = Minio::shared().bucket("tool");
    let mount = Mount::new(&bucket.source(), &ALONE);
    let path = mount.path().join("f");
    fs::write(&path, "ours").expect("writing");
    assert_eq!(fs::read(&path).expect("reading"), b"ours");
    bucket.client.put("f", "theirs, and longer");
    let error = store_in(&path, "ours again").expect_err("a conflict");
    assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{error}");
    assert_eq!(bucket.client.read("f"), b"theirs, and longer");
    let kept = bucket.client.keys("f.conflict-");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(bucket.client.read(&kept[0]), b"ours again");
    // From then on it is seen whole, under the kernel's eyes too, and the copy is listed.
    let mut file = File::open(&path).expect("opening");
    let mut content = String::new();
    file.read_to_string(&mut content).expect("reading");
    assert_eq!(content, "theirs, and longer");
    assert_eq!(file.seek(SeekFrom::End(0)).expect("seeking"), 18);
    let names = || fs::read_dir(mount.path()).expect("listing").count();
    assert!(until(DEADLINE, || (names() == 2).then_some(())).is_some());

    // The same where only attributes were to change.
    fs::write(mount.path().join("g"), "ours").expect("writing");
    bucket.client.put("g", "theirs, and longer");
    let chmod = || fs::set_permissions(mount.path().join("g"), Permissions::from_mode(0o600));
    let outcome = chmod().or_else(|_first_finds_out| chmod());
    outcome.expect("chmod of what is there now");
    assert_eq!(
        fs::read(mount.path().join("g")).expect("reading"),
        b"theirs, and longer"
    );
}
