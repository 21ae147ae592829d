//! fsx: random operations on one file, every one checked by it against its own model; and the
//! modes in which that is done at length by `scripts/soak`, which says how often.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::minio::Minio;
use crate::mount::Mount;
use crate::process::run;
use crate::s3_server::announced;
use crate::sealed::{Place, Root, Row, Sealed};
use crate::stage::{Ground, Workload};

/// What fsx does: reads, writes, mapped reads and writes, truncates up and down, closes, syncs.
const WEIGHTS: &str = "[weights]
close_open = 0.5
invalidate = 0.2
mapread = 1.0
mapwrite = 1.0
read = 1.0
write = 1.0
truncate = 1.0
fsync = 0.2
fdatasync = 0.1
sendfile = 0.2
posix_fadvise = 0.1
copy_file_range = 0.2
";

/// 2,000 operations on each of 5 files.
pub const ON_FIVE_FILES: Workload = Workload {
    perform: |ground| perform(ground, 5, 2_000),
    verify: |ground| verify(ground, 5),
};

fn perform(Ground { root, aside }: &Ground, seeds: u32, operations: u32) {
    let weights = aside.join("fsx.toml");
    fs::write(&weights, WEIGHTS).expect("writing fsx's configuration");
    for seed in 1..=seeds {
        let name = format!("fsx-{seed}");
        run(
            Command::new(PathBuf::from(announced("CLOAKFS_TEST_TOOLS")).join("bin/fsx"))
                .args(["-N", &operations.to_string(), "-S", &seed.to_string(), "-f"])
                .arg(&weights)
                .arg("-P")
                .arg(aside)
                .arg(root.join(&name)),
        );
        fs::copy(root.join(&name), aside.join(&name)).expect("keeping what fsx left");
    }
}

fn verify(Ground { root, aside }: &Ground, seeds: u32) {
    for seed in 1..=seeds {
        let name = format!("fsx-{seed}");
        let kept = fs::read(aside.join(&name)).expect("reading the kept file");
        assert!(
            fs::read(root.join(&name)).expect("reading") == kept,
            "{name} has changed"
        );
    }
}

/// What `scripts/soak` sets, or else what is short.
fn chosen(variable: &str, short: u32) -> u32 {
    match std::env::var(variable) {
        Ok(number) => number
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is {number:?}, which is no number")),
        Err(_) => short,
    }
}

/// As often as chosen, and once more a look after a remount.
fn play(mut mount: Mount) {
    let (seeds, operations) = (chosen("FSX_SEEDS", 1), chosen("FSX_OPERATIONS", 2_000));
    let aside = tempfile::tempdir().expect("a directory");
    let ground = Ground {
        root: mount.path(),
        aside: aside.path().to_owned(),
    };
    perform(&ground, seeds, operations);
    verify(&ground, seeds);
    mount.remount();
    verify(&ground, seeds);
}

#[test]
fn without_encryption_on_close() {
    let bucket = Minio::shared().bucket("fsx-none");
    play(Mount::new(&bucket.source(), &["--encryption", "none"]));
}

#[test]
fn with_cse_c_on_close() {
    let row = Row::new(Place::Minio, Root::MasterKey, "encrypted");
    let volume = Sealed::new(row, "fsx-cse-c");
    play(volume.mount());
}

#[test]
fn without_encryption_in_write_back() {
    let bucket = Minio::shared().bucket("fsx-none-back");
    let options = ["--encryption", "none", "--commit", "write-back"];
    play(Mount::new(&bucket.source(), &options));
}

#[test]
fn with_cse_c_in_write_back() {
    let row = Row::new(Place::Minio, Root::MasterKey, "encrypted");
    let volume = Sealed::new(row, "fsx-cse-c-back");
    play(Mount::new(
        &volume.source(),
        &["--create", "--commit", "write-back"],
    ));
}
