//! Opening the store that a configuration names, and wrapping it for a mount.
//!
//! From the inside out: the back end, the fence of the lease, `retry`, `limit`. So each attempt is
//! asked whether the mount may still change anything, and waiting for a place among the requests
//! is not taken for a server's silence.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;

use super::client_side::Mounted;
use super::config::{Connection, S3Settings, StoreConfig};
use super::server_side::{self, CustomerKeys};
use crate::aws::{Aws, AwsConfig};
use crate::base::jitter::Jitter;
use crate::layout::plain::Defaults;
use crate::mount::control::protocol;
use crate::mount::state::StateDir;
use crate::store::dir::DirStore;
use crate::store::limit::Limit;
use crate::store::retry::{Retry, RetryPolicy};
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::s3::{CustomerKey, RequestedEncryption, S3Config, S3Store};
use crate::store::{ServerEncryption, Store};
use crate::volume::lease::{Fence, Gate};
use crate::volume::record::place;
use crate::volume::{Volume, VolumeError, VolumeOptions};

/// Requests under way at once. A server on the same machine is busy with far fewer; one at 20 ms
/// of distance needs them to be.
const REQUESTS_MAX: usize = 64;
/// Bytes of bodies under way at once: a few large parts.
const UPLOAD_BYTES_MAX: u64 = 64 << 20;

/// A store that is known to answer.
pub(super) struct Opened {
    pub store: Arc<dyn Store>,
    /// The same for the lease itself.
    pub unfenced: Arc<dyn Store>,
    pub gate: Arc<Gate>,
    pub about: About,
    /// The store's figures at the time of the call.
    pub status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

/// Opens the volume that is in a store.
pub(super) async fn volume(
    store: Arc<dyn Store>,
    prefix: &str,
    options: VolumeOptions,
    sealed: Option<Mounted>,
) -> Result<Arc<Volume>, VolumeError> {
    match sealed {
        None => Volume::open(store, prefix, options).await,
        Some(sealed) => Volume::open_client_side(store, prefix, options, sealed.volume).await,
    }
}

/// What there is to tell about a store.
pub(super) struct About {
    /// Of the keys: empty, or ends in `/`.
    pub prefix: String,
    /// The server; empty for a local directory.
    pub server: String,
    /// How what is written is encrypted, for status.
    pub encryption: protocol::Encryption,
    /// How the objects that are written here come back.
    pub expected: ExpectedEncryption,
    /// What the user should know about its keys, a sentence each.
    pub notes: Vec<String>,
    /// The customer's keys of SSE-C: to write with, then those to read with.
    pub customer: Vec<CustomerKey>,
    /// The way to S3; `None` for a local directory.
    pub aws: Option<Aws>,
    /// What objects are under for which nothing is asked, where it was asked for and told.
    pub bucket_default: Option<ServerEncryption>,
}

impl About {
    /// What a volume in this store is opened with by who only reads it.
    pub(super) fn to_read(&self, state: &StateDir) -> VolumeOptions {
        VolumeOptions {
            read_only: true,
            alone: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0,
            },
            trust_listing: false,
            server: self.server.clone(),
            encryption: self.expected.clone(),
            journal_dir: state.path().join("uploads"),
        }
    }
}

impl Default for About {
    /// A local directory.
    fn default() -> Self {
        Self {
            prefix: String::new(),
            server: String::new(),
            encryption: server_side::describe(&RequestedEncryption::None),
            expected: ExpectedEncryption::default(),
            notes: Vec::new(),
            customer: Vec::new(),
            aws: None,
            bucket_default: Some(ServerEncryption::None),
        }
    }
}

pub(super) async fn store(config: &StoreConfig, timeout: Duration) -> anyhow::Result<Opened> {
    open(config, timeout, Purpose::Use).await
}

/// The same for whoever wants to know what is there, whether or not it can be read.
pub(super) async fn store_to_inspect(
    config: &StoreConfig,
    timeout: Duration,
) -> anyhow::Result<Opened> {
    open(config, timeout, Purpose::Inspect).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Nothing is opened of which no object can be read.
    Use,
    Inspect,
}

