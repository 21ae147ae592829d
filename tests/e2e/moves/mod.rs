//! `cloakfs reencrypt` of real buckets: what a mount wrote in one mode is moved to another, killed
//! ten times on the way, and then is the same files in the other mode, for a mount and for an
//! audit.

mod others;
mod pairs;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::audits::parsed;
use crate::customer_key::CustomerKey;
use crate::localstack::LocalStack;
use crate::minio::{KMS_KEY, Minio};
use crate::modes::{self, Mode};
use crate::mount::{CLOAKFS, Mount, Source};
use crate::process::{DEADLINE, Finished, finish};
use crate::proxy::{Act, Link, Proxy, Strike, When};
use crate::s3_server::Bucket;
use crate::sealed::{CONTEXT, cse_c, cse_kms};
use crate::wait::until;

const KILLS: u64 = 10;
const LARGE_BYTES: usize = (17 << 20) + 5;

fn client_side(options: Vec<String>) -> Mode {
    let with_kms = options.contains(&"cse-kms".to_owned());
    Mode {
        options,
        with_kms,
        ..Mode::default()
    }
}

/// The options of a mount with a mode as the target's.
fn as_target(mode: &Mode) -> Vec<String> {
    let named = |option: &String| match option.strip_prefix("--") {
        Some("encryption") => "--to".to_owned(),
        Some(name) => format!("--to-{name}"),
        None => option.clone(),
    };
    mode.options.iter().map(named).collect()
}

struct Journey<'a> {
    bucket: &'a Bucket,
    /// What is killed is killed at a request, where requests can be seen.
    proxy: Option<Proxy>,
    from: Mode,
    to: Mode,
    more: &'a [&'a str],
    state: tempfile::TempDir,
}

impl<'a> Journey<'a> {
    fn new(bucket: &'a Bucket, from: Mode, to: Mode) -> Self {
        let in_clear = bucket.server.endpoint.starts_with("http://");
        Self {
            bucket,
            proxy: in_clear.then(|| Proxy::before(&bucket.server)),
            from,
            to,
            more: &[],
            state: tempfile::tempdir().expect("a directory"),
        }
    }

    fn source(&self, mode: &Mode) -> Source {
        Self::below(self.bucket, mode)
    }

    fn below(bucket: &Bucket, mode: &Mode) -> Source {
        let mut source = mode.source(bucket);
        source.name = format!("{}/p", source.name);
        source
    }

    fn audited(&self, mode: &Mode) -> (Vec<Value>, Value) {
        let source = self.source(mode);
        let mut program = source.command(CLOAKFS, self.state.path());
        program.args(["audit", &source.name, "--json", "--deep"]);
        program.args(&source.options);
        parsed(&finish(&mut program, DEADLINE))
    }

    fn command(&self, more: &[&str]) -> std::process::Command {
        let by_proxy = self.proxy.as_ref();
        let by_proxy = by_proxy.map(|proxy| proxy.reach().existing(&self.bucket.name));
        let source = Self::below(by_proxy.as_ref().unwrap_or(self.bucket), &self.from);
        let mut program = source.command(CLOAKFS, self.state.path());
        program.args(["reencrypt", &source.name]);
        program.args(&source.options).args(as_target(&self.to));
        if self.to.with_kms && !self.from.with_kms {
            let options = self.source(&self.to).options;
            let at = options.iter().position(|is| is == "--kms-endpoint-url");
            if let Some(url) = at.and_then(|at| options.get(at + 1)) {
                program.args(["--to-kms-endpoint-url", url]);
            }
        }
        program.args(self.more).args(more);
        program
    }

    fn run(&self, more: &[&str]) -> Finished {
        finish(&mut self.command(more), DEADLINE)
    }

    /// Ends it at one of so many requests, or at some time, without a chance to clean up. Whether
    /// it was still at work.
    fn kill_at(&self, chance: u64, requests: u64) -> bool {
        let mut program = self.command(&[]);
        let program = program.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = program.stderr(Stdio::null()).spawn().expect("cloakfs");
        let pid = child.id();
        let mut ended = || child.try_wait().expect("waiting for a child");
        let Some(proxy) = &self.proxy else {
            let after = Duration::from_millis(5 + chance % 100);
            let lives = until(after, &mut ended).is_none();
            if lives {
                child.kill().expect("killing a child");
                child.wait().expect("waiting for a child");
            }
            return lives;
        };
        proxy.arm(Strike {
            at: usize::try_from(1 + chance % requests).expect("few"),
            among: None,
            when: [When::Before, When::After][usize::from(chance & 64 == 0)],
            act: Act::Kill(pid),
        });
        until(DEADLINE, &mut ended).expect("it ends");
        let struck = proxy.disarm().is_some();
        proxy.settle();
        proxy.set(Link::Up);
        struck
    }

