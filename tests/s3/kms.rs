//! What a server says of keys of KMS that cannot be used, and what becomes of it.

use aws_sdk_kms::config::{BehaviorVersion, Region};
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyUsageType, OriginType};
use bytes::Bytes;
use cloakfs::aws::Transport;
use cloakfs::store::s3::{KmsRequest, RequestedEncryption, S3Store};
use cloakfs::store::{
    ErrorKind, GetOptions, ObjectAttributes, PutOptions, Result, Store, StoreError, Written,
};

use crate::key;
use crate::servers::{self, Server};

/// The SDK's own client.
pub fn client(server: &Server) -> aws_sdk_kms::Client {
    let http = Transport::new(server.ca.as_deref()).unwrap();
    aws_sdk_kms::Client::from_conf(
        aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .endpoint_url(&server.endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(server.credentials())
            .build(),
    )
}

async fn create(kms: &aws_sdk_kms::Client, origin: OriginType) -> KeyMetadata {
    let created = kms.create_key().origin(origin).send().await.unwrap();
    created.key_metadata.unwrap()
}

async fn store(server: &Server, bucket: &str, key: &str) -> S3Store {
    let request = KmsRequest {
        key: Some(key.to_owned()),
        ..KmsRequest::default()
    };
    server
        .store(bucket, RequestedEncryption::SseKms(request))
        .await
}

async fn put(store: &S3Store) -> Result<Written> {
    let body = Bytes::from_static(b"x");
    store.put(&key("k"), body, PutOptions::default()).await
}

fn assert_denied(failed: &StoreError, code: &str, advice: &str) {
    assert_eq!(failed.kind(), ErrorKind::Denied, "{failed}");
    assert_eq!(failed.code(), Some(code), "{failed}");
    assert!(
        failed.message().ends_with(&format!(": {advice}")),
        "{failed}"
    );
    assert!(failed.concerns_encryption(), "{failed}");
}

#[tokio::test]
async fn a_key_that_is_not_there_is_told_by_minio() {
    let server = servers::minio();
    let bucket = server.fresh_bucket().await;
    let store = store(&server, &bucket, "no-such-key").await;
    let advice = "the KMS key no-such-key is not known where the bucket is: check its id, its account and its region";
    assert_denied(&put(&store).await.unwrap_err(), "kms:KeyNotFound", advice);
    let upload = store
        .create_multipart(&key("k"), ObjectAttributes::default())
        .await;
    assert_denied(&upload.unwrap_err(), "kms:KeyNotFound", advice);
}

#[tokio::test]
async fn two_layers_are_told_by_minio_to_be_too_much() {
    let server = servers::minio();
    let bucket = server.fresh_bucket().await;
    let dsse = KmsRequest {
        dsse: true,
        ..KmsRequest::default()
    };
    let store = server
        .store(&bucket, RequestedEncryption::SseKms(dsse))
        .await;
    let failed = put(&store).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Invalid);
    assert!(failed.concerns_encryption());
    assert!(
        failed.message().ends_with("the server does not have this encryption (of others than Amazon S3, few have dsse): choose another"),
        "{failed}"
    );
}

/// LocalStack takes an asymmetric key, which Amazon S3 does not: that is in the table of words.
#[tokio::test]
async fn keys_that_cannot_be_used_are_told_by_localstack() {
    let server = crate::localstack_tls();
    let bucket = server.fresh_bucket().await;
    let kms = client(&server);

    let disabled = create(&kms, OriginType::AwsKms).await;
    kms.disable_key()
        .key_id(&disabled.key_id)
        .send()
        .await
        .unwrap();
    let pending = create(&kms, OriginType::AwsKms).await;
    kms.schedule_key_deletion()
        .key_id(&pending.key_id)
        .pending_window_in_days(7)
        .send()
        .await
        .unwrap();
    let empty = create(&kms, OriginType::External).await;
    let unknown = "arn:aws:kms:us-east-1:000000000000:key/11111111-1111-1111-1111-111111111111";
    let elsewhere = "arn:aws:kms:eu-west-1:000000000000:key/11111111-1111-1111-1111-111111111111";
    let arn = |key: &KeyMetadata| key.arn.clone().unwrap();
    let enable = "is disabled: enable it (`aws kms enable-key`), or import its material again if it has none";
    for (id, code, advice) in [
        (
            &disabled.key_id,
            "KMS.DisabledException",
            format!("the KMS key {} {enable}", arn(&disabled)),
        ),
        (
            &empty.key_id,
            "KMS.DisabledException",
            format!("the KMS key {} {enable}", arn(&empty)),
        ),
        (
            &pending.key_id,
            "KMS.KMSInvalidStateException",
            format!(
                "the KMS key {} is about to be deleted or has no material: cancel its deletion (`aws kms cancel-key-deletion`) and enable it, or import its material again",
                arn(&pending)
            ),
        ),
        (
            &unknown.to_owned(),
            "KMS.NotFoundException",
            format!(
                "the KMS key {unknown} is not known where the bucket is: check its id, its account and its region"
            ),
        ),
        (
            &elsewhere.to_owned(),
            "KMS.NotFoundException",
            format!(
                "the KMS key {elsewhere} is in another region than the bucket: S3 only uses keys of the bucket's region"
            ),
        ),
    ] {
        let store = store(&server, &bucket, id).await;
        assert_denied(&put(&store).await.unwrap_err(), code, &advice);
    }
}

/// A key that is disabled while the mount is there: reads and writes fail with the reason, and
/// go on when it is enabled.
#[tokio::test]
async fn a_key_may_be_disabled_and_enabled_while_it_is_used() {
    let server = crate::localstack_tls();
    let bucket = server.fresh_bucket().await;
    let kms = client(&server);
    let created = create(&kms, OriginType::AwsKms).await;
    let store = store(&server, &bucket, created.arn().unwrap()).await;
    put(&store).await.unwrap();
    let read = async || store.get(&key("k"), GetOptions::default()).await;
    kms.disable_key()
        .key_id(&created.key_id)
        .send()
        .await
        .unwrap();
    let advice = format!(
        "the KMS key {} is disabled: enable it (`aws kms enable-key`), or import its material again if it has none",
        created.arn().unwrap()
    );
    assert_denied(
        &put(&store).await.unwrap_err(),
        "KMS.DisabledException",
        &advice,
    );
    assert_denied(&read().await.unwrap_err(), "KMS.DisabledException", &advice);
    kms.enable_key()
        .key_id(&created.key_id)
        .send()
        .await
        .unwrap();
    put(&store).await.unwrap();
    assert_eq!(read().await.unwrap().body, "x");
}

/// What [`keys_that_cannot_be_used_are_told_by_localstack`] says of it.
#[tokio::test]
async fn localstack_takes_an_asymmetric_key() {
    let server = crate::localstack_tls();
    let bucket = server.fresh_bucket().await;
    let created = client(&server)
        .create_key()
        .key_spec(KeySpec::Rsa2048)
        .key_usage(KeyUsageType::EncryptDecrypt)
        .send()
        .await
        .unwrap();
    let created = created.key_metadata.unwrap();
    let store = store(&server, &bucket, &created.key_id).await;
    assert!(put(&store).await.is_ok());
}
