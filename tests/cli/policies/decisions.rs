//! What the texts decide: what a mount of the mode sends is let through, and what an attacker, a
//! careless client or another mode sends is not.

use cloakfs::base::context::EncryptionContext;
use cloakfs::base::secret::Secret;
use cloakfs::store::s3::encryption::{HeaderValue, RequestKind, headers};
use cloakfs::store::s3::{CustomerKey, KmsRequest, RequestedEncryption};

use super::evaluator::{Request, allows};
use super::{KEY, VOLUME, printed};

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const OTHER_KEY: &str =
    "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000";
const OBJECT: &str = "arn:aws:s3:::my-bucket/team/a/file";
/// What makes an object, or begins to: to policies all of it is PutObject.
const MAKING: [RequestKind; 3] = [
    RequestKind::Put,
    RequestKind::Copy,
    RequestKind::CreateMultipart,
];

fn kms(key: Option<&str>, dsse: bool) -> RequestedEncryption {
    RequestedEncryption::SseKms(KmsRequest {
        key: key.map(str::to_owned),
        dsse,
        ..KmsRequest::default()
    })
}

fn sse_c() -> RequestedEncryption {
    RequestedEncryption::SseC(CustomerKey::new(&Secret::take(&mut [7; 32])))
}

/// The upload that cloakfs sends in this mode, over TLS.
fn upload(encryption: &RequestedEncryption, kind: RequestKind) -> Request {
    let put = Request::new("s3:PutObject", OBJECT).with("aws:SecureTransport", "true");
    headers(encryption, kind, None, false)
        .into_iter()
        .fold(put, |put, (name, value)| match value {
            HeaderValue::Text(value) => put.with(&format!("s3:{name}"), &value),
            // Policies do not see it.
            HeaderValue::Key(_) => put,
        })
}

fn bucket_policy(place: &str, options: &[&str]) -> String {
    printed(&[&["bucket", place], options].concat())
}

/// Of these modes the first ones are let through and the others are not.
#[track_caller]
fn lets_through(policy: &str, good: &[RequestedEncryption], bad: &[RequestedEncryption]) {
    for (modes, expected) in [(good, true), (bad, false)] {
        for mode in modes {
            for kind in MAKING {
                let request = upload(mode, kind);
                assert_eq!(
                    allows(&[ALL, policy], &request),
                    expected,
                    "{mode} {request:?}"
                );
                let in_clear = request.with("aws:SecureTransport", "false");
                assert!(!allows(&[ALL, policy], &in_clear), "{in_clear:?}");
            }
        }
    }
}

#[test]
fn a_bucket_of_each_mode_takes_its_uploads_and_no_others() {
    let (none, sse_s3) = (RequestedEncryption::None, RequestedEncryption::SseS3);
    let (default, own) = (kms(None, false), kms(Some(KEY), false));
    let (other, dsse) = (kms(Some(OTHER_KEY), false), kms(Some(KEY), true));
    let by_id = kms(Some("1234abcd-12ab-34cd-56ef-1234567890ab"), false);
    let by_alias = kms(Some("alias/mine"), false);
    let sse_c = sse_c();
    let all = |modes: &[&RequestedEncryption]| -> Vec<_> {
        modes.iter().map(|&mode| mode.clone()).collect()
    };

    let policy = |options: &[&str]| bucket_policy("s3://my-bucket", options);
    lets_through(
        &policy(&["--encryption", "none"]),
        &all(&[&none, &sse_s3, &default, &own, &sse_c]),
        &[],
    );
    lets_through(
        &policy(&["--encryption", "sse-s3"]),
        &all(&[&sse_s3]),
        &all(&[&none, &default, &own, &dsse, &sse_c]),
    );
    lets_through(
        &policy(&["--encryption", "sse-kms"]),
        &all(&[&default, &own, &other]),
        &all(&[&none, &sse_s3, &dsse, &sse_c]),
    );
    lets_through(
        &policy(&["--encryption", "sse-kms", "--kms-key", KEY]),
        &all(&[&own]),
        &all(&[
            &none, &sse_s3, &default, &other, &by_id, &by_alias, &dsse, &sse_c,
        ]),
    );
    lets_through(
        &policy(&["--encryption", "sse-kms", "--kms-key", KEY, "--dsse"]),
        &all(&[&dsse]),
        &all(&[&none, &sse_s3, &default, &own, &sse_c]),
    );
    lets_through(
        &policy(&["--encryption", "sse-c"]),
        &all(&[&sse_c]),
        &all(&[&none, &sse_s3, &default, &own]),
    );
    lets_through(
        &policy(&["--encryption", "sse-s3", "--require", "encrypted,tls"]),
        &all(&[&sse_s3, &default, &own, &other, &dsse, &sse_c]),
        &all(&[&none]),
    );
}

