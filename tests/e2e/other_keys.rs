//! Objects of other modes and keys in the prefix, and keys that cannot be used: what can be read is
//! read, what cannot is said, at mount where it can be known.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::customer_key::{CustomerKey, Headers};
use crate::localstack::{KmsKey, LocalStack};
use crate::minio::{KMS_KEY, Minio};
use crate::modes::{self, Mode, minio_arn};
use crate::mount::{Mount, refusal};
use crate::proofs::{MODE, kms_headers};
use crate::s3_server::Bucket;
use crate::tree::bytes;

const MIB: usize = 1 << 20;

/// The mount's own key or the newer one, one that may still be needed, and one of somebody else.
struct Keys {
    current: CustomerKey,
    older: CustomerKey,
    unknown: CustomerKey,
    place: TempDir,
}

impl Keys {
    fn new() -> Self {
        Self {
            current: CustomerKey::new(11),
            older: CustomerKey::new(12),
            unknown: CustomerKey::new(13),
            place: tempfile::tempdir().expect("a directory"),
        }
    }

    /// What another client puts objects with, by name.
    fn headers(&self) -> BTreeMap<&'static str, Headers> {
        BTreeMap::from([
            ("none", vec![]),
            ("sse-s3", vec![(MODE, "AES256".to_owned())]),
            ("sse-kms", kms_headers(KMS_KEY)),
            ("sse-c", self.current.headers()),
            ("sse-c-older", self.older.headers()),
            (UNKNOWN, self.unknown.headers()),
        ])
    }

    fn reading(&self, mut mode: Mode, keys: &[CustomerKey]) -> Mode {
        for key in keys {
            let file = key.file(self.place.path()).display().to_string();
            mode.options.extend(["--read-key-file".to_owned(), file]);
        }
        mode
    }
}

const UNKNOWN: &str = "sse-c-unknown";
/// What is done to objects of each mode, and how long they are.
const CHANGES: [(&str, usize); 4] = [
    ("appended", 2_000),
    ("large-appended", 9 * MIB),
    ("renamed", 3_000),
    ("chmodded", 4_000),
];

#[track_caller]
fn assert_denied<T>(what: &str, outcome: io::Result<T>) {
    let Err(error) = outcome else {
        panic!("{what} went well")
    };
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{what}: {error}");
}

/// Objects of every mode, all of which but one can be read, are read, changed, and are under the
/// mount's mode then.
fn every_mode_is_read_and_rewritten(name: &str, keys: &Keys, mode: &Mode) {
    let bucket = Minio::shared().bucket(name);
    let content = |change: usize| bytes(change as u64, CHANGES[change].1);
    for (owner, headers) in keys.headers() {
        for (number, (change, _)) in CHANGES.iter().enumerate() {
            let with = bucket.client.with(headers.clone());
            with.put(&format!("{owner}/{change}"), content(number))
                .expect("a put");
        }
    }
    let mount = Mount::new(&mode.source(&bucket), &[]);
    let root = mount.path();
    for owner in keys.headers().into_keys() {
        let path = |change: usize| root.join(owner).join(CHANGES[change].0);
        let listed = fs::read_dir(root.join(owner)).expect("listing").count();
        assert_eq!(
            listed,
            CHANGES.len(),
            "what is not readable is still listed: {owner}"
        );
        if owner == UNKNOWN {
            assert_denied("reading", fs::read(path(0)));
            assert_denied("appending", OpenOptions::new().append(true).open(path(0)));
            assert_denied("overwriting", fs::write(path(0), "x"));
            assert_denied("renaming", fs::rename(path(2), root.join("moved")));
            let shown = fs::metadata(path(0)).expect("its size is known");
            assert_eq!(shown.len(), CHANGES[0].1 as u64);
            assert_eq!(shown.permissions().mode() & 0o7777, 0);
            continue;
        }
        for change in 0..CHANGES.len() {
            let seen = fs::read(path(change)).expect("reading");
            assert!(
                seen == content(change),
                "{} differs",
                path(change).display()
            );
        }
        for change in [0, 1] {
            let open = OpenOptions::new().append(true).open(path(change));
            open.and_then(|mut file| file.write_all(b"more"))
                .expect("appending");
        }
        fs::rename(path(2), root.join(owner).join("moved")).expect("renaming");
        fs::set_permissions(path(3), PermissionsExt::from_mode(0o600)).expect("chmod");
    }
    let log = mount.log();
    let line = log
        .lines()
        .find(|line| line.contains("sse-c-unknown/appended"));
    let line = line.unwrap_or_else(|| panic!("the log does not name the object:\n{log}"));
    assert!(line.contains("--read-key-file"), "{line}");
    drop(mount);

    let headers = mode.expected.customer_key.map(|key| key.headers());
    let ours = bucket.client.with(headers.unwrap_or_default());
    for owner in keys.headers().into_keys().filter(|owner| *owner != UNKNOWN) {
        for (object, mut expected) in [
            ("appended", content(0)),
            ("large-appended", content(1)),
            ("moved", content(2)),
            ("chmodded", content(3)),
        ] {
            let object = format!("{owner}/{object}");
            if object.ends_with("appended") {
                expected.extend(b"more");
            }
            mode.expected.assert_on(&bucket.client, &object);
            let seen = ours.read(&object).expect("a read");
            assert!(seen == expected, "{object} differs in the bucket");
        }
    }
    let theirs = bucket.client.with(keys.unknown.headers());
    for (number, (change, _)) in CHANGES.iter().enumerate() {
        let seen = theirs
            .read(&format!("{UNKNOWN}/{change}"))
            .expect("untouched");
        assert!(
            seen == content(number),
            "what could not be read was changed"
        );
    }
}

