//! Who else has the source while it is moved: another move, a mount.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::customer_key::CustomerKey;
use crate::mount::{CLOAKFS, Mount, Source};
use crate::process::{DEADLINE, Finished, finish};
use crate::wait::until;

struct Place {
    directory: tempfile::TempDir,
    source: Source,
    key: String,
}

impl Place {
    fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = directory.path().join("store");
        fs::create_dir(&store).expect("a store");
        let source = Source::dir(&store);
        let key = CustomerKey::new(seed).file(directory.path());
        Self {
            key: key.display().to_string(),
            directory,
            source,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// With another state directory than the mounts have.
    fn reencrypt(&self, options: &[&str]) -> Command {
        let mut program = self.source.command(CLOAKFS, &self.path().join("state"));
        program.args(["reencrypt", &self.source.name]).args(options);
        program
    }

    fn to_sealed(&self) -> Command {
        self.reencrypt(&["--to", "cse-c", "--to-key-file", &self.key])
    }

    fn back(&self) -> Finished {
        let key = self.key.as_str();
        let options = ["--encryption", "cse-c", "--key-file", key, "--to", "none"];
        finish(&mut self.reencrypt(&options), DEADLINE)
    }
}

fn signal(child: &Child, signal: i32) {
    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: the process is a child that was not waited for.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "a signal");
}

/// Where names are encrypted, two that go in opposite directions each find the file of the other,
/// and delete their own.
#[test]
fn one_move_at_a_time() {
    let place = Place::new(88);
    {
        let mount = Mount::new(&place.source, &[]);
        for number in 0..200 {
            fs::write(mount.path().join(number.to_string()), "content").expect("writing");
        }
    }
    let mut first = place.to_sealed();
    let first = first.stdin(Stdio::null()).stdout(Stdio::null());
    let mut first = first.stderr(Stdio::null()).spawn().expect("cloakfs");
    let record = place.path().join("store/.cloakfs/volume-a%");
    until(DEADLINE, || record.exists().then_some(())).expect("it begins");
    signal(&first, libc::SIGSTOP);
    let ended = first.try_wait().expect("a child");
    let second = place.back();
    signal(&first, libc::SIGCONT);
    assert_eq!(ended, None, "the first was too fast");
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let words = "is brought under another key or encryption by host";
    assert!(second.stderr.contains(words), "{second:?}");
    let ended = until(DEADLINE, || first.try_wait().expect("a child"));
    assert_eq!(ended.expect("it ends").code(), Some(0));
    // A move that ended is in nobody's way.
    let back = place.back();
    assert_eq!(back.status.code(), Some(0), "{back:?}");
    let mount = Mount::new(&place.source, &[]);
    for number in 0..200 {
        let content = fs::read_to_string(mount.path().join(number.to_string()));
        assert_eq!(content.expect("reading"), "content", "{number}");
    }
}

/// What a mount wrote in the old way after it was looked at nobody would move.
#[test]
fn nothing_is_done_while_it_is_mounted_in_the_old_way() {
    let place = Place::new(89);
    let mount = Mount::new(&place.source, &[]);
    fs::write(mount.path().join("file"), "content").expect("writing");
    let moved = finish(&mut place.to_sealed(), DEADLINE);
    assert_eq!(moved.status.code(), Some(1), "{moved:?}");
    let words = "which may go on writing as it was: unmount it, and run this again";
    assert!(moved.stderr.contains(words), "{moved:?}");
    drop(mount);
    let moved = finish(&mut place.to_sealed(), DEADLINE);
    assert_eq!(moved.status.code(), Some(0), "{moved:?}");
}
