//! Mounting and unmounting, and what is said when it cannot be done: what happened, why, and what
//! to do, in one sentence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::minio::Minio;
use crate::mount::{CLOAKFS, Mount, Source, is_mounted, refusal};
use crate::process::{finish, run, sh};
use crate::wait::until;

const DEADLINE: Duration = Duration::from_mins(1);

/// A store and a mountpoint, both empty.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("store")).expect("a store");
        fs::create_dir(directory.path().join("mnt")).expect("a mountpoint");
        Self { directory }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn mountpoint(&self) -> PathBuf {
        self.directory.path().join("mnt")
    }

    fn source(&self) -> Source {
        Source::dir(&self.store())
    }

    fn cloakfs(&self, arguments: &[&str], paths: &[&Path]) -> Command {
        let mut command = self
            .source()
            .command(CLOAKFS, &self.directory.path().join("state"));
        command.args(arguments).args(paths);
        command
    }
}

/// Asserts that all of `parts` are in `sentence`.
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "'{part}' is not in: {sentence}");
    }
}

#[test]
fn in_the_background_it_is_usable_when_mount_returns() {
    let place = Place::new();
    let log = place.directory.path().join("log");
    let source = place.source();
    let mut mount = place.cloakfs(&["mount", &source.name], &[&place.mountpoint()]);
    run(mount.arg("--log-file").arg(&log));
    assert!(is_mounted(&place.mountpoint()));
    fs::write(place.mountpoint().join("file"), "content").expect("writing");
    sh(&place.mountpoint(), "df --output=target . | tail -1", &[]);

    let status = run(&mut place.cloakfs(&["status", "--json"], &[&place.mountpoint()]));
    let status: serde_json::Value = serde_json::from_str(&status).expect("status in JSON");
    assert!(status.to_string().contains(&source.name), "{status}");
    let status = run(&mut place.cloakfs(&["status"], &[&place.mountpoint()]));
    assert!(status.contains(&source.name), "{status}");
    run(&mut place.cloakfs(&["sync"], &[&place.mountpoint()]));

    run(&mut place.cloakfs(&["umount"], &[&place.mountpoint()]));
    assert!(!is_mounted(&place.mountpoint()));
    run(&mut place.cloakfs(&["mount", &source.name], &[&place.mountpoint()]));
    assert_eq!(
        fs::read(place.mountpoint().join("file")).expect("reading"),
        b"content"
    );
    run(&mut place.cloakfs(&["umount"], &[&place.mountpoint()]));
}

#[test]
fn a_mountpoint_whose_daemon_died_is_taken_over() {
    let place = Place::new();
    let source = place.source();
    let mut daemon = place
        .cloakfs(
            &["mount", "--foreground", &source.name],
            &[&place.mountpoint()],
        )
        .spawn()
        .expect("starting cloakfs");
    until(DEADLINE, || is_mounted(&place.mountpoint()).then_some(())).expect("a mount");
    fs::write(place.mountpoint().join("file"), "content").expect("writing");
    daemon.kill().expect("killing the daemon");
    daemon.wait().expect("waiting");
    let dead = fs::metadata(place.mountpoint()).expect_err("nobody serves it");
    assert_eq!(dead.raw_os_error(), Some(libc::ENOTCONN));

    run(&mut place.cloakfs(&["mount", &source.name], &[&place.mountpoint()]));
    assert_eq!(
        fs::read(place.mountpoint().join("file")).expect("reading"),
        b"content"
    );
    run(&mut place.cloakfs(&["umount"], &[&place.mountpoint()]));
    assert!(
        !is_mounted(&place.mountpoint()),
        "the dead mount is still there below"
    );
}

#[test]
fn a_read_only_mount_changes_nothing() {
    let place = Place::new();
    fs::write(place.store().join("kept"), "").expect("an object by hand");
    let mount = Mount::new(&place.source(), &["--read-only"]);
    let refused = fs::write(mount.path().join("file"), "x").expect_err("it is read-only");
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
}

