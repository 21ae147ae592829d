//! Buckets that require encryption: by a policy that denies uploads without the right headers, and
//! by a default.
//!
//! MinIO applies a bucket's policy only to anonymous requests, but the same Deny in the policy of a
//! session to every request: that is what stands for the bucket's policy here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::answer::Refused;
use crate::customer_key::{CustomerKey, Headers};
use crate::minio::{KMS_KEY, Minio};
use crate::modes::{self, Mode, minio_arn};
use crate::mount::Mount;
use crate::other_client::OtherClient;
use crate::proofs::{MODE, kms_headers, refused};
use crate::s3_server::Bucket;
use crate::stage::{Ground, Workload};
use crate::{files, rewrites};

/// Everything is allowed but a PutObject for which `condition` holds; of a bucket's policy it would
/// be the second statement. Copies and multipart uploads are PutObjects to it.
fn denying(condition: &Value) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"] },
            {
                "Effect": "Deny",
                "Action": ["s3:PutObject"],
                "Resource": ["arn:aws:s3:::*"],
                "Condition": condition,
            },
        ],
    })
    .to_string()
}

fn requires_sse_s3() -> Value {
    json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption": "AES256" } })
}

fn requires_sse_kms() -> Value {
    json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption": "aws:kms" } })
}

fn requires_the_key() -> Value {
    json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption-aws-kms-key-id": minio_arn() } })
}

fn requires_a_customers_key() -> Value {
    json!({ "Null": { "s3:x-amz-server-side-encryption-customer-algorithm": "true" } })
}

/// A bucket in which the root's client may do everything, and the same under the policy.
fn under(condition: &Value) -> (Bucket, Bucket) {
    let bucket = Minio::shared().bucket("policy");
    bucket.client.put("there/already", "x");
    let restricted = bucket.restricted(&denying(condition));
    (bucket, restricted)
}

/// The negative probe: a client that adds these headers is denied whatever makes an object.
#[track_caller]
fn assert_denied(client: &OtherClient, headers: &Headers) {
    let denied = |answer: Result<(), Refused>| {
        assert_eq!(answer, Err(refused(403, "AccessDenied")), "{headers:?}");
    };
    let with = client.with(headers.clone());
    denied(with.put("denied", "x").map(|_| ()));
    denied(with.copy("there/already", "denied").map(|_| ()));
    denied(with.begin_multipart("denied"));
    client
        .with([])
        .read("there/already")
        .expect("reading is allowed");
}

/// Every workload on files and all rewrites: small ones, parts that are uploaded, and parts that are
/// copied.
fn of_all_sizes() -> Vec<(&'static str, Workload)> {
    [files::WORKLOADS, rewrites::WORKLOADS].concat()
}

