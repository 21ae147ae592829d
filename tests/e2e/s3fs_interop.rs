//! Buckets shared with s3fs: what either has stored, the other shows as it is.
//!
//! The same things are made on the local disk, which is what both are compared with. Where s3fs
//! is known to differ it is told below, next to what is left out for it.

mod seen;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::customer_key::CustomerKey;
use crate::minio::Minio;
use crate::modes::{self, Mode};
use crate::mount::Mount;
use crate::process::sh;
use crate::s3_server::Bucket;
use crate::s3fs::S3fs;
use crate::tree::bytes;
use crate::wait::until;
use seen::{Entry, assert_same, look};

const MIB: usize = 1 << 20;
/// The file that s3fs uploads in parts.
const LARGE: &str = "large";
/// For a change by one to be seen by the other.
const SEEN: Duration = Duration::from_secs(30);

/// One of everything that both can store.
fn plant(root: &Path) {
    let path = |name: &str| root.join(name);
    for name in ["directory/nested/deep", "empty directory"] {
        fs::create_dir_all(path(name)).expect("mkdir");
    }
    let files = [
        ("small", 1_000),
        ("empty", 0),
        (LARGE, 30 * MIB + 123),
        ("directory/nested/file", 70_000),
        ("directory/nested/deep/leaf", 1),
        ("with spaces and 'quotes' & <signs>", 10),
        ("naïve ☃ 雪", 11),
        ("percent%20plus+equals=", 12),
        ("setuid", 13),
        ("secret", 14),
    ];
    let content = tempfile::NamedTempFile::new().expect("a file");
    for (number, (name, length)) in files.into_iter().enumerate() {
        fs::write(content.path(), bytes(number as u64, length)).expect("writing");
        // By a process of its own: what another test starts has this one's descriptors until it
        // executes its program, and s3fs 1.90 takes that close for the end of the writing: it
        // uploads what there is, and may leave it at that.
        sh(root, "cat \"$1\" > \"$2\"", &[content.path(), &path(name)]);
    }
    symlink("small", path("link")).expect("symlink");
    symlink("../no such/target ☃", path("directory/dangling")).expect("symlink");
    sh(root, "mkfifo pipe", &[]);
    // Binary, empty and long values, and more than one of them.
    let script = "setfattr -n user.text -v 'some text' \"$1\"
        setfattr -n user.binary -v 0x00ff80fe0a \"$1\"
        setfattr -n user.dotted.name-with_signs -v 0s$(printf '%0300d' 7 | base64 -w0) \"$1\"";
    for name in ["small", "directory", "naïve ☃ 雪"] {
        sh(root, script, &[&path(name)]);
    }
    let modes = [
        ("small", 0o640),
        ("setuid", 0o6755),
        ("secret", 0o400),
        ("empty directory", 0o1777),
        ("directory/nested", 0o2750),
    ];
    for (name, mode) in modes {
        fs::set_permissions(path(name), PermissionsExt::from_mode(mode)).expect("chmod");
    }
    date(root, &mut 0);
}

/// Gives every file and directory times of its own, with nanoseconds, the deepest first.
fn date(directory: &Path, number: &mut u64) {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("listing")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    for path in names {
        let seen = fs::symlink_metadata(&path).expect("lstat");
        if seen.is_dir() {
            date(&path, number);
        }
        *number += 1;
        let times = format!(
            "-d @{}.{:09}",
            1_400_000_000 + *number * 1_001,
            *number * 7_654_321
        );
        sh(
            directory,
            &format!("touch --no-dereference {times} \"$1\""),
            &[&path],
        );
    }
}

/// A bucket that both mount in the same way.
struct Shared {
    bucket: Bucket,
    mode: Mode,
    s3fs_options: Vec<String>,
    local: tempfile::TempDir,
}

impl Shared {
    fn plain(name: &str) -> Self {
        Self {
            bucket: Minio::shared().bucket(name),
            mode: modes::none(),
            s3fs_options: Vec::new(),
            local: tempfile::tempdir().expect("a directory"),
        }
    }

