//! Each way of encrypting, from its key to the audit, as its user goes it: the key is made or
//! brought into KMS by `cloakfs keys`, files are written through a mount and read through the
//! next, another S3 client sees what the server has of them, and `cloakfs audit` finds everything
//! as it must be, and nothing of it as another mode has it.

use std::fs;
use std::path::Path;

use crate::audits;
use crate::customer_key::CustomerKey;
use crate::doctor_report::cloakfs;
use crate::localstack::LocalStack;
use crate::minio::{KMS_KEY, Minio};
use crate::modes::{self, Expected, LOCALSTACK_SSE_KMS_BY_DEFAULT, Mode};
use crate::mount::{CLOAKFS, Mount};
use crate::own_material::Keys;
use crate::policy_command::session_policy;
use crate::process::{DEADLINE, finish};
use crate::s3_server::Bucket;

const SMALL: &[u8] = b"words that nobody without the key may find in the bucket";
const LARGE_BYTES: usize = (17 << 20) + 3;
const CONTEXT: &str = "tenant=the east";

fn large() -> Vec<u8> {
    SMALL.iter().copied().cycle().take(LARGE_BYTES).collect()
}

/// From the mount to the audit. `other` is a mode that it is not.
fn drive(bucket: &Bucket, mode: &Mode, create: &[&str], other: &Mode) {
    let source = mode.source(bucket);
    let mut mount = Mount::new(&source, create);
    fs::create_dir(mount.path().join("dir")).expect("mkdir");
    fs::write(mount.path().join("dir/small"), SMALL).expect("writing");
    fs::write(mount.path().join("large"), large()).expect("writing");
    mount.unmount();
    let mount = Mount::new(&source, &[]);
    assert_eq!(
        fs::read(mount.path().join("dir/small")).expect("reading"),
        SMALL
    );
    assert!(fs::read(mount.path().join("large")).expect("reading") == large());
    drop(mount);

    let audited = |mode: &Mode| {
        let source = mode.source(bucket);
        audits::parsed(&audits::run("audit", &source, &["--deep", "--json"]))
    };
    let (findings, summary) = audited(mode);
    assert_eq!(findings, [""; 0], "{summary}");
    assert!(summary["summary"]["bytes_read"].as_u64() > Some(LARGE_BYTES as u64));
    let (findings, summary) = audited(other);
    assert!(findings.len() >= 3, "{summary}");
}

/// What the server encrypts, it tells of each object, and gives to who may read it.
fn by_the_server(bucket: &Bucket, mode: &Mode, other: &Mode) {
    drive(bucket, mode, &[], other);
    for key in ["dir/", "dir/small", "large"] {
        mode.expected.assert_on(&bucket.client, key);
    }
}

/// What is encrypted here is ciphertext to everybody else, and one object is decrypted without a
/// mount.
fn here(bucket: &Bucket, mode: &Mode) {
    drive(
        bucket,
        mode,
        &["--create", "--names", "plain"],
        &modes::none(),
    );
    for (key, content) in [("dir/small", SMALL.to_vec()), ("large", large())] {
        let stored = bucket.client.read(key);
        let word = &SMALL[..16];
        assert!(
            !stored.windows(word.len()).any(|bytes| bytes == word),
            "{key}"
        );
        // It tells its mode by itself.
        let mut source = mode.source(bucket);
        let at = source
            .options
            .iter()
            .position(|option| option == "--encryption");
        source
            .options
            .drain(at.expect("a mode")..)
            .take(2)
            .for_each(drop);
        source.options.extend(mode.options[2..].iter().cloned());
        let place = tempfile::tempdir().expect("a directory");
        let plain = place.path().join("plain");
        let mut program = source.command(CLOAKFS, &place.path().join("state"));
        program
            .args(["decrypt", &format!("{}/{key}", source.name), "--output"])
            .arg(&plain)
            .args(&source.options);
        let decrypted = finish(&mut program, DEADLINE);
        assert!(decrypted.status.success(), "{decrypted:?}");
        assert!(fs::read(plain).expect("reading") == content, "{key}");
    }
}

fn sse_c(file: &Path) -> Mode {
    let key = CustomerKey::of(&fs::read(file).expect("a key"));
    let file = file.display().to_string();
    Mode {
        options: ["--encryption", "sse-c", "--key-file", &file]
            .map(String::from)
            .into(),
        with_kms: false,
        expected: Expected {
            customer_key: Some(key),
            ..Expected::default()
        },
    }
}

