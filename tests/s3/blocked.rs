//! What is refused before or because of the encryption that was asked for.
//!
//! No server at hand blocks SSE-C as Amazon S3 does since April 2026: the answers of the bucket
//! here are those of its documentation ("Blocking or unblocking SSE-C for a general purpose
//! bucket").

use bytes::Bytes;
use cloakfs::aws::{Aws, AwsConfig};
use cloakfs::store::probe::{Access, probe};
use cloakfs::store::s3::{KmsRequest, RequestedEncryption, S3Config, S3ConfigError, S3Store};
use cloakfs::store::{ErrorKind, ObjectAttributes, PutOptions, Store};

use crate::fake::{DATE, ETAG, Fake, error, ok};
use crate::{customer_key, key};

fn sse_c() -> S3Config {
    S3Config {
        encryption: RequestedEncryption::SseC(customer_key(1).0),
        ..S3Config::new("bucket")
    }
}

fn sse_kms(kms: KmsRequest) -> S3Config {
    S3Config {
        encryption: RequestedEncryption::SseKms(kms),
        ..S3Config::new("bucket")
    }
}

/// A bucket that denies every write, and says this about its encryption.
async fn denying(encryption: impl Fn() -> String + Send + Sync + 'static) -> Fake {
    Fake::start_tls(move |request| match request.method.as_str() {
        "GET" if request.target.contains("encryption") => encryption(),
        "DELETE" => ok(&["HTTP/1.1 204 No Content"], ""),
        _ => error("403 Forbidden", "AccessDenied", "Access Denied", &[]),
    })
    .await
}

fn rule(blocked: &str) -> String {
    ok(
        &[],
        &format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes><EncryptionType>{blocked}</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>"
        ),
    )
}

const BLOCKED: &str = "the bucket \"bucket\" blocks SSE-C, as new buckets of Amazon S3 do: allow it with PutBucketEncryption (BlockedEncryptionTypes NONE), or choose another --encryption";

#[tokio::test]
async fn a_bucket_that_blocks_customer_keys_says_so_when_it_is_mounted() {
    let fake = denying(|| rule("SSE-C")).await;
    let store = fake.open(sse_c()).await;
    let found = probe(&store, "").await;
    let Access::Encryption(words) = &found.write else {
        panic!("{found:?}");
    };
    assert_eq!(words, BLOCKED);
    let upload = store
        .create_multipart(&key("k"), ObjectAttributes::default())
        .await
        .unwrap_err();
    assert_eq!(upload.message(), BLOCKED);
    assert_eq!(upload.kind(), ErrorKind::Denied);
    let asked = fake.requests();
    let asked = asked
        .iter()
        .filter(|asked| asked.target.contains("encryption"));
    assert_eq!(asked.count(), 1, "the answer is remembered");
}

#[tokio::test]
async fn a_denial_of_another_cause_is_not_taken_for_a_block() {
    let denied = format!(
        "AccessDenied: Access Denied: the policies of these credentials or of the bucket do not allow it, or require another --encryption or key than this mount's, which is sse-c under the key with MD5 {}",
        customer_key(1).0.md5()
    );
    let not_configured = || {
        error(
            "404 Not Found",
            "ServerSideEncryptionConfigurationNotFoundError",
            "",
            &[],
        )
    };
    let forbidden = || error("403 Forbidden", "AccessDenied", "", &[]);
    for fake in [
        denying(|| rule("NONE")).await,
        denying(not_configured).await,
        denying(forbidden).await,
    ] {
        let store = fake.open(sse_c()).await;
        let found = probe(&store, "").await;
        let Access::Denied(words) = &found.write else {
            panic!("{found:?}");
        };
        assert!(words.ends_with(&denied), "{words}");
    }
    // A mode that the bucket cannot block is not asked about.
    let fake = denying(|| rule("SSE-C")).await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    let failed = store
        .put(&key("k"), Bytes::new(), PutOptions::default())
        .await
        .unwrap_err();
    assert!(!failed.concerns_encryption());
    assert_eq!(fake.requests().len(), 1);
}

