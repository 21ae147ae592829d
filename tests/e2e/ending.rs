//! How a mount ends while programs use it: whatever was acknowledged is in the store.
//!
//! Files are held open with bytes that the store does not have yet, which a second look at the
//! store shows: a file that is closed is stored already, and would prove nothing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::mount::{Mount, Source, is_mounted};
use crate::process::{finish, run};
use crate::wait::until;

const DEADLINE: Duration = Duration::from_mins(1);

/// An empty store.
fn store() -> (TempDir, Source) {
    let directory = tempfile::tempdir().expect("a store");
    let source = Source::dir(directory.path());
    (directory, source)
}

/// A file of the store as another mount sees it.
fn stored(source: &Source, name: &str) -> Option<Vec<u8>> {
    let other = Mount::new(source, &["--read-only"]);
    match fs::read(other.path().join(name)) {
        Ok(content) => Some(content),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("reading {name}: {error}"),
    }
}

/// A new file, open, with bytes that the store does not have.
fn held_open(mount: &Mount, source: &Source) -> File {
    let mut file = File::create(mount.path().join("held")).expect("a new file");
    file.write_all(b"content").expect("writing");
    assert_eq!(
        stored(source, "held"),
        None,
        "it is stored while it is open"
    );
    file
}

fn signal_the_end(mount: &Mount) {
    run(Command::new("kill").args(["-TERM", &mount.pid().to_string()]));
}

/// What a daemon says is not taken for what the kernel knows.
#[test]
fn a_mount_that_is_still_there_is_not_called_unmounted() {
    let (_directory, source) = store();
    let mount = Mount::new(&source, &[]);
    let run = mount.state().join("run");
    let sockets = fs::read_dir(&run).expect("listing").flatten();
    let mut sockets = sockets.map(|entry| entry.path());
    let socket = sockets.find(|path| path.extension().is_some_and(|end| end == "sock"));
    let socket = socket.expect("a socket");
    let aside = run.join("aside");
    fs::rename(&socket, &aside).expect("moving");
    let listener = UnixListener::bind(&socket).expect("a listener");
    let lying = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a question");
        let mut question = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("a second descriptor"));
        reader.read_line(&mut question).expect("reading");
        stream
            .write_all(b"{\"event\":\"done\"}\n")
            .expect("answering");
    });
    let asked = mount.cloakfs("umount", &[]);
    lying.join().expect("a thread");
    fs::rename(&aside, &socket).expect("moving back");
    assert!(!asked.status.success(), "{asked:?}");
    let at = mount.path();
    let sentence = format!(
        "the daemon of {} says that it is unmounted, and it is not",
        at.display()
    );
    assert!(asked.stderr.contains(&sentence), "{asked:?}");
}

#[test]
fn sync_stores_what_is_held_open() {
    let (_directory, source) = store();
    let mount = Mount::new(&source, &[]);
    let file = held_open(&mount, &source);
    let synced = mount.cloakfs("sync", &[]);
    assert!(synced.status.success(), "{synced:?}");
    assert_eq!(stored(&source, "held").as_deref(), Some(&b"content"[..]));
    drop(file);
}

#[test]
fn the_signal_to_end_stores_what_is_held_open_and_waits_for_its_close() {
    let (_directory, source) = store();
    let mut mount = Mount::new(&source, &[]);
    let mut file = held_open(&mount, &source);
    signal_the_end(&mount);
    until(DEADLINE, || (!is_mounted(&mount.path())).then_some(())).expect("an unmount");
    assert_eq!(stored(&source, "held").as_deref(), Some(&b"content"[..]));
    file.write_all(b" and more").expect("writing goes on");
    drop(file);
    let status = mount.wait_for_the_end();
    assert!(status.success(), "{status}: {}", mount.log());
    assert_eq!(
        stored(&source, "held").as_deref(),
        Some(&b"content and more"[..])
    );
}

/// Nobody closes the file, and the daemon stops waiting for that.
#[test]
fn what_is_acknowledged_after_the_signal_to_end_is_stored() {
    let (_directory, source) = store();
    let mut mount = Mount::new(&source, &["--timeout", "2"]);
    let mut file = held_open(&mount, &source);
    signal_the_end(&mount);
    let mut acknowledged = b"content".to_vec();
    let refused = until(DEADLINE, || {
        for _ in 0..1000 {
            match file.write(b"x") {
                Ok(written) => acknowledged.resize(acknowledged.len() + written, b'x'),
                Err(error) => return Some(error),
            }
        }
        None
    });
    let refused = refused.expect("an end of writing");
    let status = mount.wait_for_the_end();
    assert!(status.success(), "{status}: {}", mount.log());
    let found = stored(&source, "held").expect("the file");
    assert_eq!(found.len(), acknowledged.len(), "{}", mount.log());
    assert_eq!(found, acknowledged);
    let told = mount.log().matches("takes no more changes").count();
    match refused.raw_os_error() {
        Some(libc::EIO) => assert_eq!(told, 1, "{}", mount.log()),
        // This thread had no turn until the daemon was gone, so no write was refused by it.
        Some(libc::ENOTCONN) => assert_eq!(told, 0, "{}", mount.log()),
        _ => panic!("{refused}"),
    }
}

#[test]
fn umount_of_a_mount_that_a_program_stands_in_stores_and_leaves_it() {
    let (_directory, source) = store();
    let mount = Mount::new(&source, &[]);
    let mut program = Command::new("cat")
        .current_dir(mount.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("a program in the mount");
    let file = held_open(&mount, &source);
    let refused = |mount: &Mount| {
        let unmounted = mount.cloakfs("umount", &[]);
        assert_eq!(unmounted.status.code(), Some(1), "{unmounted:?}");
        let sentence = format!(
            "cloakfs: {0} is in use by a program; everything is stored, and it stays mounted until you close what uses it (see: fuser -vm {0})",
            mount.path().display()
        );
        assert!(
            unmounted.stderr.lines().any(|line| line == sentence),
            "{unmounted:?}"
        );
        assert!(is_mounted(&mount.path()));
    };
    refused(&mount);
    assert_eq!(stored(&source, "held").as_deref(), Some(&b"content"[..]));
    // The working directory alone is use enough.
    drop(file);
    refused(&mount);
    assert!(program.try_wait().expect("looking at it").is_none());
    drop(program.stdin.take());
    until(DEADLINE, || program.try_wait().expect("waiting")).expect("its end");
}

#[test]
fn umount_8_does_not_lose_what_is_held_open() {
    let (_directory, source) = store();
    let mut mount = Mount::new(&source, &[]);
    let mut file = held_open(&mount, &source);
    let mut umount = Command::new("umount");
    let busy = finish(umount.arg(mount.path()), DEADLINE);
    assert!(!busy.status.success(), "{busy:?}");
    run(umount.arg("--lazy"));
    assert!(!is_mounted(&mount.path()));
    assert_eq!(stored(&source, "held"), None);
    file.write_all(b" and more").expect("writing goes on");
    drop(file);
    let status = mount.wait_for_the_end();
    assert!(status.success(), "{status}: {}", mount.log());
    assert_eq!(
        stored(&source, "held").as_deref(),
        Some(&b"content and more"[..])
    );
}
