//! The suite on a local directory, which differs in nothing.

use std::sync::Arc;

use cloakfs::store::dir::DirStore;

use crate::suite::{Server, run};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let directory = tempfile::tempdir().unwrap();
    run(Server {
        name: "dir",
        store: Arc::new(DirStore::open(directory.path()).unwrap()),
        prefix: "suite/".to_owned(),
        differences: &[],
    })
    .await;
}
