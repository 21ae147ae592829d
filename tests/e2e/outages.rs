//! The link to the server breaks in the middle of a large write, a read, a rename: what waits goes
//! on when it is back, or fails at the mount's deadline, and nothing is lost. A server that is not
//! there at all is in [`super::outage`].
//!
//! `scripts/soak outages` has the outage of a minute.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::{Mount, Source};
use crate::proxy::{Act, Link, Proxy, Strike, When};
use crate::s3_server::Bucket;
use crate::sealed::cse_c;
use crate::tree::bytes;
use crate::wait::until;

/// How long an outage takes that is waited for, and the mount's deadline then, in seconds.
const WAITED_FOR: u64 = 3;
/// In the soak.
const LENGTH: &str = "OUTAGE_SECONDS";
/// The mount's deadline where an outage lasts until something has failed.
const TIMEOUT: Duration = Duration::from_secs(3);
/// That a strike has hit is seen a moment later. And an operation is several requests, each with
/// its deadline: what became of one that was not answered is asked, and an upload is given up.
const EARLIEST: Duration = Duration::from_secs(TIMEOUT.as_secs() - 1);
const LATEST: Duration = Duration::from_secs(4 * TIMEOUT.as_secs());
/// For a strike to hit, and for what goes on to end.
const DEADLINE: Duration = Duration::from_mins(2);

/// Something that is interrupted.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    /// What is in the mount before.
    before: &'static [(&'static str, Content)],
    /// Below the root. A file that it returns is open until the outage is over.
    perform: fn(&Path) -> (Option<File>, io::Result<()>),
    /// What is in the mount after, and nothing else.
    after: &'static [(&'static str, Content)],
    /// The request at which the link breaks, among those of this name.
    at: usize,
    among: &'static str,
    when: When,
}

/// Seed and length.
type Content = (u64, usize);

const LARGE: Content = (1, 40 << 20);
const SMALL: Content = (2, 10_000);

const WRITE: Operation = Operation {
    name: "a write, at a part",
    before: &[],
    perform: |root| {
        let mut file = File::create(root.join("written")).expect("creating");
        file.write_all(&content(LARGE)).expect("writing");
        let synced = file.sync_all();
        (Some(file), synced)
    },
    after: &[("written", LARGE)],
    at: 3,
    among: "UploadPart",
    when: When::Before,
};

const RENAME: Operation = Operation {
    name: "a rename, at its copy",
    before: &[("old", SMALL)],
    perform: |root| (None, fs::rename(root.join("old"), root.join("new"))),
    after: &[("new", SMALL)],
    at: 1,
    among: "CopyObject",
    when: When::Before,
};

const OPERATIONS: [Operation; 5] = [
    WRITE,
    Operation {
        name: "a write, at its end",
        at: 1,
        among: "CompleteMultipartUpload",
        when: When::After,
        ..WRITE
    },
    Operation {
        name: "a read",
        before: &[("read", LARGE)],
        perform: |root| {
            let read = fs::read(root.join("read"));
            (None, read.map(|read| assert!(read == content(LARGE))))
        },
        after: &[("read", LARGE)],
        at: 3,
        among: "GetObject",
        when: When::Before,
    },
    RENAME,
    Operation {
        name: "a rename, at its delete",
        among: "DeleteObject",
        ..RENAME
    },
];

/// What the bucket decides at once.
const EXCLUSIVE: Operation = Operation {
    name: "an exclusive create",
    before: &[],
    perform: |root| {
        let made = File::create_new(root.join("exclusive"));
        (None, made.and_then(|mut it| it.write_all(&content(SMALL))))
    },
    after: &[("exclusive", SMALL)],
    at: 1,
    among: "PutObject",
    when: When::After,
};

fn content((seed, length): Content) -> Vec<u8> {
    bytes(seed, length)
}

#[test]
fn a_link_that_is_cut_for_a_while_is_waited_for() {
    waits(Link::Cut, &none());
}

#[test]
fn a_link_that_is_silent_for_a_while_is_waited_for() {
    waits(Link::Silent, &client_side());
}

#[test]
fn a_link_that_is_cut_for_too_long_is_an_error_and_no_loss() {
    fails(Link::Cut, &client_side());
}

#[test]
fn a_link_that_is_silent_for_too_long_is_an_error_and_no_loss() {
    fails(Link::Silent, &none());
}

#[test]
fn a_lost_answer_is_neither_a_failure_nor_a_conflict() {
    lose_answers(&none());
}

#[test]
fn a_lost_answer_is_neither_a_failure_nor_a_conflict_in_a_client_side_volume() {
    lose_answers(&client_side());
}

fn waits(link: Link, mode: &Mode) {
    let seconds = std::env::var(LENGTH).map_or(WAITED_FOR, |it| it.parse().expect("a number"));
    let length = Duration::from_secs(seconds);
    let stage = Stage::new(mode, 4 * length);
    for operation in &OPERATIONS {
        let set = stage.set(operation);
        stage.arm(operation, Act::Link(link));
        thread::scope(|scope| {
            let root = set.mount.path();
            let done = scope.spawn(move || (operation.perform)(&root));
            stage.await_strike(operation);
            let ended = until(length, || done.is_finished().then_some(()));
            assert!(ended.is_none(), "{} did not wait", operation.name);
            stage.proxy.set(Link::Up);
            let (_file, done) = done.join().expect("the operation");
            done.unwrap_or_else(|error| panic!("{}: {error}", operation.name));
        });
        set.verify();
    }
}

