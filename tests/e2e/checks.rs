//! `cloakfs check` after a daemon was killed in the middle of its work, with another mount alive:
//! what it finds, what it leaves, what it repairs.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use crate::audits;
use crate::customer_key::CustomerKey;
use crate::localstack::LocalStack;
use crate::minio::PrivateMinio;
use crate::mount::{Mount, Source};
use crate::process::Finished;
use crate::renames;
use crate::s3_server::Bucket;
use crate::sealed::cse_c;
use crate::wait::until;

const DEADLINE: Duration = Duration::from_mins(2);
/// Of a file that is uploaded while it is written.
const LARGE_MIB: u64 = 80;
/// Files of a directory that is renamed.
const FILES: usize = 400;

/// Findings as `(name, class, repaired)`, and whether all is well.
fn told(finished: &Finished) -> (Vec<(String, String, bool)>, bool) {
    let (findings, summary) = audits::parsed(finished);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let findings = findings.iter().map(|finding| {
        let repaired = finding["repaired"].as_bool().expect("a word");
        (text(&finding["finding"]), text(&finding["class"]), repaired)
    });
    let mut findings: Vec<_> = findings.collect();
    findings.sort();
    (findings, summary["clean"].as_bool().expect("a word"))
}

fn found(name: &str, class: &str, repaired: bool) -> (String, String, bool) {
    (name.to_owned(), class.to_owned(), repaired)
}

/// On the machine of this mount.
fn check(mount: &Mount, options: &[&str]) -> (Vec<(String, String, bool)>, bool) {
    told(&mount.cloakfs_on_source("check", &[options, &["--json"]].concat()))
}

/// On another machine.
fn check_elsewhere(source: &Source, options: &[&str]) -> (Vec<(String, String, bool)>, bool) {
    told(&audits::run(
        "check",
        source,
        &[options, &["--json"]].concat(),
    ))
}

fn in_use(count: usize) -> Vec<(String, String, bool)> {
    vec![found("registration", "in-use", false); count]
}

/// All keys, once the server has ended what a daemon that was killed had asked for.
fn settled(bucket: &Bucket) -> Vec<String> {
    let mut last = (Vec::new(), 0);
    let settled = until(DEADLINE, || {
        let keys = bucket.client.keys("");
        let looks = if keys == last.0 { last.1 + 1 } else { 0 };
        last = (keys, looks);
        (looks >= 20).then(|| last.0.clone())
    });
    settled.expect("the server comes to rest")
}

/// A rename whose daemon is killed, while another machine has the source mounted, too.
fn killed_in_mid_rename(bucket: &Bucket, source: &Source, options: &[&str]) {
    let mut mount = Mount::new(source, options);
    let other = Mount::new(source, &[]);
    renames::killed(&mut mount, FILES);
    let keys = settled(bucket);
    let unfinished = |class: &str, repaired| found("unfinished-rename", class, repaired);

    // Another machine cannot tell that it is dead, and touches nothing.
    for options in [&[][..], &["--repair"]] {
        let (findings, clean) = check_elsewhere(source, options);
        let expected = [in_use(2), vec![unfinished("in-use", false)]].concat();
        assert_eq!(findings, expected, "{options:?}");
        assert!(clean, "what is in use is no flaw");
        let left = bucket.client.keys("");
        let of_mounts = |keys: &[String]| -> Vec<String> {
            let keys = keys.iter().filter(|key| !key.contains("/mounts/"));
            keys.cloned().collect()
        };
        assert_eq!(of_mounts(&left), of_mounts(&keys), "{options:?}");
    }
    // This one can, and without --repair it only says so.
    let (findings, clean) = check(&mount, &[]);
    let dead = |repaired| {
        vec![
            found("dead-mount", "repairable", repaired),
            found("registration", "in-use", false),
            found("registration", "repairable", repaired),
            unfinished("repairable", repaired),
        ]
    };
    assert_eq!((findings, clean), (dead(false), false));
    assert_eq!(bucket.client.keys(""), keys, "nothing is written");

    let (findings, clean) = check(&mount, &["--repair"]);
    assert_eq!((findings, clean), (dead(true), true));
    let (findings, clean) = check(&mount, &[]);
    assert_eq!((findings, clean), (in_use(1), true));
    let (findings, clean) = check(&mount, &["--repair"]);
    assert_eq!((findings, clean), (in_use(1), true), "a second time");
    // The other mount has seen nothing of it but the result.
    let seen = until(DEADLINE, || {
        (!other.path().join("old").exists()).then_some(())
    });
    seen.expect("the old name is gone");
    renames::assert_whole(&other.path().join("new"), FILES);
    fs::write(other.path().join("after"), "it goes on").expect("writing goes on");
    drop(other);
    // With nobody there it takes the source for itself.
    let (findings, clean) = check(&mount, &["--repair"]);
    assert_eq!((findings, clean), (vec![], true));
    mount.mount_again();
    renames::assert_whole(&mount.path().join("new"), FILES);
}

