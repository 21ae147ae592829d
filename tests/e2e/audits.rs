//! `cloakfs audit` of real buckets: objects of every mode of MinIO and LocalStack, side by side,
//! each audited for each mode.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::customer_key::CustomerKey;
use crate::localstack::LocalStack;
use crate::minio::{KMS_KEY, Minio};
use crate::modes::{self, Mode};
use crate::mount::{CLOAKFS, Mount, Source};
use crate::process::{DEADLINE, Finished, finish};
use crate::proofs::{self, LOCALSTACK_IS_LAX, MINIO_IS_STRICT};
use crate::s3_server::Bucket;
use crate::sealed::{CONTEXT, Place, Root, Row, Sealed, cse_c, cse_kms};

/// What an audit of a source prints, and how it ends.
pub fn run(command: &str, source: &Source, options: &[&str]) -> Finished {
    let place = tempfile::tempdir().expect("a directory");
    let mut program = source.command(CLOAKFS, &place.path().join("state"));
    program
        .args([command, &source.name])
        .args(&source.options)
        .args(options);
    finish(&mut program, DEADLINE)
}

/// The findings, and the summary.
pub fn parsed(finished: &Finished) -> (Vec<Value>, Value) {
    let lines = finished.stdout.lines();
    let mut lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{finished:?}")))
        .collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{finished:?}"));
    let clean = summary["clean"]
        .as_bool()
        .unwrap_or_else(|| panic!("{finished:?}"));
    assert_eq!(
        finished.status.code(),
        Some(i32::from(!clean)),
        "{finished:?}"
    );
    (lines, summary)
}

fn audited(source: &Source, options: &[&str]) -> (Vec<Value>, Value) {
    parsed(&run("audit", source, &[options, &["--json"]].concat()))
}

