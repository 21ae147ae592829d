//! A mount by s3fs (Debian's), whose way of storing files cloakfs shares.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::mount::{detach, is_mounted_as};
use super::process::{DEADLINE, finish};
use super::s3_server::Bucket;
use super::wait::until;

/// For a mount to appear, and for one to go.
const MOUNT_DEADLINE: Duration = Duration::from_mins(1);

/// A bucket mounted by s3fs until the guard is dropped.
#[derive(Debug)]
pub struct S3fs {
    /// Holds the mountpoint, the password file and the log.
    place: TempDir,
    daemon: Child,
}

impl S3fs {
    /// `options` are values of `-o`.
    pub fn new(bucket: &Bucket, options: &[&str]) -> Self {
        let place = tempfile::Builder::new()
            .prefix("s3fs-")
            .tempdir()
            .expect("a directory");
        // Other users must reach the mountpoint.
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("chmod");
        let mountpoint = place.path().join("mnt");
        fs::create_dir(&mountpoint).expect("a mountpoint");
        let password = place.path().join("password");
        let server = &bucket.server;
        fs::write(
            &password,
            format!("{}:{}\n", server.access_key, server.secret_key),
        )
        .expect("a password file");
        fs::set_permissions(&password, Permissions::from_mode(0o600)).expect("chmod");
        let log = File::create(place.path().join("log")).expect("a log file");
        let mut command = Command::new("s3fs");
        command
            .env_clear()
            .arg(&bucket.name)
            .arg(&mountpoint)
            .arg("-f")
            .args(["-o", &format!("url={}", server.endpoint)])
            .args(["-o", "use_path_request_style"])
            .args(["-o", &format!("passwd_file={}", password.display())]);
        for name in ["PATH", "TMPDIR", "CLOAKFS_TEST_RUN"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(ca) = &server.ca {
            command.env("CURL_CA_BUNDLE", ca);
        }
        for option in options {
            command.args(["-o", option]);
        }
        let daemon = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .expect("starting s3fs: scripts/setup-test-tools s3fs installs it");
        let mut mount = Self { place, daemon };
        let ended = until(MOUNT_DEADLINE, || {
            if is_mounted_as(&mount.path(), "fuse.s3fs") {
                return Some(None);
            }
            mount.daemon.try_wait().expect("looking at s3fs").map(Some)
        });
        match ended {
            Some(None) => mount,
            Some(Some(status)) => panic!("s3fs ended with {status}:\n{}", mount.log()),
            None => panic!("s3fs did not mount in time:\n{}", mount.log()),
        }
    }

    /// The mountpoint.
    pub fn path(&self) -> PathBuf {
        self.place.path().join("mnt")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    fn unmount(&mut self) -> Result<(), String> {
        let mut failure = String::new();
        let unmounted = until(MOUNT_DEADLINE, || {
            // Another test may just be starting a process, which has this one's descriptors until
            // it executes its program: busy for a moment.
            for program in [["umount"].as_slice(), &["fusermount", "-u"]] {
                let mut command = Command::new(program[0]);
                command.args(&program[1..]).arg(self.path());
                let finished = finish(&mut command, DEADLINE);
                if finished.status.success() {
                    return Some(());
                }
                failure = finished.stderr;
            }
            None
        });
        unmounted.ok_or_else(|| format!("s3fs could not be unmounted: {failure}"))?;
        let ended = until(MOUNT_DEADLINE, || {
            self.daemon.try_wait().expect("looking at s3fs")
        });
        match ended {
            Some(status) if status.success() => Ok(()),
            other => Err(format!("s3fs ended with {other:?}:\n{}", self.log())),
        }
    }

    fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if is_mounted_as(&self.path(), "fuse.s3fs") {
            detach(&self.path());
        }
    }
}

impl Drop for S3fs {
    #[expect(clippy::print_stderr, reason = "a failed test shows the log of s3fs")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of s3fs:\n{}", self.log());
            self.kill();
        } else if let Err(failure) = self.unmount() {
            self.kill();
            panic!("{failure}");
        }
    }
}
