//! A bucket that others use as well: other mounts, and other S3 clients.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::minio::Minio;
use crate::mount::Mount;
use crate::process::sh;
use crate::tree::bytes;
use crate::wait::until;

/// Longer than a mount trusts what it has seen (1 s), with room for a busy machine.
const SEEN_BY_OTHERS: Duration = Duration::from_secs(20);

#[test]
fn one_of_two_mounts_wins_an_exclusive_creation() {
    let bucket = Minio::shared().bucket("exclusive");
    let mounts = [
        Mount::new(&bucket.source(), &[]),
        Mount::new(&bucket.source(), &[]),
    ];
    for round in 0..10 {
        let barrier = Barrier::new(mounts.len());
        let create = |mount: &Mount| {
            let path = mount.path().join(format!("lock-{round}"));
            barrier.wait();
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            file.map(drop).map_err(|error| error.kind())
        };
        let results = thread::scope(|scope| {
            let runs: Vec<_> = mounts
                .iter()
                .map(|mount| scope.spawn(|| create(mount)))
                .collect();
            runs.into_iter()
                .map(|run| run.join().expect("a thread"))
                .collect::<Vec<_>>()
        });
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "round {round}: {results:?}");
        assert!(
            results.contains(&Err(ErrorKind::AlreadyExists)),
            "round {round}: {results:?}"
        );
    }
}

#[test]
fn what_one_mount_closes_another_opens() {
    let bucket = Minio::shared().bucket("two-mounts");
    let (one, two) = (
        Mount::new(&bucket.source(), &[]),
        Mount::new(&bucket.source(), &[]),
    );
    for version in 0..5_u16 {
        let content = bytes(version.into(), 1_000 + usize::from(version));
        fs::write(one.path().join("shared"), &content).expect("writing");
        let seen = until(SEEN_BY_OTHERS, || {
            fs::read(two.path().join("shared"))
                .ok()
                .filter(|seen| *seen == content)
        });
        assert!(
            seen.is_some(),
            "version {version} did not arrive at the other mount"
        );
    }
    fs::remove_file(two.path().join("shared")).expect("removing");
    let gone = until(SEEN_BY_OTHERS, || {
        (!one.path().join("shared").exists()).then_some(())
    });
    assert!(
        gone.is_some(),
        "the removed file is still seen by the other mount"
    );
}

#[test]
fn another_client_sees_plain_objects_with_the_attributes_of_s3fs() {
    let bucket = Minio::shared().bucket("seen");
    let mount = Mount::new(&bucket.source(), &[]);
    let content = bytes(3, 9 << 20);
    fs::create_dir(mount.path().join("directory")).expect("mkdir");
    fs::write(mount.path().join("directory/large"), &content).expect("writing");
    symlink("directory/large", mount.path().join("link")).expect("symlink");
    sh(
        &mount.path(),
        "chmod 640 directory/large; touch -d @1500000000.25 directory/large",
        &[],
    );
    let owner = fs::metadata(mount.path().join("directory/large")).expect("stat");
    drop(mount);

    assert!(
        bucket.client.read("directory/large") == content,
        "the object differs"
    );
    let seen = bucket.client.head("directory/large");
    assert_eq!(seen.size_bytes, content.len() as u64);
    assert_eq!(seen.encryption, None, "no mode was asked for");
    let metadata = |name: &str| seen.metadata.get(name).map(String::as_str);
    assert_eq!(metadata("mode"), Some((0o100_640).to_string().as_str()));
    assert_eq!(metadata("uid"), Some(owner.uid().to_string().as_str()));
    assert_eq!(metadata("gid"), Some(owner.gid().to_string().as_str()));
    assert_eq!(metadata("mtime"), Some("1500000000.250000000"));
    assert_eq!(bucket.client.read("link"), b"directory/large");
    let link = bucket.client.head("link");
    let mode: u32 = link.metadata["mode"].parse().expect("a decimal mode");
    assert_eq!(mode & 0o170_000, 0o120_000, "the type of the symlink");
    let directory = bucket.client.head("directory/");
    let mode: u32 = directory.metadata["mode"].parse().expect("a decimal mode");
    assert_eq!(mode & 0o170_000, 0o040_000, "the type of the directory");
}