#[test]
fn under_sse_c_every_mode_is_read_and_rewritten() {
    let keys = Keys::new();
    let mode = modes::sse_c(keys.current, keys.place.path());
    let mode = keys.reading(mode, &[keys.older]);
    every_mode_is_read_and_rewritten("mixed-sse-c", &keys, &mode);
}

#[test]
fn under_sse_kms_every_mode_is_read_and_rewritten() {
    let keys = Keys::new();
    let mode = modes::sse_kms(Some(KMS_KEY), &minio_arn(), &[]);
    let mode = keys.reading(mode, &[keys.older, keys.current]);
    every_mode_is_read_and_rewritten("mixed-sse-kms", &keys, &mode);
}

#[test]
fn under_none_every_mode_is_read_and_rewritten() {
    let keys = Keys::new();
    let mode = keys.reading(modes::none(), &[keys.current, keys.older]);
    every_mode_is_read_and_rewritten("mixed-none", &keys, &mode);
}

/// Neither a deletion nor a replacement needs the key of what goes: empty files and directories'
/// markers, too.
#[test]
fn what_has_lost_its_key_can_be_deleted_and_replaced() {
    for bucket in [
        Minio::shared().bucket("lost-key"),
        LocalStack::shared().bucket("lost-key"),
    ] {
        let keys = Keys::new();
        let lost = bucket.client.with(keys.unknown.headers());
        for object in ["tree/", "tree/deeper/"] {
            lost.put(object, "").expect("a put");
        }
        for object in ["tree/deeper/file", "file", "replaced"] {
            lost.put(object, "secret").expect("a put");
        }
        lost.put("tree/empty", "").expect("a put");
        let mode = modes::none();
        bucket.client.put("own", "own");
        let mount = Mount::new(&mode.source(&bucket), &[]);
        let root = mount.path();
        assert_denied("reading", fs::read(root.join("file")));
        fs::rename(root.join("own"), root.join("replaced")).expect("replacing");
        assert_eq!(fs::read(root.join("replaced")).expect("reading"), b"own");
        fs::remove_file(root.join("file")).expect("deleting");
        fs::remove_dir_all(root.join("tree")).expect("deleting a tree");
        drop(mount);
        assert_eq!(bucket.client.keys(""), ["replaced"]);
    }
}

/// On MinIO, which refuses a write for the key of what it would replace before it compares.
#[test]
fn what_was_replaced_under_an_unknown_key_is_kept_beside_what_replaced_it() {
    for bucket in [
        Minio::shared().bucket("closed-conflict"),
        LocalStack::shared().bucket("closed-conflict"),
    ] {
        let keys = Keys::new();
        let theirs = bucket.client.with(keys.unknown.headers());
        let mode = modes::sse_c(keys.current, keys.place.path());
        let ours = bucket.client.with(keys.current.headers());
        let mount = Mount::new(&mode.source(&bucket), &[]);
        let root = mount.path();
        fs::write(root.join("f"), "before").expect("writing");
        let mut open = OpenOptions::new()
            .write(true)
            .open(root.join("f"))
            .expect("opening");
        open.write_all(b"ours").expect("writing into memory");
        theirs.put("f", "theirs").expect("a put");
        let lost = open.sync_all().expect_err("it was replaced");
        assert_eq!(lost.raw_os_error(), Some(libc::ESTALE), "{lost}");
        drop(open);
        assert_eq!(theirs.read("f").expect("theirs stays"), b"theirs");
        let mut copies = bucket.client.keys("");
        copies.retain(|key| key.starts_with("f.conflict-"));
        assert_eq!(copies.len(), 1, "{copies:?}");
        assert_eq!(ours.read(&copies[0]).expect("ours is beside it"), b"oursre");

        // `exec 3>new; echo x >&3; mv new closed; exec 3>&-`, also over one that is empty.
        for (closed, content) in [("closed", "secret"), ("empty", "")] {
            theirs.put(closed, content).expect("a put");
            let mut new = fs::File::create(root.join("new")).expect("creating");
            new.write_all(b"new").expect("writing into memory");
            fs::rename(root.join("new"), root.join(closed)).expect("replacing");
            new.write_all(b"er").expect("writing on");
            new.sync_all().expect("storing");
            drop(new);
            assert_eq!(ours.read(closed).expect("a read"), b"newer");
        }
    }
}