/// A header in another spelling, and the key of one mode with the name of another.
#[test]
fn headers_that_look_right_are_not() {
    let policy = bucket_policy(
        "s3://my-bucket",
        &["--encryption", "sse-kms", "--kms-key", KEY],
    );
    let (mode, key) = (
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    );
    let put = || Request::new("s3:PutObject", OBJECT).with("aws:SecureTransport", "true");
    assert!(allows(
        &[ALL, &policy],
        &put().with(mode, "aws:kms").with(key, KEY)
    ));
    for wrong in [
        put().with(key, KEY),
        put().with(mode, "AES256").with(key, KEY),
        put().with(mode, "AWS:KMS").with(key, KEY),
        put().with(mode, "").with(key, KEY),
        put().with(mode, "aws:kms").with(key, ""),
        put().with(mode, "aws:kms").with(key, &KEY.to_uppercase()),
        put().with(mode, "aws:kms").with(key, &format!("{KEY} ")),
    ] {
        assert!(!allows(&[ALL, &policy], &wrong), "{wrong:?}");
    }
}

#[test]
fn a_prefix_is_judged_and_what_is_beside_it_is_not() {
    let policy = bucket_policy("s3://my-bucket/team/a", &["--encryption", "sse-s3"]);
    let plain = |key: &str| {
        let object = format!("arn:aws:s3:::my-bucket/{key}");
        Request::new("s3:PutObject", &object).with("aws:SecureTransport", "false")
    };
    for (key, allowed) in [
        ("team/a/x", false),
        ("team/a/", false),
        ("team/ab", true),
        ("team/a", true),
        ("team/", true),
    ] {
        assert_eq!(allows(&[ALL, &policy], &plain(key)), allowed, "{key}");
    }
    // A prefix with a wildcard in it is that prefix alone.
    let policy = bucket_policy("s3://my-bucket/a*", &["--encryption", "sse-s3"]);
    assert!(!allows(&[ALL, &policy], &plain("a*/x")));
    assert!(allows(&[ALL, &policy], &plain("ab/x")));
    // Reading needs no encryption, and TLS is asked of it too.
    let policy = bucket_policy("s3://my-bucket", &["--encryption", "sse-c"]);
    let get = Request::new("s3:GetObject", OBJECT);
    assert!(allows(
        &[ALL, &policy],
        &get.clone().with("aws:SecureTransport", "true")
    ));
    assert!(!allows(
        &[ALL, &policy],
        &get.with("aws:SecureTransport", "false")
    ));
    let list = Request::new("s3:ListBucket", "arn:aws:s3:::my-bucket");
    assert!(!allows(
        &[ALL, &policy],
        &list.with("aws:SecureTransport", "false")
    ));
}

const PREFIX: &str = "s3://my-bucket/team/a";

fn iam(options: &[&str]) -> String {
    printed(&[&["iam", PREFIX], options].concat())
}

#[test]
fn who_mounts_may_do_that_below_the_prefix_and_nothing_beside_it() {
    let object =
        |action: &str, key: &str| Request::new(action, &format!("arn:aws:s3:::my-bucket/{key}"));
    let list = |prefix: &str| {
        Request::new("s3:ListBucket", "arn:aws:s3:::my-bucket").with("s3:prefix", prefix)
    };
    let policy = iam(&["--encryption", "sse-s3"]);
    let writing = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"];
    for action in [&["s3:GetObject"][..], &writing].concat() {
        assert!(
            allows(&[&policy], &object(action, "team/a/d/f")),
            "{action}"
        );
        for key in ["team/b/f", "team/a", "f", "team/ab/f"] {
            assert!(!allows(&[&policy], &object(action, key)), "{action} {key}");
        }
        let elsewhere = Request::new(action, "arn:aws:s3:::other/team/a/f");
        assert!(!allows(&[&policy], &elsewhere), "{action}");
    }
    for prefix in [
        "team/a/",
        "team/a/d/",
        ".cloakfs/volume-",
        "team/.cloakfs/volume-",
    ] {
        assert!(allows(&[&policy], &list(prefix)), "{prefix}");
    }
    for prefix in ["", "team/", "team/b/", ".cloakfs/"] {
        assert!(!allows(&[&policy], &list(prefix)), "{prefix}");
    }
    let bucket = |action: &str| Request::new(action, "arn:aws:s3:::my-bucket");
    assert!(!allows(&[&policy], &bucket("s3:ListBucket")), "all of it");
    assert!(allows(&[&policy], &bucket("s3:ListBucketMultipartUploads")));
    for action in [
        "s3:PutBucketPolicy",
        "s3:DeleteBucket",
        "s3:GetBucketPolicy",
        "s3:PutEncryptionConfiguration",
        "s3:GetEncryptionConfiguration",
    ] {
        assert!(!allows(&[&policy], &bucket(action)), "{action}");
    }
    for action in [
        "s3:GetObjectVersion",
        "s3:PutObjectAcl",
        "s3:DeleteObjectVersion",
    ] {
        assert!(!allows(&[&policy], &object(action, "team/a/f")), "{action}");
    }

    let read_only = iam(&["--encryption", "sse-s3", "--read-only"]);
    assert!(allows(&[&read_only], &object("s3:GetObject", "team/a/f")));
    assert!(allows(&[&read_only], &list("team/a/")));
    for action in writing {
        assert!(
            !allows(&[&read_only], &object(action, "team/a/f")),
            "{action}"
        );
    }
    assert!(!allows(
        &[&read_only],
        &bucket("s3:ListBucketMultipartUploads")
    ));

    let versioned = iam(&["--encryption", "none", "--versioned"]);
    assert!(allows(
        &[&versioned],
        &object("s3:GetObjectVersion", "team/a/f")
    ));
    let sse_c = iam(&["--encryption", "sse-c"]);
    assert!(allows(&[&sse_c], &bucket("s3:GetEncryptionConfiguration")));
}

