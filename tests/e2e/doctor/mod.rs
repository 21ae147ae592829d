//! `cloakfs doctor` on good servers, and with each thing broken that can be broken here.

mod way;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::customer_key::CustomerKey;
use crate::doctor_report::{cloakfs, doctor};
use crate::localstack::LocalStack;
use crate::minio::Minio;
use crate::modes::{self, minio_arn};
use crate::mount::Source;
use crate::proofs;
use crate::s3_server::Bucket;
use crate::sealed::{cse_c, cse_kms};

fn with(mut source: Source, options: &[String]) -> Source {
    source.options.extend(options.iter().cloned());
    source
}

/// Without an option and its value.
fn without(mut source: Source, option: &str) -> Source {
    let at = source.options.iter().position(|it| it == option);
    let at = at.expect("the option is there");
    source.options.drain(at..at + 2);
    source
}

fn at(endpoint: &str, bucket: &Bucket) -> Source {
    let mut source = without(bucket.source(), "--endpoint-url");
    source
        .options
        .extend(["--endpoint-url".to_owned(), endpoint.to_owned()]);
    source
}

#[test]
fn every_mode_passes_on_good_servers_and_leaves_nothing_behind() {
    let place = tempfile::tempdir().expect("a directory");
    let minio = Minio::shared().bucket("doctor");
    let localstack = LocalStack::shared().bucket("doctor");
    let key = LocalStack::kms().create();
    let (kms_of_minio, customer) = (minio_arn(), CustomerKey::new(91));
    for (bucket, mode) in [
        (&minio, modes::none()),
        (&minio, modes::sse_s3()),
        (
            &minio,
            modes::sse_kms(Some(&kms_of_minio), &kms_of_minio, &[]),
        ),
        (&minio, modes::sse_c(customer, place.path())),
        (
            &localstack,
            modes::sse_kms(Some(&key.id), &key.arn, &["--kms-context", "a=b"]),
        ),
        (&localstack, modes::sse_c(customer, place.path())),
    ] {
        let source = mode.source(bucket);
        let found = doctor(&source, &[]);
        assert_eq!(found.with("fail"), [""; 0], "{:?} {found:#?}", mode.options);
        for check in [
            "TLS",
            "clock",
            "s3:PutObject",
            "s3:ListBucket",
            "multipart uploads",
        ] {
            assert_eq!(found.status(check), "ok", "{check}: {:?}", mode.options);
        }
        if mode.options.iter().any(|it| it == "sse-c") {
            assert_eq!(found.status("key file"), "ok");
            assert!(found.message("key file").contains(&customer.md5()));
            assert_eq!(found.status("SSE-C"), "ok");
        }
        assert_eq!(bucket.client.keys(""), [""; 0], "{:?}", mode.options);
    }
    let kms = modes::sse_kms(Some(&key.id), &key.arn, &[]).source(&localstack);
    let found = doctor(&kms, &[]);
    assert_eq!(
        found.message("KMS key"),
        format!("{} is enabled, and S3 can use it", key.arn)
    );
    assert_eq!(
        doctor(&modes::none().source(&minio), &[]).status("default encryption"),
        "warn",
        "nothing is encrypted there"
    );
}

/// A line for each check, and a sentence at the end where one failed.
#[test]
fn a_person_reads_a_line_for_each_check() {
    let bucket = Minio::shared().bucket("doctor");
    let source = modes::sse_s3().source(&bucket);
    let good = cloakfs(&source, &["doctor"], &[]);
    assert!(good.status.success(), "{good:?}");
    let lines: Vec<&str> = good.stdout.lines().collect();
    assert!(lines.len() > 15, "{good:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("ok ") || line.starts_with("warn ")),
        "{good:?}"
    );
    assert_eq!(good.stderr, "");

    let missing = Bucket {
        name: "no-such-bucket-here".to_owned(),
        ..bucket.server.existing("no-such-bucket-here")
    };
    let bad = cloakfs(&modes::sse_s3().source(&missing), &["doctor"], &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        bad.stdout
            .lines()
            .any(|line| line.starts_with("FAIL  bucket ")
                && line.contains("there is no bucket \"no-such-bucket-here\"")
                && line.contains("make the bucket first")),
        "{bad:?}"
    );
    assert_eq!(
        bad.stderr,
        "cloakfs: 1 check failed: s3://no-such-bucket-here cannot be mounted so, or not all of it works\n"
    );
}