#[test]
fn objects_of_other_tools_appear_with_sensible_attributes() {
    let bucket = Minio::shared().bucket("others");
    let keys = [
        "plain.txt",
        "deep/er/file",
        "spaces in it/and ☃",
        "per%cent",
        "plus+plus",
        "new\nline",
        "<&\"'>",
        "made/marker/",
        "empty",
    ];
    for key in keys {
        bucket.client.put(
            key,
            if key == "empty" || key.ends_with('/') {
                ""
            } else {
                key
            },
        );
    }
    let mount = Mount::new(&bucket.source(), &[]);
    let root = mount.path();
    for key in keys {
        let path = root.join(key);
        let seen = fs::metadata(&path).unwrap_or_else(|error| panic!("stat of {key:?}: {error}"));
        assert_eq!(
            seen.uid(),
            fs::metadata(&root).expect("stat").uid(),
            "the owner of {key:?}"
        );
        if key.ends_with('/') {
            assert!(seen.is_dir(), "{key:?} is not a directory");
            continue;
        }
        assert!(seen.is_file(), "{key:?} is not a file");
        assert_ne!(
            seen.mode() & 0o400,
            0,
            "{key:?} cannot be read by its owner"
        );
        let age = seen
            .modified()
            .expect("a time")
            .elapsed()
            .unwrap_or_default();
        assert!(
            age < Duration::from_hours(1),
            "{key:?} was modified {age:?} ago"
        );
        let expected = if key == "empty" { "" } else { key };
        assert_eq!(
            fs::read_to_string(&path).expect("reading"),
            expected,
            "{key:?}"
        );
    }
    let mut listed = walk(&root);
    listed.sort();
    let mut expected: Vec<String> = keys
        .iter()
        .map(|key| key.trim_end_matches('/').to_owned())
        .collect();
    expected.extend(["deep", "deep/er", "spaces in it", "made"].map(String::from));
    expected.sort();
    assert_eq!(listed, expected);

    // They are files like others: changed, renamed, removed.
    sh(
        &root,
        "echo more >> plain.txt; mv deep/er moved; rm per%cent; chmod 600 empty",
        &[],
    );
    drop(mount);
    assert_eq!(bucket.client.read("plain.txt"), b"plain.txtmore\n");
    assert_eq!(bucket.client.read("moved/file"), b"deep/er/file");
    assert!(!bucket.client.keys("per").contains(&"per%cent".to_owned()));

    let mount = Mount::new(&bucket.source(), &[]);
    let empty = mount.path().join("empty");
    assert!(empty.exists());
    bucket.client.delete("empty");
    let gone = until(SEEN_BY_OTHERS, || (!empty.exists()).then_some(()));
    assert!(
        gone.is_some(),
        "what another client has deleted is still there"
    );
}

/// MinIO keeps `file/child` readable beside `file` but never lists it.
#[test]
fn a_key_below_a_file_never_crashes_or_loops() {
    let bucket = Minio::shared().bucket("beside");
    bucket.client.put("other/inner", "inner");
    bucket.client.put("file", "the file");
    bucket.client.put("file/child", "the child");
    let mount = Mount::new(&bucket.source(), &[]);
    let mut listed = walk(&mount.path());
    listed.sort();
    assert!(listed.starts_with(&["file".into()]), "{listed:?}");
    assert!(
        listed.ends_with(&["other".into(), "other/inner".into()]),
        "{listed:?}"
    );
    let seen = fs::metadata(mount.path().join("file")).expect("stat");
    if seen.is_file() {
        assert_eq!(
            fs::read(mount.path().join("file")).expect("reading"),
            b"the file"
        );
    }
    assert_eq!(
        fs::read(mount.path().join("other/inner")).expect("reading"),
        b"inner"
    );
}

#[test]
fn three_thousand_objects_are_listed_once_each() {
    let bucket = Minio::shared().bucket("large");
    let keys: Vec<String> = (0..3_000)
        .map(|number| format!("many/file-{number:05}"))
        .collect();
    bucket.client.put_all(&keys, b"content");
    let mount = Mount::new(&bucket.source(), &[]);
    for _ in 0..2 {
        let mut names: Vec<String> = walk(&mount.path().join("many"));
        names.sort();
        assert_eq!(names.len(), 3_000);
        let expected = keys.iter().map(|key| key.trim_start_matches("many/"));
        assert!(
            names.iter().map(String::as_str).eq(expected),
            "the names differ"
        );
    }
    let total = sh(
        &mount.path(),
        "ls -l many | awk '{ total += $5 } END { print total }'",
        &[],
    );
    assert_eq!(total.trim(), (3_000 * b"content".len()).to_string());
}

/// Nobody's acknowledged data is overwritten: the close fails instead.
#[test]
fn an_object_changed_underneath_an_open_file_survives() {
    let bucket = Minio::shared().bucket("underneath");
    bucket.client.put("file", "the first version");
    let mount = Mount::new(&bucket.source(), &[]);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(mount.path().join("file"))
        .expect("opening");
    file.write_all(b"ours").expect("writing");
    bucket.client.put("file", "another client's version");
    let refused = file.sync_all().expect_err("the object has changed");
    assert_eq!(refused.raw_os_error(), Some(libc::ESTALE), "{refused}");
    drop(file);
    assert_eq!(bucket.client.read("file"), b"another client's version");
    assert!(
        mount.log().contains("file"),
        "the log names the object:\n{}",
        mount.log()
    );
}

/// Every path below `root`, relative to it.
fn walk(root: &Path) -> Vec<String> {
    let found = sh(root, "find . -mindepth 1 -printf '%P\\0'", &[]);
    found.split_terminator('\0').map(String::from).collect()
}
