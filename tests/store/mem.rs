//! The suite on the store in memory, which differs in nothing.

use std::sync::Arc;

use cloakfs::store::mem::MemStore;

use crate::suite::{Server, run};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    run(Server {
        name: "mem",
        store: Arc::new(MemStore::new()),
        prefix: "suite/".to_owned(),
        differences: &[],
    })
    .await;
}