/// A key of one's own, brought into KMS under this alias: its ARN.
fn imported(keys: &Keys, alias: &str) -> String {
    keys.generate("own.key");
    keys.done(&["import", "--key-file", "own.key", "--alias", alias]);
    let shown = keys.done(&["show", alias]);
    assert!(shown.contains("EXTERNAL"), "{shown}");
    LocalStack::kms().behind(alias).arn
}

#[test]
fn sse_s3() {
    let bucket = Minio::shared().bucket("system-sse-s3");
    by_the_server(
        &bucket,
        &modes::sse_s3(),
        &modes::sse_kms(Some(KMS_KEY), "", &[]),
    );
}

#[test]
fn sse_kms_with_the_default_key() {
    let bucket = LocalStack::shared().bucket("system-sse-kms");
    let mode = (LOCALSTACK_SSE_KMS_BY_DEFAULT.mode)(&bucket.client, Path::new("/"));
    by_the_server(&bucket, &mode, &modes::sse_s3());
}

#[test]
fn sse_kms_with_imported_material_in_a_context() {
    let (keys, bucket) = (Keys::new(), LocalStack::shared().bucket("system-imported"));
    let alias = keys.alias("system");
    let arn = imported(&keys, &alias);
    let context = ["--kms-context", CONTEXT];
    let mode = modes::sse_kms(Some(&alias), &arn, &context);
    let other = LocalStack::kms().create().arn;
    by_the_server(
        &bucket,
        &mode,
        &modes::sse_kms(Some(&other), &other, &context),
    );
    // Which objects are under it.
    let source = bucket.source_with_kms();
    let mut program = source.command(CLOAKFS, &keys.path("state"));
    program
        .args(["keys", "show", &alias, "--used-in", &source.name, "--json"])
        .args(&source.options);
    let shown = finish(&mut program, DEADLINE);
    assert!(shown.status.success(), "{shown:?}");
    assert!(shown.stdout.contains("dir/small"), "{shown:?}");
}

#[test]
fn sse_c_with_a_key_from_keys_generate() {
    let (keys, bucket) = (Keys::new(), Minio::shared().bucket("system-sse-c"));
    keys.generate("own.key");
    keys.generate("other.key");
    let [mode, other] = ["own.key", "other.key"].map(|name| sse_c(&keys.path(name)));
    by_the_server(&bucket, &mode, &other);
}

#[test]
fn cse_kms_with_imported_material_in_a_context() {
    let (keys, bucket) = (Keys::new(), LocalStack::shared().bucket("system-cse-kms"));
    let alias = keys.alias("system");
    imported(&keys, &alias);
    let options = [
        "--encryption",
        "cse-kms",
        "--kms-key",
        &alias,
        "--kms-context",
        CONTEXT,
    ];
    let mode = Mode {
        options: options.map(String::from).into(),
        with_kms: true,
        ..Mode::default()
    };
    here(&bucket, &mode);
}

#[test]
fn cse_c_with_a_key_from_keys_generate() {
    let (keys, bucket) = (Keys::new(), Minio::shared().bucket("system-cse-c"));
    keys.generate("own.key");
    let file = keys.path("own.key").display().to_string();
    let options = ["--encryption", "cse-c", "--key-file", &file];
    let mode = Mode {
        options: options.map(String::from).into(),
        ..Mode::default()
    };
    here(&bucket, &mode);
}

/// MinIO enforces the statements in the policy of a session, and not in that of a bucket.
#[test]
fn a_bucket_policy_that_requires_the_mode() {
    let bucket = Minio::shared().bucket("system-policy");
    let arn = modes::minio_arn();
    let policy = session_policy(&bucket, &["--encryption", "sse-kms", "--kms-key", &arn]);
    let enforced = bucket.restricted(&policy);
    let refused = enforced
        .client
        .with([])
        .put("plain", "x")
        .expect_err("a plain upload");
    assert_eq!(refused.status, 403);
    let asked = ["--encryption", "sse-kms", "--kms-key", &arn];
    let apply = [&asked[..], &["--apply", "--yes"]].concat();
    let put = cloakfs(&bucket.source(), &["policy", "bucket"], &apply);
    assert!(put.status.success(), "{put:?}");
    let strict = [&asked[..], &["--verify"]].concat();
    let proven = cloakfs(&enforced.source(), &["policy", "bucket"], &strict);
    assert!(proven.status.success(), "{proven:?}");
    let mode = modes::sse_kms(Some(&arn), &arn, &[]);
    drive(&enforced, &mode, &[], &modes::sse_s3());
    // A mount that asks for nothing cannot write.
    let mount = Mount::new(&modes::none().source(&enforced), &[]);
    let made = fs::create_dir(mount.path().join("plain"));
    let error = made.expect_err("a plain upload");
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{error}");
}
