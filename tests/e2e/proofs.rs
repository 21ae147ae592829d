//! What the servers can prove: a request that must not succeed is refused.
//!
//! Only then does it mean something that a mount's requests succeed, so every row of the matrix
//! begins with the probe of its mode. Where a server is known to be lax that is asserted too, so
//! that nobody takes its consent for a proof.

use crate::answer::{Refused, Seen};
use crate::customer_key::{CustomerKey, Headers};
use crate::localstack::LocalStack;
use crate::minio::{KMS_KEY, Minio};
use crate::other_client::OtherClient;

pub const MODE: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

/// An id that no KMS here has.
const UNKNOWN_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// The headers of SSE-KMS under `key`.
pub fn kms_headers(key: &str) -> Headers {
    vec![(MODE, "aws:kms".to_owned()), (KEY_ID, key.to_owned())]
}

pub fn refused(status: u16, code: &str) -> Refused {
    Refused {
        status,
        code: code.to_owned(),
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Refused>, status: u16, code: &str) {
    assert_eq!(answer.expect_err("it is allowed"), refused(status, code));
}

/// An object that nobody asked to encrypt is told from one that somebody did.
pub fn minio_tells_what_is_not_encrypted(client: &OtherClient) {
    client.put("probe", "x");
    let seen = client.head("probe");
    assert_eq!((seen.encryption, seen.key_md5), (None, None));
    let asked = client.with([(MODE, "AES256".to_owned())]).put("probe", "x");
    assert_eq!(asked.expect("SSE-S3").encryption.as_deref(), Some("AES256"));
    assert_eq!(client.head("probe").encryption.as_deref(), Some("AES256"));
    let unknown = client.with([(MODE, "rot13".to_owned())]).put("probe", "x");
    assert_refused(unknown, 400, "InvalidArgument");
    client.delete("probe");
}

/// Keys are looked up for puts, copies and uploads; the context is read and kept.
pub fn minio_checks_kms_keys(client: &OtherClient) {
    let unknown = client.with(kms_headers(UNKNOWN_KEY));
    assert_refused(unknown.put("probe", "x"), 404, "kms:KeyNotFound");
    assert_refused(unknown.begin_multipart("probe"), 404, "kms:KeyNotFound");
    client.put("probe", "x");
    assert_refused(unknown.copy("probe", "probe-2"), 404, "kms:KeyNotFound");

    let in_context = |context: &str| {
        let mut headers = kms_headers(KMS_KEY);
        headers.push((CONTEXT, context.to_owned()));
        client.with(headers).put("probe", "x")
    };
    // "not json"
    assert_refused(in_context("bm90IGpzb24="), 400, "InvalidArgument");
    // {"a":"b"}
    in_context("eyJhIjoiYiJ9").expect("a context");
    let seen = client.head("probe");
    assert_eq!(seen.kms_context.as_deref(), Some("eyJhIjoiYiJ9"));
    client.delete("probe");
}

/// A key that is known and usable is wanted, and one that is not is refused by reads too; it
/// answers with the ARN. The context is not looked at, nor what kind of key it is.
pub fn localstack_checks_kms_keys(client: &OtherClient) {
    let kms = LocalStack::kms();
    let unknown = client.with(kms_headers(UNKNOWN_KEY));
    assert_refused(unknown.put("probe", "x"), 400, "KMS.NotFoundException");
    let begun = unknown.begin_multipart("probe");
    assert_refused(begun, 400, "KMS.NotFoundException");
    client.put("probe", "x");
    let copied = unknown.copy("probe", "probe-2");
    assert_refused(copied, 400, "KMS.NotFoundException");

    let key = kms.create();
    let under = client.with(kms_headers(&key.id));
    under.put("probe", "x").expect("a usable key");
    assert_eq!(client.head("probe").kms_key.as_ref(), Some(&key.arn));
    kms.disable(&key);
    assert_refused(under.put("probe", "x"), 400, "KMS.DisabledException");
    let read = client.with([]).read("probe");
    assert_refused(read, 400, "KMS.DisabledException");
    kms.enable(&key);
    assert_eq!(client.read("probe"), b"x");
    kms.schedule_deletion(&key);
    let pending = under.put("probe", "x");
    assert_refused(pending, 400, "KMS.KMSInvalidStateException");
    client.delete("probe");
}

/// What cloakfs has to do because the server does not: resolve aliases.
pub fn localstack_takes_an_alias_for_an_id(client: &OtherClient) {
    let kms = LocalStack::kms();
    let key = kms.create();
    let alias = format!("alias/probe-{}", key.id);
    kms.alias(&alias, &key);
    let seen = client.with(kms_headers(&alias)).put("probe", "x");
    let stored = seen.expect("an alias").kms_key.expect("a key");
    assert!(stored.ends_with(&format!(":key/{alias}")), "{stored}");
    client.delete("probe");
}

/// It tells bucket keys and DSSE as they were asked for, though it does neither; under DSSE it does
/// not tell the key, which it does look up.
pub fn localstack_tells_bucket_keys_and_dsse(client: &OtherClient) {
    let kms = LocalStack::kms();
    let key = kms.create();
    let with = |name, value: &str| {
        let mut headers = kms_headers(&key.arn);
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value.to_owned()));
        client.with(headers)
    };
    client
        .with(kms_headers(&key.arn))
        .put("probe", "x")
        .expect("a key");
    assert!(!client.head("probe").bucket_key);
    with(BUCKET_KEY, "true")
        .put("probe", "x")
        .expect("a bucket key");
    assert!(client.head("probe").bucket_key);
    let dsse = with(MODE, "aws:kms:dsse");
    dsse.put("probe", "x").expect("DSSE");
    let Seen {
        encryption,
        kms_key,
        ..
    } = client.head("probe");
    assert_eq!(
        (encryption.as_deref(), kms_key),
        (Some("aws:kms:dsse"), None)
    );
    kms.disable(&key);
    assert_refused(dsse.put("probe", "x"), 400, "KMS.DisabledException");
    client.delete("probe");
}

