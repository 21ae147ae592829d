//! Finding a daemon whose state directory is not this process's own: root is asked to unmount
//! what users have mounted, and what their daemons have not stored is not to be lost by that.
//!
//! The kernel lists every bound socket by its path (`/proc/net/unix`, proc(5)), so the state
//! directory need not be guessed. Anybody may bind a socket of any name: so nothing is said to
//! one before the kernel has told that who listens there is the user of the mount, in this mount
//! namespace, where the mountpoint means the same.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const TABLE: &str = "/proc/net/unix";

/// A connection to the daemon of `user` that listens on a socket called like `socket`, in
/// whatever directory. Only root, and the user, can connect.
pub(super) fn connect(socket: &Path, user: Option<u32>) -> Option<UnixStream> {
    let (name, user) = (socket.file_name()?, user?);
    let table = fs::read(TABLE).ok()?;
    let found = sockets(&table, name);
    found.iter().find_map(|path| {
        let stream = UnixStream::connect(path).ok()?;
        let peer = peer(&stream).ok()?;
        (peer.uid == user && shares_our_namespace(peer.pid)).then_some(stream)
    })
}

/// Sockets of this name with an absolute path. The path is the last of eight columns, and may
/// hold spaces.
fn sockets(table: &[u8], name: &OsStr) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    let paths = lines.filter_map(|line| {
        let start = line.iter().position(|byte| *byte == b'/')?;
        Some(Path::new(OsStr::from_bytes(&line[start..])))
    });
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.file_name() == Some(name))
        .map(Path::to_owned)
        .collect();
    // A socket is listed once for itself and once for each of its open connections.
    found.sort();
    found.dedup();
    found
}

/// Who called listen(2), as the kernel tells.
fn peer(stream: &UnixStream) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or_default();
    // SAFETY: the pointers describe `peer` and `len`, which outlive the call.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    if result == 0 {
        Ok(peer)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn shares_our_namespace(pid: libc::pid_t) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt"));
    match (namespace("self"), namespace(&pid.to_string())) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_are_found_by_name_wherever_they_are() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 101 /home/a b/run/0a.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 102 /home/a b/run/0a.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 103 @abstract/run/0a.sock2\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 104 /var/lib/cloakfs/run/0b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 105\n";
        assert_eq!(
            sockets(table, OsStr::new("0a.sock")),
            [Path::new("/home/a b/run/0a.sock")]
        );
        assert!(sockets(table, OsStr::new("none.sock")).is_empty());
    }

    #[test]
    fn only_the_mounts_own_user_is_spoken_to() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("elsewhere-{}.sock", std::process::id());
        let _listener = UnixListener::bind(dir.path().join(&name)).unwrap();
        let ours = Path::new("/no/such/directory").join(name);
        // SAFETY: geteuid has no preconditions and cannot fail.
        let user = unsafe { libc::geteuid() };
        assert!(connect(&ours, Some(user)).is_some());
        assert!(connect(&ours, Some(user + 1)).is_none());
        assert!(connect(&ours, None).is_none());
    }
}
