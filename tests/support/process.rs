//! Running other programs with a deadline.
//!
//! A program that works on a hanging filesystem would hang the test: none is waited for longer
//! than its deadline, after which it is killed by its process id and the test fails.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::wait::until;

/// What a program is given that has nothing special to do. Generous: the machine is shared.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// A program that ended.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end, whatever its exit code.
pub fn finish(command: &mut Command, deadline: Duration) -> Finished {
    let mut stdout = tempfile::tempfile().expect("a temporary file for stdout");
    let mut stderr = tempfile::tempfile().expect("a temporary file for stderr");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("a second descriptor"))
        .stderr(stderr.try_clone().expect("a second descriptor"))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} could not be started: {error}"));
    let status = until(deadline, || child.try_wait().expect("waiting for a child"));
    let Some(status) = status else {
        child.kill().expect("killing a child");
        panic!(
            "{command:?} did not end within {deadline:?}\nstdout: {}\nstderr: {}",
            whole(&mut stdout),
            whole(&mut stderr)
        );
    };
    Finished {
        status,
        stdout: whole(&mut stdout),
        stderr: whole(&mut stderr),
    }
}

/// Runs `command`, which must exit with 0; its stdout.
pub fn run(command: &mut Command) -> String {
    let finished = finish(command, DEADLINE);
    assert!(
        finished.status.success(),
        "{command:?} failed with {}\nstdout: {}\nstderr: {}",
        finished.status,
        finished.stdout,
        finished.stderr
    );
    finished.stdout
}

/// Runs a shell script in `directory`; every command in it must succeed. `$1`, `$2`, … are
/// `arguments`.
pub fn sh(directory: &Path, script: &str, arguments: &[&Path]) -> String {
    run(Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(arguments)
        .current_dir(directory))
}

fn whole(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewinding captured output");
    file.read_to_end(&mut bytes)
        .expect("reading captured output");
    String::from_utf8_lossy(&bytes).into_owned()
}
