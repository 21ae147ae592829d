//! A customer's key is nowhere but in the memory of the mount and in its requests: not in what
//! the kernel tells of the process, in logs, messages, status, the state directory, the server's
//! data, or a core dump. `traces::tests` shows that the search finds what is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::{Source, refusal};
use crate::s3_server::Bucket;
use crate::traces::{Traces, hex};
use crate::wait::until;

/// To write with.
const OWN: u64 = 1;
/// To read with.
const OLDER: u64 = 2;
/// What is in a file that is not stored yet.
const PLAINTEXT: &[u8; 32] = b"what a user has written in clear";
/// Not given to the mount.
const STRANGE: u64 = 3;

/// Options of SSE-C with the keys [`OWN`] and [`OLDER`], whose files are in `keys`.
fn source(bucket: &Bucket, keys: &Path) -> Source {
    let mut source = bucket.source();
    source.options.extend(
        [
            "--encryption",
            "sse-c",
            "--key-file",
            &CustomerKey::new(OWN).file(keys).display().to_string(),
            "--read-key-file",
            &CustomerKey::new(OLDER)
                .base64_file(keys)
                .display()
                .to_string(),
        ]
        .map(String::from),
    );
    source
        .environment
        .push(("CLOAKFS_LOG".into(), "trace".into()));
    source
}

fn all_traces() -> [Traces; 3] {
    [OWN, OLDER, STRANGE].map(|seed| Traces::of(CustomerKey::new(seed).bytes()))
}

/// Asserts that none of the keys is in what `look` looks at.
#[track_caller]
fn assert_none(look: impl Fn(&Traces) -> Vec<String>) {
    for traces in all_traces() {
        assert_eq!(look(&traces), [""; 0]);
    }
}

#[track_caller]
fn assert_not_in(what: &str, text: &str) {
    for traces in all_traces() {
        assert_eq!(traces.find(text.as_bytes()), None, "in {what}");
    }
}

/// Refusals of keys name the file and never its content.
#[test]
fn refused_keys_are_not_repeated() {
    let keys = tempfile::tempdir().expect("a directory");
    let minio = PrivateMinio::start_with_tls();
    let bucket = minio.reach().bucket("refused-keys");
    let own = CustomerKey::new(OWN);
    let point = tempfile::tempdir().expect("a mountpoint");
    let refused = |key_file: &str| {
        let mut source = bucket.source();
        let options = ["--encryption", "sse-c", "--key-file", key_file];
        source.options.extend(options.map(String::from));
        let sentence = refusal(&source, point.path(), &[]);
        assert_not_in("the refusal", &sentence);
        sentence
    };
    let write = |name: &str, content: &[u8], mode| {
        let path = keys.path().join(name);
        fs::write(&path, content).expect("a key file");
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("its mode");
        path.display().to_string()
    };

    let long = write("long", format!("{}x\n", own.base64()).as_bytes(), 0o600);
    assert_eq!(
        refused(&long),
        format!(
            "the key file {long} has a line 1 that is no key: it is 45 characters long, and a key is 64 hex digits or 44 characters of base64"
        )
    );
    let open = write("open", own.bytes(), 0o640);
    assert_eq!(
        refused(&open),
        format!(
            "the key file {open} is open to its group or to others (mode 0640): close it with `chmod 600`, and use another key if somebody may have read it"
        )
    );
    for key in [own.base64(), hex(own.bytes())] {
        let sentence = refused(&key);
        assert!(
            sentence.contains("looks like a key: use another key"),
            "{sentence}"
        );
    }
    let older = CustomerKey::new(OLDER).base64();
    let two = write(
        "two",
        format!("{}\n{older}\n", own.base64()).as_bytes(),
        0o600,
    );
    assert!(refused(&two).contains("holds 2 keys"));
}

mod as_root {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::minio::Minio;
    use crate::mount::{CLOAKFS, Mount};
    use crate::process::{DEADLINE, Finished, finish, run, sh};
    use crate::tree::bytes;

