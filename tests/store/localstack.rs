//! The suite on LocalStack, over plain http.

use std::sync::Arc;

use cloakfs::store::s3::RequestedEncryption;

use crate::servers;
use crate::suite::{Difference, Server, run};

const DIFFERENCES: &[Difference] = &[
    Difference::ConditionalDeleteRefused,
    Difference::ConditionalCopyIgnored,
    Difference::MetadataLimitUnenforced,
];

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let localstack = servers::localstack();
    let bucket = localstack.fresh_bucket().await;
    run(Server {
        name: localstack.name,
        store: Arc::new(localstack.store(&bucket, RequestedEncryption::None).await),
        prefix: "suite/".to_owned(),
        differences: DIFFERENCES,
    })
    .await;
}
