//! A bucket's settings: on servers that keep them, and in the words of Amazon's documentation.

use cloakfs::store::s3::{RequestedEncryption, S3Store};
use cloakfs::store::settings::{BucketSettings, DefaultAlgorithm, DefaultEncryption};
use cloakfs::store::{ErrorKind, Operation};
use serde_json::Value;

use crate::fake::{Fake, error, ok};
use crate::servers;

/// A new bucket on MinIO and one on LocalStack.
async fn buckets() -> Vec<(&'static str, S3Store)> {
    let mut buckets = vec![];
    for server in [servers::minio(), servers::localstack()] {
        let bucket = server.fresh_bucket().await;
        let store = server.store(&bucket, RequestedEncryption::None).await;
        buckets.push((server.name, store));
    }
    buckets
}

#[tokio::test]
async fn a_policy_comes_back_as_it_was_put() {
    for (server, store) in buckets().await {
        assert_eq!(store.policy().await.unwrap(), None, "{server}");
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"x","Effect":"Deny","Principal":{{"AWS":["*"]}},"Action":["s3:PutObject"],"Resource":["arn:aws:s3:::{}/*"],"Condition":{{"StringNotEquals":{{"s3:x-amz-server-side-encryption":["AES256"]}}}}}}]}}"#,
            store.bucket()
        );
        store.put_policy(&policy).await.unwrap();
        let found = store.policy().await.unwrap().expect("a policy");
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(parse(&found), parse(&policy), "{server}");
        let refused = store.put_policy("{}").await.unwrap_err();
        assert_eq!(refused.operation(), Operation::PutBucketPolicy, "{server}");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{server}: {refused}");
    }
}

#[tokio::test]
async fn a_default_encryption_comes_back_as_it_was_put() {
    for (server, store) in buckets().await {
        let before = store.default_encryption().await.unwrap();
        let algorithm = before.map(|default| default.algorithm);
        // MinIO has none, and LocalStack Amazon's.
        assert!(
            matches!(algorithm, None | Some(DefaultAlgorithm::Aes256)),
            "{server}: {algorithm:?}"
        );
        let wanted = DefaultEncryption {
            algorithm: DefaultAlgorithm::Kms {
                key: Some("my-key".to_owned()),
                dsse: false,
            },
            bucket_key: false,
            blocks_customer_keys: None,
        };
        store.put_default_encryption(&wanted).await.unwrap();
        let found = store
            .default_encryption()
            .await
            .unwrap()
            .expect("a default");
        // MinIO makes an ARN of the id.
        let DefaultAlgorithm::Kms { key: Some(key), .. } = &found.algorithm else {
            panic!("{server}: {found:?}")
        };
        assert!(key.ends_with("my-key"), "{server}: {key}");
    }
}

/// "GetBucketEncryption" and "Blocking or unblocking SSE-C for a general purpose bucket".
#[tokio::test]
async fn what_amazon_says_of_customers_keys_is_read_and_put() {
    for (blocked, expected) in [
        ("", None),
        (
            "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>",
            Some(true),
        ),
        (
            "<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>",
            Some(false),
        ),
    ] {
        let body = format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>{blocked}</Rule></ServerSideEncryptionConfiguration>"
        );
        let fake = Fake::start(move |_| ok(&[], &body)).await;
        let store = fake.store(RequestedEncryption::None).await;
        let found = store
            .default_encryption()
            .await
            .unwrap()
            .expect("a default");
        assert_eq!(
            found,
            DefaultEncryption {
                algorithm: DefaultAlgorithm::Kms {
                    key: Some("k".to_owned()),
                    dsse: false
                },
                bucket_key: true,
                blocks_customer_keys: expected,
            }
        );
        store.put_default_encryption(&found).await.unwrap();
        let sent = fake.requests().pop().expect("a request");
        assert_eq!(sent.method, "PUT");
        let body = String::from_utf8(sent.body).unwrap();
        assert_eq!(
            body.contains("<EncryptionType>SSE-C<"),
            expected == Some(true),
            "{body}"
        );
        assert_eq!(
            body.contains("<EncryptionType>NONE<"),
            expected == Some(false),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_may_not_be_asked_are_told_apart() {
    let fake = Fake::start(|request| {
        if request.target.contains("policy") {
            error(
                "404 Not Found",
                "NoSuchBucketPolicy",
                "The bucket policy does not exist",
                &[],
            )
        } else {
            error("403 Forbidden", "AccessDenied", "Access Denied", &[])
        }
    })
    .await;
    let store = fake.store(RequestedEncryption::None).await;
    assert_eq!(store.policy().await.unwrap(), None);
    let denied = store.default_encryption().await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied);
    assert_eq!(denied.operation(), Operation::GetBucketEncryption);
    let missing = Fake::start(|_| {
        error(
            "404 Not Found",
            "NoSuchBucket",
            "The specified bucket does not exist",
            &[],
        )
    })
    .await;
    let store = missing.store(RequestedEncryption::None).await;
    let error = store.policy().await.unwrap_err();
    assert_eq!(
        error.code(),
        Some("NoSuchBucket"),
        "no policy is something else"
    );
}
