//! `--commit write-back` through real mounts: kill -9 with uploads waiting, what the next mount and
//! `cloakfs recover` make of it, and that nothing of it is in clear on the local disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::minio::PrivateMinio;
use crate::mount::Mount;
use crate::process::sh;
use crate::sealed::{Place, Root, Row, Sealed};
use crate::sealed_matrix::assert_no_plaintext;
use crate::traces::Traces;
use crate::tree::bytes;
use crate::{files, stage};

const FILES: usize = 10;

fn status(mount: &Mount) -> serde_json::Value {
    let status = mount.cloakfs("status", &["--json"]);
    assert!(status.status.success(), "{status:?}");
    serde_json::from_str(&status.stdout).expect("JSON")
}

/// Journals in a state directory.
fn journals(state: &Path) -> usize {
    let dir = fs::read_dir(state.join("write-back"));
    dir.expect("its directory").count()
}

/// Closes files while the server is away.
fn close_in_an_outage(mount: &Mount, minio: &mut PrivateMinio) {
    let root = mount.path();
    let mut open: Vec<_> = (0..FILES)
        .map(|number| File::create(root.join(format!("f{number}"))).expect("creating"))
        .collect();
    minio.stop();
    for (number, file) in open.iter_mut().enumerate() {
        file.write_all(&bytes(number as u64, 100_000))
            .expect("writing");
    }
    drop(open);
    let waiting = &status(mount)["filesystem"]["write_back"];
    assert_eq!(
        waiting["pending_files"], FILES,
        "close waited for nobody: {waiting}"
    );
    let shown = mount.cloakfs("status", &[]);
    assert!(shown.stdout.contains("10 files (976.5"), "{}", shown.stdout);
}

/// An orderly end while the bucket is away is in time, says what is left, and loses nothing.
#[test]
fn what_an_ending_mount_could_not_upload_waits_for_the_next() {
    let mut minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("ended");
    let options = ["--commit", "write-back", "--timeout", "2"];
    let mut mount = Mount::new(&bucket.source(), &options);
    close_in_an_outage(&mount, &mut minio);
    let end = format!("kill -TERM {}", mount.pid());
    sh(Path::new("/"), &end, &[]);
    let ended = mount.wait_for_the_end();
    assert_eq!(ended.code(), Some(1));
    let log = mount.log();
    let sentence = "10 files are not uploaded yet; the journal keeps them, and the next mount of \
                    the same source on this machine uploads them: \"f0\", \"f1\"";
    assert!(log.contains(sentence), "{log}");
    assert!(!log.contains("is lost now"), "{log}");
    minio.resume();
    mount.mount_again();
    assert!(mount.has_logged("replayed 10 files (976.5"));
    assert_eq!(bucket.client.keys("f").len(), FILES);
}

#[test]
fn what_was_closed_in_an_outage_survives_kill_9() {
    let mut minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("killed");
    let options = ["--commit", "write-back", "--timeout", "5"];
    let mut mount = Mount::new(&bucket.source(), &options);
    close_in_an_outage(&mount, &mut minio);
    mount.kill();
    minio.resume();

    let listed = mount.cloakfs_on_source("recover", &[]);
    assert!(listed.status.success(), "{listed:?}");
    let id = listed.stdout.split(' ').next().expect("an id").to_owned();
    assert!(listed.stdout.contains("  f3 (97.6"), "{}", listed.stdout);
    let out = mount.state().join("out");
    let to = out.to_str().expect("UTF-8");
    let refused = mount.cloakfs_on_source("recover", &["--journal", &id, "--discard"]);
    assert_eq!(refused.status.code(), Some(1));
    let sentence = format!("cloakfs: the journal {id} was not brought out: give --to DIR as well");
    assert!(refused.stderr.starts_with(&sentence), "{}", refused.stderr);
    let exported = mount.cloakfs_on_source("recover", &["--journal", &id, "--to", to]);
    assert!(exported.status.success(), "{exported:?}");
    for number in 0..FILES {
        let file = fs::read(out.join(format!("files/f{number}"))).expect("reading");
        assert!(file == bytes(number as u64, 100_000), "f{number}");
    }
    assert_eq!(bucket.client.keys("f"), [""; 0]);

    // It is there still, and the next mount replays it before it serves.
    mount.mount_again();
    assert!(mount.has_logged("replayed 10 files (976.5"));
    for number in 0..FILES {
        let stored = bucket.client.read(&format!("f{number}"));
        assert!(stored == bytes(number as u64, 100_000), "f{number}");
    }
    assert_eq!(journals(&mount.state()), 1, "its own");
    let state = mount.state();
    mount.remount();
    let waiting = &status(&mount)["filesystem"];
    assert_eq!(waiting["uncommitted_files"], 0, "{waiting}");
    assert_eq!(journals(&state), 1);
}

/// While its mount lives it is nobody else's to take.
#[test]
fn a_living_mounts_journal_is_listed_as_in_use() {
    let volume = Sealed::new(
        Row::new(Place::Directory, Root::MasterKey, "plain"),
        "living",
    );
    drop(volume.mount());
    let mount = Mount::new(&volume.source(), &["--commit", "write-back"]);
    fs::write(mount.path().join("f"), "data").expect("writing");
    let listed = mount.cloakfs_on_source("recover", &[]);
    assert!(
        listed
            .stdout
            .contains(": in use by a mount, which uploads it"),
        "{listed:?}"
    );
    let id = listed.stdout.split(' ').next().expect("an id");
    let refused = mount.cloakfs_on_source("recover", &["--journal", id, "--discard"]);
    let sentence = format!("cloakfs: the journal {id} is in use: unmount first\n");
    assert_eq!(refused.stderr, sentence);
}

/// The journal holds what users wrote, and names; both sealed, also after a crash.
#[test]
fn nothing_is_in_clear_in_the_journal() {
    const PLAINTEXT: &[u8; 32] = b"what a user has closed in secret";
    const NAME: &[u8; 32] = b"how somebody calls a closed file";
    let name = std::str::from_utf8(NAME).expect("ASCII");
    for place in [Place::Directory, Place::Minio] {
        let volume = Sealed::new(Row::new(place, Root::MasterKey, "encrypted"), "journal");
        let mut mount = Mount::new(&volume.source(), &["--create", "--commit", "write-back"]);
        let root = mount.path();
        for number in 0..20 {
            let file = root.join(format!("{name}{number}"));
            fs::write(&file, PLAINTEXT.repeat(1000)).expect("writing");
        }
        sh(
            &root,
            "setfattr -n user.words -v \"$1\" *7",
            &[Path::new(name)],
        );
        mount.kill();
        let journal = sh(&mount.state(), "cat write-back/*/*.log | wc -c", &[]);
        let written: usize = journal.trim().parse().expect("a number");
        assert!(written > 20 * 32_000, "{written} bytes are in the journal");
        for traces in [Traces::of(PLAINTEXT), Traces::of(NAME)] {
            assert_eq!(traces.below(&mount.state()), [""; 0]);
            assert_no_plaintext(&volume, &traces);
        }
        mount.mount_again();
        for number in 0..20 {
            let file = root.join(format!("{name}{number}"));
            assert!(fs::read(file).expect("reading") == PLAINTEXT.repeat(1000));
        }
    }
}

/// What programs do with files comes out the same.
#[test]
fn files_are_as_on_the_local_disk() {
    for (_, workload) in files::WORKLOADS {
        stage::on_a_directory_with(&["--commit", "write-back"], *workload);
    }
}
