//! `cloakfs policy bucket` and `default-encryption` with `--apply` and `--verify`, on servers.
//!
//! MinIO keeps a bucket's policy and applies it to anonymous requests only, LocalStack to none: there
//! the command must say that nothing is enforced. The same statements in the policy of a session
//! are enforced by MinIO, and show what the command says where all is well.

use cloakfs::admin::policy::merge;
use serde_json::{Value, json};

use crate::customer_key::CustomerKey;
use crate::doctor_report::cloakfs;
use crate::localstack::LocalStack;
use crate::minio::{Minio, PrivateMinio};
use crate::modes::{self, minio_arn};
use crate::mount::{CLOAKFS, Source};
use crate::process::{DEADLINE, finish};
use crate::s3_server::Bucket;

const BUCKET: [&str; 2] = ["policy", "bucket"];

/// What somebody else has in the bucket's policy.
fn theirs(bucket: &Bucket) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "TheirsAlone",
            "Effect": "Allow",
            "Principal": { "AWS": ["*"] },
            "Action": ["s3:GetObject"],
            "Resource": [format!("arn:aws:s3:::{}/public/*", bucket.name)],
        }],
    })
}

fn sids(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().expect("statements").iter();
    statements
        .map(|statement| statement["Sid"].as_str().unwrap_or_default())
        .collect()
}

#[test]
fn a_policy_is_put_beside_those_of_others_and_not_twice() {
    for server in [Minio::shared(), LocalStack::shared()] {
        let bucket = server.bucket("policy-put");
        bucket.client.put_policy(&theirs(&bucket).to_string());
        let source = bucket.source();
        let sse_s3 = ["--encryption", "sse-s3", "--apply"];

        // Nobody is asked without a terminal, and nothing is changed.
        let unasked = cloakfs(&source, &BUCKET, &sse_s3);
        assert_eq!(unasked.status.code(), Some(1), "{unasked:?}");
        assert!(
            unasked
                .stderr
                .ends_with("look at the change, and give --yes\n"),
            "{unasked:?}"
        );
        assert!(
            unasked
                .stdout
                .contains("+   \"Sid\": \"CloakfsRequireMode\""),
            "{unasked:?}"
        );
        assert!(
            unasked.stdout.contains("1 other statement stays as it is"),
            "{unasked:?}"
        );
        assert_eq!(sids(&bucket.client.policy()), ["TheirsAlone"]);

        let put = cloakfs(&source, &BUCKET, &[&sse_s3[..], &["--yes"]].concat());
        assert!(put.status.success(), "{put:?}");
        let both = ["TheirsAlone", "CloakfsRequireTls", "CloakfsRequireMode"];
        let policy = bucket.client.policy();
        assert_eq!(sids(&policy), both);
        assert_eq!(
            policy["Statement"][0]["Resource"],
            theirs(&bucket)["Statement"][0]["Resource"]
        );

        let again = cloakfs(&source, &BUCKET, &[&sse_s3[..], &["--yes"]].concat());
        assert!(again.stdout.contains("nothing is changed"), "{again:?}");
        // MinIO writes lists in another order each time.
        let (now, before) = (bucket.client.policy().to_string(), policy.to_string());
        assert!(merge::is_same(&now, &before), "{now}");

        // Another mode: what the older one required is gone.
        let other = ["--encryption", "sse-c", "--apply", "--yes", "--json"];
        let other = cloakfs(&source, &BUCKET, &other);
        assert!(other.status.success(), "{other:?}");
        let report: Value = serde_json::from_str(&other.stdout).expect("JSON");
        assert_eq!(report["applied"]["kept"], 1, "{report}");
        let changes = report["applied"]["changes"].as_array().expect("changes");
        assert_eq!(changes.len(), 1, "{report}");
        let text = bucket.client.policy().to_string();
        assert!(
            text.contains("customer-algorithm") && !text.contains("AES256"),
            "{text}"
        );
    }
}