#[test]
fn a_rename_that_was_cut_off_is_found_and_finished() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("check-rename");
    killed_in_mid_rename(&bucket, &bucket.source(), &[]);
}

#[test]
fn a_rename_that_was_cut_off_in_a_client_side_volume_is_found_and_finished() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("check-rename");
    let place = tempfile::tempdir().expect("a directory");
    let mut source = bucket.source();
    let key = CustomerKey::new(61).file(place.path());
    source.options.extend(cse_c(&key));
    killed_in_mid_rename(&bucket, &source, &["--create"]);
}

/// A file that is being written, some of whose parts are in the bucket; the key of their upload.
fn begun(mount: &Mount, bucket: &Bucket, name: &str) -> (File, String) {
    let mut file = File::create(mount.path().join(name)).expect("creating");
    let some = vec![7; 1 << 20];
    // Up to 64 MiB nothing is uploaded before the file is closed.
    for _ in 0..LARGE_MIB {
        file.write_all(&some).expect("writing");
    }
    let key = until(DEADLINE, || {
        let key = uploading(mount)?;
        (!bucket.client.uploads(&key).is_empty()).then_some(key)
    });
    (file, key.expect("an upload under way"))
}

/// The last key that this mount has begun an upload at, by its journal.
fn uploading(mount: &Mount) -> Option<String> {
    let journals = fs::read_dir(mount.state().join("uploads")).expect("journals");
    let journals = journals.map(|entry| entry.expect("an entry").path());
    let journal = journals.filter(|path| path.extension().is_some_and(|is| is == "uploads"));
    let lines: Vec<String> = journal
        .flat_map(|path| {
            let text = fs::read_to_string(path).expect("a journal");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let lines = lines.iter().rev();
    let mut keys = lines.filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["key"].as_str()?.to_owned())
    });
    keys.next()
}

fn killed_in_mid_upload(bucket: &Bucket) {
    let source = bucket.source();
    let mut mount = Mount::new(&source, &[]);
    let other = Mount::new(&source, &[]);
    let (_cut_off, cut_off) = begun(&mount, bucket, "cut-off");
    let (mut living, still_going) = begun(&other, bucket, "living");
    mount.kill();
    assert_eq!(bucket.client.uploads(&cut_off).len(), 1);
    let is_told = |findings: &[(String, String, bool)], repaired| {
        let dead = found("dead-mount", "repairable", repaired);
        findings.contains(&dead) && findings.contains(&found("registration", "in-use", false))
    };
    let (findings, clean) = check(&mount, &[]);
    assert!(is_told(&findings, false) && !clean, "{findings:?}");
    assert_eq!(
        bucket.client.uploads(&cut_off).len(),
        1,
        "nothing is done unasked"
    );

    let (findings, clean) = check(&mount, &["--repair"]);
    assert!(is_told(&findings, true) && clean, "{findings:?}");
    assert_eq!(bucket.client.uploads(&cut_off), [""; 0]);
    assert_eq!(
        bucket.client.uploads(&still_going).len(),
        1,
        "it is another's"
    );
    let (findings, clean) = check(&mount, &["--repair"]);
    let in_use = |(_, class, _): &(String, String, bool)| class == "in-use";
    assert!(clean && findings.iter().all(in_use), "{findings:?}");
    living
        .write_all(b"and to its end")
        .expect("writing goes on");
    living.sync_all().expect("its upload ends well");
    drop(living);
    let stored = bucket.client.head("living").size_bytes;
    assert_eq!(stored, (LARGE_MIB << 20) + 14);
    drop(other);
    assert_eq!(check(&mount, &["--repair"]), (vec![], true));
}