/// kms:GenerateDataKey without kms:Decrypt: the object can be written and never read.
#[tokio::test]
async fn a_key_that_may_not_decrypt_refuses_the_mount() {
    let fake = Fake::start_tls(|request| match request.method.as_str() {
        "PUT" => ok(
            &[
                ETAG,
                "x-amz-server-side-encryption: aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:eu-west-1:1:key/k",
            ],
            "",
        ),
        "GET" => error(
            "403 Forbidden",
            "AccessDenied",
            "User: u is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k because no identity-based policy allows the kms:Decrypt action",
            &[DATE],
        ),
        _ => ok(&["HTTP/1.1 204 No Content"], ""),
    })
    .await;
    let kms = KmsRequest {
        key: Some("k".to_owned()),
        ..KmsRequest::default()
    };
    let found = probe(&fake.open(sse_kms(kms)).await, "").await;
    let Access::Encryption(words) = &found.write else {
        panic!("{found:?}");
    };
    assert!(
        words.starts_with("what was written cannot be read back: GetObject of"),
        "{words}"
    );
    assert!(words.ends_with("the credentials need kms:GenerateDataKey and kms:Decrypt on the KMS key arn:aws:kms:eu-west-1:1:key/k, both by their own policy and by the key's"), "{words}");
    let deleted = fake
        .requests()
        .into_iter()
        .any(|asked| asked.method == "DELETE");
    assert!(deleted, "the probe is cleared away");
}

/// Over plain http no connection is made at all: the listener sees none.
#[tokio::test]
async fn what_needs_tls_is_refused_before_anything_is_sent() {
    let fake = Fake::start(|_| ok(&[ETAG], "")).await;
    let aws = Aws::find(&fake.server.config()).await.unwrap();
    let endpoint = &fake.server.endpoint;
    let read_keys = S3Config {
        read_keys: vec![customer_key(1).0],
        ..S3Config::new("bucket")
    };
    for (config, sentence) in [
        (
            sse_c(),
            format!(
                "sse-c would send the key in clear to {endpoint}: give an https:// endpoint with --endpoint-url"
            ),
        ),
        (
            read_keys,
            format!(
                "the keys to read with (SSE-C) would be sent in clear to {endpoint}: give an https:// endpoint with --endpoint-url"
            ),
        ),
        (
            sse_kms(KmsRequest::default()),
            format!(
                "S3 takes requests for sse-kms over TLS only, which {endpoint} is not: give an https:// endpoint with --endpoint-url"
            ),
        ),
    ] {
        let refused = S3Store::new(&aws, config).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
    }
    assert!(S3Store::new(&aws, S3Config::new("bucket")).is_ok());
    // A scheme is the same in capitals, to whoever connects too.
    let shouted = AwsConfig {
        endpoint_url: Some(endpoint.replacen("http:", "HTTP:", 1)),
        ..fake.server.config()
    };
    let aws = Aws::find(&shouted).await.unwrap();
    let refused = S3Store::new(&aws, sse_c()).unwrap_err();
    assert_eq!(refused, S3ConfigError::KeyInClear(endpoint.clone()));
    assert_eq!(fake.connections(), 0);
}

#[tokio::test]
async fn a_bucket_key_with_two_layers_is_refused() {
    let fake = Fake::start_tls(|_| ok(&[ETAG], "")).await;
    let aws = Aws::find(&fake.server.config()).await.unwrap();
    let kms = KmsRequest {
        bucket_key: true,
        dsse: true,
        ..KmsRequest::default()
    };
    let refused = S3Store::new(&aws, sse_kms(kms)).unwrap_err();
    assert_eq!(refused, S3ConfigError::BucketKeyOfDsse);
    assert_eq!(
        refused.to_string(),
        "S3 has no bucket keys for dual-layer encryption (dsse): ask for one of the two, not both"
    );
}

/// An upload that was begun under another mode is not left behind.
#[tokio::test]
async fn an_upload_under_another_mode_is_aborted() {
    let fake = Fake::start_tls(|request| match request.method.as_str() {
        "POST" => ok(
            &["x-amz-server-side-encryption: AES256"],
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        _ => ok(&["HTTP/1.1 204 No Content"], ""),
    })
    .await;
    let store = fake.open(sse_kms(KmsRequest::default())).await;
    let failed = store
        .create_multipart(&key("k"), ObjectAttributes::default())
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    assert!(failed.concerns_encryption());
    assert!(!failed.message().contains("is stored"), "{failed}");
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].method, "DELETE");
    assert!(requests[1].target.contains("uploadId=u"));
}