    fn sse_c(name: &str) -> Self {
        let local = tempfile::tempdir().expect("a directory");
        let key = CustomerKey::new(7);
        let file = key.base64_file(local.path()).display().to_string();
        let mut mode = modes::sse_c(key, local.path());
        // The very file that s3fs reads.
        mode.options = ["--encryption", "sse-c", "--key-file", &file]
            .map(String::from)
            .into();
        Self {
            bucket: Minio::shared().bucket(name),
            mode,
            s3fs_options: vec![format!("use_sse=c:{file}")],
            local,
        }
    }

    fn cloakfs(&self) -> Mount {
        Mount::new(&self.mode.source(&self.bucket), &[])
    }

    fn s3fs(&self) -> S3fs {
        let options: Vec<_> = self.s3fs_options.iter().map(String::as_str).collect();
        S3fs::new(
            &self.bucket,
            &[&["use_xattr", "stat_cache_expire=1"], &options[..]].concat(),
        )
    }

    fn planted_locally(&self) -> BTreeMap<String, Entry> {
        let root = self.local.path().join("planted");
        fs::create_dir(&root).expect("mkdir");
        plant(&root);
        look(&root)
    }

    fn reads_what_s3fs_wrote(&self) {
        let expected = self.planted_locally();
        plant(&self.s3fs().path());
        self.assert_mode(&[LARGE]);
        assert_same(&look(&self.cloakfs().path()), &expected, "cloakfs");
        assert_same(&look(&self.s3fs().path()), &expected, "s3fs");
        // A change of attributes alone moves everything to the mount's mode.
        sh(&self.cloakfs().path(), "chmod 600 large", &[]);
        self.assert_mode(&[]);
    }

    fn s3fs_reads_what_it_wrote(&self) {
        let expected = self.planted_locally();
        plant(&self.cloakfs().path());
        self.assert_mode(&[]);
        assert_same(&look(&self.cloakfs().path()), &expected, "cloakfs");
        assert_same(&look(&self.s3fs().path()), &expected, "s3fs");
    }

    /// Every object is as another client expects it of the mode, but for those that nobody
    /// encrypted.
    ///
    /// s3fs 1.90 asks for SSE-C where it sends parts and not where it begins the upload, which is
    /// where a server looks: whatever it uploads in parts is stored in clear, until a copy of its
    /// own encrypts it (setting times makes one, if the upload has ended by then). It is read all
    /// the same, and is encrypted once cloakfs rewrites it.
    fn assert_mode(&self, maybe_in_clear: &[&str]) {
        let client = &self.bucket.client;
        let objects = client.keys("");
        assert!(objects.len() > 10, "{objects:?}");
        for object in objects {
            let is_in_clear =
                maybe_in_clear.contains(&&*object) && client.with([]).head(&object).is_ok();
            let expected = if is_in_clear {
                modes::none().expected
            } else {
                self.mode.expected.clone()
            };
            expected.assert_on(client, &object);
        }
    }

