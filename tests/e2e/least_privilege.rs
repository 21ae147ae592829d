//! The policies that `cloakfs policy iam` prints, on a server that enforces them: a user who may do
//! exactly that mounts and does everything, and without any one of the actions something fails.
//!
//! MinIO enforces the policy of a session on every request. What it does not know are KMS's
//! actions; those are decided in `tests/cli/policies`.

use std::fs;
use std::io::Read;

use serde_json::{Value, json};

use crate::answer::Refused;
use crate::customer_key::CustomerKey;
use crate::doctor_report::{cloakfs, doctor};
use crate::minio::Minio;
use crate::modes::{self, Mode, minio_arn};
use crate::mount::{Mount, Source};
use crate::proofs::refused;
use crate::s3_server::Bucket;
use crate::sealed::cse_c;
use crate::stage::{Ground, Workload};
use crate::{files, rewrites};

/// Where the mounts are: below a prefix, beside which nothing is allowed.
const PREFIX: &str = "team/a";

/// What `cloakfs policy iam` prints for this mode.
#[track_caller]
fn policy(bucket: &Bucket, options: &[&str]) -> String {
    let source = Source {
        name: format!("s3://{}/{PREFIX}", bucket.name),
        options: vec![],
        environment: vec![],
    };
    let printed = cloakfs(&source, &["policy", "iam"], options);
    assert!(printed.status.success(), "{printed:?}");
    printed.stdout
}

fn below_the_prefix(mut source: Source) -> Source {
    source.name = format!("{}/{PREFIX}", source.name);
    source
}

/// The negative probe: what the policy does not say is denied.
#[track_caller]
fn assert_confined(restricted: &Bucket) {
    let denied = |answer: Result<(), Refused>| {
        assert_eq!(answer, Err(refused(403, "AccessDenied")));
    };
    let client = restricted.client.with([]);
    denied(client.put("team/b/x", "x").map(|_| ()));
    denied(client.put("team/ab", "x").map(|_| ()));
    denied(client.read("beside").map(|_| ()));
}

/// Everything that files, renames and rewrites do.
#[track_caller]
fn assert_everything_works(source: &Source, options: &[&str]) {
    let mut mount = Mount::new(source, options);
    let aside = tempfile::tempdir().expect("a directory");
    let work: Vec<(&str, Workload)> = [files::WORKLOADS, rewrites::WORKLOADS].concat();
    for (name, workload) in &work {
        let ground = Ground {
            root: mount.path().join(name),
            aside: aside.path().join(name),
        };
        fs::create_dir(&ground.root).expect("mkdir");
        fs::create_dir(&ground.aside).expect("mkdir");
        (workload.perform)(&ground);
        mount.remount();
        (workload.verify)(&ground);
    }
    let at = |name: &str| mount.path().join(name);
    fs::create_dir_all(at("from/deep")).expect("mkdir");
    fs::write(at("from/deep/file"), "moved").expect("writing");
    fs::rename(at("from"), at("to")).expect("renaming a directory");
    mount.remount();
    let path = mount.path().join("to/deep/file");
    assert_eq!(fs::read(&path).expect("reading"), b"moved");
    let mut open = fs::File::open(&path).expect("opening");
    fs::remove_file(&path).expect("deleting while it is open");
    let mut read = String::new();
    open.read_to_string(&mut read).expect("reading on");
    assert_eq!(read, "moved");
    drop(open);
    let log = mount.log();
    assert!(
        !log.contains("AccessDenied"),
        "something was denied:\n{log}"
    );
}

fn bucket() -> Bucket {
    let bucket = Minio::shared().bucket("iam");
    bucket.client.put("beside", "x");
    bucket
}

#[test]
fn a_mount_of_each_mode_of_the_server_needs_no_more_than_its_policy() {
    let place = tempfile::tempdir().expect("a directory");
    let arn = minio_arn();
    let modes: [(&[&str], Mode); 4] = [
        (&["--encryption", "none"], modes::none()),
        (&["--encryption", "sse-s3"], modes::sse_s3()),
        (
            &["--encryption", "sse-kms", "--kms-key", &arn],
            modes::sse_kms(Some(&arn), &arn, &[]),
        ),
        (
            &["--encryption", "sse-c"],
            modes::sse_c(CustomerKey::new(96), place.path()),
        ),
    ];
    for (options, mode) in modes {
        let bucket = bucket();
        let restricted = bucket.restricted(&policy(&bucket, options));
        assert_confined(&restricted);
        assert_everything_works(&below_the_prefix(mode.source(&restricted)), &[]);
        let found = doctor(&below_the_prefix(mode.source(&restricted)), &[]);
        assert_eq!(found.with("fail"), [""; 0], "{options:?}: {found:#?}");
    }
}

