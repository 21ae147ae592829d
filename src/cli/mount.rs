//! `cloakfs mount`: from a checked configuration to a served mount.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::client_side::{self, ClientSide, Kms, Material, Mounted, Place};
use super::config::{ConfigError, MountConfig, StoreConfig};
use super::consistency::{self, Joining};
use super::open::{self, Opened};
use super::{environment, output};
use crate::base::secret;
use crate::fs::{FileSystem, FsConfig, Journals};
use crate::keys::file;
use crate::layout::plain::Defaults;
use crate::mount::claim::Claim;
use crate::mount::control::protocol;
use crate::mount::daemon::{self, Forked, Report};
use crate::mount::mounting;
use crate::mount::mountpoint::{Found, Mountpoint};
use crate::mount::overlap::{self, OwnPath};
use crate::mount::session::{self, Session, Setup};
use crate::mount::state::StateDir;
use crate::store::probe::Access;
use crate::store::s3::CustomerKey;
use crate::telemetry::log::{Destination, Log};
use crate::volume::lease::Presence;
use crate::volume::{LocalKeys, S3ecReading, Volume, VolumeOptions};

/// How long names and attributes are trusted before the store is asked again.
const TTL: Duration = Duration::from_secs(1);
/// Blocking calls that still run when all is done get this long.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Mounts, in the background unless told otherwise.
pub(super) fn mount(config: &MountConfig) -> anyhow::Result<()> {
    if config.foreground {
        return serve(config, None);
    }
    match daemon::fork()? {
        Forked::Parent(starting) => Ok(starting.wait(output::note)?),
        Forked::Child(report) => serve(config, Some(report)),
    }
}

/// Runs a mount to its end. In the background everything up to "ready" is told to the parent,
/// and later errors only to the log.
fn serve(config: &MountConfig, report: Option<Report>) -> anyhow::Result<()> {
    let mut notes = Notes::default();
    let (prepared, runtime) = match prepare(config, &mut notes) {
        Ok(ready) => ready,
        Err(error) => return fail(error, report),
    };
    let served = runtime.block_on(async {
        let starting = start(config, prepared, &mut notes, report.as_ref());
        match Box::pin(starting).await {
            Ok(session) => {
                let is_wanted = notes.tell(report);
                Ok(session.serve(is_wanted).await?)
            }
            Err(error) => fail(error, report),
        }
    });
    // Dropping it would wait without end for a blocking call that hangs, on a dead disk perhaps.
    runtime.shutdown_timeout(SHUTDOWN);
    served
}

/// In the background the parent says it.
fn fail(error: anyhow::Error, report: Option<Report>) -> anyhow::Result<()> {
    let Some(report) = report else {
        return Err(error);
    };
    report.failed(&output::sentence(&error));
    std::process::exit(1);
}

/// What can be said without a change anywhere: that it could be mounted there, and where the
/// state goes.
pub(super) fn check(config: &MountConfig) -> anyhow::Result<(Mountpoint, PathBuf)> {
    // First of all: other checks show the paths that they refuse.
    config.key_files().try_for_each(file::refuse_key_for_path)?;
    mounting::check_device()?;
    let state = StateDir::locate()?;
    let mountpoint = Mountpoint::resolve(&config.mountpoint)?;
    refuse_overlaps(config, &mountpoint, &state)?;
    Ok((mountpoint, state))
}

/// What is known before anything is asked of the store.
struct Prepared {
    mountpoint: Mountpoint,
    state: StateDir,
    claim: Claim,
    log: Log,
}

fn prepare(
    config: &MountConfig,
    notes: &mut Notes,
) -> anyhow::Result<(Prepared, tokio::runtime::Runtime)> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let (mountpoint, state_path) = check(config)?;
    let destination = match (&config.log_file, config.foreground) {
        (Some(path), _) => Destination::File(path.clone()),
        (None, true) => Destination::Stderr,
        (None, false) => Destination::Journal,
    };
    let log = Log::start(&destination)?;
    notes.0.extend(log.note().map(str::to_owned));
    let state = StateDir::open(&state_path)?;
    let claim = Claim::take(&state, &mountpoint)?;
    if let Found::Dead(entry) = mountpoint.examine(config.nonempty)? {
        mounting::remove_dead(&mountpoint, &entry)?;
        tracing::warn!("the daemon of {entry} at {mountpoint} had died; its mount is taken over");
        notes.0.push(format!(
            "an earlier mount of {} here had lost its daemon and is replaced",
            entry.source
        ));
        mountpoint.examine(config.nonempty)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("cloakfs")
        .build()
        .context("the runtime cannot be started")?;
    let prepared = Prepared {
        mountpoint,
        state,
        claim,
        log,
    };
    Ok((prepared, runtime))
}

