//! Key files: keys of 256 bits that a customer keeps.
//!
//! A file is opened once, and what is checked is what is read: a regular file or a pipe of the
//! user who mounts, or of root, that nobody else can reach. What is in it is for [`parse`] to
//! tell.
//!
//! A pipe without a name belongs to whoever made it. One that this process has open already was
//! handed down by whoever started it: so root takes that of any user, as `make-key | sudo cloakfs
//! mount ... --key-file /dev/stdin` has it. Another one is reached by a link to what some process
//! has open, and is judged as a named one: where others may have written into it they chose the
//! key.
//!
//! No error and no log line shows anything of what is in the file. Where the *path* looks like
//! a key, somebody gave the key itself, and the path is not shown either.

mod parse;
mod rsa;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::base::secret::Secret;
pub use parse::KeyTextError;
pub use rsa::{read_rsa_private, read_rsa_public};

/// More than anybody's list of keys; so that a wrong path does not fill the memory.
const FILE_BYTES_MAX: usize = 64 << 10;
/// Permissions of the group and of others.
const OTHERS: u32 = 0o077;

/// Why there is no key. Each message is a whole sentence for the person who mounts.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error(
        "--key-file and --read-key-file take the path of a file that holds the key, and what was given there is no file but looks like a key: use another key, since this one was on a command line, which other users can read, and give the path of a file that holds it"
    )]
    KeyForPath,
    #[error("the key file {path} does not exist: check its path")]
    NotFound { path: PathBuf },
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the key file {path} is {found}: give the path of a file that holds the key")]
    NotAFile { path: PathBuf, found: &'static str },
    #[error(
        "the key file {path} is open to its group or to others (mode {mode:04o}): close it with `chmod 600`, and use another key if somebody may have read it"
    )]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error(
        "the key file {path} belongs to the user {owner}, who could change it: it must belong to you (user {user}) or to root"
    )]
    OwnedByOther {
        path: PathBuf,
        owner: u32,
        user: u32,
    },
    #[error(
        "the key file {path} is longer than {FILE_BYTES_MAX} bytes, so it is no key file: check its path"
    )]
    TooLong { path: PathBuf },
    #[error("the key file {path} {reason}")]
    NoKey {
        path: PathBuf,
        #[source]
        reason: KeyTextError,
    },
    #[error(
        "the key file {path} holds no RSA key of 2,048 to 8,192 bits as {wanted}: make it one with `openssl pkcs8 -topk8 -nodes`, or check its path"
    )]
    NoRsaKey { path: PathBuf, wanted: &'static str },
    #[error(
        "the key file {path} holds {count} keys, and there can be only one here: leave in it the key to write with, and give the older ones with --read-key-file"
    )]
    Several { path: PathBuf, count: usize },
}

/// Refuses what is no file and looks like a key, before anybody shows the path in a message.
///
/// # Errors
/// [`KeyFileError::KeyForPath`].
pub fn refuse_key_for_path(path: &Path) -> Result<(), KeyFileError> {
    if parse::ends_in_key(path) && std::fs::symlink_metadata(path).is_err() {
        return Err(KeyFileError::KeyForPath);
    }
    Ok(())
}

/// The one key in a file.
///
/// # Errors
/// When the file is not there, not safe, or holds anything but one key.
pub fn read_one(path: &Path) -> Result<Secret<32>, KeyFileError> {
    let mut keys = read_several(path)?;
    if keys.len() != 1 {
        return Err(KeyFileError::Several {
            path: path.to_owned(),
            count: keys.len(),
        });
    }
    Ok(keys.remove(0))
}

/// All keys in a file, at least one, in its order.
///
/// # Errors
/// When the file is not there, not safe, or holds anything but keys.
pub fn read_several(path: &Path) -> Result<Vec<Secret<32>>, KeyFileError> {
    let bytes = read(open(path)?, path)?;
    parse::keys(&bytes).map_err(|reason| KeyFileError::NoKey {
        path: path.to_owned(),
        reason,
    })
}

/// Opens the file and refuses it where it is of a wrong kind, or others can reach it.
fn open(path: &Path) -> Result<File, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let opened = OpenOptions::new()
        .read(true)
        // A terminal must not become this process's own, and a pipe or device not hold it up.
        .custom_flags(libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if parse::ends_in_key(path) => {
            KeyFileError::KeyForPath
        }
        io::ErrorKind::InvalidFilename if parse::ends_in_key(path) => KeyFileError::KeyForPath,
        io::ErrorKind::NotFound => KeyFileError::NotFound {
            path: path.to_owned(),
        },
        _ => unreadable(source),
    })?;
    let found = file.metadata().map_err(unreadable)?;
    let kind = found.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(KeyFileError::NotAFile {
            path: path.to_owned(),
            found: if kind.is_dir() {
                "a directory"
            } else if kind.is_char_device() || kind.is_block_device() {
                "a device"
            } else {
                "neither a file nor a pipe"
            },
        });
    }
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    let was_handed_down =
        kind.is_fifo() && user == 0 && has_no_name(&file) && is_open_twice(&file, &found);
    let owner = if was_handed_down { user } else { found.uid() };
    refuse_shared(path, found.mode(), owner, user)?;
    if kind.is_fifo() {
        wait_when_empty(&file).map_err(unreadable)?;
    }
    Ok(file)
}

fn refuse_shared(path: &Path, mode: u32, owner: u32, user: u32) -> Result<(), KeyFileError> {
    let path = || path.to_owned();
    if owner != user && owner != 0 {
        return Err(KeyFileError::OwnedByOther {
            path: path(),
            owner,
            user,
        });
    }
    if mode & OTHERS != 0 {
        return Err(KeyFileError::OpenToOthers {
            path: path(),
            mode: mode & 0o7777,
        });
    }
    Ok(())
}

/// Whether a pipe has no name by which others could open it, as pipe(2) makes them.
fn has_no_name(pipe: &File) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd()));
    link.is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"pipe:["))
}

/// Whether another descriptor of this process is of the same pipe.
fn is_open_twice(pipe: &File, found: &Metadata) -> bool {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return false;
    };
    let own = pipe.as_raw_fd().to_string();
    descriptors
        .flatten()
        .filter(|other| other.file_name() != *own)
        .filter_map(|other| std::fs::metadata(other.path()).ok())
        .any(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
}

/// Reads of a pipe wait for whoever writes into it.
fn wait_when_empty(pipe: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, and F_SETFL takes an integer. A pipe opened for reading
    // has no other status flag that would be lost.
    if unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn read(mut file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    // As large as it can get: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; FILE_BYTES_MAX + 1]);
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(KeyFileError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
    if len > FILE_BYTES_MAX {
        return Err(KeyFileError::TooLong {
            path: path.to_owned(),
        });
    }
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