#[test]
fn a_client_side_volume_needs_no_more_than_its_policy() {
    let place = tempfile::tempdir().expect("a directory");
    let bucket = bucket();
    let restricted = bucket.restricted(&policy(&bucket, &["--encryption", "cse-c"]));
    assert_confined(&restricted);
    let mut source = below_the_prefix(restricted.source());
    source
        .options
        .extend(cse_c(&CustomerKey::new(97).file(place.path())));
    let made = cloakfs(&source, &["init"], &[]);
    assert!(made.status.success(), "{made:?}");
    assert_everything_works(&source, &[]);
    let found = doctor(&source, &[]);
    assert_eq!(found.with("fail"), [""; 0], "{found:#?}");
}

#[test]
fn a_read_only_mount_needs_no_more_than_its_policy() {
    let bucket = bucket();
    bucket.client.put("team/a/d/file", "content");
    let policy = policy(&bucket, &["--encryption", "sse-s3", "--read-only"]);
    let restricted = bucket.restricted(&policy);
    assert_confined(&restricted);
    let write = restricted.client.with([]).put("team/a/d/file", "x");
    assert_eq!(write.map(|_| ()), Err(refused(403, "AccessDenied")));
    let source = below_the_prefix(modes::sse_s3().source(&restricted));
    let mount = Mount::new(&source, &["--read-only"]);
    let read = fs::read(mount.path().join("d/file")).expect("reading");
    assert_eq!(read, b"content");
    let names = fs::read_dir(mount.path()).expect("listing").count();
    assert_eq!(names, 1);
    drop(mount);
    assert_eq!(doctor(&source, &["--read-only"]).with("fail"), [""; 0]);
}

/// Each action is needed: the doctor misses the one that was taken out.
#[test]
fn an_action_that_is_taken_out_is_missed_by_name() {
    let place = tempfile::tempdir().expect("a directory");
    let bucket = bucket();
    let (sse_s3, sse_c) = (
        modes::sse_s3(),
        modes::sse_c(CustomerKey::new(98), place.path()),
    );
    // A mount works without the last two, and does or says less.
    for (mode, name, taken, check, status) in [
        (&sse_s3, "sse-s3", "s3:ListBucket", "s3:ListBucket", "fail"),
        (&sse_s3, "sse-s3", "s3:GetObject", "s3:GetObject", "fail"),
        (&sse_s3, "sse-s3", "s3:PutObject", "s3:PutObject", "fail"),
        (
            &sse_s3,
            "sse-s3",
            "s3:DeleteObject",
            "s3:DeleteObject",
            "fail",
        ),
        (
            &sse_s3,
            "sse-s3",
            "s3:AbortMultipartUpload",
            "s3:AbortMultipartUpload",
            "fail",
        ),
        (
            &sse_s3,
            "sse-s3",
            "s3:ListBucketMultipartUploads",
            "s3:ListBucketMultipartUploads",
            "warn",
        ),
        (
            &sse_c,
            "sse-c",
            "s3:GetEncryptionConfiguration",
            "SSE-C",
            "warn",
        ),
    ] {
        let policy = policy(&bucket, &["--encryption", name]);
        let mut policy: Value = serde_json::from_str(&policy).expect("JSON");
        let statements = policy["Statement"].as_array_mut().expect("statements");
        let all: Vec<String> = statements.iter().flat_map(actions_of).collect();
        assert!(all.iter().any(|action| action == taken), "{taken}: {all:?}");
        assert_eq!(all.len(), if name == "sse-c" { 7 } else { 6 }, "{all:?}");
        for statement in statements.iter_mut() {
            let actions = actions_of(statement).into_iter();
            let left: Vec<String> = actions.filter(|action| action != taken).collect();
            statement["Action"] = json!(left);
        }
        // A statement needs an action.
        statements.retain(|statement| statement["Action"] != json!([]));
        let restricted = bucket.restricted(&policy.to_string());
        let found = doctor(&below_the_prefix(mode.source(&restricted)), &[]);
        assert_eq!(found.status(check), status, "{taken}: {found:#?}");
        if status == "warn" {
            assert_eq!(found.with("fail"), [""; 0], "{taken}: {found:#?}");
        }
    }
}

fn actions_of(statement: &Value) -> Vec<String> {
    let text = |action: &Value| action.as_str().expect("an action").to_owned();
    match &statement["Action"] {
        Value::Array(actions) => actions.iter().map(text).collect(),
        one => vec![text(one)],
    }
}