/// On a terminal a person is asked, and only yes is yes.
#[test]
fn a_person_is_asked_before_anything_is_put() {
    let bucket = Minio::shared().bucket("policy-asked");
    bucket.client.put_policy(&theirs(&bucket).to_string());
    let source = bucket.source();
    let state = tempfile::tempdir().expect("a directory");
    let answered = |answer: &str| {
        let on_a_terminal =
            r#"printf '%s\n' "$0" | script --quiet --return --command "$*" /dev/null"#;
        finish(
            source
                .command("sh", state.path())
                .args(["-c", on_a_terminal, answer, CLOAKFS])
                .args(BUCKET)
                .arg(&source.name)
                .args(&source.options)
                .args(["--encryption", "sse-s3", "--apply"]),
            DEADLINE,
        )
    };
    for no in ["n", "", "perhaps"] {
        let told = answered(no);
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        let question = format!("Put this into the policy of s3://{}? [y/N]", bucket.name);
        assert!(told.stdout.contains(&question), "{told:?}");
        assert!(
            told.stdout.contains("cloakfs: nothing was changed"),
            "{told:?}"
        );
        assert_eq!(sids(&bucket.client.policy()), ["TheirsAlone"]);
    }
    let told = answered("y");
    assert!(told.status.success(), "{told:?}");
    assert_eq!(sids(&bucket.client.policy()).len(), 3);
}

/// Everything is allowed, and what the bucket's policy denies.
pub fn session_policy(bucket: &Bucket, options: &[&str]) -> String {
    let source = Source {
        name: format!("s3://{}", bucket.name),
        options: vec![],
        environment: vec![],
    };
    let printed = cloakfs(&source, &BUCKET, options);
    assert!(printed.status.success(), "{printed:?}");
    let mut policy: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    let statements = policy["Statement"].as_array_mut().expect("statements");
    for statement in statements.iter_mut() {
        statement
            .as_object_mut()
            .expect("a statement")
            .remove("Principal");
    }
    statements
        .push(json!({ "Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"] }));
    policy.to_string()
}

#[test]
fn where_the_policy_is_enforced_the_proof_holds_and_elsewhere_it_says_so() {
    let arn = minio_arn();
    for options in [
        &["--encryption", "sse-s3"][..],
        &["--encryption", "sse-kms"],
        &["--encryption", "sse-kms", "--kms-key", &arn],
        &["--encryption", "sse-c"],
        &["--encryption", "sse-c", "--require", "encrypted"],
    ] {
        let bucket = Minio::shared().bucket("policy-proof");
        let apply = [options, &["--apply", "--yes"]].concat();
        let put = cloakfs(&bucket.source(), &BUCKET, &apply);
        assert!(put.status.success(), "{put:?}");
        let verify = [options, &["--verify"]].concat();

        let lax = cloakfs(&bucket.source(), &BUCKET, &verify);
        assert_eq!(lax.status.code(), Some(1), "{lax:?}");
        assert!(lax.stderr.starts_with("cloakfs: NOT ENFORCED: "), "{lax:?}");
        assert!(
            lax.stdout
                .contains("PutObject with no encryption asked for: NOT ENFORCED"),
            "{lax:?}"
        );
        assert_eq!(bucket.client.keys(""), [""; 0], "the probes are gone");

        let enforced = bucket.restricted(&session_policy(&bucket, options));
        let strict = cloakfs(&enforced.source(), &BUCKET, &verify);
        assert!(strict.status.success(), "{options:?}: {strict:?}");
        for request in ["PutObject", "CopyObject", "CreateMultipartUpload"] {
            let denied = format!("{request} with no encryption asked for: denied, as it should be");
            let accepted = format!("{request} with {}: accepted, as it should be", options[1]);
            for line in [denied, accepted] {
                assert!(strict.stdout.contains(&line), "{line}: {strict:?}");
            }
        }
        assert_eq!(bucket.client.keys(""), [""; 0], "the probes are gone");
    }
}

