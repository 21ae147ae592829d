//! The suite on MinIO, over TLS, in every server-side mode.

use std::sync::Arc;

use cloakfs::base::context::EncryptionContext;
use cloakfs::base::secret::Secret;
use cloakfs::store::s3::{CustomerKey, KmsRequest, RequestedEncryption};

use crate::servers;
use crate::suite::{Difference, Server, run};

const DIFFERENCES: &[Difference] = &[
    Difference::ConditionalDeleteIgnored,
    Difference::ConditionalCopyIgnored,
    Difference::EmptyComponentsRefused,
    Difference::DotComponentsRefused,
    Difference::LongComponentsRefused,
    Difference::ChildBesideObjectUnlisted,
    Difference::MetadataLimitLower,
    Difference::UploadsUnlistedByPrefix,
];

async fn conforms(name: &'static str, encryption: RequestedEncryption) {
    let minio = servers::minio();
    let bucket = minio.fresh_bucket().await;
    run(Server {
        name,
        store: Arc::new(minio.store(&bucket, encryption).await),
        prefix: "suite/".to_owned(),
        differences: DIFFERENCES,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_without_encryption() {
    conforms("MinIO, none", RequestedEncryption::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_sse_s3() {
    conforms("MinIO, sse-s3", RequestedEncryption::SseS3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_sse_kms() {
    let kms = KmsRequest {
        key: Some("my-key".to_owned()),
        context: Some(EncryptionContext::parse(["tenant=a"]).unwrap()),
        ..KmsRequest::default()
    };
    conforms("MinIO, sse-kms", RequestedEncryption::SseKms(kms)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_sse_c() {
    let key = CustomerKey::new(&Secret::take(&mut [7; 32]));
    conforms("MinIO, sse-c", RequestedEncryption::SseC(key)).await;
}