#[test]
fn a_key_that_s3_cannot_use_is_told_by_kms_and_by_the_upload() {
    let bucket = LocalStack::shared().bucket("doctor");
    proofs::localstack_checks_kms_keys(&bucket.client);
    let kms = LocalStack::kms();
    let key = kms.create();
    let source = modes::sse_kms(Some(&key.arn), &key.arn, &[]).source(&bucket);
    assert_eq!(doctor(&source, &[]).with("fail"), [""; 0]);
    kms.disable(&key);
    let found = doctor(&source, &[]);
    assert_eq!(
        found.with("fail"),
        ["KMS key", "s3:PutObject"],
        "{found:#?}"
    );
    assert!(
        found.message("KMS key").contains("is disabled: enable it"),
        "{found:#?}"
    );
    assert!(
        found.message("s3:PutObject").contains("disabled"),
        "{found:#?}"
    );
    kms.enable(&key);
    assert_eq!(doctor(&source, &[]).with("fail"), [""; 0]);

    let alias = modes::sse_kms(Some("alias/nobody-made-it"), "", &[]).source(&bucket);
    let found = doctor(&alias, &[]);
    assert_eq!(found.with("fail"), ["KMS key"], "{found:#?}");
    assert_eq!(found.status("permissions"), "skipped");
    assert_eq!(bucket.client.keys(""), [""; 0]);
}

#[test]
fn a_volume_and_its_key_are_looked_at() {
    let place = tempfile::tempdir().expect("a directory");
    let bucket = LocalStack::shared().bucket("doctor");
    let kms = LocalStack::kms();
    let (key, other) = (kms.create(), kms.create());
    let with_kms = |key: &str| with(bucket.source_with_kms(), &cse_kms(key, &[("team", "a")]));
    let source = with_kms(&key.arn);
    let before = doctor(&source, &[]);
    assert_eq!(before.with("fail"), ["volume"], "{before:#?}");
    assert!(
        before.message("volume").contains("cloakfs init"),
        "{before:#?}"
    );
    for check in [
        "KMS key",
        "kms:GenerateDataKey",
        "kms:Decrypt",
        "s3:PutObject",
    ] {
        assert_eq!(before.status(check), "ok", "{check}");
    }
    let made = cloakfs(&source, &["init"], &[]);
    assert!(made.status.success(), "{made:?}");
    let there = bucket.client.keys("");
    let after = doctor(&source, &[]);
    assert_eq!(after.with("fail"), [""; 0], "{after:#?}");
    assert!(
        after
            .message("volume")
            .starts_with("the key opens the volume"),
        "{after:#?}"
    );
    assert_eq!(bucket.client.keys(""), there, "the volume is as it was");

    let wrong = doctor(&with_kms(&other.arn), &[]);
    assert_eq!(wrong.with("fail"), ["volume"], "{wrong:#?}");
    kms.disable(&key);
    let disabled = doctor(&source, &[]);
    assert_eq!(
        disabled.with("fail"),
        ["KMS key", "volume"],
        "{disabled:#?}"
    );
    assert_eq!(disabled.status("kms:Decrypt"), "skipped");

    // In another mode, and in none.
    let key_file = CustomerKey::new(92).file(place.path());
    let other_mode = doctor(&with(bucket.source(), &cse_c(&key_file)), &[]);
    assert_eq!(other_mode.with("fail"), ["volume"], "{other_mode:#?}");
    assert!(
        other_mode
            .message("volume")
            .contains("give --encryption cse-kms")
    );
    let plain = doctor(&modes::sse_s3().source(&bucket), &[]);
    assert_eq!(plain.with("fail"), ["volume"], "{plain:#?}");
}