    /// A mount at work; root looks, because the kernel shows the process to nobody else.
    #[test]
    fn no_key_is_anywhere_while_files_are_served_and_after_a_crash() {
        let keys = tempfile::tempdir().expect("a directory");
        let mut minio = PrivateMinio::start_with_tls();
        let bucket = minio.reach().bucket("secrets");
        let content = bytes(1, 200_000);
        let older = bucket.client.with(CustomerKey::new(OLDER).headers());
        older.put("older", &*content).expect("an older object");

        let source = source(&bucket, keys.path());
        let mut mount = Mount::new(&source, &["--timeout", "5"]);
        let root = mount.path();
        // Work of each kind, with an object of each key.
        assert!(fs::read(root.join("older")).expect("reading") == content);
        fs::create_dir(root.join("directory")).expect("a directory");
        fs::write(root.join("small"), &content).expect("writing");
        fs::write(root.join("large"), bytes(2, 9 << 20)).expect("writing");
        fs::rename(root.join("small"), root.join("directory/moved")).expect("renaming");
        let moved = root.join("directory/moved");
        fs::set_permissions(&moved, PermissionsExt::from_mode(0o640)).expect("chmod");
        File::options()
            .write(true)
            .open(root.join("large"))
            .and_then(|file| file.set_len(1_000))
            .expect("truncating");
        std::os::unix::fs::symlink("large", root.join("link")).expect("a link");
        let strange = bucket.client.with(CustomerKey::new(STRANGE).headers());
        strange.put("strange", &*content).expect("a strange object");
        // A name is seen a second after somebody else made it.
        let refused = until(Duration::from_secs(20), || {
            let refused = fs::read(root.join("strange")).err();
            refused.filter(|error| error.kind() != std::io::ErrorKind::NotFound)
        });
        assert!(refused.is_some(), "a key that nobody gave");
        let shown = sh(
            &root,
            "getfattr --match=- --dump directory/moved large",
            &[],
        );
        assert!(shown.contains("user.cloakfs.key-md5"), "{shown}");
        assert_not_in("getfattr", &shown);

        // A file that is not stored yet, and a server that is away.
        let mut staged = File::create(root.join("staged")).expect("creating");
        staged
            .write_all(&PLAINTEXT.repeat(100_000))
            .expect("writing");
        minio.stop();
        assert!(fs::read(root.join("link")).is_err() || fs::read(root.join("older")).is_err());
        assert!(staged.sync_all().is_err(), "the server is away");
        for arguments in [&[][..], &["--json"]] {
            let status = mount.cloakfs("status", arguments);
            assert!(status.status.success(), "{status:?}");
            assert!(
                status.stdout.contains(&CustomerKey::new(OWN).md5()),
                "{status:?}"
            );
            assert_not_in("status", &(status.stdout + &status.stderr));
        }

        let pid = mount.pid();
        assert_none(|traces| traces.of_process(pid));
        assert!(locked_kib(pid) > 0, "its keys are locked in memory");
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"]);

        // It dies in the middle of all that.
        let before = cores();
        sh(Path::new("/"), &format!("kill -ABRT {pid}"), &[]);
        let ended = mount.wait_for_the_end();
        assert_eq!(ended.signal(), Some(libc::SIGABRT));
        assert!(!ended.core_dumped());
        assert_eq!(cores(), before);
        drop(staged);

        let log = mount.log();
        assert!(
            log.contains("TRACE") || log.contains("DEBUG"),
            "it is a full log"
        );
        assert!(log.contains("strange"), "and an error is in it");
        assert_not_in("the log", &log);
        assert_none(|traces| traces.below(&mount.state()));
        assert_eq!(Traces::of(PLAINTEXT).below(&mount.state()), [""; 0]);
        assert_none(|traces| traces.below(minio.directory()));
    }

    /// What was shown above is not for want of trying: the kernel dumps another process here.
    /// That is tried only where the file goes into the working directory, which is the test's
    /// own; elsewhere it would be left on the machine, or be sent to whoever collects crashes.
    /// There the limit is the control: another process has it otherwise.
    #[test]
    fn a_process_that_does_not_protect_itself_is_dumped() {
        let place = TempDir::new().expect("a directory");
        let bash = |script: &str| {
            let mut bash = Command::new("bash");
            bash.args(["-c", &format!("ulimit -c unlimited && {script}")]);
            bash.current_dir(place.path()).stderr(Stdio::null());
            bash
        };
        let limit = run(&mut bash("grep '^Max core file size' /proc/self/limits"));
        let limit: Vec<_> = limit.split_whitespace().collect();
        assert_eq!(limit[4..6], ["unlimited", "unlimited"]);
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("the pattern");
        if pattern.contains('/') || pattern.starts_with('|') {
            return;
        }
        let ended = bash("kill -ABRT $$").status().expect("starting bash");
        assert_eq!(ended.signal(), Some(libc::SIGABRT));
        assert!(ended.core_dumped(), "{ended}");
    }

