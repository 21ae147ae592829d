//! A server that is away, and one that refuses: the right error in time, one line in the log that
//! says why, and work that goes on afterwards.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::minio::{Minio, PrivateMinio};
use crate::mount::Mount;
use crate::process::sh;
use crate::s3_server::announced;
use crate::tree::bytes;
use crate::wait::until;

/// Of the mounts here, in seconds.
const TIMEOUT: &str = "5";
/// An operation ends at its timeout; the rest is for a busy machine.
const LATEST: Duration = Duration::from_secs(20);

/// Runs `operation`, which must fail with `errno` before it is too late.
fn assert_fails<T>(what: &str, errno: i32, operation: impl FnOnce() -> io::Result<T>) {
    let started = Instant::now();
    let Err(error) = operation() else {
        panic!("{what} went well")
    };
    let took = started.elapsed();
    assert_eq!(error.raw_os_error(), Some(errno), "{what}: {error}");
    assert!(took < LATEST, "{what} took {took:?}");
}

#[test]
fn an_outage_is_an_error_at_the_deadline_and_work_goes_on_after_it() {
    let mut minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("outage");
    let content = bytes(1, 200_000);
    for name in ["one", "two", "three"] {
        bucket.client.put(name, content.clone());
    }
    let mount = Mount::new(&bucket.source(), &["--timeout", TIMEOUT]);
    let root = mount.path();
    assert!(fs::read(root.join("one")).expect("reading") == content);

    minio.stop();
    assert_fails("reading", libc::EIO, || fs::read(root.join("two")));
    assert_fails("writing", libc::EIO, || {
        use std::io::Write;
        let mut file = fs::File::create(root.join("fresh"))?;
        file.write_all(&content)?;
        file.sync_all()
    });
    assert_fails("renaming", libc::EIO, || {
        fs::rename(root.join("three"), root.join("moved"))
    });
    let log = mount.log();
    assert!(log.contains("two"), "the log names the object:\n{log}");
    // It answers at once, whatever the server does.
    let status = mount.cloakfs("status", &[]);
    assert!(status.status.success(), "{status:?}");

    minio.resume();
    let back = until(Duration::from_secs(30), || fs::read(root.join("two")).ok());
    assert!(back.expect("reading goes on") == content);
    fs::write(root.join("after"), &content).expect("writing goes on");
    fs::rename(root.join("one"), root.join("moved-after")).expect("renaming goes on");
    drop(mount);
    assert!(bucket.client.read("after") == content);
    assert!(bucket.client.read("moved-after") == content);
}

/// Shorter than the timeout, an outage is not seen at all.
#[test]
fn a_short_outage_is_waited_for() {
    let mut minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("short");
    let content = bytes(2, 200_000);
    bucket.client.put("file", content.clone());
    let mount = Mount::new(&bucket.source(), &["--timeout", "60"]);
    minio.stop();
    let path = mount.path().join("file");
    let reader = std::thread::spawn(move || fs::read(path));
    minio.resume();
    let seen = reader
        .join()
        .expect("the reading thread")
        .expect("reading through the outage");
    assert!(seen == content);
}

#[test]
fn a_refusal_is_permission_denied_and_names_the_object() {
    let minio = Minio::shared();
    let bucket = minio.bucket("refused");
    bucket.client.put("open/file", "for everyone");
    bucket.client.put("closed/file", "for others");
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"] },
            {
                "Effect": "Deny",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                "Resource": [format!("arn:aws:s3:::{}/closed/*", bucket.name)],
            },
        ],
    });
    let mut source = bucket.source();
    source.environment = minio.session(&policy.to_string());
    let mount = Mount::new(&source, &[]);
    let root = mount.path();

    assert_eq!(
        fs::read_to_string(root.join("open/file")).expect("reading"),
        "for everyone"
    );
    fs::write(root.join("open/new"), "allowed").expect("writing");
    assert_fails("reading", libc::EACCES, || {
        fs::read(root.join("closed/file"))
    });
    assert_fails("writing", libc::EACCES, || {
        fs::write(root.join("closed/new"), "x")
    });
    assert_fails("a name that is not there", libc::ENOENT, || {
        fs::read(root.join("open/nothing"))
    });
    sh(&root, "ls open > /dev/null", &[]);
    let log = mount.log();
    assert!(log.contains("closed/"), "the log names the object:\n{log}");
    assert!(
        log.contains("check the credentials and the bucket's permissions"),
        "{log}"
    );
}

/// Asked for here, so that a test run without the servers says so before it starts its own.
#[test]
fn the_tools_are_there() {
    let tools = announced("CLOAKFS_TEST_TOOLS");
    for tool in ["minio", "fsx", "pjdfstest"] {
        let path = std::path::Path::new(&tools).join("bin").join(tool);
        assert!(
            path.is_file(),
            "{} is missing: run scripts/setup-test-tools",
            path.display()
        );
    }
}
