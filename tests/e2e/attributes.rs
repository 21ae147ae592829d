//! `user.cloakfs.*`: what getfattr shows of each mode is what another client sees, and tools that
//! copy all attributes are not disturbed by them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::minio::Minio;
use crate::modes::{MINIO_NONE, MINIO_SSE_C, MINIO_SSE_KMS, MINIO_SSE_S3, Row};
use crate::mount::Mount;
use crate::process::{Finished, finish, sh};

/// Of an object that was put whole, without quotes.
const ETAG_CHARACTERS: usize = 32;
const COPY_DEADLINE: Duration = Duration::from_mins(1);

/// `getfattr -d`, without the names' common beginning.
fn shown(path: &Path) -> BTreeMap<String, String> {
    let dump = "getfattr --absolute-names -h -d -m '^user[.]cloakfs[.]' \"$1\"";
    sh(Path::new("/"), dump, &[path])
        .lines()
        .filter_map(|line| line.strip_prefix("user.cloakfs."))
        .map(|line| {
            let (name, value) = line.split_once('=').expect("NAME=\"VALUE\"");
            (name.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect()
}

fn each_object_shows_its_own_encryption(name: &str, mode_name: &str, row: &Row) {
    let server = (row.server)();
    let bucket = server.bucket(name);
    (row.probe)(&bucket.client);
    let keys = tempfile::tempdir().expect("a directory");
    let mode = (row.mode)(&bucket.client, keys.path());
    let mount = Mount::new(&mode.source(&bucket), &[]);
    let root = mount.path();
    fs::write(root.join("file"), "content").expect("writing");
    fs::create_dir(root.join("directory")).expect("a directory");
    symlink("file", root.join("link")).expect("a link");
    for (path, object) in [("file", "file"), ("directory", "directory/")] {
        mode.expected.assert_on(&bucket.client, object);
        let headers = mode.expected.customer_key.map(|key| key.headers());
        let client = bucket.client.with(headers.unwrap_or_default());
        let seen = client.head(object).expect("a HEAD");
        let mut expected = BTreeMap::from([
            ("mode", mode_name.to_owned()),
            (
                "etag",
                seen.etag.expect("an ETag").trim_matches('"').to_owned(),
            ),
        ]);
        if let Some(key) = seen.kms_key {
            expected.insert("key-id", key);
            expected.insert("bucket-key", seen.bucket_key.to_string());
        }
        if let Some(md5) = seen.key_md5 {
            expected.insert("key-md5", md5);
        }
        let shown = shown(&root.join(path));
        let shown: BTreeMap<_, _> = shown
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        if object.ends_with('/') && expected["etag"].len() > ETAG_CHARACTERS {
            // MinIO answers HEAD of an empty encrypted object with its encrypted ETag; the mount
            // shows the one that GET gives and conditions compare with.
            let etag = shown.get("etag").expect("an ETag").clone();
            let hexadecimal = etag.chars().all(|digit| digit.is_ascii_hexdigit());
            assert!(hexadecimal && etag.len() == ETAG_CHARACTERS, "{etag}");
            expected.insert("etag", etag);
        }
        assert_eq!(shown, expected, "{path} in mode {mode_name}");
    }
    assert_eq!(
        shown(&root.join("link")),
        BTreeMap::new(),
        "the kernel shows none of links"
    );
}

#[test]
fn sse_s3_is_shown() {
    each_object_shows_its_own_encryption("shown-sse-s3", "sse-s3", &MINIO_SSE_S3);
}

#[test]
fn sse_kms_is_shown() {
    each_object_shows_its_own_encryption("shown-sse-kms", "sse-kms", &MINIO_SSE_KMS);
}

#[test]
fn sse_c_is_shown() {
    each_object_shows_its_own_encryption("shown-sse-c", "sse-c", &MINIO_SSE_C);
}

#[test]
fn no_encryption_is_shown() {
    each_object_shows_its_own_encryption("shown-none", "none", &MINIO_NONE);
}

/// Runs a tool from `directory`.
fn run(directory: &Path, words: &[&str]) -> Finished {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(directory);
    finish(&mut command, COPY_DEADLINE)
}

/// It says nothing and ends well.
#[track_caller]
fn assert_silent(directory: &Path, words: &[&str]) {
    let done = run(directory, words);
    assert!(done.status.success(), "{words:?}: {done:?}");
    assert_eq!(done.stderr, "", "{words:?}");
}

#[test]
fn tools_that_copy_attributes_pass_over_them() {
    let bucket = Minio::shared().bucket("copied-attributes");
    let (from, to) = (
        Mount::new(&bucket.source(), &[]),
        Mount::new(&Minio::shared().bucket("copied-to").source(), &[]),
    );
    let (source, target) = (from.path(), to.path());
    fs::create_dir(source.join("tree")).expect("a directory");
    fs::write(source.join("tree/file"), "content").expect("writing");
    sh(&source, "setfattr -n user.colour -v blue tree/file", &[]);
    let path = target.to_str().expect("UTF-8");

    // From mount to mount.
    assert_silent(&source, &["cp", "-a", "tree", &format!("{path}/copied")]);
    assert_silent(&source, &["cp", "-a", "tree", &format!("{path}/moving")]);
    assert_silent(&target, &["mv", "moving", source.to_str().expect("UTF-8")]);
    for file in [target.join("copied/file"), source.join("moving/file")] {
        assert_eq!(fs::read(&file).expect("reading"), b"content");
        let colour = sh(
            &source,
            "getfattr --absolute-names --only-values -n user.colour \"$1\"",
            &[&file],
        );
        assert_eq!(colour, "blue", "{}", file.display());
        assert_eq!(shown(&file)["mode"], "none");
    }
    // From a local directory, whose files have none of them, and have them after a copy.
    let local = tempfile::tempdir().expect("a directory");
    fs::create_dir(local.path().join("tree")).expect("a directory");
    fs::write(local.path().join("tree/file"), "content").expect("writing");
    assert_silent(local.path(), &["rsync", "-aX", "tree", path]);
    assert_silent(local.path(), &["rsync", "-aX", "--checksum", "tree", path]);
    assert_silent(
        &source,
        &[
            "cp",
            "-a",
            "tree",
            &format!("{}/back", local.path().display()),
        ],
    );
    assert_silent(local.path(), &["cp", "-a", "back", path]);
    let without = ["rsync", "-aX", "--filter=-x user.cloakfs.*", "back", path];
    assert_silent(local.path(), &without);

    // Without that filter rsync sets what it found, and says that it could not.
    let told = run(
        local.path(),
        &["rsync", "-aX", "back/", &format!("{path}/fresh")],
    );
    assert_eq!(told.status.code(), Some(23), "{told:?}");
    assert_eq!(
        fs::read(target.join("fresh/file")).expect("reading"),
        b"content"
    );
    let tar = "tar --xattrs --xattrs-include='user.*' -C back -cf - . | tar --xattrs --xattrs-include='user.*' -C \"$1\" -xf - 2>&1";
    let told = sh(local.path(), tar, &[&target.join("fresh")]);
    assert!(told.contains("Cannot set 'user.cloakfs."), "{told}");

    // Nobody's word about an object takes the place of the server's.
    let refused = run(
        &target,
        &[
            "setfattr",
            "-n",
            "user.cloakfs.mode",
            "-v",
            "sse-c",
            "copied/file",
        ],
    );
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains("not supported"), "{refused:?}");
    assert_eq!(shown(&target.join("copied/file"))["mode"], "none");
    let log = to.log();
    assert_eq!(log.matches("cannot be set").count(), 1, "said once:\n{log}");
}