#[test]
fn localstack_keeps_a_policy_and_enforces_none() {
    let bucket = LocalStack::shared().bucket("policy-lax");
    let key = LocalStack::kms().create();
    let source = bucket.source_with_kms();
    let options = ["--encryption", "sse-kms", "--kms-key", &key.id];
    let lax = cloakfs(
        &source,
        &BUCKET,
        &[&options[..], &["--apply", "--yes", "--verify", "--json"]].concat(),
    );
    assert_eq!(lax.status.code(), Some(1), "{lax:?}");
    assert!(lax.stderr.contains("NOT ENFORCED"), "{lax:?}");
    let report: Value = serde_json::from_str(&lax.stdout).expect("JSON");
    assert_eq!(report["verified"]["holds"], false);
    // The id was asked for, and the policy has the ARN.
    assert!(bucket.client.policy().to_string().contains(&key.arn));
    assert_eq!(bucket.client.keys(""), [""; 0]);
}

/// A right upload that is denied is no proof of anything.
#[test]
fn a_bucket_that_denies_everything_is_not_taken_for_one_that_enforces() {
    let bucket = Minio::shared().bucket("policy-denies");
    let denies = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]},{"Effect":"Deny","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::*"]}]}"#;
    let source = bucket.restricted(denies).source();
    let options = ["--encryption", "sse-s3", "--require", "sse-s3", "--verify"];
    let told = cloakfs(&source, &BUCKET, &options);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(
        told.stdout
            .contains("PutObject with sse-s3: FAILED: an upload of the mode is refused"),
        "{told:?}"
    );
    assert!(told.stderr.contains("it could not be shown"), "{told:?}");
}

#[test]
fn who_may_not_put_a_policy_is_told_the_permission() {
    let bucket = Minio::shared().bucket("policy-denied");
    let reads = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetBucketPolicy"],"Resource":["arn:aws:s3:::*"]}]}"#;
    let source = bucket.restricted(reads).source();
    let told = cloakfs(
        &source,
        &BUCKET,
        &["--encryption", "sse-s3", "--apply", "--yes"],
    );
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert_eq!(
        told.stderr,
        format!(
            "cloakfs: {} denied PutBucketPolicy of the bucket {:?} (AccessDenied): the credentials need s3:PutBucketPolicy on it\n",
            bucket.server.endpoint, bucket.name
        )
    );
}

#[test]
fn a_default_encryption_is_put_and_applies() {
    let arn = minio_arn();
    let default = ["policy", "default-encryption"];
    let bucket = Minio::shared().bucket("default-put");
    for (options, expected) in [
        (&["--encryption", "sse-s3"][..], modes::sse_s3().expected),
        (
            &["--encryption", "sse-kms", "--kms-key", &arn],
            modes::sse_kms(None, &arn, &[]).expected,
        ),
    ] {
        // Not yet.
        let early = cloakfs(
            &bucket.source(),
            &default,
            &[options, &["--verify"]].concat(),
        );
        assert_eq!(early.status.code(), Some(1), "{early:?}");
        assert!(early.stderr.contains("NOT ENFORCED"), "{early:?}");
        let put = [options, &["--apply", "--yes", "--verify"]].concat();
        let put = cloakfs(&bucket.source(), &default, &put);
        assert!(put.status.success(), "{put:?}");
        assert_eq!(bucket.client.keys(""), [""; 0]);
        bucket.client.put("after", "x");
        expected.assert_on(&bucket.client, "after");
        bucket.client.delete("after");
    }
}

/// No key is needed to print, and none is left anywhere by a proof.
#[test]
fn a_proof_for_customers_keys_needs_no_key() {
    let minio = PrivateMinio::start_with_tls();
    let bucket = minio.reach().bucket("policy-sse-c");
    let there = CustomerKey::new(99);
    bucket
        .client
        .with(there.headers())
        .put("there", "x")
        .expect("a put");
    let options = ["--encryption", "sse-c", "--verify", "--require", "sse-c"];
    let told = cloakfs(&bucket.source(), &BUCKET, &options);
    assert!(
        told.stdout.contains("PutObject with sse-c: accepted"),
        "{told:?}"
    );
    assert_eq!(bucket.client.keys(""), ["there"]);
}