/// Which of the customer's keys a server does not insist on.
#[derive(Clone, Copy, Debug)]
pub struct Laxness {
    /// A part is copied whatever key is given for the source or the target.
    pub part_copies: bool,
    /// An object without a customer's key is read with one.
    pub unneeded: bool,
}

pub const MINIO_IS_STRICT: Laxness = Laxness {
    part_copies: false,
    unneeded: false,
};

pub const LOCALSTACK_IS_LAX: Laxness = Laxness {
    part_copies: true,
    unneeded: true,
};

/// Nothing is told or given without the right customer's key.
pub fn customer_keys_are_checked(client: &OtherClient, lax: Laxness) {
    let (key, other) = (CustomerKey::new(101), CustomerKey::new(102));
    let put = client.with(key.headers()).put("probe", "x").expect("a put");
    assert_eq!(put.key_md5, Some(key.md5()));
    assert_eq!(
        client.with(key.headers()).read("probe").expect("a read"),
        b"x"
    );
    let (wrong, without) = (client.with(other.headers()), client.with([]));
    assert_refused(wrong.head("probe"), 403, "");
    assert_refused(wrong.read("probe"), 403, "AccessDenied");
    assert_refused(without.head("probe"), 400, "");
    assert_refused(without.read("probe"), 400, "InvalidRequest");
    let mut garbled = key.headers();
    garbled[2].1 = other.md5();
    let garbled = client.with(garbled).put("probe-2", "x");
    assert_eq!(garbled.expect_err("a key without its MD5").status, 400);

    let from_wrong = [key.headers(), other.source_headers()].concat();
    let from_wrong = client.with(from_wrong);
    assert_refused(from_wrong.copy("probe", "probe-2"), 403, "AccessDenied");
    let right = [other.headers(), key.source_headers()].concat();
    client
        .with(right.clone())
        .copy("probe", "probe-2")
        .expect("a copy");
    assert_eq!(wrong.read("probe-2").expect("a read of the copy"), b"x");

    let wrong_source = from_wrong.copy_part(key.headers(), "probe", "probe-3");
    let wrong_target = client
        .with(right)
        .copy_part(key.headers(), "probe", "probe-3");
    client.put("probe-4", "x");
    let unneeded = client.with(key.headers()).read("probe-4");
    if lax.part_copies {
        wrong_source.expect("it has become stricter: say so above");
        wrong_target.expect("it has become stricter: say so above");
    } else {
        assert_refused(wrong_source, 403, "AccessDenied");
        assert_refused(wrong_target, 403, "AccessDenied");
    }
    if lax.unneeded {
        unneeded.expect("it has become stricter: say so above");
    } else {
        assert_refused(unneeded, 400, "InvalidRequest");
    }
    for name in ["probe", "probe-2", "probe-4"] {
        client.delete(name);
    }
}

#[test]
fn minio() {
    let bucket = Minio::shared().bucket("proofs");
    minio_tells_what_is_not_encrypted(&bucket.client);
    minio_checks_kms_keys(&bucket.client);
    customer_keys_are_checked(&bucket.client, MINIO_IS_STRICT);
    assert_eq!(bucket.client.keys(""), [""; 0]);
}

#[test]
fn localstack() {
    let bucket = LocalStack::shared().bucket("proofs");
    localstack_checks_kms_keys(&bucket.client);
    localstack_takes_an_alias_for_an_id(&bucket.client);
    localstack_tells_bucket_keys_and_dsse(&bucket.client);
    customer_keys_are_checked(&bucket.client, LOCALSTACK_IS_LAX);
    assert_eq!(bucket.client.keys(""), [""; 0]);
}

/// Keys that are refused at mount are accepted here: what S3 refuses, LocalStack's S3 does not.
#[test]
fn localstack_accepts_keys_that_cannot_encrypt_for_s3() {
    let bucket = LocalStack::shared().bucket("proofs");
    let rsa = LocalStack::kms().create_rsa();
    let put = bucket.client.with(kms_headers(&rsa.id)).put("probe", "x");
    put.expect("it has become stricter: say so above");
    let away = LocalStack::kms_in("eu-west-1").create();
    let put = bucket.client.with(kms_headers(&away.arn)).put("probe", "x");
    assert_refused(put, 400, "KMS.NotFoundException");
}

/// The tests of policies rest on this.
#[test]
fn a_session_does_what_its_policy_allows() {
    let bucket = Minio::shared().bucket("proofs");
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::*"] }],
    });
    bucket.client.put("probe", "x");
    let session = bucket.restricted(&policy.to_string());
    assert_eq!(session.client.read("probe"), b"x");
    assert_refused(
        session.client.with([]).put("probe", "y"),
        403,
        "AccessDenied",
    );
}