#[test]
fn an_upload_that_was_cut_off_on_minio_is_found_and_aborted_and_no_other() {
    let minio = PrivateMinio::start();
    killed_in_mid_upload(&minio.reach().bucket("check-upload"));
}

#[test]
fn an_upload_that_was_cut_off_on_localstack_is_found_and_aborted_and_no_other() {
    killed_in_mid_upload(&LocalStack::shared().bucket("check-upload"));
}

/// What a mount of another machine left is cleared away when it has been silent for two terms,
/// and not before.
#[test]
fn a_machine_that_is_gone_is_watched_for_two_terms() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("check-gone");
    let source = bucket.source();
    let short = ["--lease-term", "4", "--timeout", "2"];
    let mut gone = Mount::new(&source, &short);
    let (_cut_off, cut_off) = begun(&gone, &bucket, "cut-off");
    fs::write(gone.path().join("open"), "deleted while it is open").expect("writing");
    let open = File::open(gone.path().join("open")).expect("opening");
    fs::remove_file(gone.path().join("open")).expect("removing");
    gone.kill();
    drop(open);
    let kept = bucket.client.keys(".cloakfs/open/");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let (findings, clean) = check_elsewhere(&source, &["--repair"]);
    assert!(
        clean && findings.contains(&found("orphaned-content", "in-use", false)),
        "{findings:?}"
    );
    assert_eq!(bucket.client.keys(".cloakfs/open/"), kept);

    let (findings, _) = check_elsewhere(&source, &["--repair", "--wait"]);
    assert!(
        findings.contains(&found("orphaned-content", "repairable", true)),
        "{findings:?}"
    );
    assert!(
        findings.contains(&found("registration", "repairable", true)),
        "{findings:?}"
    );
    assert_eq!(bucket.client.keys(".cloakfs/"), [""; 0]);
    assert!(
        findings.contains(&found("orphaned-upload", "repairable", true)),
        "{findings:?}"
    );
    assert_eq!(bucket.client.uploads(&cut_off), [""; 0]);
    // Its own machine remembers it, until it is looked after there.
    let dead = vec![found("dead-mount", "repairable", true)];
    assert_eq!(check(&gone, &["--repair"]), (dead, true));
    assert_eq!(check(&gone, &[]), (vec![], true));
}

#[test]
fn a_mount_that_has_the_source_to_itself_keeps_repairs_out() {
    let minio = PrivateMinio::start();
    let bucket = minio.reach().bucket("check-alone");
    let source = bucket.source();
    let alone = Mount::new(&source, &["--consistency", "exclusive"]);
    fs::write(alone.path().join("a"), "a").expect("writing");
    let refused = audits::run("check", &source, &["--repair"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("is mounted with --consistency exclusive by host")
            && refused
                .stderr
                .contains("and nothing may be changed besides it: unmount it there"),
        "{refused:?}"
    );
    let (findings, clean) = check_elsewhere(&source, &[]);
    assert_eq!(
        (findings, clean),
        (vec![found("lease", "in-use", false)], true)
    );
    fs::write(alone.path().join("b"), "b").expect("it still has its lease");
}