#[test]
fn a_wrong_customers_key_and_a_key_file_that_is_none() {
    let place = tempfile::tempdir().expect("a directory");
    let bucket = Minio::shared().bucket("doctor");
    let (right, wrong) = (CustomerKey::new(93), CustomerKey::new(94));
    bucket
        .client
        .with(right.headers())
        .put("there", "x")
        .expect("a put");
    let good = doctor(&modes::sse_c(right, place.path()).source(&bucket), &[]);
    assert_eq!(good.with("fail"), [""; 0], "{good:#?}");
    let bad = doctor(&modes::sse_c(wrong, place.path()).source(&bucket), &[]);
    assert_eq!(bad.with("fail"), ["objects"], "{bad:#?}");
    assert!(
        bad.message("objects")
            .contains("give the right key with --key-file")
    );

    let mode = modes::sse_c(wrong, place.path());
    fs::write(Path::new(&mode.options[3]), "short").expect("a key file");
    let unread = doctor(&mode.source(&bucket), &[]);
    assert_eq!(unread.with("fail"), ["key file"], "{unread:#?}");
}

/// On the command line it makes no sense at all; from the environment it is found out.
#[test]
fn a_key_is_not_sent_over_plain_http() {
    let place = tempfile::tempdir().expect("a directory");
    let bucket = Minio::shared().existing("any");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let mode = modes::sse_c(CustomerKey::new(95), place.path());
    let typed = cloakfs(&with(at(&url, &bucket), &mode.options), &["doctor"], &[]);
    assert_eq!(typed.status.code(), Some(2), "{typed:?}");
    assert!(
        typed.stderr.contains("give an endpoint with https://"),
        "{typed:?}"
    );
    let mut source = with(without(bucket.source(), "--endpoint-url"), &mode.options);
    source
        .environment
        .push(("AWS_ENDPOINT_URL".to_owned(), url));
    let found = doctor(&source, &[]);
    assert_eq!(found.with("fail"), ["endpoint"], "{found:#?}");
    assert!(
        found
            .message("endpoint")
            .starts_with("sse-c would send the key in clear"),
        "{found:#?}"
    );
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "no connection was made");
}

#[test]
fn a_read_only_look_writes_nothing() {
    let bucket = Minio::shared().bucket("doctor");
    let writes_nothing = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListBucket","s3:GetObject"],"Resource":["arn:aws:s3:::*"]}]}"#;
    let restricted = bucket.restricted(writes_nothing);
    let source = modes::sse_s3().source(&restricted);
    let found = doctor(&source, &["--read-only"]);
    assert_eq!(found.with("fail"), [""; 0], "{found:#?}");
    assert_eq!(found.status("s3:GetObject"), "ok");
    assert_eq!(found.status("s3:PutObject"), "skipped");
    // What it would have found.
    let found = doctor(&source, &[]);
    assert_eq!(found.with("fail"), ["s3:PutObject"], "{found:#?}");
    assert!(
        found
            .message("s3:PutObject")
            .contains("`cloakfs policy iam` prints what is needed")
    );
    let reads_nothing = writes_nothing.replace(r#","s3:GetObject""#, "");
    let source = modes::sse_s3().source(&bucket.restricted(&reads_nothing));
    let found = doctor(&source, &["--read-only"]);
    assert_eq!(found.with("fail"), ["s3:GetObject"], "{found:#?}");
}

#[test]
fn a_local_directory_has_a_doctor_too() {
    let place = tempfile::tempdir().expect("a directory");
    let source = Source::dir(place.path());
    let found = doctor(&source, &[]);
    assert_eq!(found.with("fail"), [""; 0], "{found:#?}");
    assert_eq!(found.status("directory"), "ok");
    let missing = doctor(&Source::dir(&place.path().join("none")), &[]);
    assert_eq!(missing.with("fail"), ["directory"], "{missing:#?}");
}
