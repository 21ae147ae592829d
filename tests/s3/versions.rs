//! Old versions in a versioned bucket: read, copied from and deleted by their ids.

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use bytes::Bytes;
use cloakfs::store::s3::{RequestedEncryption, Versioning};
use cloakfs::store::{
    CopyAttributes, CopySource, DeleteOptions, ErrorKind, GetOptions, HeadOptions, ObjectKey,
    PutOptions, Store, VersionId, WriteCondition,
};

use crate::servers::{self, Server};

async fn old_versions_can_be_used(server: Server) {
    let bucket = server.fresh_bucket().await;
    let store = server.store(&bucket, RequestedEncryption::SseS3).await;
    assert_eq!(store.versioning().await.unwrap(), Versioning::Off);
    let key = ObjectKey::new("a b/c").unwrap();
    let put = |body: &'static str| {
        store.put(
            &key,
            Bytes::from_static(body.as_bytes()),
            PutOptions::default(),
        )
    };
    assert_eq!(put("before").await.unwrap().version, None);

    server
        .raw_client()
        .put_bucket_versioning()
        .bucket(&bucket)
        .versioning_configuration(
            VersioningConfiguration::builder()
                .status(BucketVersioningStatus::Enabled)
                .build(),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(store.versioning().await.unwrap(), Versioning::On);

    let old = put("old").await.unwrap().version.unwrap();
    let new = put("new").await.unwrap().version.unwrap();
    let body = |version: Option<VersionId>| {
        let options = GetOptions {
            version,
            ..GetOptions::default()
        };
        let get = store.get(&key, options);
        async move { get.await.map(|object| object.body) }
    };
    assert_eq!(body(None).await.unwrap(), "new");
    assert_eq!(body(Some(old.clone())).await.unwrap(), "old");
    let options = HeadOptions {
        version: Some(old.clone()),
    };
    let info = store.head(&key, options).await.unwrap();
    assert_eq!((info.size, info.version.as_ref()), (3, Some(&old)));

    let source = CopySource {
        key: key.clone(),
        if_match: None,
        version: Some(old.clone()),
        range: None,
    };
    let restored = store
        .copy(&key, source, CopyAttributes::Keep, WriteCondition::None)
        .await
        .unwrap();
    assert_ne!(restored.version, Some(new));
    assert_eq!(body(None).await.unwrap(), "old");

    let options = DeleteOptions {
        version: Some(old.clone()),
        ..DeleteOptions::default()
    };
    store.delete(&key, options).await.unwrap();
    assert_eq!(
        body(Some(old)).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(body(None).await.unwrap(), "old", "the copy is its own");
    store.delete(&key, DeleteOptions::default()).await.unwrap();
    assert_eq!(body(None).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn old_versions_can_be_used_on_minio() {
    old_versions_can_be_used(servers::minio()).await;
}

#[tokio::test]
async fn old_versions_can_be_used_on_localstack() {
    old_versions_can_be_used(servers::localstack()).await;
}
