//! A real mount, by the built program, for the length of a test.
//!
//! The daemon runs in the foreground as a child of the test, with an environment of its own: no
//! setting of the caller reaches it. A mount that cannot be made, a daemon that ends with an
//! error or leaves its mountpoint mounted fails the test and shows the log. Dropping the guard
//! unmounts and checks the same; in a test that failed already it just ends the daemon (by its
//! process id) and takes the mount away.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Finished, finish};
use super::wait::until;

/// The program under test.
pub const CLOAKFS: &str = env!("CARGO_BIN_EXE_cloakfs");

/// For a mount to appear, and for one to flush and go.
const MOUNT_DEADLINE: Duration = Duration::from_mins(1);

/// Where a mount's objects are and how it gets at them.
#[derive(Clone, Debug)]
pub struct Source {
    /// `s3://BUCKET[/PREFIX]` or `dir:PATH`.
    pub name: String,
    /// Options of `cloakfs mount` that belong to it.
    pub options: Vec<String>,
    /// Environment: credentials.
    pub environment: Vec<(String, String)>,
}

impl Source {
    /// A local directory as the store.
    pub fn dir(path: &Path) -> Self {
        Self {
            name: format!("dir:{}", path.display()),
            options: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// `cloakfs` with this source's environment, a state directory, and nothing of the caller's
    /// but what tells where programs and temporary files are.
    pub fn command(&self, program: impl AsRef<OsStr>, state: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("CLOAKFS_STATE_DIR", state);
        for name in ["PATH", "HOME", "TMPDIR", "CLOAKFS_TEST_RUN", "CLOAKFS_LOG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A mounted filesystem.
#[derive(Debug)]
pub struct Mount {
    source: Source,
    options: Vec<String>,
    /// Holds the mountpoint, the state directory and the log.
    place: TempDir,
    daemon: Option<Child>,
}

impl Mount {
    /// Mounts `source` with its own options and these.
    pub fn new(source: &Source, options: &[&str]) -> Self {
        let place = tempfile::Builder::new()
            .prefix("mount-")
            .tempdir()
            .expect("a directory");
        // Other users must reach the mountpoint.
        fs::set_permissions(
            place.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("opening the directory to other users");
        fs::create_dir(place.path().join("mnt")).expect("a mountpoint");
        let mut mount = Self {
            source: source.clone(),
            options: options.iter().map(ToString::to_string).collect(),
            place,
            daemon: None,
        };
        mount.start();
        mount
    }

    /// The mountpoint.
    pub fn path(&self) -> PathBuf {
        self.place.path().join("mnt")
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a running daemon").id()
    }

    /// The daemon's state directory.
    pub fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    /// What the daemon has logged since the guard was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// Waits until the daemon has logged these words, which it may do after the mount is there.
    pub fn has_logged(&self, words: &str) -> bool {
        until(MOUNT_DEADLINE, || self.log().contains(words).then_some(())).is_some()
    }

    /// Unmounts and mounts again: what is read afterwards comes from the store.
    pub fn remount(&mut self) {
        self.stop();
        self.start();
    }

    /// Waits for a daemon that was killed, and takes its mount away.
    pub fn bury(&mut self) {
        self.wait_for_the_end();
        if is_mounted(&self.path()) {
            detach(&self.path());
        }
    }

    /// Kills the daemon, as kill -9 does, and leaves a mountpoint that nothing is mounted at.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a running daemon");
        daemon.kill().expect("killing the daemon");
        daemon.wait().expect("waiting for the daemon");
        detach(&self.path());
    }

    /// Mounts again what was killed, with the same state directory.
    pub fn mount_again(&mut self) {
        self.start();
    }

    /// Runs `cloakfs COMMAND SOURCE ARGUMENTS` as this mount's user would.
    pub fn cloakfs_on_source(&self, command: &str, arguments: &[&str]) -> Finished {
        finish(
            self.source
                .command(CLOAKFS, &self.place.path().join("state"))
                .args([command, &self.source.name])
                .args(&self.source.options)
                .args(arguments),
            MOUNT_DEADLINE,
        )
    }

    /// Mounts again with other options, after the daemon has ended and its mount is gone.
    pub fn mount_again_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(ToString::to_string).collect();
        self.start();
    }

    /// Unmounts, and checks that all is well.
    pub fn unmount(&mut self) {
        self.stop();
    }

    /// Runs `cloakfs COMMAND MOUNTPOINT ARGUMENTS` against this mount.
    pub fn cloakfs(&self, command: &str, arguments: &[&str]) -> Finished {
        finish(
            self.source
                .command(CLOAKFS, &self.place.path().join("state"))
                .arg(command)
                .arg(self.path())
                .args(arguments),
            MOUNT_DEADLINE,
        )
    }

    fn start(&mut self) {
        assert!(self.daemon.is_none(), "it is mounted already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.place.path().join("log"))
            .expect("a log file");
        let mut child = self
            .source
            .command(CLOAKFS, &self.place.path().join("state"))
            .args(["mount", &self.source.name])
            .arg(self.path())
            .arg("--foreground")
            .args(&self.source.options)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .expect("starting cloakfs");
        let path = self.path();
        let ended = until(MOUNT_DEADLINE, || {
            if is_mounted(&path) {
                return Some(None);
            }
            child.try_wait().expect("looking at the daemon").map(Some)
        });
        self.daemon = Some(child);
        match ended {
            Some(None) => {}
            Some(Some(status)) => {
                self.daemon = None;
                panic!("cloakfs mount ended with {status}:\n{}", self.log());
            }
            None => panic!(
                "cloakfs did not mount within {MOUNT_DEADLINE:?}:\n{}",
                self.log()
            ),
        }
    }

    fn stop(&mut self) {
        // A process that another test is just starting has every descriptor of this one until it
        // executes its program: busy for a moment.
        let mut unmounted = self.cloakfs("umount", &[]);
        until(MOUNT_DEADLINE, || {
            if unmounted.status.success() || !unmounted.stderr.contains("is in use by a program") {
                return Some(());
            }
            unmounted = self.cloakfs("umount", &[]);
            None
        });
        assert!(
            unmounted.status.success(),
            "cloakfs umount failed with {}: {}{}\nthe daemon's log:\n{}",
            unmounted.status,
            unmounted.stdout,
            unmounted.stderr,
            self.log()
        );
        assert!(
            !is_mounted(&self.path()),
            "it is still mounted after cloakfs umount"
        );
        let status = self.wait_for_the_end();
        assert!(
            status.success(),
            "the daemon ended with {status} after umount; its log:\n{}",
            self.log()
        );
    }

    /// Asks for the end, which must fail for a reason that contains `words`, and throws away what
    /// could not be stored.
    pub fn give_up(mut self, words: &str) {
        let refused = self.cloakfs("umount", &[]);
        assert!(!refused.status.success(), "everything was stored");
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        let mut daemon = self.daemon.take().expect("a running daemon");
        daemon.kill().expect("killing the daemon");
        daemon.wait().expect("waiting for the daemon");
    }

    /// Waits until the daemon has ended, however that came about.
    pub fn wait_for_the_end(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("a running daemon");
        let status = until(MOUNT_DEADLINE, || {
            daemon.try_wait().expect("looking at the daemon")
        });
        status.unwrap_or_else(|| {
            let _ = daemon.kill();
            panic!(
                "the daemon still ran {MOUNT_DEADLINE:?} after umount; its log:\n{}",
                self.log()
            )
        })
    }
}

impl Drop for Mount {
    #[expect(clippy::print_stderr, reason = "a failed test shows the daemon's log")]
    fn drop(&mut self) {
        let mut failure = None;
        if std::thread::panicking() {
            eprintln!("the log of {}:\n{}", self.path().display(), self.log());
        } else if self.daemon.is_some() {
            failure = catch_unwind(AssertUnwindSafe(|| self.stop())).err();
        }
        if let Some(mut daemon) = self.daemon.take() {
            // Killed first: unmounting waits for a daemon that may be the reason of the failure.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if is_mounted(&self.path()) {
            detach(&self.path());
        }
        if let Some(failure) = failure {
            resume_unwind(failure);
        }
    }
}

/// Asserts that `source` cannot be mounted on `mountpoint`, with or without `--foreground`, and
/// says why: one line that begins with `cloakfs: `, on stderr, the same both times; that line.
pub fn refusal(source: &Source, mountpoint: &Path, options: &[&str]) -> String {
    let place = tempfile::tempdir().expect("a directory");
    let attempt = |more: &[&str]| {
        let mut command = source.command(CLOAKFS, &place.path().join("state"));
        command.args(["mount", &source.name]).arg(mountpoint);
        finish(
            command.args(&source.options).args(options).args(more),
            MOUNT_DEADLINE,
        )
    };
    let background = attempt(&[]);
    let foreground = attempt(&["--foreground"]);
    for finished in [&background, &foreground] {
        assert!(!finished.status.success(), "it was mounted: {finished:?}");
        assert_eq!(finished.stdout, "", "errors belong to stderr");
    }
    let words = |finished: &Finished| {
        let lines = finished.stderr.lines();
        lines
            .filter_map(|line| line.strip_prefix("cloakfs: "))
            .next_back()
            .unwrap_or_else(|| panic!("no reason is given: {finished:?}"))
            .to_owned()
    };
    assert_eq!(
        without_random_names(&words(&background)),
        without_random_names(&words(&foreground))
    );
    words(&background)
}

/// With each number of 32 hexadecimal digits, as a commit id is, left out.
fn without_random_names(sentence: &str) -> String {
    sentence
        .split_inclusive(|c: char| !c.is_ascii_hexdigit())
        .filter(|part| {
            part.trim_end_matches(|c: char| !c.is_ascii_hexdigit())
                .len()
                != 32
        })
        .collect()
}

/// Whether a cloakfs is mounted at `path`.
pub fn is_mounted(path: &Path) -> bool {
    is_mounted_as(path, "fuse.cloakfs")
}

/// Whether a filesystem of this type is mounted at `path`.
pub fn is_mounted_as(path: &Path, kind: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("reading mountinfo");
    let wanted = path.to_str().expect("a mountpoint in UTF-8");
    mounts.lines().any(|line| {
        // mountinfo(5): field 5 is the mountpoint, the first after `-` the type.
        line.split(' ').nth(4) == Some(wanted)
            && line
                .split(" - ")
                .nth(1)
                .is_some_and(|rest| rest.split(' ').next() == Some(kind))
    })
}

/// Takes a mount away that nobody serves any more.
pub fn detach(path: &Path) {
    let programs = [
        ["umount", "--lazy"].as_slice(),
        ["fusermount3", "-uz"].as_slice(),
    ];
    for program in programs {
        let done = Command::new(program[0])
            .args(&program[1..])
            .arg(path)
            .output();
        if done.is_ok_and(|output| output.status.success()) {
            return;
        }
    }
}