/// Everything works in the mode that the policy requires, and is stored in it.
#[track_caller]
fn assert_works(bucket: &Bucket, restricted: &Bucket, mode: &Mode, work: &[(&str, Workload)]) {
    let mut mount = Mount::new(&mode.source(restricted), &[]);
    let aside = tempfile::tempdir().expect("a directory");
    for (name, workload) in work {
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
    drop(mount);
    let mut objects = bucket.client.keys("");
    objects.retain(|object| {
        object
            .split('/')
            .any(|part| work.iter().any(|(name, _)| *name == part))
    });
    assert!(objects.len() > 10, "{objects:?}");
    for object in objects {
        mode.expected.assert_on(&bucket.client, &object);
    }
}

/// The premise of it: Amazon judges a part by how its upload was begun, and refuses the headers of
/// SSE-S3 and SSE-KMS on it; MinIO judges it by itself, and denies it to a client that leaves them
/// out. That a mount's large files get there shows that it sends them.
#[track_caller]
fn assert_parts_need_the_mode(restricted: &Bucket, headers: Headers) {
    let with = restricted.client.with(headers.clone());
    with.begin_multipart("large")
        .expect("the beginning is allowed");
    let denied = restricted.client.with([]).send_part(headers, "large");
    assert_eq!(denied, Err(refused(403, "AccessDenied")));
}

/// In another mode nothing is written, the program is told EACCES, and the log says which mode was
/// refused.
#[track_caller]
fn assert_refused(bucket: &Bucket, restricted: &Bucket, mode: &Mode, name: &str) {
    let mount = Mount::new(&mode.source(restricted), &[]);
    let path = mount.path();
    for (what, outcome) in [
        ("writing", write_synced(&path.join("new"), b"x")),
        ("making a directory", fs::create_dir(path.join("directory"))),
    ] {
        let error = outcome.expect_err(what);
        assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{what}: {error}");
    }
    let log = mount.log();
    let line = log.lines().find(|line| line.contains("\"new\""));
    let line = line.unwrap_or_else(|| panic!("the log does not name the object:\n{log}"));
    assert!(line.contains("--encryption"), "{line}");
    assert!(line.contains(name), "the mode {name} is not named: {line}");
    // What was written is kept until it can be stored, and said to be missing.
    mount.give_up("\"new\"");
    assert_eq!(bucket.client.keys(""), ["there/already"]);
}

/// Unlike `fs::write`, which closes without a look at the outcome.
fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[test]
fn a_policy_that_requires_sse_s3() {
    let (bucket, restricted) = under(&requires_sse_s3());
    assert_denied(&restricted.client, &vec![]);
    assert_denied(&restricted.client, &kms_headers(KMS_KEY));
    assert_refused(&bucket, &restricted, &modes::none(), "none");
    let mode = modes::sse_s3();
    assert_works(&bucket, &restricted, &mode, &of_all_sizes());
    assert_parts_need_the_mode(&restricted, vec![(MODE, "AES256".to_owned())]);
}

#[test]
fn a_policy_that_requires_sse_kms() {
    let (bucket, restricted) = under(&requires_sse_kms());
    assert_denied(&restricted.client, &vec![]);
    assert_denied(&restricted.client, &vec![(MODE, "AES256".to_owned())]);
    assert_refused(&bucket, &restricted, &modes::none(), "none");
    assert_refused(&bucket, &restricted, &modes::sse_s3(), "sse-s3");
    let mode = modes::sse_kms(Some(KMS_KEY), &minio_arn(), &[]);
    assert_works(&bucket, &restricted, &mode, &of_all_sizes());
    assert_parts_need_the_mode(&restricted, kms_headers(KMS_KEY));
}

/// Policies compare ARNs as text: an id that means the same key is denied.
#[test]
fn a_policy_that_requires_a_kms_key() {
    let (bucket, restricted) = under(&requires_the_key());
    assert_denied(&restricted.client, &vec![]);
    assert_denied(&restricted.client, &vec![(MODE, "aws:kms".to_owned())]);
    assert_denied(&restricted.client, &kms_headers(KMS_KEY));
    let by_id = modes::sse_kms(Some(KMS_KEY), &minio_arn(), &[]);
    assert_refused(&bucket, &restricted, &by_id, "sse-kms");
    let arn = minio_arn();
    let mut by_arn = modes::sse_kms(Some(&arn), &arn, &["--kms-context", "a=b"]);
    by_arn.expected.kms_context = Some(json!({ "a": "b" }));
    assert_works(&bucket, &restricted, &by_arn, &of_all_sizes());
    assert_parts_need_the_mode(&restricted, kms_headers(&arn));
}

#[test]
fn a_policy_that_requires_a_customers_key() {
    let (bucket, restricted) = under(&requires_a_customers_key());
    assert_denied(&restricted.client, &vec![]);
    assert_denied(&restricted.client, &vec![(MODE, "AES256".to_owned())]);
    assert_refused(&bucket, &restricted, &modes::sse_s3(), "sse-s3");
    let place = tempfile::tempdir().expect("a directory");
    // What is there already is under no key, which is no reason to refuse the mount.
    let mode = modes::sse_c(CustomerKey::new(3), place.path());
    assert_works(&bucket, &restricted, &mode, &of_all_sizes());
}

/// A default is what mode `none` leaves the choice to; the mount says so where nothing was asked.
#[test]
fn a_default_applies_where_nothing_is_asked_for() {
    let sse_s3 = modes::sse_s3().expected;
    let sse_kms = modes::sse_kms(None, &minio_arn(), &[]).expected;
    for (mode, key, expected) in [
        ("AES256", None, sse_s3),
        ("aws:kms", Some(KMS_KEY), sse_kms),
    ] {
        let bucket = Minio::shared().bucket("default");
        bucket.client.put("before", "x");
        modes::none().expected.assert_on(&bucket.client, "before");
        bucket.client.encrypt_by_default(mode, key);
        bucket.client.put("after", "x");
        expected.assert_on(&bucket.client, "after");

        let mut mode = modes::none();
        mode.expected = expected;
        assert_works(&bucket, &bucket, &mode, rewrites::WORKLOADS);
        let unspecified = Mount::new(&bucket.source(), &[]);
        let log = unspecified.log();
        assert!(
            log.contains("the bucket's default encryption applies"),
            "{log}"
        );
        fs::write(unspecified.path().join("unspecified"), "x").expect("writing");
        fs::write(unspecified.path().join("before"), "changed").expect("writing");
        drop(unspecified);
        mode.expected.assert_on(&bucket.client, "unspecified");
        mode.expected.assert_on(&bucket.client, "before");
    }
}

/// What is asked for wins over the default.
#[test]
fn a_mode_is_kept_against_the_default() {
    let place = tempfile::tempdir().expect("a directory");
    for mode in [
        modes::sse_c(CustomerKey::new(4), place.path()),
        modes::sse_s3(),
    ] {
        let bucket = Minio::shared().bucket("default");
        bucket.client.encrypt_by_default("aws:kms", Some(KMS_KEY));
        assert_works(&bucket, &bucket, &mode, rewrites::WORKLOADS);
    }
}
