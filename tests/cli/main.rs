//! The command line as a person meets it, where no mount is needed: usage, and each sentence
//! that says why a mount cannot be.
//!
//! Those that need a system without a device or a helper make one for themselves, in a mount
//! namespace of their own; like mounting itself, that takes root.

mod audits;
mod client_side;
mod doctor;
mod encryption;
mod export;
mod installing;
mod key_files;
mod keys;
mod lost_records;
mod moves;
mod opening;
mod passphrases;
mod policies;
mod refusals;
#[path = "../support/terminal.rs"]
mod terminal;
mod usage;
#[path = "../support/wait.rs"]
mod wait;
mod wrapping;

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A place for one test: `mnt`, `store` and `state` below a directory that goes with it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["mnt", "store"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0
            .path()
            .canonicalize()
            .unwrap()
            .join(name)
            .display()
            .to_string()
    }

    fn store(&self) -> String {
        format!("dir:{}", self.path("store"))
    }

    fn command(&self) -> Command {
        self.environment(Command::new(env!("CARGO_BIN_EXE_cloakfs")))
    }

    /// The state directory is this place's, and nothing of AWS is configured.
    fn environment(&self, mut command: Command) -> Command {
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("CLOAKFS_STATE_DIR", self.path("state"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command().args(arguments))
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// It failed with this one sentence.
    #[track_caller]
    fn refused(&self, code: i32, sentence: &str) {
        assert_eq!(self.stderr, format!("cloakfs: {sentence}\n"), "{self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }
}

fn is_mounted(path: &str) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(path))
}

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
