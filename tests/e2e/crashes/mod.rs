//! A daemon that is killed at a call of its store, before the server knows of the call and after
//! it has done it: what was acknowledged is there after the next mount, nothing is torn, and
//! nothing is left over in the bucket.
//!
//! `scripts/soak crashes` strikes at every call; here it is twenty of them, spread over all.

mod model;
mod script;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::{Mount, Source};
use crate::process::{DEADLINE, finish};
use crate::proxy::{Act, Exchange, Link, Proxy, Strike, When};
use crate::s3_server::Bucket;
use crate::sealed::cse_c;
use script::{Step, script};

const PERFORMER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/e2e/crashes/performer.py"
);

/// Strikes of a short run.
const SAMPLED: usize = 20;

/// Set to `all`, it strikes at every call, before and after.
const EXTENT: &str = "CRASHES";

/// A kind of mount. The file is a key.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    mode: fn(&Path) -> Vec<String>,
    options: &'static [&'static str],
    /// Of ten strikes this many hit: how many calls there are depends on time too.
    hits: usize,
}

const NONE: Row = Row {
    name: "none",
    mode: |_| ["--encryption", "none"].map(String::from).into(),
    options: &[],
    hits: 9,
};

const CSE_C: Row = Row {
    name: "cse-c",
    mode: |key| cse_c(key),
    options: &["--create"],
    hits: 9,
};

#[test]
fn what_is_acknowledged_survives_without_encryption() {
    Ground::new(NONE).strike();
}

#[test]
fn what_is_acknowledged_survives_in_a_client_side_volume() {
    Ground::new(CSE_C).strike();
}

/// What was closed and what followed it are in the journal; uploads happen when they happen.
#[test]
fn what_is_acknowledged_survives_in_write_back() {
    let row = Row {
        name: "none-write-back",
        options: &["--commit", "write-back"],
        hits: 5,
        ..NONE
    };
    Ground::new(row).strike();
}

#[test]
fn what_is_acknowledged_survives_in_a_client_side_volume_in_write_back() {
    let row = Row {
        name: "cse-c-write-back",
        options: &["--create", "--commit", "write-back"],
        hits: 5,
        ..CSE_C
    };
    Ground::new(row).strike();
}

/// Where one row is played.
struct Ground {
    row: Row,
    steps: Vec<Step>,
    bucket: Bucket,
    proxy: Proxy,
    key: PathBuf,
    /// The script, what it writes, the performer's log.
    place: TempDir,
    _minio: PrivateMinio,
}

impl Ground {
    fn new(row: Row) -> Self {
        let minio = PrivateMinio::start();
        let proxy = Proxy::before(&minio.reach());
        let bucket = minio.reach().bucket(row.name);
        let place = tempfile::tempdir().expect("a directory");
        let steps = script();
        for step in &steps {
            if let Step::Write { content, .. } = step {
                let path = place.path().join(content.file_name());
                fs::write(path, content.bytes()).expect("writing");
            }
        }
        let json: Vec<_> = steps.iter().map(|step| step.to_json()).collect();
        let json = serde_json::to_vec(&json).expect("a script");
        fs::write(place.path().join("script"), json).expect("writing");
        Self {
            row,
            steps,
            bucket,
            proxy,
            key: CustomerKey::new(60).file(place.path()),
            place,
            _minio: minio,
        }
    }

    /// First without a strike, to count the calls; then once for each strike. All are tried.
    fn strike(&self) {
        let calls = self.play("whole", None).len();
        assert!(calls > self.steps.len() / 4, "{calls} calls");
        let strikes = strikes(calls);
        let (mut hit, mut failed) = (0, Vec::new());
        for &(call, when) in &strikes {
            let name = format!("{call}-{when:?}").to_lowercase();
            let play = || self.play(&name, Some((call, when))).len();
            match catch_unwind(AssertUnwindSafe(play)) {
                Ok(made) => hit += usize::from(made >= call),
                Err(_) => failed.push(name),
            }
        }
        let all = strikes.len();
        assert!(failed.is_empty(), "of {all} strikes: {failed:?}");
        let expected = all * self.row.hits / 10;
        assert!(hit >= expected, "{hit} of {all} strikes have hit");
    }

    /// Plays the script below a prefix of its own, with the daemon killed at this call, and looks
    /// at what is left. The calls that the daemon made.
    fn play(&self, prefix: &str, strike: Option<(usize, When)>) -> Vec<Exchange> {
        let mut mount = Mount::new(&self.source(prefix), self.row.options);
        let own = format!("{prefix}/.cloakfs/");
        let of_the_mount = format!("{own}mounts/");
        let kept = self.bucket.client.keys(&own).into_iter();
        let kept: Vec<_> = kept.filter(|key| !key.starts_with(&of_the_mount)).collect();
        let before = self.proxy.count();
        if let Some((at, when)) = strike {
            self.proxy.arm(Strike {
                at,
                among: None,
                when,
                act: Act::Kill(mount.pid()),
            });
        }
        let ((acknowledged, synced), calls) = self.proxy.during(|| {
            let acknowledged = self.perform(&mount.path());
            // What is stored later is stored now, with a daemon that lives.
            (acknowledged, mount.cloakfs("sync", &[]))
        });
        let struck = self.proxy.disarm();
        if struck.is_some() {
            mount.bury();
            self.proxy.settle();
            self.proxy.set(Link::Up);
            mount.mount_again();
        } else {
            assert_eq!(acknowledged, self.steps.len(), "all is done");
            assert!(synced.status.success(), "{synced:?}");
            mount.remount();
        }
        let what = format!("killed at {strike:?}, {struck:?}");
        let found = model::look(&mount.path());
        model::judge(&found, &self.steps, acknowledged)
            .unwrap_or_else(|told| panic!("{what}: {told}"));
        fs::write(mount.path().join("after"), "it goes on").expect("writing goes on");
        mount.unmount();
        assert_eq!(self.bucket.client.keys(&own), kept, "{what}");
        let left = self.proxy.uploads_left(before, &self.bucket);
        assert!(left.is_empty(), "{what}: {left:?}");
        calls
    }

    fn source(&self, prefix: &str) -> Source {
        let mut source = self.proxy.reach().existing(&self.bucket.name).source();
        source.name = format!("{}/{prefix}", source.name);
        source.options.extend((self.row.mode)(&self.key));
        source
    }

    /// The number of steps that were acknowledged.
    fn perform(&self, root: &Path) -> usize {
        let log = self.place.path().join("log");
        let mut command = Command::new("python3");
        command
            .args([
                PERFORMER.as_ref(),
                self.place.path().join("script").as_path(),
                root,
            ])
            .args([self.place.path(), &log]);
        let finished = finish(&mut command, DEADLINE);
        let code = finished.status.code();
        assert!(matches!(code, Some(0 | 3)), "{finished:?}");
        let log = fs::read_to_string(log).expect("the performer's log");
        let done = log.lines().filter(|line| line.starts_with("done "));
        done.count()
    }
}

/// Which calls, of this many.
fn strikes(calls: usize) -> Vec<(usize, When)> {
    if std::env::var(EXTENT).is_ok_and(|extent| extent == "all") {
        let each = |call| [(call, When::Before), (call, When::After)];
        return (1..=calls).flat_map(each).collect();
    }
    (0..SAMPLED)
        .map(|number| {
            let when = [When::Before, When::After][number % 2];
            (1 + number * (calls - 1) / (SAMPLED - 1), when)
        })
        .collect()
}