async fn start(
    config: &MountConfig,
    prepared: Prepared,
    notes: &mut Notes,
    report: Option<&Report>,
) -> anyhow::Result<Session> {
    let state = &prepared.state;
    let read_only = config.kernel.flags.is_read_only();
    let (opened, mut sealed) = tokio::select! {
        opened = open(config, read_only) => opened?,
        () = abandoned(report) => bail!("nobody waits for the mount any more"),
    };
    let source = config.store.describe();
    let joining = (!read_only).then(|| Joining::new(config.consistency, &opened, source, state));
    let Opened {
        store,
        about,
        status,
        ..
    } = opened;
    notes.0.extend(about.notes);
    let mut encryption = about.encryption;
    match &mut sealed {
        Some(sealed) => {
            notes.0.append(&mut sealed.notes);
            encryption = std::mem::take(&mut sealed.encryption);
        }
        None if config.is_bucket_default() => notes.0.push(
            "no --encryption was given, so the bucket's default encryption applies to what is written"
                .to_owned(),
        ),
        None => {}
    }
    let options = VolumeOptions {
        read_only,
        alone: config.consistency.exclusive,
        defaults: Defaults {
            uid: config.owner.uid,
            gid: config.owner.gid,
            umask: config.owner.umask,
        },
        trust_listing: config.trust_listing,
        server: about.server,
        encryption: about.expected,
        journal_dir: state.path().join("uploads"),
    };
    let opening = async {
        if !read_only {
            let (source, sealed) = (config.store.describe(), sealed.as_ref());
            client_side::refuse_moved(&store, &about.prefix, &source, sealed).await?;
        }
        Ok(open::volume(store, &about.prefix, options, sealed).await?)
    };
    let told = |words: &str| {
        if let Some(report) = report {
            report.note(words);
        } else {
            tracing::info!("{words}");
        }
    };
    let (presence, volume) = tokio::select! {
        both = consistency::open_among_others(joining, opening, told) => both?,
        () = abandoned(report) => bail!("nobody waits for the mount any more"),
    };
    let store = MountedStore {
        encryption,
        status,
        customer: about.customer,
        presence: presence.clone(),
    };
    let started = start_session(config, volume, store, prepared, notes).await;
    if started.is_err()
        && let Some(presence) = presence
    {
        presence.leave().await;
    }
    started
}

/// What status tells of the store.
struct MountedStore {
    encryption: protocol::Encryption,
    status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// The keys of SSE-C.
    customer: Vec<CustomerKey>,
    presence: Option<Arc<Presence>>,
}