fn fails(link: Link, mode: &Mode) {
    let stage = Stage::new(mode, TIMEOUT);
    for operation in &OPERATIONS {
        let set = stage.set(operation);
        let root = set.mount.path();
        stage.arm(operation, Act::Link(link));
        let (file, waited) = thread::scope(|scope| {
            let done = scope.spawn(|| (operation.perform)(&root));
            let hit = stage.await_strike(operation);
            let (file, done) = done.join().expect("the operation");
            let Err(error) = done else {
                panic!("{} went well without a server", operation.name)
            };
            let errno = error.raw_os_error();
            assert_eq!(errno, Some(libc::EIO), "{}: {error}", operation.name);
            (file, hit.elapsed())
        });
        let log = set.mount.log();
        assert!(
            (EARLIEST..LATEST).contains(&waited),
            "{} failed after {waited:?}:\n{log}",
            operation.name
        );
        let told = format!("gave up after {} s without progress", TIMEOUT.as_secs());
        assert!(log.contains(&told), "{}:\n{log}", operation.name);

        stage.proxy.set(Link::Up);
        drop(file);
        // What was written is stored without being written again.
        let synced = set.mount.cloakfs("sync", &[]);
        assert!(synced.status.success(), "{}: {synced:?}", operation.name);
        stage.proxy.settle();
        if root.join("old").exists() {
            fs::rename(root.join("old"), root.join("new")).expect("renaming goes on");
        }
        set.verify();
    }
}

/// Each request was carried out, and its client asks what became of it.
fn lose_answers(mode: &Mode) {
    let stage = Stage::new(mode, Duration::from_secs(20));
    for operation in OPERATIONS.into_iter().chain([EXCLUSIVE]) {
        let operation = Operation {
            at: 1,
            when: When::After,
            ..operation
        };
        let set = stage.set(&operation);
        stage.arm(&operation, Act::Drop);
        let (file, done) = (operation.perform)(&set.mount.path());
        done.unwrap_or_else(|error| panic!("{}: {error}", operation.name));
        drop(file);
        let struck = stage.proxy.disarm();
        assert!(struck.is_some(), "{}: no answer was lost", operation.name);
        set.verify();
    }
}

/// Options of a mount, and what they name.
struct Mode {
    options: Vec<String>,
    _keys: TempDir,
}

fn none() -> Mode {
    Mode {
        options: ["--encryption", "none"].map(String::from).into(),
        _keys: tempfile::tempdir().expect("a directory"),
    }
}

fn client_side() -> Mode {
    let keys = tempfile::tempdir().expect("a directory");
    let mut options = cse_c(&CustomerKey::new(62).file(keys.path()));
    options.push("--create".to_owned());
    Mode {
        options,
        _keys: keys,
    }
}

/// A bucket behind a proxy, and how it is mounted.
struct Stage {
    proxy: Proxy,
    bucket: Bucket,
    source: Source,
    _minio: PrivateMinio,
}

impl Stage {
    fn new(mode: &Mode, timeout: Duration) -> Self {
        let minio = PrivateMinio::start();
        let proxy = Proxy::before(&minio.reach());
        let bucket = minio.reach().bucket("outages");
        let mut source = proxy.reach().existing(&bucket.name).source();
        source.options.extend(mode.options.iter().cloned());
        let timeout = timeout.as_secs().to_string();
        source.options.extend(["--timeout".to_owned(), timeout]);
        Self {
            proxy,
            bucket,
            source,
            _minio: minio,
        }
    }

    /// A mount of its own for one operation, which knows nothing yet.
    fn set<'a>(&'a self, operation: &'a Operation) -> Set<'a> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut source = self.source.clone();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        source.name = format!("{}/{number}", source.name);
        let calls = self.proxy.count();
        let mut mount = Mount::new(&source, &[]);
        for (name, before) in operation.before {
            fs::write(mount.path().join(name), content(*before)).expect("writing");
        }
        mount.remount();
        Set {
            mount,
            calls,
            operation,
            stage: self,
        }
    }

    fn arm(&self, operation: &Operation, act: Act) {
        self.proxy.arm(Strike {
            at: operation.at,
            among: Some(operation.among),
            when: operation.when,
            act,
        });
    }

    /// When the strike has hit, or a moment later.
    fn await_strike(&self, operation: &Operation) -> Instant {
        let hit = until(DEADLINE, || self.proxy.struck());
        hit.unwrap_or_else(|| panic!("{}: there is no such request", operation.name));
        Instant::now()
    }
}

/// Where one operation is performed.
struct Set<'a> {
    mount: Mount,
    /// How many calls there were before.
    calls: usize,
    operation: &'a Operation,
    stage: &'a Stage,
}

impl Set<'_> {
    /// Everything is there, whole, and nothing besides: no copy of a conflict, no upload.
    fn verify(mut self) {
        let name = self.operation.name;
        self.mount.remount();
        let root = self.mount.path();
        let entries = fs::read_dir(&root).expect("listing");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        let expected: Vec<_> = self.operation.after.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected, "{name}");
        for (path, after) in self.operation.after {
            let found = fs::read(root.join(path)).expect("reading");
            assert!(found == content(*after), "{name}: {path} differs");
        }
        self.mount.unmount();
        let left = self
            .stage
            .proxy
            .uploads_left(self.calls, &self.stage.bucket);
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}