#[test]
fn the_key_is_used_through_s3_for_the_objects_of_the_prefix() {
    let of = |key: &str, arn: &str| {
        Request::new("kms:GenerateDataKey", key)
            .with("kms:ViaService", "s3.eu-west-1.amazonaws.com")
            .with("kms:EncryptionContext:aws:s3:arn", arn)
            .with("kms:EncryptionContext:tenant", "a")
    };
    let bucket = "arn:aws:s3:::my-bucket";
    let kms = [
        "--encryption",
        "sse-kms",
        "--kms-key",
        KEY,
        "--kms-context",
        "tenant=a",
    ];
    let policy = iam(&kms);
    assert!(allows(&[&policy], &of(KEY, OBJECT)));
    let mut decrypt = of(KEY, OBJECT);
    decrypt.action = "kms:Decrypt".to_owned();
    assert!(allows(&[&policy], &decrypt));
    let mut directly = of(KEY, OBJECT);
    directly.context.remove("kms:ViaService");
    for wrong in [
        directly,
        of(OTHER_KEY, OBJECT),
        of(KEY, "arn:aws:s3:::my-bucket/team/b/f"),
        of(KEY, bucket),
        of(KEY, OBJECT).with("kms:ViaService", "ec2.eu-west-1.amazonaws.com"),
        of(KEY, OBJECT).with("kms:EncryptionContext:tenant", "b"),
        Request::new("kms:ScheduleKeyDeletion", KEY),
        Request::new("kms:Encrypt", KEY),
    ] {
        assert!(!allows(&[&policy], &wrong), "{wrong:?}");
    }
    assert!(allows(&[&policy], &Request::new("kms:DescribeKey", KEY)));

    // S3 names the bucket in place of the object, and perhaps not the pairs.
    let with_bucket_key = iam(&[&kms[..], &["--bucket-key"]].concat());
    let mut of_bucket = of(KEY, bucket);
    of_bucket.context.remove("kms:EncryptionContext:tenant");
    assert!(allows(&[&with_bucket_key], &of_bucket));
    assert!(allows(&[&with_bucket_key], &of(KEY, OBJECT)));
    assert!(!allows(&[&with_bucket_key], &of(KEY, "arn:aws:s3:::other")));

    let read_only = iam(&[&kms[..], &["--read-only"]].concat());
    assert!(allows(&[&read_only], &decrypt));
    assert!(!allows(&[&read_only], &of(KEY, OBJECT)));
}

#[test]
fn the_key_of_a_volume_is_used_with_its_context() {
    // What goes with each request of a client-side volume.
    let context = EncryptionContext::parse(["team=a"]).unwrap();
    let id = u128::from_str_radix(VOLUME, 16).unwrap().to_be_bytes();
    let sent = |volume: &[u8; 16]| {
        let pairs = context.for_volume(volume).unwrap();
        let request = Request::new("kms:GenerateDataKey", KEY);
        pairs
            .pairs()
            .iter()
            .fold(request, |request, (name, value)| {
                request.with(&format!("kms:EncryptionContext:{name}"), value)
            })
    };
    let cse = [
        "--encryption",
        "cse-kms",
        "--kms-key",
        KEY,
        "--kms-context",
        "team=a",
    ];
    let any = iam(&cse);
    let one = iam(&[&cse[..], &["--volume", VOLUME]].concat());
    assert!(allows(&[&any], &sent(&id)) && allows(&[&one], &sent(&id)));
    assert!(allows(&[&any], &sent(&[9; 16])));
    assert!(!allows(&[&one], &sent(&[9; 16])), "another volume");
    for policy in [&any, &one] {
        let mut without = sent(&id);
        without
            .context
            .remove("kms:EncryptionContext:cloakfs:volume");
        assert!(!allows(&[policy], &without), "for something else");
        let other = sent(&id).with("kms:EncryptionContext:team", "b");
        assert!(!allows(&[policy], &other));
    }
}
