//! Becoming a daemon.
//!
//! [`fork`] comes before any thread and any secret: a child has no memory of the secrets of its
//! parent. The parent waits for what the child reports
//! over a pipe, and exits with that. The child keeps the terminal for its messages until it is
//! ready, and is then without one.
//!
//! When the parent is gone before the child is ready (someone pressed ^C), the report fails, and
//! the child is to undo what it did.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::base::secret::{self, Locking};

/// Which side of the fork this is.
#[derive(Debug)]
pub enum Forked {
    Parent(Starting),
    Child(Report),
}

/// The parent's hold on a child that is not ready yet.
#[derive(Debug)]
pub struct Starting {
    pipe: File,
    child: libc::pid_t,
}

/// The child's way to say how it goes. Dropping it without a word is told as a failure.
#[derive(Debug)]
pub struct Report(File);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// In the child's own words.
    #[error("{0}")]
    Failed(String),
    #[error("the mounting process ended without a word ({0}); see the log")]
    Died(String),
    #[error("the background process cannot be started: {0}")]
    Fork(#[source] io::Error),
}

/// The messages on the pipe: a kind, the text, and a zero byte.
const NOTE: u8 = b'n';
const READY: u8 = b'r';
const FAILED: u8 = b'f';

/// Splits the process in two. The child is in a session of its own.
///
/// # Panics
/// When there is a secret already, which the child would crash on.
pub fn fork() -> Result<Forked, StartError> {
    assert_eq!(
        secret::locking(),
        Locking::Unused,
        "the fork comes before any secret"
    );
    let (reader, writer) = pipe().map_err(StartError::Fork)?;
    // SAFETY: the process has one thread (the module's rule), so the child may go on freely.
    match unsafe { libc::fork() } {
        -1 => Err(StartError::Fork(io::Error::last_os_error())),
        0 => {
            drop(reader);
            // SAFETY: no preconditions. It fails only for a group leader, which a fresh child is
            // not.
            unsafe { libc::setsid() };
            Ok(Forked::Child(Report(writer)))
        }
        child => {
            drop(writer);
            Ok(Forked::Parent(Starting {
                pipe: reader,
                child,
            }))
        }
    }
}

impl Starting {
    /// Waits until the child is ready or has failed.
    pub fn wait(mut self, mut on_note: impl FnMut(&str)) -> Result<(), StartError> {
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            while let Some(end) = received.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = received.drain(..=end).collect();
                let text = String::from_utf8_lossy(&message[1..end]).into_owned();
                match message[0] {
                    READY => return Ok(()),
                    FAILED => return Err(StartError::Failed(text)),
                    _ => on_note(&text),
                }
            }
            match self.pipe.read(&mut buffer) {
                Ok(0) => return Err(StartError::Died(self.how_it_ended())),
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StartError::Died(error.to_string())),
            }
        }
    }

    fn how_it_ended(&self) -> String {
        let mut status = 0;
        // SAFETY: `status` is writable; the child is ours and was not waited for yet.
        if unsafe { libc::waitpid(self.child, &raw mut status, 0) } != self.child {
            return "its end is unknown".to_owned();
        }
        if libc::WIFSIGNALED(status) {
            format!("signal {}", libc::WTERMSIG(status))
        } else {
            format!("exit status {}", libc::WEXITSTATUS(status))
        }
    }
}

impl Report {
    /// Something the user should know although all is well.
    pub fn note(&self, text: &str) {
        // Nobody reads any more: `ready` will find out.
        let _lost = self.send(NOTE, text);
    }

    /// The mount is usable. Gives up the terminal; an error means that nobody waits any more.
    pub fn ready(self) -> io::Result<()> {
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        self.send(READY, "")?;
        for standard in 0..=2 {
            // SAFETY: both are open descriptors, and nothing else owns the standard ones.
            unsafe { libc::dup2(null.as_raw_fd(), standard) };
        }
        Ok(())
    }

    /// It did not work, for this reason.
    pub fn failed(self, reason: &str) {
        let _lost = self.send(FAILED, reason);
    }

    /// Resolves when nobody waits any more.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn abandoned(&self) {
        // The kernel tells of a pipe without a reader as of an error.
        let watched = self.0.try_clone().and_then(|pipe| {
            // SAFETY: a File owns one descriptor, which stays open and the same while it lives.
            unsafe { AsyncFd::register_with_interest(pipe, Interest::ERROR) }.map_err(Into::into)
        });
        match watched {
            Ok(pipe) => drop(pipe.ready(Interest::ERROR).await),
            // Then it is found out when there is something to tell.
            Err(_) => std::future::pending().await,
        }
    }

    fn send(&self, kind: u8, text: &str) -> io::Result<()> {
        let mut message = vec![kind];
        message.extend(text.bytes().filter(|byte| *byte != 0));
        message.push(0);
        (&self.0).write_all(&message)
    }
}

/// No core dumps and no debugger of another process: the memory holds plaintext and keys. As
/// much locked memory for keys as the system grants. And no working directory that would keep
/// another filesystem busy. Comes before keys are read.
pub fn harden() -> io::Result<()> {
    // SAFETY: these options take integers only.
    done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit for the duration of the call, here and below.
    done(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) })?;
    // SAFETY: and it is writable.
    done(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    done(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) })?;
    std::env::set_current_dir("/")
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A pipe whose ends are closed by exec.
fn pipe() -> io::Result<(File, File)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: `ends` has room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: pipe2 just opened both, and nothing else owns them.
    let [reader, writer] = ends.map(|end| File::from(unsafe { OwnedFd::from_raw_fd(end) }));
    Ok((reader, writer))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The two ends as fork leaves them, without a fork: the test process has threads.
    fn ends() -> (Starting, Report) {
        let (reader, writer) = pipe().unwrap();
        let starting = Starting {
            pipe: reader,
            child: -1,
        };
        (starting, Report(writer))
    }

    #[test]
    fn notes_come_before_the_failure_and_its_reason() {
        let (starting, report) = ends();
        report.note("first");
        report.note("sec\0ond");
        report.failed("no such bucket");
        let mut notes = Vec::new();
        let error = starting
            .wait(|note| notes.push(note.to_owned()))
            .unwrap_err();
        assert_eq!(notes, ["first", "second"]);
        assert_eq!(error.to_string(), "no such bucket");
    }

    #[test]
    fn ready_ends_the_wait() {
        let (starting, report) = ends();
        report.send(READY, "").unwrap();
        assert!(starting.wait(|_| {}).is_ok());
    }

    #[test]
    fn silence_is_a_failure() {
        let (starting, report) = ends();
        drop(report);
        assert!(matches!(starting.wait(|_| {}), Err(StartError::Died(_))));
    }

    #[test]
    fn a_report_that_nobody_waits_for_fails() {
        let (starting, report) = ends();
        drop(starting);
        assert!(report.send(READY, "").is_err());
    }

    #[tokio::test]
    async fn a_report_is_abandoned_when_the_parent_is_gone() {
        let (starting, report) = ends();
        let mut abandoned = std::pin::pin!(report.abandoned());
        let pending = tokio::time::timeout(Duration::from_millis(50), &mut abandoned).await;
        assert!(pending.is_err(), "the parent waits");
        drop(starting);
        let gone = tokio::time::timeout(Duration::from_secs(30), abandoned).await;
        assert!(gone.is_ok(), "the parent is gone");
    }
}