    fn travel(&self, seed: u64) {
        let was = {
            let sealed = |mode: &Mode| mode.options.iter().any(|option| option.starts_with("cse-"));
            let create: &[&str] = if sealed(&self.from) {
                &["--create"]
            } else {
                &[]
            };
            let mount = Mount::new(&self.source(&self.from), create);
            fill(&mount.path());
            tree(&mount.path())
        };
        assert_eq!(self.audited(&self.from).0, [""; 0], "before");
        assert_ne!(self.audited(&self.to).0, [""; 0], "before");
        let would = self.run(&["--dry-run", "--json"]);
        assert_eq!(would.status.code(), Some(0), "{would:?}");
        let would: Value = serde_json::from_str(would.stdout.trim()).expect("JSON");
        assert!(would["summary"]["moved"].as_u64() >= Some(24), "{would}");
        let cost = would["summary"]["cost"].as_object().expect("a cost");
        let requests = cost.iter().filter(|(name, _)| !name.starts_with("bytes"));
        let requests: u64 = requests.filter_map(|(_, count)| count.as_u64()).sum();
        assert_eq!(
            self.audited(&self.from).0,
            [""; 0],
            "a dry run moves nothing"
        );

        let (mut chance, mut landed) = (seed, 0);
        for _ in 0..KILLS {
            // Knuth's MMIX.
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            landed += u64::from(self.kill_at(chance >> 33, requests));
        }
        // Less and less is left to do. By the clock it cannot be told what was under way.
        let enough = if self.proxy.is_some() { KILLS / 3 } else { 0 };
        assert!(landed >= enough, "seed {seed}: {landed} of {KILLS}");
        let done = self.run(&[]);
        assert_eq!(done.status.code(), Some(0), "seed {seed}: {done:?}");
        assert!(done.stdout.ends_with("done\n"), "{done:?}");

        assert_eq!(self.audited(&self.to).0, [""; 0], "seed {seed}");
        assert_ne!(self.audited(&self.from).0, [""; 0], "seed {seed}");
        let mount = Mount::new(&self.source(&self.to), &[]);
        let is = tree(&mount.path());
        assert_eq!(
            is.keys().collect::<Vec<_>>(),
            was.keys().collect::<Vec<_>>()
        );
        for (path, content) in &is {
            assert!(
                content == &was[path],
                "seed {seed}: {path} is not what it was"
            );
        }
    }
}

fn fill(root: &Path) {
    fs::create_dir_all(root.join("a/b")).expect("mkdir");
    fs::write(root.join("large"), content(LARGE_BYTES)).expect("writing");
    fs::write(root.join("empty"), "").expect("writing");
    symlink("../large", root.join("a/link")).expect("a link");
    for number in 0..20 {
        let name = format!("a/b/{number}");
        fs::write(root.join(name), content(1_000 * number)).expect("writing");
    }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| u8::try_from(at % 253).expect("below 253"))
        .collect()
}

/// Every file and link with what it holds.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut tree = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let kind = fs::symlink_metadata(&path).expect("stat").file_type();
            let content = if kind.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                target.to_string_lossy().into_owned().into_bytes()
            } else {
                fs::read(&path).expect("reading")
            };
            let name = path.strip_prefix(root).expect("below");
            tree.insert(name.display().to_string(), content);
        }
    }
    tree
}

#[test]
fn from_none_to_sse_kms() {
    let bucket = Minio::shared().bucket("move-none-kms");
    let to = modes::sse_kms(Some(KMS_KEY), &modes::minio_arn(), &[]);
    Journey::new(&bucket, modes::none(), to).travel(1);
}

#[test]
fn from_one_sse_kms_key_to_another() {
    let bucket = LocalStack::shared().bucket("move-kms-kms");
    let kms = LocalStack::kms();
    let (one, two) = (kms.create(), kms.create());
    let mode = |arn: &str| modes::sse_kms(Some(arn), arn, &[]);
    Journey::new(&bucket, mode(&one.arn), mode(&two.arn)).travel(2);
}