async fn open(config: &StoreConfig, timeout: Duration, purpose: Purpose) -> anyhow::Result<Opened> {
    match config {
        StoreConfig::Dir(settings) => {
            let path = settings.path.clone();
            // It looks at the disk, which a task may not wait for.
            let opening = tokio::task::spawn_blocking(move || {
                place::refuse_inside_directory(&path)?;
                anyhow::Ok(DirStore::open(&path)?)
            });
            let store = opening.await??;
            Ok(wrap(Arc::new(store), About::default(), timeout))
        }
        StoreConfig::S3(settings) => {
            let mut about = About {
                prefix: settings.location.prefix.clone(),
                ..About::default()
            };
            let store = connect(settings, timeout, purpose, &mut about).await?;
            about.server = store.endpoint().describe("S3");
            about.expected = store.expected_encryption();
            Ok(wrap(Arc::new(store), about, timeout))
        }
    }
}

/// Credentials, region and endpoints.
pub(super) async fn find_aws(connection: &Connection, timeout: Duration) -> anyhow::Result<Aws> {
    let connection = connection.clone();
    let config = AwsConfig {
        endpoint_url: connection.endpoint_url,
        kms_endpoint_url: connection.kms_endpoint_url,
        region: connection.region,
        profile: connection.profile,
        ca_bundle: connection.ca_bundle,
        timeout,
        ..AwsConfig::default()
    };
    Ok(Aws::find(&config).await?)
}

/// Connects, asks for one key and looks whether what is there can be read, so that what is wrong
/// is said now.
async fn connect(
    settings: &S3Settings,
    timeout: Duration,
    purpose: Purpose,
    about: &mut About,
) -> anyhow::Result<S3Store> {
    let S3Settings {
        location,
        encryption,
        connection,
        path_style,
    } = settings.clone();
    let keys = CustomerKeys::read(&encryption, timeout).await?;
    let aws = find_aws(&connection, timeout).await?;
    about.aws = Some(aws.clone());
    about.customer = keys.all();
    let kms = server_side::kms_to_ask(&encryption.mode, &aws)?;
    let mut config = S3Config {
        path_style,
        encryption: server_side::request(&encryption.mode, &keys),
        read_keys: keys.older,
        ..S3Config::new(location.bucket)
    };
    let mut store = S3Store::new(&aws, config.clone())?;
    within(timeout, &store, store.check(&location.prefix))
        .await?
        .map_err(|error| anyhow!(store.explain(&error)))?;
    if let Some(kms) = kms {
        let (region, notes) = (&aws.s3().region, &mut about.notes);
        server_side::resolve_key(&mut config.encryption, &kms, region, timeout, notes).await?;
        store = S3Store::new(&aws, config.clone())?;
    }
    about.encryption = server_side::describe(&config.encryption);
    if purpose == Purpose::Inspect {
        about.bucket_default = within(timeout, &store, store.default_as_told()).await?;
        return Ok(store);
    }
    let notes = within(timeout, &store, store.check_keys(&location.prefix))
        .await?
        .map_err(|sentence| anyhow!(sentence))?;
    about.notes.extend(notes);
    Ok(store)
}

pub(super) async fn within<T>(
    timeout: Duration,
    store: &S3Store,
    asking: impl Future<Output = T>,
) -> anyhow::Result<T> {
    tokio::time::timeout(timeout, asking)
        .await
        .map_err(|_elapsed| {
            anyhow!(
                "{} did not answer within {} s; check --endpoint-url and the network",
                store.endpoint().describe("S3"),
                timeout.as_secs()
            )
        })
}

fn wrap(store: Arc<dyn Store>, about: About, timeout: Duration) -> Opened {
    let gate = Arc::new(Gate::default());
    let policy = RetryPolicy::with_timeout(timeout);
    let unfenced = Retry::new(Arc::clone(&store), policy, Jitter::from_os());
    let fence = Fence::new(store, Arc::clone(&gate));
    let retry = Arc::new(Retry::new(Arc::new(fence), policy, Jitter::from_os()));
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
        unfenced: Arc::new(unfenced),
        gate,
        about,
        status: Box::new(status),
    }
}