#[test]
fn a_mountpoint_that_does_not_exist() {
    let place = Place::new();
    let missing = place.directory.path().join("missing");
    let missing = missing.as_path();
    let said = refusal(&place.source(), missing, &[]);
    assert_says(
        &said,
        &[&missing.display().to_string(), "does not exist", "mkdir"],
    );
}

#[test]
fn a_mountpoint_that_is_not_empty() {
    let place = Place::new();
    fs::write(place.mountpoint().join("something"), "").expect("writing");
    let said = refusal(&place.source(), &place.mountpoint(), &[]);
    assert_says(&said, &["mnt", "not empty", "nonempty"]);
}

#[test]
fn a_mountpoint_that_is_mounted_already() {
    let place = Place::new();
    let mount = Mount::new(&place.source(), &[]);
    let said = refusal(&place.source(), &mount.path(), &[]);
    assert_says(&said, &["already mounted", "umount"]);
}

#[test]
fn a_store_inside_the_mountpoint() {
    let place = Place::new();
    let inside = place.mountpoint().join("store");
    fs::create_dir(&inside).expect("a store");
    let said = refusal(
        &Source::dir(&inside),
        &place.mountpoint(),
        &["-o", "nonempty"],
    );
    assert_says(&said, &["under the mountpoint", "outside"]);
    let said = refusal(
        &Source::dir(place.directory.path()),
        &place.mountpoint(),
        &[],
    );
    assert_says(&said, &["the mountpoint", "under", "outside"]);
}

#[test]
fn an_option_of_another_mode() {
    let place = Place::new();
    let said = refusal(
        &place.source(),
        &place.mountpoint(),
        &["--encryption", "sse-s3"],
    );
    assert_says(&said, &["sse-s3", "dir:"]);
    let said = refusal(
        &place.source(),
        &place.mountpoint(),
        &["--region", "eu-west-1"],
    );
    assert_says(&said, &["--region", "dir:"]);
}

#[test]
fn no_such_bucket() {
    let place = Place::new();
    let bucket = Minio::shared().bucket("exists");
    let mut source = bucket.source();
    source.name = "s3://there-is-no-such-bucket".into();
    let said = refusal(&source, &place.mountpoint(), &[]);
    assert_says(
        &said,
        &[
            "there is no bucket \"there-is-no-such-bucket\"",
            &bucket.server.endpoint,
            "check the bucket's name",
        ],
    );
}

#[test]
fn no_credentials() {
    let place = Place::new();
    let mut source = Minio::shared().bucket("nobody").source();
    source.environment.clear();
    let said = refusal(&source, &place.mountpoint(), &[]);
    assert_says(
        &said,
        &[
            "no AWS credentials were found",
            "AWS_ACCESS_KEY_ID",
            "--profile",
        ],
    );
}

#[test]
fn wrong_credentials() {
    let place = Place::new();
    let mut source = Minio::shared().bucket("wrong").source();
    for (name, value) in &mut source.environment {
        if name == "AWS_SECRET_ACCESS_KEY" {
            *value = "not-the-secret".into();
        }
    }
    let said = refusal(&source, &place.mountpoint(), &[]);
    assert_says(
        &said,
        &["refused the signature", "check AWS_SECRET_ACCESS_KEY"],
    );
    assert!(
        !said.contains("not-the-secret"),
        "the secret is shown: {said}"
    );
    let (_, access_key) = source
        .environment
        .iter_mut()
        .find(|(name, _)| name == "AWS_ACCESS_KEY_ID")
        .expect("an access key");
    *access_key = "NOBODYSKEY".into();
    assert_says(
        &refusal(&source, &place.mountpoint(), &[]),
        &["does not know the access key", "check AWS_ACCESS_KEY_ID"],
    );
}