/// The sentence that refuses a mount of `bucket` in `mode`.
fn refused(bucket: &Bucket, mode: &Mode) -> String {
    let mountpoint = tempfile::tempdir().expect("a mountpoint");
    refusal(&mode.source(bucket), mountpoint.path(), &[])
}

#[track_caller]
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
    }
}

#[test]
fn a_wrong_customers_key_is_told_at_mount() {
    for bucket in [
        Minio::shared().bucket("wrong-key"),
        LocalStack::shared().bucket("wrong-key"),
    ] {
        let keys = Keys::new();
        let under = bucket.client.with(keys.older.headers());
        under.put("a/file", "secret").expect("a put");
        under.put("directory/", "").expect("a put");
        let wrong = modes::sse_c(keys.current, keys.place.path());
        let parts = [
            "\"a/file\"",
            &keys.current.md5(),
            "--key-file",
            "--read-key-file",
        ];
        assert_says(&refused(&bucket, &wrong), &parts);

        // With the key it is a mount as any other, and so is one that begins anew elsewhere.
        let right = keys.reading(wrong.clone(), &[keys.older]);
        let mount = Mount::new(&right.source(&bucket), &[]);
        assert_eq!(
            fs::read(mount.path().join("a/file")).expect("reading"),
            b"secret"
        );
        drop(mount);
        let mut elsewhere = wrong.source(&bucket);
        elsewhere.name += "/elsewhere";
        fs::write(Mount::new(&elsewhere, &[]).path().join("file"), "x").expect("writing");
        wrong.expected.assert_on(&bucket.client, "elsewhere/file");

        // Some can be read now: the mount is made and says what cannot.
        let mount = Mount::new(&wrong.source(&bucket), &[]);
        assert!(mount.has_logged("a/file"), "{}", mount.log());
        assert_says(&mount.log(), &["a/file", "--read-key-file"]);
        assert_eq!(
            fs::read(mount.path().join("elsewhere/file")).expect("reading"),
            b"x"
        );
        assert_denied("reading", fs::read(mount.path().join("a/file")));
    }
}

/// Without KMS's word on it: the server's own refusal of a first write.
#[test]
fn a_kms_key_that_minio_does_not_know() {
    let bucket = Minio::shared().bucket("unknown-key");
    let mode = modes::sse_kms(Some("no-such-key"), "", &[]);
    assert_says(
        &refused(&bucket, &mode),
        &["no-such-key", "not known", "check"],
    );
    assert_eq!(bucket.client.keys(""), [""; 0]);
}

fn kms_refused(key: &str) -> String {
    let bucket = LocalStack::shared().bucket("kms-refused");
    let said = refused(&bucket, &modes::sse_kms(Some(key), "", &[]));
    assert!(said.contains(key), "the key is not named: {said}");
    assert_eq!(bucket.client.keys(""), [""; 0]);
    said
}

#[test]
fn a_kms_key_that_does_not_exist() {
    let id = "11111111-2222-4333-8444-555555555555";
    assert_says(&kms_refused(id), &["is not known to KMS", "check the key"]);
    let arn = format!("arn:aws:kms:us-east-1:000000000000:key/{id}");
    assert_says(
        &kms_refused(&arn),
        &["is not known to KMS", "check the key"],
    );
    assert_says(&kms_refused("alias/no-such-alias"), &["check the alias"]);
}

#[test]
fn a_kms_key_that_cannot_be_used_now() {
    let kms = LocalStack::kms();
    let names = |key: &KmsKey| {
        let alias = format!("alias/refused-{}", key.id);
        kms.alias(&alias, key);
        [key.id.clone(), key.arn.clone(), alias]
    };
    let disabled = kms.create();
    kms.disable(&disabled);
    for name in names(&disabled) {
        assert_says(&kms_refused(&name), &["is disabled", "enable it"]);
    }
    let doomed = kms.create();
    let all = names(&doomed);
    kms.schedule_deletion(&doomed);
    for name in all {
        assert_says(&kms_refused(&name), &["is to be deleted", "cancel"]);
    }
}

#[test]
fn a_kms_key_that_s3_cannot_use() {
    let rsa = LocalStack::kms().create_rsa();
    assert_says(&kms_refused(&rsa.arn), &["symmetric"]);
    let away = LocalStack::kms_in("eu-west-1").create();
    assert_says(&kms_refused(&away.arn), &["eu-west-1", "us-east-1"]);
}
