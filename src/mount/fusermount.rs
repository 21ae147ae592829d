//! The set-user-id helper of libfuse, `fusermount3` (its protocol: lib/mount.c of libfuse): it
//! is given one end of a socket pair in `_FUSE_COMMFD` and sends the open device through it.

use std::ffi::OsStr;
use std::io::{self, IoSliceMut, Read};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::mounting::{MountError, UnmountError};

pub(super) const HELPER: &str = "fusermount3";
const DESCRIPTOR_VARIABLE: &str = "_FUSE_COMMFD";
/// Its words when /etc/fuse.conf forbids allow_other.
pub(super) const FORBIDDEN_WORDS: &str = "user_allow_other";

/// Its words when the device's mode keeps the user out.
const DEVICE_WORDS: &str = "failed to open /dev/fuse: Permission denied";

/// Mounts, and returns the device's descriptor.
pub(super) fn mount(mountpoint: &Path, options: &str) -> Result<OwnedFd, MountError> {
    let failed = |reason: String| MountError::Failed {
        mountpoint: mountpoint.to_owned(),
        reason,
    };
    let (ours, theirs) = UnixStream::pair().map_err(|error| failed(error.to_string()))?;
    let their_fd = theirs.as_raw_fd();
    let mut command = Command::new(HELPER);
    command
        .args([OsStr::new("-o"), OsStr::new(options), OsStr::new("--")])
        .arg(mountpoint)
        .env(DESCRIPTOR_VARIABLE, their_fd.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // SAFETY: fcntl is async-signal-safe, and `theirs` is open until after the spawn.
    unsafe {
        command.pre_exec(move || {
            if libc::fcntl(their_fd, libc::F_SETFD, 0) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::NoHelper,
        _ => failed(format!("{HELPER} cannot be started: {error}")),
    })?;
    // Or the end of the helper would not close the socket.
    drop(theirs);
    let received = receive_descriptor(&ours);
    let (succeeded, words) = finish(child).map_err(|error| failed(error.to_string()))?;
    match received {
        Ok(Some(descriptor)) if succeeded => Ok(descriptor),
        Err(error) if succeeded => Err(failed(error.to_string())),
        _ => Err(explain(words, failed)),
    }
}

fn explain(words: String, failed: impl Fn(String) -> MountError) -> MountError {
    if words.contains(FORBIDDEN_WORDS) {
        MountError::AllowOtherNotPermitted
    } else if words.contains(DEVICE_WORDS) {
        MountError::DeviceNotPermitted
    } else {
        failed(words)
    }
}

/// Unmounts a mount of this user.
pub(super) fn unmount(mountpoint: &Path, lazily: bool) -> Result<(), UnmountError> {
    let failed = |reason: String| UnmountError::Failed {
        mountpoint: mountpoint.to_owned(),
        reason,
    };
    let child = Command::new(HELPER)
        .arg(if lazily { "-uz" } else { "-u" })
        .arg("--")
        .arg(mountpoint)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed(MountError::NoHelper.to_string()),
            _ => failed(format!("{HELPER} cannot be started: {error}")),
        })?;
    match finish(child).map_err(|error| failed(error.to_string()))? {
        (true, _) => Ok(()),
        (false, words) if words.contains("busy") => Err(UnmountError::Busy {
            mountpoint: mountpoint.to_owned(),
        }),
        (false, words) => Err(failed(words)),
    }
}

/// Whether it succeeded, and what it said.
fn finish(mut child: Child) -> io::Result<(bool, String)> {
    let mut words = String::new();
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_string(&mut words)?;
    }
    let status = child.wait()?;
    let words = words.trim().to_owned();
    Ok((
        status.success(),
        if words.is_empty() {
            format!("{HELPER} ended with {status}")
        } else {
            words
        },
    ))
}

/// Receives one descriptor (unix(7), `SCM_RIGHTS`); `None` when the other end closed without
/// sending one.
fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    /// `CMSG_SPACE` of one descriptor is 24 bytes on 64-bit systems; aligned as a `cmsghdr`.
    #[repr(align(8))]
    struct Control([u8; 64]);

    let mut byte = [0_u8; 1];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut control = Control([0; 64]);
    // SAFETY: a msghdr of zeros is a valid empty one.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr().cast();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    let received = loop {
        // SAFETY: `message` describes buffers that live and are writable during the call
        // (IoSliceMut has the layout of an iovec).
        let received =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if received >= 0 {
            break received;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    if received == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel filled `message`; CMSG_FIRSTHDR stays within its control buffer.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and within the control buffer, which is aligned for it.
    let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
    if level != libc::SOL_SOCKET || kind != libc::SCM_RIGHTS {
        return Ok(None);
    }
    // SAFETY: an SCM_RIGHTS message carries at least one descriptor, which is now ours alone.
    let descriptor = unsafe {
        let raw: i32 = libc::CMSG_DATA(header).cast::<i32>().read_unaligned();
        OwnedFd::from_raw_fd(raw)
    };
    Ok(Some(descriptor))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_closed_socket_and_plain_bytes_carry_no_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(b"x").unwrap();
        assert!(receive_descriptor(&ours).unwrap().is_none());
        drop(theirs);
        assert!(receive_descriptor(&ours).unwrap().is_none());
    }

    #[test]
    fn the_helpers_words_become_sentences_with_what_to_do() {
        let failed = |reason| MountError::Failed {
            mountpoint: "/m".into(),
            reason,
        };
        let sentence = |words: &str| explain(words.to_owned(), failed).to_string();
        assert_eq!(
            sentence(
                "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf"
            ),
            "--allow-other is not permitted to ordinary users here; add a line user_allow_other to /etc/fuse.conf, or mount as root"
        );
        assert_eq!(
            sentence("fusermount3: failed to open /dev/fuse: Permission denied"),
            "only root may open /dev/fuse on this system, so ordinary users cannot mount; as root, give it its usual mode with: chmod 666 /dev/fuse"
        );
        assert_eq!(
            sentence("no such luck"),
            "mounting on /m failed: no such luck"
        );
    }

    #[test]
    fn a_helper_that_fails_silently_is_still_explained() {
        let child = Command::new("false")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (succeeded, words) = finish(child).unwrap();
        assert!(!succeeded);
        assert_eq!(words, "fusermount3 ended with exit status: 1");
    }
}
