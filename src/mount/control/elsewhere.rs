//! Finding a daemon whose state directory is not this process's own: root is asked to unmount
//! what users have mounted, and what their daemons have not stored is not to be lost by that.
//!
//! The kernel lists every bound socket by its path (`/proc/net/unix`, proc(5)), so the state
//! directory need not be guessed. Anybody may bind a socket of any name: so nothing is said to
//! one before the kernel has told that who listens there is the user of the mount, in this mount
//! namespace, where the mountpoint means the same.
//!
//! Only root finds one so: a daemon lets nobody else look at its process (`PR_SET_DUMPABLE`), not
//! even its own user, and so nobody else learns which namespace it is in. Anybody may also let a
//! socket's queue fill up, where a connection would wait: none is waited for longer than
//! [`BUSY_MAX`], all together.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const TABLE: &str = "/proc/net/unix";
/// A daemon takes its connections off the queue at once.
const BUSY_MAX: Duration = Duration::from_secs(2);
/// Between two tries of sockets whose queues were full.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A connection to the daemon of `user` that listens on a socket called like `socket`, in
/// whatever directory.
pub(super) fn connect(socket: &Path, user: Option<u32>) -> Option<UnixStream> {
    let (name, user) = (socket.file_name()?, user?);
    let table = fs::read(TABLE).ok()?;
    let mut found = sockets(&table, name);
    let deadline = Instant::now() + BUSY_MAX;
    loop {
        let mut busy = Vec::new();
        for path in found {
            match dial(&path) {
                Ok(stream) if is_daemon_of(user, &stream) => return Some(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => busy.push(path),
                Ok(_) | Err(_) => {}
            }
        }
        if busy.is_empty() || Instant::now() >= deadline {
            return None;
        }
        found = busy;
        thread::sleep(BUSY_PAUSE);
    }
}

fn is_daemon_of(user: u32, stream: &UnixStream) -> bool {
    peer(stream).is_ok_and(|peer| peer.uid == user && shares_our_namespace(peer.pid))
}

/// Connects without waiting: where the queue is full that is `WouldBlock`. What is said then may
/// wait.
fn dial(path: &Path) -> io::Result<UnixStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(socket) });
    // SAFETY: all of it are integers, for which zeros are values.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(io::Error::other)?;
    let path = path.as_os_str().as_bytes();
    // One byte is left for the end of the text.
    if path.len() >= address.sun_path.len() || path.contains(&0) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    for (place, byte) in address.sun_path.iter_mut().zip(path) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    let len = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    if unsafe { libc::connect(socket, (&raw const address).cast(), len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
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
    use std::os::unix::fs::PermissionsExt;
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

    /// Root's own process is the only one here that may be looked at, so the listener is a thread
    /// of it that is another user.
    #[test]
    fn only_the_mounts_own_user_is_spoken_to() {
        let dir = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(dir.path(), open).unwrap();
        let name = format!("elsewhere-{}.sock", std::process::id());
        // SAFETY: geteuid has no preconditions and cannot fail.
        let user = match unsafe { libc::geteuid() } {
            0 => 4_321,
            user => user,
        };
        let path = dir.path().join(&name);
        let listening = thread::spawn(move || {
            // SAFETY: the call takes integers. Without libc's wrapper it is of this thread alone.
            let done = unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) };
            assert_eq!(done, 0, "{}", io::Error::last_os_error());
            UnixListener::bind(path).unwrap()
        });
        let _listener = listening.join().unwrap();
        let ours = Path::new("/no/such/directory").join(name);
        assert!(connect(&ours, Some(user)).is_some());
        assert!(connect(&ours, Some(user + 1)).is_none());
        assert!(connect(&ours, Some(0)).is_none());
        assert!(connect(&ours, None).is_none());
    }

    #[test]
    fn a_socket_whose_queue_is_full_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("full-{}.sock", std::process::id());
        // Before the daemon's in the table's order.
        let (full, daemon) = (dir.path().join("a"), dir.path().join("b"));
        for place in [&full, &daemon] {
            fs::create_dir(place).unwrap();
        }
        let listener = UnixListener::bind(full.join(&name)).unwrap();
        // SAFETY: the descriptor is open; the call shortens its queue.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let mut queued = Vec::new();
        let refused = loop {
            match dial(&full.join(&name)) {
                Ok(stream) => queued.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock, "{refused}");
        // SAFETY: geteuid has no preconditions and cannot fail.
        let user = unsafe { libc::geteuid() };
        let ours = Path::new("/no/such/directory").join(&name);
        let began = Instant::now();
        assert!(connect(&ours, Some(user)).is_none());
        assert!(began.elapsed() >= BUSY_MAX, "it may be the daemon's own");
        let _listener = UnixListener::bind(daemon.join(&name)).unwrap();
        let began = Instant::now();
        let found = connect(&ours, Some(user)).expect("the daemon's");
        assert!(began.elapsed() < BUSY_MAX);
        let peer = found.peer_addr().unwrap();
        assert_eq!(peer.as_pathname(), Some(&*daemon.join(&name)));
    }
}