async fn start_session(
    config: &MountConfig,
    volume: Arc<Volume>,
    store: MountedStore,
    prepared: Prepared,
    notes: &mut Notes,
) -> anyhow::Result<Session> {
    let Prepared {
        mountpoint,
        state,
        claim,
        log,
    } = prepared;
    if let Access::Encryption(sentence) = &volume.capabilities().write {
        bail!(
            "{} cannot be written with the encryption asked for: {sentence}",
            config.store.describe()
        );
    }
    let mut lacking = volume.capabilities().lacking();
    lacking.extend_from_slice(volume.half_renamed());
    notes.0.extend(lacking.iter().cloned());
    if let Some(presence) = &store.presence
        && volume.capabilities().write.is_allowed()
    {
        notes.0.extend(presence.note().map(str::to_owned));
    }
    let journals = Journals {
        dir: state.write_back_dir(),
        keys: LocalKeys {
            file: state.local_key(),
            customer: store.customer,
        },
    };
    let fs = FileSystem::start(
        Arc::clone(&volume),
        FsConfig {
            read_only: config.kernel.flags.is_read_only(),
            memory_bytes: config.memory.0,
            staging_bytes: config.staging.0,
            staging_dir: state.staging_dir(&mountpoint),
            consistency: config.consistency.of_filesystem(),
            ttl: TTL,
            timeout: config.timeout,
            host: environment::host_name(),
        },
        config.commit,
        &journals,
    )
    .await?;
    notes.0.extend(fs.replayed());
    // By now there are secrets in every mode.
    notes.0.extend(secret::locking().note());
    let socket = state.socket(&mountpoint);
    let setup = Setup {
        source: config.store.describe(),
        encryption: store.encryption,
        consistency: config.consistency.describe(),
        presence: store.presence,
        notes: lacking,
        mountpoint,
        kernel: config.kernel.clone(),
        timeout: config.timeout,
        foreground: config.foreground,
        store_status: store.status,
    };
    Ok(session::start(fs, setup, &socket, claim, log).await?)
}

/// The store, and the volume in it where it is a client-side one.
pub(super) async fn open(
    config: &MountConfig,
    read_only: bool,
) -> anyhow::Result<(Opened, Option<Mounted>)> {
    let (asked, timeout) = (&config.client_side, config.timeout);
    let material = match asked {
        ClientSide::Yes(options) => Some(Material::read(&options.root, timeout).await?),
        ClientSide::No(_) | ClientSide::Unstated(_) => None,
    };
    let s3ec = match asked {
        ClientSide::Yes(options) => client_side::s3ec_reading(options, timeout).await?,
        ClientSide::No(_) | ClientSide::Unstated(_) => S3ecReading::default(),
    };
    let opened = open::store(&config.store, timeout).await?;
    let place = Place {
        store: &opened.store,
        prefix: &opened.about.prefix,
        described: config.store.describe(),
        read_only,
    };
    let kms = Kms {
        store: &config.store,
        aws: opened.about.aws.clone(),
        timeout,
    };
    let mut sealed = Box::pin(client_side::for_mount(&place, asked, material, &kms)).await?;
    if let Some(sealed) = &mut sealed {
        sealed.volume.s3ec = s3ec;
    }
    if let Some(sealed) = &sealed
        && config.trust_listing
    {
        bail!(ConfigError::ListedAttributes { mode: sealed.mode });
    }
    Ok((opened, sealed))
}

/// Nothing was changed anywhere while the store is opened, so whoever pressed ^C meanwhile need
/// not be waited for.
async fn abandoned(report: Option<&Report>) {
    match report {
        Some(report) => report.abandoned().await,
        None => std::future::pending().await,
    }
}

fn refuse_overlaps(
    config: &MountConfig,
    mountpoint: &Mountpoint,
    state: &std::path::Path,
) -> anyhow::Result<()> {
    let mut own = vec![OwnPath {
        what: "the state directory",
        path: state,
    }];
    if let Some(path) = &config.log_file {
        own.push(OwnPath {
            what: "the log file",
            path,
        });
    }
    match &config.store {
        StoreConfig::Dir(settings) => own.push(OwnPath {
            what: "the store's directory",
            path: &settings.path,
        }),
        StoreConfig::S3(_) => {}
    }
    let ca_bundle = config.store.connection().ca_bundle.iter();
    own.extend(ca_bundle.map(|path| OwnPath {
        what: "the CA bundle",
        path,
    }));
    own.extend(config.key_files().map(|path| OwnPath {
        what: "the key file",
        path,
    }));
    overlap::refuse_overlaps(mountpoint.path(), &own).map_err(|error| anyhow!(error))
}

/// What the user should know although all is well; told when the mount is there, since before a
/// failure it would only distract.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Notes {
    /// To the user where one waits, else to the log; `false` when nobody waits any more.
    fn tell(self, report: Option<Report>) -> bool {
        let Some(report) = report else {
            self.0.iter().for_each(|note| tracing::info!("{note}"));
            return true;
        };
        self.0.iter().for_each(|note| report.note(note));
        report.ready().is_ok()
    }
}
