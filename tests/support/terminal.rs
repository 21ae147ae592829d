//! A program on a terminal of its own, with somebody who types.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Generous: the machine is shared.
const DEADLINE: Duration = Duration::from_mins(1);

/// The program, and the terminal as who sits at it has it.
pub struct Terminal {
    program: Child,
    screen: File,
    /// Everything that was shown.
    shown: String,
}

impl Terminal {
    /// Starts `command` with its input, output and errors on a new terminal.
    pub fn start(command: &mut Command) -> Self {
        let (mut own, mut its) = (-1, -1);
        // SAFETY: both are valid for the duration of the call; the rest may be null.
        let made = unsafe {
            libc::openpty(
                &raw mut own,
                &raw mut its,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null(),
            )
        };
        assert_eq!(made, 0, "{}", io::Error::last_os_error());
        // SAFETY: they were just made, and nothing else owns them.
        let (own, its) = unsafe { (OwnedFd::from_raw_fd(own), OwnedFd::from_raw_fd(its)) };
        let stream = || its.try_clone().expect("a copy of the terminal");
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: the calls between fork and exec are system calls alone.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let program = command.spawn().expect("the program starts");
        Self {
            program,
            screen: own.into(),
            shown: String::new(),
        }
    }

    /// Waits until `words` are shown after all that was typed so far, and types a line.
    pub fn answer(&mut self, words: &str, line: &str) {
        let began = Instant::now();
        let before = self.shown.len();
        while !self.shown[before..].contains(words) {
            assert!(
                began.elapsed() < DEADLINE && self.read(),
                "{words:?} was not asked: {}",
                self.shown
            );
        }
        writeln!(self.screen, "{line}").expect("typing");
    }

    /// The exit status, and everything that was shown.
    pub fn finish(mut self) -> (ExitStatus, String) {
        while self.read() {}
        let status = self.program.wait().expect("the program ends");
        (status, self.shown.replace("\r\n", "\n"))
    }

    /// Reads what is shown; `false` when there is nobody on the other side any more.
    fn read(&mut self) -> bool {
        let mut poll = libc::pollfd {
            fd: self.screen.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = i32::try_from(DEADLINE.as_millis()).expect("a minute");
        // SAFETY: `poll` is one valid pollfd for the duration of the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
        assert_eq!(ready, 1, "nothing more was shown: {}", self.shown);
        let mut bytes = [0; 4096];
        match self.screen.read(&mut bytes) {
            Ok(read @ 1..) => {
                self.shown
                    .push_str(&String::from_utf8_lossy(&bytes[..read]));
                true
            }
            // EIO: every descriptor of the other side is closed.
            Ok(_) | Err(_) => false,
        }
    }
}