    /// Runs commands of bash as a user without any rights, in a mount namespace in which
    /// /dev/fuse has its usual mode. `$0` is the program, `$1` an empty mountpoint, `$2` the
    /// source and the rest its options; `place` becomes the user's.
    fn as_user(place: &TempDir, source: &Source, commands: &str) -> Finished {
        let at = |name: &str| place.path().join(name);
        for name in ["mnt", "state"] {
            fs::create_dir(at(name)).expect("a directory");
        }
        fs::copy(CLOAKFS, at("cloakfs")).expect("a copy of the program");
        sh(
            place.path(),
            "chown -R 65534:65534 . && chmod -R u=rwX,go=rX .; find . -name 'key-*' -exec chmod 600 {} +",
            &[],
        );
        let script = "mknod $1 c 10 229; chmod 666 $1; mount --bind $1 /dev/fuse; shift
            exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -euc \"$@\"";
        let mut command = source.command("unshare", &at("state"));
        command.args(["--mount", "bash", "-euc", script, "bash"]);
        command.arg(at("fuse")).arg(commands).arg(at("cloakfs"));
        command.arg(at("mnt")).arg(&source.name);
        let finished = finish(command.args(&source.options), DEADLINE);
        assert!(finished.status.success(), "{finished:?}");
        finished
    }

    /// What `limits` leave of the protection of a user's daemon in the background: owners of the
    /// environments of it and of its user's shell, as the kernel shows them, locked memory in
    /// KiB, and what the user was told.
    fn protection(limits: &str) -> (String, String, u64, String) {
        let place = TempDir::new().expect("a directory");
        let store = place.path().join("store");
        fs::create_dir(&store).expect("a store");
        let commands = format!(
            "{limits}
            $0 mount $2 $1
            pid=$($0 status --json $1 | grep -oE '\"pid\": *[0-9]+' | grep -oE '[0-9]+')
            stat -c %u /proc/$pid/environ /proc/$$/environ
            grep -oE 'VmLck:.* kB' /proc/$pid/status | grep -oE '[0-9]+'
            $0 umount $1"
        );
        let finished = as_user(&place, &Source::dir(&store), &commands);
        let mut lines = finished.stdout.lines().map(str::to_owned);
        let mut line = || lines.next().expect("a line");
        let (daemon, shell) = (line(), line());
        let locked = line().parse().expect("a number");
        (daemon, shell, locked, finished.stderr)
    }

    /// The process is protected before it reads the key, and that must not keep it from its own
    /// descriptors.
    #[test]
    fn a_key_comes_through_a_pipe_to_the_daemon_of_an_ordinary_user() {
        let place = TempDir::new().expect("a directory");
        let mut server = Minio::shared();
        let ca = place.path().join("ca");
        fs::copy(server.ca.expect("a certificate"), &ca).expect("a copy of it");
        server.ca = Some(ca);
        let bucket = server.bucket("key-pipe");
        let own = CustomerKey::new(OWN);
        let key = own.base64_file(place.path());
        let commands = format!(
            "mountpoint=$1; shift
            $0 mount \"$1\" $mountpoint --encryption sse-c --key-file <(cat {}) \"${{@:2}}\"
            echo content > $mountpoint/file
            $0 umount $mountpoint",
            key.display()
        );
        as_user(&place, &bucket.source(), &commands);
        let read = bucket.client.with(own.headers()).read("file");
        assert_eq!(read.expect("reading with the key"), b"content\n");
    }

    #[test]
    fn nobody_looks_into_the_daemon_of_an_ordinary_user_and_its_keys_are_locked() {
        // A soft limit is raised.
        for limits in ["", "ulimit -Sl 0"] {
            let (daemon, shell, locked_kib, told) = protection(limits);
            assert_eq!((&*daemon, &*shell), ("0", "65534"), "{limits}");
            assert!(locked_kib > 0, "{limits}");
            assert!(!told.contains("locked"), "{told}");
        }
    }

    #[test]
    fn a_user_who_may_lock_no_memory_is_told() {
        let (_, _, locked_kib, told) = protection("ulimit -l 0");
        assert_eq!(locked_kib, 0);
        let note = "keys cannot be locked in memory (the limit on locked memory does not allow it), so they may be written to swap: allow more locked memory (`ulimit -l`, LimitMEMLOCK= of a service), or see that swap is encrypted or off";
        assert_eq!(told.matches(note).count(), 1, "{told}");
    }

    fn locked_kib(pid: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        let kib = locked.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok()).expect("a size")
    }

    /// Core files where the daemon's working directory is.
    fn cores() -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir("/")
            .expect("reading /")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.starts_with("core"))
            .collect();
        names.sort();
        names
    }
}