#[test]
fn an_endpoint_that_is_down() {
    let place = Place::new();
    let bucket = Minio::shared().bucket("down");
    let mut source = bucket.source();
    // The port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let endpoint = format!("http://127.0.0.1:{port}");
    for option in &mut source.options {
        if *option == bucket.server.endpoint {
            option.clone_from(&endpoint);
        }
    }
    let said = refusal(&source, &place.mountpoint(), &["--timeout", "3"]);
    let host = format!("127.0.0.1:{port}");
    assert_says(
        &said,
        &[
            "cannot reach the bucket",
            &host,
            "refused",
            "check that the server",
        ],
    );
}

#[test]
fn a_certificate_that_nobody_trusts() {
    let place = Place::new();
    let bucket = Minio::shared().bucket("untrusted");
    let mut source = bucket.source();
    let position = source
        .options
        .iter()
        .position(|option| option == "--ca-bundle");
    source.options.drain(position.expect("the option")..);
    let said = refusal(&source, &place.mountpoint(), &["--timeout", "5"]);
    let host = bucket.server.endpoint.trim_start_matches("https://");
    assert_says(
        &said,
        &[
            "the TLS certificate of",
            host,
            "is not trusted",
            "--ca-bundle FILE",
        ],
    );
}

/// Mounting by others, and without what mounting needs.
mod as_root {
    use super::*;

    /// Someone without any rights.
    const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

    /// A place of an ordinary user, and a copy of the program that the user can reach.
    fn users_place() -> (Place, PathBuf) {
        let place = Place::new();
        let program = place.directory.path().join("cloakfs");
        fs::copy(CLOAKFS, &program).expect("a copy of the program");
        sh(
            place.directory.path(),
            "chown -R 65534:65534 . && chmod -R u=rwX,go=rX .",
            &[],
        );
        (place, program)
    }

    /// In a mount namespace of its own, in which /dev/fuse has its usual mode whatever it is
    /// outside (fusermount3 opens it with the user's rights).
    #[test]
    fn an_ordinary_user_mounts_through_fusermount3() {
        let (place, program) = users_place();
        let source = place.source();
        let device = place.directory.path().join("fuse");
        let script = "mknod $1 c 10 229; chmod 666 $1; mount --bind $1 /dev/fuse
            exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -euc '
                $0 mount $1 $2
                grep -F \" $2 \" /proc/self/mountinfo | grep -F fuse.cloakfs >&2
                echo mine > $2/file
                cat $2/file
                stat -c %u $2/file
                $0 umount $2
                ! grep -F \" $2 \" /proc/self/mountinfo' $2 $3 $4";
        let mut command = source.command("unshare", &place.directory.path().join("state"));
        command.args(["--mount", "bash", "-euc", script, "bash"]);
        command
            .arg(device)
            .arg(program)
            .arg(source.name)
            .arg(place.mountpoint());
        assert_eq!(run(&mut command), "mine\n65534\n");
    }

    #[test]
    fn a_user_without_fusermount3() {
        let (place, program) = users_place();
        let source = place.source();
        let setpriv = run(Command::new("bash").args(["-c", "command -v setpriv"]));
        let mut command = source.command(setpriv.trim(), &place.directory.path().join("state"));
        command.args(NOBODY).arg(&program).env("PATH", "/nowhere");
        command
            .args(["mount", &source.name])
            .arg(place.mountpoint());
        let finished = finish(&mut command, DEADLINE);
        assert!(!finished.status.success(), "{finished:?}");
        assert_says(&finished.stderr, &["fusermount3", "fuse3"]);
    }

    /// In a mount namespace of its own, in which /dev is empty.
    #[test]
    fn no_device() {
        let place = Place::new();
        let source = place.source();
        let script = "mount -t tmpfs none /dev; exec \"$@\"";
        let mut command = source.command("unshare", &place.directory.path().join("state"));
        command.args(["--mount", "bash", "-euc", script, "bash", CLOAKFS]);
        command
            .args(["mount", &source.name])
            .arg(place.mountpoint());
        let finished = finish(&mut command, DEADLINE);
        assert!(!finished.status.success(), "{finished:?}");
        assert_says(&finished.stderr, &["/dev/fuse", "modprobe fuse"]);
    }
}
