//! A KMS key that is disabled while the bucket is mounted: what needs it fails with a reason,
//! nothing that was acknowledged is lost, and all goes on when it is enabled.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::time::Duration;

use crate::localstack::LocalStack;
use crate::modes;
use crate::mount::Mount;
use crate::proofs;
use crate::tree::bytes;
use crate::wait::until;

const MIB: usize = 1 << 20;

#[track_caller]
fn assert_denied<T>(what: &str, outcome: io::Result<T>) {
    let Err(error) = outcome else {
        panic!("{what} went well")
    };
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{what}: {error}");
}

#[test]
fn a_disabled_key_stops_what_needs_it_and_loses_nothing() {
    let bucket = LocalStack::shared().bucket("kms-outage");
    proofs::localstack_checks_kms_keys(&bucket.client);
    let kms = LocalStack::kms();
    let key = kms.create();
    let mode = modes::sse_kms(Some(&key.id), &key.arn, &[]);
    let mut mount = Mount::new(&mode.source(&bucket), &[]);
    let root = mount.path();
    let (small, large) = (bytes(1, 200_000), bytes(2, 40 * MIB));
    fs::write(root.join("old"), &small).expect("writing");
    fs::write(root.join("changed"), &small).expect("writing");
    // What is read afterwards comes from the bucket.
    mount.remount();
    let mut open = OpenOptions::new()
        .read(true)
        .write(true)
        .open(root.join("changed"))
        .expect("opening");
    open.write_all(b"acknowledged").expect("writing");

    kms.disable(&key);
    assert_denied("reading", fs::read(root.join("old")));
    assert_denied("fsync", open.sync_all());
    assert_denied("a small file", {
        let mut file = fs::File::create(root.join("new")).expect("creating");
        file.write_all(&small).expect("writing into memory");
        file.sync_all()
    });
    let mut streamed = fs::File::create(root.join("large")).expect("creating");
    streamed.write_all(&large).expect("writing into memory");
    assert_denied("a large file", streamed.sync_all());
    let log = mount.log();
    for object in ["old", "changed", "new", "large"] {
        let line = log
            .lines()
            .find(|line| line.contains(&format!("{object:?}")));
        let line = line.unwrap_or_else(|| panic!("nothing about {object}:\n{log}"));
        assert!(line.contains("disabled"), "{line}");
        assert!(!line.contains("check the credentials"), "{line}");
    }

    // Status names them with the reason; sync and umount say so, fail, and leave the mount.
    let status = mount.cloakfs("status", &["--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let failed = &status["filesystem"]["failed"];
    for object in ["changed", "new", "large"] {
        let reason = failed[object].as_str();
        let reason = reason.unwrap_or_else(|| panic!("{object} is not in {failed}"));
        assert!(reason.contains("disabled"), "{reason}");
    }
    assert_eq!(status["filesystem"]["uncommitted_files"], 3);
    assert_eq!(
        status["filesystem"]["modes"]["without_key_examples"][0],
        "old"
    );
    for command in ["sync", "umount"] {
        let done = mount.cloakfs(command, &[]);
        assert!(!done.status.success(), "{command}: {done:?}");
        assert!(done.stderr.contains("disabled"), "{command}: {done:?}");
    }
    assert!(
        bucket
            .client
            .keys("")
            .iter()
            .all(|key| !key.contains("new"))
    );

    kms.enable(&key);
    open.sync_all().expect("the same file is saved now");
    drop((open, streamed));
    let synced = mount.cloakfs("sync", &[]);
    assert!(synced.status.success(), "{synced:?}");
    let back = until(Duration::from_secs(30), || fs::read(root.join("old")).ok());
    assert!(back.expect("reading goes on") == small);
    fs::write(root.join("after"), &small).expect("writing goes on");
    drop(mount);
    let changed = [b"acknowledged", &small[12..]].concat();
    for (object, content) in [
        ("old", &small),
        ("changed", &changed),
        ("new", &small),
        ("large", &large),
        ("after", &small),
    ] {
        mode.expected.assert_on(&bucket.client, object);
        assert!(bucket.client.read(object) == *content, "{object} differs");
    }
}
