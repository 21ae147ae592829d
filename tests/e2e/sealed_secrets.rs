//! Neither a key nor what users wrote is anywhere but in the memory of a client-side mount: not in
//! what the kernel tells of the process, in logs, messages, status, the state directory, the
//! staging area, the bucket, or a core dump, after an unmount and after a crash.
//! `traces::tests` shows that the search finds what is there.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::customer_key::CustomerKey;
use crate::mount::{Mount, refusal};
use crate::process::sh;
use crate::sealed::{Place, Root, Row, Sealed, cse_c};
use crate::sealed_matrix::assert_no_plaintext;
use crate::traces::{Traces, hex};

/// In content, a link's target and an attribute.
const PLAINTEXT: &[u8; 32] = b"what a user has written in clear";
/// Of a file. Logs name files; nothing in the store does.
const NAME: &[u8; 32] = b"how somebody has called one file";

/// Also at the log's most talkative.
fn mount(volume: &Sealed) -> Mount {
    let mut source = volume.source();
    let filter = ("CLOAKFS_LOG".into(), "trace".into());
    source.environment.push(filter);
    Mount::new(&source, &["--create", "--timeout", "5"])
}

fn text() -> &'static str {
    std::str::from_utf8(PLAINTEXT).expect("ASCII")
}

fn name() -> &'static str {
    std::str::from_utf8(NAME).expect("ASCII")
}

/// Work of each kind, with the plaintext in all that is sealed.
fn work(root: &Path) {
    fs::create_dir(root.join("directory")).expect("mkdir");
    fs::write(root.join("small"), PLAINTEXT.repeat(100)).expect("writing");
    fs::write(root.join("large"), PLAINTEXT.repeat(300_000)).expect("writing");
    fs::write(root.join(name()), text()).expect("writing");
    symlink(text(), root.join("link")).expect("symlink");
    fs::rename(root.join("small"), root.join("directory/moved")).expect("renaming");
    let script = format!("setfattr -n user.words -v '{}' directory/moved", text());
    sh(root, &script, &[]);
    let mode = PermissionsExt::from_mode(0o600);
    fs::set_permissions(root.join("directory/moved"), mode).expect("chmod");
    let large = File::options().write(true).open(root.join("large"));
    large
        .and_then(|file| file.set_len(9 << 20))
        .expect("truncating");
    assert!(fs::read(root.join("large")).expect("reading").len() == 9 << 20);
}

/// Breaks one object and reads it, so that an error is in the log.
fn provoke(volume: &Sealed, root: &Path) {
    fs::write(root.join("broken"), PLAINTEXT).expect("writing");
    let before: Vec<String> = volume.keys();
    fs::write(root.join("broken-too"), PLAINTEXT).expect("writing");
    let key = volume
        .keys()
        .into_iter()
        .find(|key| !before.contains(key))
        .expect("a new object");
    volume.change(&key, |object| {
        let middle = object.body.len() / 2;
        object.body[middle] ^= 1;
    });
}

/// What must be nowhere: the root, the file's form of it, and the plaintext.
fn secrets(volume: &Sealed) -> Vec<Traces> {
    let mut secrets = vec![Traces::of(PLAINTEXT)];
    if volume.row().root == Root::MasterKey {
        secrets.push(Traces::of(volume.master_key()));
    }
    secrets
}

#[track_caller]
fn assert_not_in(volume: &Sealed, what: &str, text: &str) {
    for traces in secrets(volume) {
        assert_eq!(traces.find(text.as_bytes()), None, "in {what}");
    }
}

/// The log and the state directory name files, as they must; contents and keys they have not.
fn assert_nowhere(volume: &Sealed, mount: &Mount) {
    let log = mount.log();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "it is a full log"
    );
    assert_not_in(volume, "the log", &log);
    assert_no_plaintext(volume, &Traces::of(NAME));
    for traces in secrets(volume) {
        assert_eq!(traces.below(&mount.state()), [""; 0]);
        assert_no_plaintext(volume, &traces);
    }
}

const ROWS: [Row; 3] = [
    Row::new(Place::Minio, Root::MasterKey, "encrypted"),
    Row::new(Place::Directory, Root::MasterKey, "encrypted"),
    Row::new(Place::LocalStack, Root::Kms, "encrypted"),
];

#[test]
fn no_key_and_no_plaintext_is_left_after_an_unmount() {
    for row in ROWS {
        let volume = Sealed::new(row, "secrets");
        let mut mount = mount(&volume);
        work(&mount.path());
        provoke(&volume, &mount.path());
        mount.remount();
        assert!(fs::read(mount.path().join("broken-too")).is_err());
        for arguments in [&[][..], &["--json"]] {
            let status = mount.cloakfs("status", arguments);
            assert!(status.status.success(), "{status:?}");
            assert_not_in(&volume, "status", &(status.stdout + &status.stderr));
        }
        let shown = sh(&mount.path(), "getfattr -m user.cloakfs -d large", &[]);
        assert!(shown.contains("user.cloakfs.mode"), "{shown}");
        assert_not_in(&volume, "getfattr", &shown);
        mount.remount();
        assert_nowhere(&volume, &mount);
    }
}

/// Refusals of keys name the file and never its content.
#[test]
fn refused_master_keys_are_not_repeated() {
    let volume = Sealed::new(ROWS[1], "refused");
    drop(volume.mount());
    let wrong = CustomerKey::new(60);
    let point = tempfile::tempdir().expect("a mountpoint");
    let refused = |options: &[String]| {
        let sentence = refusal(&volume.source_with(options), point.path(), &[]);
        assert_eq!(Traces::of(wrong.bytes()).find(sentence.as_bytes()), None);
        sentence
    };
    refused(&cse_c(&wrong.file(volume.directory())));
    for key in [wrong.base64(), hex(wrong.bytes())] {
        let sentence = refused(&cse_c(Path::new(&key)));
        assert!(sentence.contains("looks like a key"), "{sentence}");
    }
    let file = wrong.file(volume.directory());
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("chmod");
    let sentence = refused(&cse_c(&file));
    assert!(
        sentence.contains("is open to its group or to others"),
        "{sentence}"
    );
}

mod as_root {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// It dies with a file half written, one staged, and all keys in memory.
    #[test]
    fn no_key_and_no_plaintext_is_anywhere_while_mounted_and_after_a_crash() {
        for row in ROWS {
            let volume = Sealed::new(row, "crash");
            let mut mount = mount(&volume);
            let root = mount.path();
            work(&root);
            provoke(&volume, &root);
            let mut staged = File::create(root.join("staged")).expect("creating");
            let content = PLAINTEXT.repeat(1 << 20);
            staged.write_all(&content).expect("writing");

            let pid = mount.pid();
            for traces in secrets(&volume) {
                assert_eq!(traces.of_process(pid), [""; 0]);
            }
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
            let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
            let locked = locked.expect("a line").trim();
            assert_ne!(locked, "0 kB", "its keys are locked in memory");
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
            let core = limits
                .lines()
                .find_map(|line| line.strip_prefix("Max core file size"));
            let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
            assert_eq!(core[..2], ["0", "0"]);

            sh(Path::new("/"), &format!("kill -KILL {pid}"), &[]);
            let ended = mount.wait_for_the_end();
            assert_eq!(ended.signal(), Some(libc::SIGKILL));
            drop(staged);
            assert_nowhere(&volume, &mount);
        }
    }
}