    /// Both are mounted at once, and each changes what the other has made.
    fn changes_are_seen(&self) {
        let (ours, theirs) = (self.cloakfs(), self.s3fs());
        let (ours, theirs) = (ours.path(), theirs.path());
        for (one, other) in [(&ours, &theirs), (&theirs, &ours)] {
            let script = "mkdir dir; echo one > dir/file; echo old > gone; echo x > attributes";
            sh(one, script, &[]);
            let holds = |path: &str, content: &str| {
                fs::read_to_string(other.join(path)).is_ok_and(|seen| seen == content)
            };
            // That a name is not there is believed for a second.
            let are_seen = || {
                let old = holds("dir/file", "one\n") && holds("gone", "old\n");
                old && holds("attributes", "x\n")
            };
            until(SEEN, || are_seen().then_some(())).expect("the new files");
            let script = "echo two >> dir/file; mv dir/file dir/moved; rm gone
                chmod 4711 attributes; setfattr -n user.a -v b attributes; ln -s dir/moved link";
            sh(other, script, &[]);
            let seen = until(SEEN, || {
                let moved = fs::read_to_string(one.join("dir/moved")).ok()?;
                let link = fs::read_link(one.join("link")).ok()?;
                let mode = fs::metadata(one.join("attributes")).ok()?.mode() & 0o7777;
                let is_all = moved == "one\ntwo\n"
                    && link.to_str() == Some("dir/moved")
                    && mode == 0o4711
                    && !one.join("gone").exists()
                    && !one.join("dir/file").exists();
                is_all.then_some(())
            });
            assert!(
                seen.is_some(),
                "{} does not see the changes: {:#?}",
                one.display(),
                look(one)
            );
            assert_eq!(
                sh(one, "getfattr --only-values -n user.a attributes", &[]),
                "b"
            );
            sh(one, "rm -r dir attributes link", &[]);
            let is_gone = || {
                let mut names = ["dir", "attributes", "link"].iter();
                names.all(|name| fs::symlink_metadata(other.join(name)).is_err())
            };
            until(SEEN, || is_gone().then_some(())).expect("all is gone");
        }
    }
}

#[test]
fn cloakfs_reads_what_s3fs_wrote() {
    Shared::plain("by-s3fs").reads_what_s3fs_wrote();
}

#[test]
fn s3fs_reads_what_cloakfs_wrote() {
    Shared::plain("by-cloakfs").s3fs_reads_what_it_wrote();
}

#[test]
fn changes_by_one_are_seen_by_the_other() {
    Shared::plain("by-both").changes_are_seen();
}

#[test]
fn cloakfs_reads_what_s3fs_wrote_under_a_customers_key() {
    Shared::sse_c("by-s3fs-sse-c").reads_what_s3fs_wrote();
}

#[test]
fn s3fs_reads_what_cloakfs_wrote_under_a_customers_key() {
    Shared::sse_c("by-cloakfs-sse-c").s3fs_reads_what_it_wrote();
}

#[test]
fn changes_by_one_are_seen_by_the_other_under_a_customers_key() {
    Shared::sse_c("by-both-sse-c").changes_are_seen();
}

/// Directories without an object, made by keys alone.
#[test]
fn implicit_directories_are_seen_by_both() {
    let shared = Shared::plain("implicit");
    shared.bucket.client.put("implicit/inner/file", "content");
    let (ours, theirs) = (shared.cloakfs(), shared.s3fs());
    for root in [ours.path(), theirs.path()] {
        let seen = look(&root);
        // What is cloakfs's own is a directory to others.
        let kinds: Vec<_> = seen
            .iter()
            .filter(|(name, _)| !name.starts_with(".cloakfs"))
            .map(|(name, entry)| (name.as_str(), entry.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("implicit", "directory"),
                ("implicit/inner", "directory"),
                ("implicit/inner/file", "file")
            ]
        );
        assert_eq!(seen["implicit/inner/file"].content, b"content");
    }
}

/// Owners, which only root can give away.
mod as_root {
    use super::*;

    #[test]
    fn owners_are_kept_by_both() {
        let shared = Shared::plain("owners");
        let script = "echo x > file; mkdir directory; ln -s file link
            chown 1234:5678 file; chown 1:2 directory; chown -h 3:4 link";
        let owners = |root: &Path| sh(root, "stat -c '%n %u %g' file directory link", &[]);
        let expected = "file 1234 5678\ndirectory 1 2\nlink 3 4\n";
        sh(&shared.s3fs().path(), script, &[]);
        assert_eq!(owners(&shared.cloakfs().path()), expected);
        sh(&shared.cloakfs().path(), "rm -r file directory link", &[]);
        sh(&shared.cloakfs().path(), script, &[]);
        assert_eq!(owners(&shared.s3fs().path()), expected);
    }
}
