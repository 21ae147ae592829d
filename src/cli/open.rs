//! Opening the store that a configuration names, and wrapping it for a mount.
//!
//! From the inside out: the back end, `retry`, `limit`. Waiting for a place among the requests
//! is then not taken for a server's silence.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::config::{S3Settings, ServerSide, StoreConfig};
use crate::aws::{Aws, AwsConfig};
use crate::base::jitter::Jitter;
use crate::store::Store;
use crate::store::dir::DirStore;
use crate::store::limit::Limit;
use crate::store::retry::{Retry, RetryPolicy};
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::s3::{RequestedEncryption, S3Config, S3Store};

/// Requests under way at once. A server on the same machine is busy with far fewer; one at 20 ms
/// of distance needs them to be.
const REQUESTS_MAX: usize = 64;
/// Bytes of bodies under way at once: a few large parts.
const UPLOAD_BYTES_MAX: u64 = 64 << 20;

/// A store that is known to answer.
pub(super) struct Opened {
    pub store: Arc<dyn Store>,
    /// Of the keys: empty, or ends in `/`.
    pub prefix: String,
    /// The server; empty for a local directory.
    pub server: String,
    /// How the objects that are written here come back.
    pub encryption: ExpectedEncryption,
    /// The store's figures at the time of the call.
    pub status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

pub(super) async fn store(config: &StoreConfig, timeout: Duration) -> anyhow::Result<Opened> {
    match config {
        StoreConfig::Dir(path) => {
            let path = path.clone();
            // It looks at the disk, which a task may not wait for.
            let store = tokio::task::spawn_blocking(move || DirStore::open(&path)).await??;
            Ok(wrap(Arc::new(store), String::new(), String::new(), timeout))
        }
        StoreConfig::S3(settings) => {
            let store = connect(settings, timeout).await?;
            let server = store.endpoint().describe("S3");
            let prefix = settings.location.prefix.clone();
            let encryption = store.expected_encryption();
            Ok(Opened {
                encryption,
                ..wrap(Arc::new(store), prefix, server, timeout)
            })
        }
    }
}

/// Connects and asks for one key, so that what is wrong is said now.
async fn connect(settings: &S3Settings, timeout: Duration) -> anyhow::Result<S3Store> {
    let S3Settings {
        location,
        encryption,
        endpoint_url,
        region,
        profile,
        path_style,
        ca_bundle,
    } = settings.clone();
    let aws = Aws::find(&AwsConfig {
        endpoint_url,
        region,
        profile,
        ca_bundle,
        timeout,
        ..AwsConfig::default()
    })
    .await?;
    let config = S3Config {
        path_style,
        encryption: match encryption {
            ServerSide::BucketDefault => RequestedEncryption::None,
            ServerSide::SseS3 => RequestedEncryption::SseS3,
        },
        ..S3Config::new(location.bucket)
    };
    let store = S3Store::new(&aws, config)?;
    let checked = tokio::time::timeout(timeout, store.check(&location.prefix))
        .await
        .with_context(|| {
            format!(
                "{} did not answer within {} s; check --endpoint-url and the network",
                store.endpoint().describe("S3"),
                timeout.as_secs()
            )
        })?;
    checked.map_err(|error| anyhow!(store.explain(&error)))?;
    Ok(store)
}

fn wrap(store: Arc<dyn Store>, prefix: String, server: String, timeout: Duration) -> Opened {
    let retry = Arc::new(Retry::new(
        store,
        RetryPolicy::with_timeout(timeout),
        Jitter::from_os(),
    ));
    let limit = Limit::new(
        Arc::clone(&retry) as Arc<dyn Store>,
        REQUESTS_MAX,
        UPLOAD_BYTES_MAX,
    );
    let status = move || {
        let counters = retry.counters();
        json!({
            "retries": counters.retries(),
            "throttled": counters.throttled,
            "unavailable": counters.unavailable,
            "timed_out": counters.timed_out,
            "conflicts": counters.conflicts,
            "gave_up": counters.gave_up,
        })
    };
    Opened {
        store: Arc::new(limit),
        prefix,
        server,
        encryption: ExpectedEncryption::default(),
        status: Box::new(status),
    }
}
