//! The command's side of the control socket. Blocking: the command has nothing else to do.

use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::super::mountinfo::{self, MountEntry};
use super::super::mountpoint::Mountpoint;
use super::super::state;
use super::answers::{self, STANDING_MAX, Standstill};
use super::elsewhere;
use super::protocol::{Command, Event, Progress, Request, Status, VERSION};
use crate::base::terminal::printable;

/// A daemon that says nothing for so long is stopped or stuck: it speaks every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// What has lost its daemon answers at once, and what has not may hang.
const LOOK_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{mountpoint} is not a cloakfs mount; `findmnt -t fuse.cloakfs` lists those there are")]
    NotMounted { mountpoint: PathBuf },
    #[error(
        "{mountpoint} is mounted ({entry}), but no daemon of it answers here, to say whether all is stored; it was mounted by user {} or with another {}: ask as that user or as root, or unmount without asking: umount -l {mountpoint}",
        entry.user_id.map_or_else(|| "?".to_owned(), |id| id.to_string()),
        state::VARIABLE
    )]
    Elsewhere {
        mountpoint: PathBuf,
        entry: Box<MountEntry>,
    },
    #[error(
        "the daemon of {mountpoint} has died; `cloakfs umount {mountpoint}` removes what is left, and mounting again takes it over"
    )]
    Dead {
        mountpoint: PathBuf,
        /// The dead mount.
        entry: Box<MountEntry>,
    },
    #[error(
        "the daemon of {mountpoint} has not answered for {} s; it may be stopped (see: pgrep -a cloakfs)",
        SILENCE_MAX.as_secs()
    )]
    Silent { mountpoint: PathBuf },
    #[error("the daemon of {mountpoint} ended before it answered ({reason}); see its log")]
    Broken { mountpoint: PathBuf, reason: String },
    #[error(
        "the daemon of {mountpoint} says that it is at work, and nothing has moved for {} s; it may go on by itself: ask again later, or unmount without asking: umount -l {mountpoint}",
        STANDING_MAX.as_secs()
    )]
    Standing { mountpoint: PathBuf },
    #[error(
        "the daemon of {mountpoint} says that it is unmounted, and it is not; see its log, or unmount without asking: umount -l {mountpoint}"
    )]
    StillMounted { mountpoint: PathBuf },
    /// In the daemon's own words, without what a terminal would obey.
    #[error("{0}")]
    Refused(String),
}

/// Asks how the mount is.
pub fn status(socket: &Path, mountpoint: &Mountpoint) -> Result<Status, ControlError> {
    let mut connection = Connection::open(socket, mountpoint, Command::Status)?;
    match connection.next()? {
        Event::Status(status) => Ok(*status),
        Event::Failed { reason } => Err(ControlError::Refused(printable(&reason))),
        other => Err(connection.broken(format!("it answered {other:?}"))),
    }
}

/// Uploads everything, and unmounts where `command` says so.
pub fn sync(
    socket: &Path,
    mountpoint: &Mountpoint,
    command: Command,
    mut on_progress: impl FnMut(Progress),
) -> Result<(), ControlError> {
    let mounted = cloakfs_at(mountpoint);
    let mut connection = Connection::open(socket, mountpoint, command)?;
    let mut standstill = Standstill::new(Instant::now());
    loop {
        match connection.next()? {
            Event::Progress(progress) => {
                if connection.elsewhere && standstill.lasts(progress, Instant::now()) {
                    let mountpoint = mountpoint.path().to_owned();
                    return Err(ControlError::Standing { mountpoint });
                }
                on_progress(progress);
            }
            Event::Done => break,
            Event::Failed { reason } => return Err(ControlError::Refused(printable(&reason))),
            other @ Event::Status(_) => {
                return Err(connection.broken(format!("it answered {other:?}")));
            }
        }
    }
    if command == Command::Unmount {
        // The daemon closes the connection as it ends; the mountpoint is then free.
        let _ended = connection.next();
        if mounted.is_some() && cloakfs_at(mountpoint) == mounted {
            let mountpoint = mountpoint.path().to_owned();
            return Err(ControlError::StillMounted { mountpoint });
        }
    }
    Ok(())
}

/// What is mounted there, if it is a cloakfs.
fn cloakfs_at(mountpoint: &Mountpoint) -> Option<MountEntry> {
    let entry = mountinfo::mounted_at(mountpoint.path()).ok().flatten();
    entry.filter(|entry| entry.fs_type == mountinfo::FS_TYPE)
}

struct Connection<'a> {
    mountpoint: &'a Mountpoint,
    reader: BufReader<UnixStream>,
    /// It was found by root, and may be of anybody.
    elsewhere: bool,
}

impl<'a> Connection<'a> {
    fn open(
        socket: &Path,
        mountpoint: &'a Mountpoint,
        command: Command,
    ) -> Result<Self, ControlError> {
        let (stream, elsewhere) = match UnixStream::connect(socket) {
            Ok(stream) => (stream, false),
            Err(_) => (connect_elsewhere(socket, mountpoint)?, true),
        };
        let mut connection = Self {
            mountpoint,
            reader: BufReader::new(stream),
            elsewhere,
        };
        connection
            .ask(command)
            .map_err(|error| connection.broken(error.to_string()))?;
        Ok(connection)
    }

    fn ask(&mut self, command: Command) -> io::Result<()> {
        let stream = self.reader.get_mut();
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let request = Request {
            version: VERSION,
            mountpoint: self.mountpoint.path().to_owned(),
            command,
        };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        stream.write_all(&line)
    }

    fn next(&mut self) -> Result<Event, ControlError> {
        match answers::read_line(&mut self.reader, SILENCE_MAX) {
            Ok(line) if line.is_empty() => Err(self.broken("it closed the connection".to_owned())),
            Ok(line) => {
                serde_json::from_slice(&line).map_err(|error| self.broken(error.to_string()))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Err(ControlError::Silent {
                    mountpoint: self.mountpoint.path().to_owned(),
                })
            }
            Err(error) => Err(self.broken(error.to_string())),
        }
    }

    fn broken(&self, reason: String) -> ControlError {
        ControlError::Broken {
            mountpoint: self.mountpoint.path().to_owned(),
            reason: printable(&reason),
        }
    }
}

/// Nobody listens where this process would: is there a mount at all, is its daemon another
/// user's or elsewhere, or did it die?
fn connect_elsewhere(socket: &Path, mountpoint: &Mountpoint) -> Result<UnixStream, ControlError> {
    let path = mountpoint.path().to_owned();
    let entry = match cloakfs_at(mountpoint) {
        Some(entry) => Box::new(entry),
        None => return Err(ControlError::NotMounted { mountpoint: path }),
    };
    if let Some(stream) = elsewhere::connect(socket, entry.user_id) {
        return Ok(stream);
    }
    Err(if is_dead(mountpoint) {
        ControlError::Dead {
            mountpoint: path,
            entry,
        }
    } else {
        ControlError::Elsewhere {
            mountpoint: path,
            entry,
        }
    })
}

/// Looks in a thread of its own, since the look goes to the daemon, which may be stopped. One
/// that does not answer lives.
fn is_dead(mountpoint: &Mountpoint) -> bool {
    let (tell, answer) = mpsc::sync_channel(1);
    let mountpoint = mountpoint.clone();
    let looking = thread::Builder::new()
        .name("look".to_owned())
        .spawn(move || tell.send(mountpoint.is_dead()));
    looking.is_ok() && answer.recv_timeout(LOOK_MAX).unwrap_or(false)
}
