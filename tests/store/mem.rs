//! The suite on the store in memory, which differs in nothing, and through the decorators,
//! which must not change what a store does.

use std::sync::Arc;

use cloakfs::base::jitter::Jitter;
use cloakfs::store::fault::Fault;
use cloakfs::store::limit::Limit;
use cloakfs::store::mem::MemStore;
use cloakfs::store::retry::{Retry, RetryPolicy};
use cloakfs::store::{Limits, Store};

use crate::suite::{Server, run};

async fn conforms(name: &'static str, store: Arc<dyn Store>) {
    run(Server {
        name,
        store,
        prefix: "suite/".to_owned(),
        differences: &[],
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    conforms("mem", Arc::new(MemStore::new())).await;
    let keeping = MemStore::new().copies_keep_etags();
    conforms("mem whose copies keep ETags", Arc::new(keeping)).await;
    let limits = Limits {
        completes_elsewhere: true,
        ..Limits::S3
    };
    let anywhere = MemStore::new().with_limits(limits);
    conforms("mem that completes anywhere", Arc::new(anywhere)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decorators() {
    let limits = Limits {
        completes_elsewhere: true,
        ..Limits::S3
    };
    let fault = Fault::new(Arc::new(MemStore::new().with_limits(limits)));
    let retry = Retry::new(Arc::new(fault), RetryPolicy::default(), Jitter::from_os());
    let limit = Limit::new(Arc::new(retry), 16, 32 << 20);
    conforms("mem under limit, retry and fault", Arc::new(limit)).await;
}
