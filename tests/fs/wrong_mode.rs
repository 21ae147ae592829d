//! Writes that the server stored under another mode than the mount's: a failed write, however
//! late that is told, and never one that counts as saved.

use std::time::Duration;

use cloakfs::fs::{FsError, SetAttr};
use cloakfs::store::Operation::{CopyObject, PutObject};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::s3::encryption::ExpectedEncryption;
use cloakfs::store::{ErrorKind, ServerEncryption};

use crate::harness::{Bucket, Mount};

/// A mount that asks for SSE-S3 of a server that stores without encryption.
async fn overridden() -> (Bucket, Mount) {
    let bucket = Bucket::asking_for(ServerEncryption::SseS3);
    bucket.mem.encrypt_as(ServerEncryption::SseS3);
    let mount = bucket
        .mount_as(Duration::ZERO, |options| {
            options.encryption = ExpectedEncryption::SseS3;
        })
        .await;
    mount.write_file("f", b"before").await.unwrap();
    bucket.mem.encrypt_as(ServerEncryption::None);
    (bucket, mount)
}

/// How many objects status knows to be of another mode.
fn of_other_modes(mount: &Mount) -> u64 {
    let modes = mount.fs.status().modes.other_modes;
    modes.iter().map(|other| other.objects).sum()
}

/// What the store makes of such an answer; and what it finds out when the answer is lost.
const ANSWERS: [(ErrorKind, &str); 2] = [
    (ErrorKind::Corrupt, "a failure injected after the request"),
    (
        ErrorKind::TimedOut,
        "asked for SseS3, but the object is under None",
    ),
];

#[track_caller]
fn assert_failed(error: &FsError, sentence: &str) {
    assert_eq!(error.errno(), libc::EIO, "{error}");
    assert!(error.to_string().contains(sentence), "{error}");
}

#[tokio::test]
async fn every_fsync_and_close_fails_until_the_object_is_as_asked_for() {
    for (kind, sentence) in ANSWERS {
        let (bucket, mount) = overridden().await;
        let answer = Rule::new(Effect::FailAfter(kind)).on(PutObject);
        let rule = bucket.fault.inject(answer.under("f"));
        let (_, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
        mount.write_at(handle, 0, b"secret").await.unwrap();
        // The second finds the first's object under the name, and tries again over it.
        for _ in 0..2 {
            let failed = mount.fs.fsync(handle, false).await.unwrap_err();
            assert_failed(&failed, sentence);
            let status = mount.fs.status();
            assert_eq!((status.uncommitted_files, status.conflicts_total), (1, 0));
            assert!(status.failed["f"].contains(sentence), "{:?}", status.failed);
        }
        assert_eq!(of_other_modes(&mount), 1, "it was met, and is not settled");
        assert_failed(&mount.close(handle).await.unwrap_err(), sentence);
        assert_eq!(mount.fs.uncommitted_paths(), ["f"]);

        bucket.fault.remove(rule);
        bucket.mem.encrypt_as(ServerEncryption::SseS3);
        mount.fs.sync_all(|_| {}).await.unwrap();
        assert_eq!(bucket.body("f").await.unwrap(), b"secret");
        let status = mount.fs.status();
        assert_eq!((status.uncommitted_files, status.conflicts_total), (0, 0));
        assert_eq!(of_other_modes(&mount), 0);
    }
}

#[tokio::test]
async fn changed_attributes_and_new_names_fail_too() {
    for (kind, sentence) in ANSWERS {
        let (bucket, mount) = overridden().await;
        for operation in [PutObject, CopyObject] {
            let answer = Rule::new(Effect::FailAfter(kind)).on(operation);
            bucket.fault.inject(answer);
        }
        let set = SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        };
        assert_failed(&mount.set("f", set).await.unwrap_err(), sentence);
        mount.attr("f").await.unwrap();
        assert_eq!(of_other_modes(&mount), 1, "the copy under its name is met");
        let failed = mount.write_file("new", b"secret").await.unwrap_err();
        assert_failed(&failed, sentence);
        assert_failed(&mount.mkdir("d").await.err().unwrap(), sentence);
    }
}