#[test]
fn from_one_customer_key_to_another() {
    let place = tempfile::tempdir().expect("a directory");
    let files = ["one", "two"].map(|name| {
        let directory = place.path().join(name);
        fs::create_dir(&directory).expect("a directory");
        directory
    });
    let mode = |seed, at: &Path| modes::sse_c(CustomerKey::new(seed), at);
    let bucket = Minio::shared().bucket("move-ssec");
    Journey::new(&bucket, mode(81, &files[0]), mode(82, &files[1])).travel(3);
}

#[test]
fn from_sse_s3_to_cse_kms() {
    let bucket = LocalStack::shared().bucket("move-s3-csekms");
    let key = LocalStack::kms().create();
    let to = client_side(cse_kms(&key.arn, &CONTEXT));
    Journey::new(&bucket, modes::sse_s3(), to).travel(4);
}

#[test]
fn from_cse_kms_to_cse_c() {
    let bucket = LocalStack::shared().bucket("move-csekms-csec");
    let place = tempfile::tempdir().expect("a directory");
    let key = LocalStack::kms().create();
    let from = client_side(cse_kms(&key.arn, &CONTEXT));
    let to = client_side(cse_c(&CustomerKey::new(83).file(place.path())));
    Journey::new(&bucket, from, to).travel(5);
}

#[test]
fn from_cse_kms_to_cse_c_with_new_content_keys() {
    let bucket = LocalStack::shared().bucket("move-csekms-csec-content");
    let place = tempfile::tempdir().expect("a directory");
    let key = LocalStack::kms().create();
    let from = client_side(cse_kms(&key.arn, &CONTEXT));
    let to = client_side(cse_c(&CustomerKey::new(84).file(place.path())));
    let mut journey = Journey::new(&bucket, from, to);
    journey.more = &["--content"];
    journey.travel(6);
}

#[test]
fn from_cse_c_to_none() {
    let bucket = Minio::shared().bucket("move-csec-none");
    let place = tempfile::tempdir().expect("a directory");
    let from = client_side(cse_c(&CustomerKey::new(85).file(place.path())));
    Journey::new(&bucket, from, modes::none()).travel(7);
}

#[test]
fn what_is_mounted_for_somebody_alone_is_not_moved() {
    let bucket = Minio::shared().bucket("move-exclusive");
    let journey = Journey::new(&bucket, modes::none(), modes::sse_s3());
    let source = journey.source(&journey.from);
    let _mount = Mount::new(&source, &["--consistency", "exclusive"]);
    let refused = journey.run(&[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("is mounted with --consistency exclusive by"),
        "{refused:?}"
    );
}

/// Between the key check of a mount and the moment when it has the volume, all of it may have got
/// another key.
#[test]
fn a_mount_that_waited_while_the_key_changed_is_refused() {
    let [ours, other] = [(); 2].map(|()| tempfile::tempdir().expect("a store"));
    let of = |place: &tempfile::TempDir, seed| {
        let store = place.path().join("store");
        fs::create_dir(&store).expect("a store");
        let mut source = Source::dir(&store);
        let key = CustomerKey::new(seed).file(place.path());
        source.options.extend(cse_c(&key));
        source
    };
    let (source, another) = (of(&ours, 86), of(&other, 87));
    let create = ["--create", "--consistency", "exclusive"];
    let holder = Mount::new(&source, &create);
    drop(Mount::new(&another, &create));

    let place = tempfile::tempdir().expect("a directory");
    let (mountpoint, log) = (place.path().join("mnt"), place.path().join("log"));
    fs::create_dir(&mountpoint).expect("a mountpoint");
    let mut waiting = source
        .command(CLOAKFS, &place.path().join("state"))
        .args(["mount", &source.name])
        .arg(&mountpoint)
        .args(&source.options)
        .args([
            "--consistency",
            "exclusive",
            "--wait-for-lease",
            "--foreground",
        ])
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).expect("a log"))
        .spawn()
        .expect("cloakfs");
    let told = || fs::read_to_string(&log).expect("a log");
    let waits = || told().contains("waiting for ").then_some(());
    until(DEADLINE, waits).unwrap_or_else(|| panic!("{}", told()));

    for name in ["volume-a%", "volume-b%"] {
        let record = |store: &tempfile::TempDir| store.path().join("store/.cloakfs").join(name);
        fs::copy(record(&other), record(&ours)).expect("another record");
    }
    drop(holder);
    let ended = || waiting.try_wait().expect("waiting for a child");
    let status = until(DEADLINE, ended).unwrap_or_else(|| panic!("{}", told()));
    assert_eq!(status.code(), Some(1), "{}", told());
    let words = "was brought under another key or encryption while this mount began";
    assert!(told().contains(words), "{}", told());
}
