//! What makes no sense in a policy is refused before anything is asked.

use super::{KEY, ROLE};
use crate::Place;

#[track_caller]
fn refused(line: &[&str], sentence: &str) {
    Place::new()
        .run(&[&["policy"], line].concat())
        .refused(2, sentence);
}

#[test]
fn what_would_deny_the_mount_itself_is_not_required() {
    for (require, mode) in [
        ("sse-s3", "sse-kms"),
        ("sse-kms", "sse-c"),
        ("sse-c", "sse-s3"),
        ("encrypted", "cse-c"),
        ("kms-key", "none"),
        ("tls,sse-s3", "cse-kms"),
    ] {
        let denied = require.rsplit(',').next().unwrap();
        refused(
            &[
                "bucket",
                "s3://bucket",
                "--encryption",
                mode,
                "--require",
                require,
            ],
            &format!(
                "--require {denied} would deny every upload of a mount with --encryption {mode}: leave it out, or name the mode that is mounted"
            ),
        );
    }
    refused(
        &[
            "bucket",
            "s3://bucket",
            "--encryption",
            "sse-kms",
            "--require",
            "kms-key",
        ],
        "--require kms-key needs the key: give --kms-key with its ARN",
    );
}

#[test]
fn options_of_another_mode_and_what_is_no_bucket_are_refused() {
    for (line, sentence) in [
        (
            &["iam", "dir:/x", "--encryption", "none"][..],
            "policies are of buckets, and dir:/x is a local directory: write s3://BUCKET[/PREFIX]",
        ),
        (
            &[
                "iam",
                "s3://bucket",
                "--encryption",
                "sse-s3",
                "--kms-key",
                KEY,
            ],
            "--kms-key is for --encryption sse-kms and cse-kms, and the mode is sse-s3; give one of them, or leave --kms-key out",
        ),
        (
            &["iam", "s3://bucket", "--encryption", "cse-kms"],
            "--encryption cse-kms needs a key of KMS: give --kms-key with its id, its ARN, alias/NAME or an alias's ARN",
        ),
        (
            &[
                "iam",
                "s3://bucket",
                "--encryption",
                "sse-kms",
                "--dsse",
                "--bucket-key",
            ],
            "--bucket-key and --dsse exclude each other: S3 has no bucket keys for two layers of encryption; leave one of them out",
        ),
        (
            &[
                "iam",
                "s3://bucket",
                "--encryption",
                "cse-kms",
                "--kms-key",
                KEY,
                "--volume",
                "1",
            ],
            "--volume \"1\" is not the id of a volume, which has 32 hexadecimal digits: `cloakfs status` shows it",
        ),
        (
            &[
                "iam",
                "s3://bucket",
                "--encryption",
                "sse-s3",
                "--volume",
                "1",
            ],
            "--volume is for --encryption cse-kms; leave it out",
        ),
        (
            &[
                "kms-key",
                "s3://bucket",
                "--encryption",
                "sse-s3",
                "--principal",
                ROLE,
            ],
            "the policy of a KMS key is for --encryption sse-kms and cse-kms, with the key in --kms-key",
        ),
        (
            &[
                "kms-key",
                "s3://bucket",
                "--encryption",
                "sse-kms",
                "--kms-key",
                KEY,
                "--principal",
                "me",
            ],
            "--principal \"me\" is not the ARN of a user or role: write arn:aws:iam::ACCOUNT:user/NAME or arn:aws:iam::ACCOUNT:role/NAME",
        ),
    ] {
        refused(line, sentence);
    }
}

#[test]
fn a_key_of_another_server_has_no_policy_and_an_alias_needs_somebody_to_ask() {
    let place = Place::new();
    let line = |key, more: &[&'static str]| {
        [
            &[
                "policy",
                "kms-key",
                "s3://bucket",
                "--encryption",
                "sse-kms",
                "--kms-key",
                key,
            ][..],
            &["--principal", ROLE],
            more,
        ]
        .concat()
    };
    place.run(&line("arn:aws:kms:my-key", &[])).refused(
        1,
        "the key \"arn:aws:kms:my-key\" is not one of AWS's, which alone have policies: give the ARN of one, arn:aws:kms:REGION:ACCOUNT:key/ID",
    );
    let more = ["--endpoint-url", "https://127.0.0.1:1"];
    let answer = super::super::Answer::of(
        place
            .command()
            .args(line("alias/mine", &more))
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "b"),
    );
    answer.refused(
        1,
        "policies name a key by its ARN, and no KMS is known beside https://127.0.0.1:1 that could tell the one of alias/mine: give the ARN, or --kms-endpoint-url",
    );
}

/// What the SDK says behind a sentence about KMS is for nobody.
#[test]
fn a_kms_that_is_not_there_is_told_in_one_sentence() {
    let place = Place::new();
    let line = ["policy", "iam", "s3://bucket", "--encryption", "sse-kms"];
    let kms = ["--kms-key", "alias/mine", "--kms-endpoint-url"];
    let answer = super::super::Answer::of(
        place
            .command()
            .args(line)
            .args(kms)
            .args(["http://127.0.0.1:1", "--timeout", "1"])
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "b"),
    );
    answer.refused(
        1,
        "the KMS alias \"alias/mine\" cannot be looked at: KMS cannot be asked: 127.0.0.1:1 refused the connection: check that the server is running and that the endpoint's host and port are right",
    );
}