/// Findings by name, how many.
fn counted(findings: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        let name = finding["finding"].as_str().expect("a name");
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// A part of the bucket that is of one mode.
struct Part {
    name: &'static str,
    mode: Mode,
}

fn part(name: &'static str, mode: Mode) -> Part {
    Part { name, mode }
}

fn client_side(options: Vec<String>) -> Mode {
    let with_kms = options.contains(&"cse-kms".to_owned());
    Mode {
        options,
        with_kms,
        ..Mode::default()
    }
}

/// Writes files in each mode, then audits each part, and all of the bucket, for each mode.
fn play(bucket: &Bucket, parts: &[Part]) {
    let below = |part: &Part, mode: &Mode| {
        let mut source = mode.source(bucket);
        source.name = format!("{}/{}", source.name, part.name);
        source
    };
    for part in parts {
        let create = part.name.starts_with("cse").then_some("--create");
        let options: Vec<_> = create.into_iter().collect();
        let mount = Mount::new(&below(part, &part.mode), &options);
        fs::create_dir(mount.path().join("dir")).expect("mkdir");
        fs::write(mount.path().join("dir/small"), "small").expect("writing");
        fs::write(mount.path().join("large"), vec![7; 9 << 20]).expect("writing");
    }
    for is in parts {
        for asked in parts {
            let source = below(is, &asked.mode);
            for options in [&[][..], &["--deep"]] {
                let (findings, summary) = audited(&source, options);
                let what = format!("{} audited for {}: {findings:?}", is.name, asked.name);
                if is.name == asked.name {
                    assert_eq!(findings, [""; 0], "{what}");
                    let read = u64::from(!options.is_empty());
                    let all = summary["summary"]["bytes_read"].as_u64().expect("a number");
                    assert!(all >= read * ((9 << 20) + 5), "{what}: {summary}");
                    let counts = &summary["summary"]["modes"][0];
                    assert_eq!(counts["objects"], 3, "{what}: {summary}");
                } else {
                    assert!(findings.len() >= 3, "{what}: {summary}");
                    break;
                }
            }
        }
    }
    // All of it at once is of many modes.
    for asked in parts.iter().filter(|part| !part.name.starts_with("cse")) {
        let source = asked.mode.source(bucket);
        let (findings, summary) = audited(&source, &[]);
        let is_own = |finding: &Value| {
            let object = finding["object"].as_str().expect("a key");
            object.starts_with(&format!("{}/", asked.name))
        };
        assert!(!findings.iter().any(is_own), "{}: {findings:?}", asked.name);
        let others = parts.iter().filter(|part| part.name != asked.name);
        assert!(findings.len() >= others.count() * 3, "{findings:?}");
        let modes = summary["summary"]["modes"].as_array().expect("modes");
        assert!(modes.len() >= parts.len() - 1, "{summary}");
    }
}

#[test]
fn each_mode_on_minio_is_clean_for_itself_and_for_no_other() {
    let server = Minio::shared();
    let probe = server.bucket("probe");
    proofs::minio_tells_what_is_not_encrypted(&probe.client);
    proofs::minio_checks_kms_keys(&probe.client);
    proofs::customer_keys_are_checked(&probe.client, MINIO_IS_STRICT);
    let place = tempfile::tempdir().expect("a directory");
    let files: Vec<_> = (0..3)
        .map(|number| {
            let directory = place.path().join(number.to_string());
            fs::create_dir(&directory).expect("a directory");
            directory
        })
        .collect();
    let parts = [
        part("none", modes::none()),
        part("sse-s3", modes::sse_s3()),
        part(
            "sse-kms",
            modes::sse_kms(Some(KMS_KEY), &modes::minio_arn(), &[]),
        ),
        part("sse-c-1", modes::sse_c(CustomerKey::new(71), &files[0])),
        part("sse-c-2", modes::sse_c(CustomerKey::new(72), &files[1])),
        part(
            "cse-c",
            client_side(cse_c(&CustomerKey::new(73).file(&files[2]))),
        ),
    ];
    play(&server.bucket("audit"), &parts);
}

#[test]
fn each_mode_on_localstack_is_clean_for_itself_and_for_no_other() {
    let server = LocalStack::shared();
    let probe = server.bucket("probe");
    proofs::localstack_checks_kms_keys(&probe.client);
    proofs::localstack_tells_bucket_keys_and_dsse(&probe.client);
    proofs::customer_keys_are_checked(&probe.client, LOCALSTACK_IS_LAX);
    let place = tempfile::tempdir().expect("a directory");
    let kms = LocalStack::kms();
    let (one, two, three) = (kms.create(), kms.create(), kms.create());
    let parts = [
        // It is the default of its buckets, too.
        part("sse-s3", modes::sse_s3()),
        part("sse-kms-1", modes::sse_kms(Some(&one.arn), &one.arn, &[])),
        part(
            "sse-kms-2",
            modes::sse_kms(Some(&two.id), &two.arn, &["--kms-context", "a=b"]),
        ),
        part("sse-c", modes::sse_c(CustomerKey::new(74), place.path())),
        part("cse-kms", client_side(cse_kms(&three.arn, &CONTEXT))),
    ];
    play(&server.bucket("audit"), &parts);
}

/// A bucket's default is what `none` leaves it to.
#[test]
fn what_is_left_to_the_bucket_is_compared_with_its_default() {
    let bucket = Minio::shared().bucket("audit-default");
    bucket.client.put("before", "in clear");
    bucket.client.encrypt_by_default("AES256", None);
    bucket.client.put("after", "by default");
    let mut source = bucket.source();
    source
        .options
        .extend(["--encryption", "none"].map(String::from));
    let (findings, _) = audited(&source, &[]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["object"], "before");
    assert_eq!(findings[0]["finding"], "not-encrypted");
    assert_eq!(
        findings[0]["text"],
        "it is not encrypted, and required is what the bucket's default gives (sse-s3): what a mount of that mode writes, renames or changes anew is under it"
    );
}

fn tampered(place: Place, root: Root) {
    let volume = Sealed::new(Row::new(place, root, "plain"), "audit-tampered");
    {
        let mount = volume.mount();
        fs::write(mount.path().join("whole"), "as it was").expect("writing");
        fs::write(mount.path().join("changed"), vec![1; 100_000]).expect("writing");
    }
    volume.change("changed", |object| object.body[50_000] ^= 1);
    let source = volume.source();
    let (findings, _) = audited(&source, &[]);
    assert_eq!(findings, [""; 0], "a look at the metadata does not show it");
    let (findings, summary) = audited(&source, &["--deep"]);
    assert_eq!(counted(&findings), [("not-authentic", 1)].into());
    assert_eq!(findings[0]["path"], "changed");
    assert_eq!(summary["summary"]["bytes_read"], 9, "{summary}");
    // In a table the same.
    let table = run("audit", &source, &["--deep"]);
    assert_eq!(table.status.code(), Some(1), "{table:?}");
    assert!(table.stdout.starts_with("FINDING "), "{table:?}");
    assert!(
        table.stdout.contains("\nnot-authentic       changed  "),
        "{table:?}"
    );
    assert!(
        table.stdout.ends_with("\nfindings  1 not-authentic\n"),
        "{table:?}"
    );

    // What the metadata shows needs no more than that.
    let moved = volume.read("whole");
    volume.write("moved", &moved);
    volume.change("changed", |object| {
        object.metadata.remove("cloakfs-record");
    });
    let (findings, _) = audited(&source, &[]);
    assert_eq!(
        counted(&findings),
        [("broken-metadata", 1), ("not-authentic", 1)].into()
    );
}

#[test]
fn what_was_tampered_with_on_minio_is_found_by_a_deep_audit_and_by_no_other() {
    tampered(Place::Minio, Root::MasterKey);
}

#[test]
fn what_was_tampered_with_on_localstack_is_found_by_a_deep_audit_and_by_no_other() {
    tampered(Place::LocalStack, Root::Kms);
}

#[test]
fn what_was_tampered_with_in_a_directory_is_found_by_a_deep_audit_and_by_no_other() {
    tampered(Place::Directory, Root::MasterKey);
}

/// The context is part of the key: it is known where objects are opened here, and there alone.
#[test]
fn another_context_than_the_volumes_is_a_finding() {
    let volume = Sealed::new(
        Row::new(Place::LocalStack, Root::Kms, "encrypted"),
        "audit-context",
    );
    {
        let mount = volume.mount();
        fs::write(mount.path().join("a"), "a").expect("writing");
    }
    assert_eq!(audited(&volume.source(), &[]).0, [""; 0]);
    let other = volume.source_with(&cse_kms(&volume.kms_key().arn, &[("tenant", "another")]));
    let (findings, _) = audited(&other, &[]);
    assert_eq!(counted(&findings), [("no-volume", 1)].into());
    let text = findings[0]["text"].as_str().expect("a sentence");
    assert!(text.contains("does not open with the KMS key"), "{text}");
    let bucket = LocalStack::shared().bucket("audit-context");
    let key = LocalStack::kms().create();
    let mode = modes::sse_kms(Some(&key.arn), &key.arn, &["--kms-context", "a=b"]);
    let told = run("audit", &mode.source(&bucket), &[]);
    assert!(
        told.stderr
            .contains("the encryption context of the objects was not checked: S3 does not tell it"),
        "{told:?}"
    );
}

#[test]
fn an_upload_that_nobody_ended_is_a_finding() {
    for server in [Minio::shared(), LocalStack::shared()] {
        let bucket = server.bucket("audit-upload");
        bucket.client.with([]).begin("p/big").expect("an upload");
        assert_eq!(
            bucket.client.uploads("p/big").len(),
            1,
            "the server lists it"
        );
        let (findings, _) = audited(&bucket.source(), &[]);
        assert_eq!(
            counted(&findings),
            [("incomplete-upload", 1)].into(),
            "{}",
            server.endpoint
        );
        let mut below = bucket.source();
        below.name = format!("{}/p", below.name);
        let (findings, _) = audited(&below, &[]);
        assert_eq!(
            counted(&findings),
            [("incomplete-upload", 1)].into(),
            "{}",
            server.endpoint
        );
        assert_eq!(findings[0]["object"], "p/big");
        below.name = format!("s3://{}/q", bucket.name);
        assert_eq!(audited(&below, &[]).0, [""; 0]);
    }
}
