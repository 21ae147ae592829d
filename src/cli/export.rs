//! `cloakfs export`: the files of a source as objects of the Amazon S3 Encryption Client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::arguments::{ExportArguments, FormatArgument, MountArguments};
use super::client_side::{ClientSideError, Kms};
use super::config::{ConfigError, MountConfig, StoreConfig, absolute};
use super::encryption::KmsKey;
use super::open::{self, Opened};
use super::output::ProgressLine;
use super::source::Source;
use super::{environment, mount, output, server_side};
use crate::admin::export::{Export, ExportError, Progress, Told, Wrap};
use crate::base::context::EncryptionContext;
use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::crypto::s3ec::wrapping::AesKey;
use crate::keys::file;
use crate::keys::root::Root;
use crate::mount::daemon;
use crate::mount::state::StateDir;
use crate::store::Store;
use crate::volume::record::place;

/// How often progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

pub(super) struct ExportConfig {
    /// As it is mounted.
    source: MountConfig,
    target: StoreConfig,
    wrapping: Wrapping,
    force: bool,
}

/// Where the wrapping key comes from.
enum Wrapping {
    Kms {
        key: KmsKey,
        context: EncryptionContext,
    },
    KeyFile(PathBuf),
    Rsa(PathBuf),
}

impl ExportConfig {
    pub(super) fn from_arguments(arguments: &ExportArguments) -> anyhow::Result<Self> {
        let FormatArgument::S3ec = arguments.format;
        let wrapping = Wrapping::from_arguments(arguments)?;
        let target = Source::parse(&arguments.target).map_err(ConfigError::from)?;
        let mut mount = MountArguments::of_source(&arguments.source)
            .ok_or_else(|| anyhow!("{} is no source", arguments.source.display()))?;
        let is_dir = |source: &Source| matches!(source, Source::Dir(_));
        let from = Source::parse(&arguments.source).map_err(ConfigError::from)?;
        mount.encryption = arguments.encryption;
        mount.keys = arguments.keys.clone();
        mount.read_key_file.clone_from(&arguments.read_key_file);
        // What is said of S3 is said of whichever of the two is there.
        if !is_dir(&from) || is_dir(&target) {
            mount.connection = arguments.connection.clone();
        }
        mount.timeout = arguments.timeout;
        mount.s3ec_rsa_key.clone_from(&arguments.s3ec_rsa_key);
        mount.allow_legacy = arguments.allow_legacy;
        let mut connection = arguments.connection.clone();
        if is_dir(&target) && !is_dir(&from) {
            connection.endpoint_url = None;
            connection.path_style = false;
        }
        let asks_kms = matches!(wrapping, Wrapping::Kms { .. });
        let asks_kms = asks_kms || !is_dir(&from);
        let target = StoreConfig::for_client_side(target, asks_kms, &connection, &arguments.keys)?;
        let source = MountConfig::from_arguments(&mount)?;
        Ok(Self {
            source,
            target,
            wrapping,
            force: arguments.force,
        })
    }
}

impl Wrapping {
    fn from_arguments(arguments: &ExportArguments) -> Result<Self, ConfigError> {
        if let Some(key) = &arguments.to_kms_key {
            let context = EncryptionContext::parse(&arguments.to_kms_context);
            return Ok(Self::Kms {
                key: KmsKey::parse(key).map_err(ClientSideError::from)?,
                context: context.map_err(ClientSideError::from)?,
            });
        }
        match (&arguments.to_key_file, &arguments.to_rsa_key) {
            (Some(path), _) => Ok(Self::KeyFile(absolute(path)?)),
            (None, Some(path)) => Ok(Self::Rsa(absolute(path)?)),
            (None, None) => Err(ConfigError::NothingToWrapWith),
        }
    }
}

pub(super) fn export(config: &ExportConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let mut files = config.source.key_files();
    files.try_for_each(file::refuse_key_for_path)?;
    if let Wrapping::KeyFile(path) = &config.wrapping {
        file::refuse_key_for_path(path)?;
    }
    let state = StateDir::at(StateDir::locate()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(Box::pin(run(config, &state)));
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

async fn run(config: &ExportConfig, state: &StateDir) -> anyhow::Result<()> {
    let timeout = config.source.timeout;
    // What is wrong with files needs no server to be told.
    let from_file = match &config.wrapping {
        Wrapping::Kms { .. } => None,
        Wrapping::KeyFile(path) => {
            let key = server_side::within(timeout, path, file::read_one).await?;
            Some(Wrap::Aes(AesKey::from_secret(key)))
        }
        Wrapping::Rsa(path) => {
            let key = server_side::within(timeout, path, file::read_rsa_public).await?;
            Some(Wrap::Rsa(key))
        }
    };
    let (opened, sealed) = Box::pin(mount::open(&config.source, true)).await?;
    let target = open::store(&config.target, timeout).await?;
    refuse_overlap(config, &opened, &target)?;
    let prefix = target.about.prefix.clone();
    refuse_volume(target.store.as_ref(), &prefix, &config.target).await?;
    let wrap = match (&config.wrapping, from_file) {
        (_, Some(wrap)) => wrap,
        (Wrapping::Kms { key, context }, _) => {
            let kms = Kms {
                store: &config.target,
                aws: target
                    .about
                    .aws
                    .clone()
                    .or_else(|| opened.about.aws.clone()),
                timeout,
            };
            let mut notes = Vec::new();
            let root = kms.root(key, context.clone(), &mut notes).await?;
            for note in &notes {
                output::note(note);
            }
            match root {
                Root::Kms(root) => Wrap::Kms(root),
                Root::Master(_) => unreachable!("it was asked of KMS"),
            }
        }
        _ => unreachable!("a key that is in a file was read"),
    };
    let Opened { store, about, .. } = opened;
    let options = about.to_read(state);
    let volume = open::volume(store, &about.prefix, options, sealed).await?;
    let export = Export {
        volume,
        target: target.store,
        prefix,
        wrap,
        force: config.force,
    };
    perform(&export, config).await
}

async fn perform(export: &Export, config: &ExportConfig) -> anyhow::Result<()> {
    let progress = Arc::new(Progress::default());
    let shown = Arc::clone(&progress);
    let showing = tokio::spawn(async move {
        let mut line = ProgressLine::start();
        loop {
            line.show(&told(&shown));
            tokio::time::sleep(SHOWN_EVERY).await;
        }
    });
    let mut failed = 0_u64;
    let mut tell = |what: Told| match what {
        Told::Skipped { path, what } => {
            output::note(&format!("{path:?} is not exported: it is {what}"));
        }
        Told::Hidden { key, reason } => {
            failed += 1;
            output::complain(&format!("{key:?} {reason}"));
        }
        Told::Failed { path, error } => {
            failed += 1;
            output::complain(&printable(&failure(&path, &error)));
        }
    };
    let ran = export.run(&progress, &mut tell).await;
    showing.abort();
    let _aborted = showing.await;
    ran?;
    let sum = format!("{} to {}", told(&progress), config.target.describe());
    if failed > 0 {
        bail!("exported {sum}; {failed} were not, for the reasons above");
    }
    output::say(&format!("exported {sum}"));
    Ok(())
}

/// What became of a file, with its name in it.
fn failure(path: &str, error: &ExportError) -> String {
    let words = error.to_string();
    match error {
        ExportError::Source(_) if words.contains(&format!("{path:?}")) => words,
        ExportError::Source(_) | ExportError::Target(_) | ExportError::Kms(_) => {
            format!("{path:?} is not exported: {words}")
        }
        ExportError::IsThere | ExportError::TooLong(_) | ExportError::Name(_) => {
            format!("{path:?} {words}")
        }
    }
}

fn told(progress: &Progress) -> String {
    let files = progress.files.load(Ordering::Relaxed);
    let bytes = ByteSize(progress.bytes.load(Ordering::Relaxed));
    let s = if files == 1 { "" } else { "s" };
    format!("{files} file{s}, {bytes}")
}

/// An export into what is exported would go on for ever, and one around it mixes what is to be
/// read by different programs.
fn refuse_overlap(config: &ExportConfig, from: &Opened, to: &Opened) -> anyhow::Result<()> {
    let same = from.about.server == to.about.server && from.store.describe() == to.store.describe();
    let (a, b) = (&from.about.prefix, &to.about.prefix);
    let nested = match (&config.source.store, &config.target) {
        (StoreConfig::Dir(from), StoreConfig::Dir(to)) => {
            let place = |path: &Path| {
                let found = path.canonicalize();
                found.with_context(|| format!("the directory {} cannot be found", path.display()))
            };
            let (from, to) = (place(&from.path)?, place(&to.path)?);
            from.starts_with(&to) || to.starts_with(&from)
        }
        _ => same && (a.starts_with(b.as_str()) || b.starts_with(a.as_str())),
    };
    if nested {
        bail!(
            "{} and {} are inside of one another: export to another prefix or bucket",
            config.source.store.describe(),
            config.target.describe()
        );
    }
    Ok(())
}

async fn refuse_volume(
    store: &dyn Store,
    prefix: &str,
    target: &StoreConfig,
) -> anyhow::Result<()> {
    place::refuse_inside(store, prefix).await?;
    if place::is_volume(store, prefix).await? {
        bail!(
            "{} is a client-side volume, and what is exported would be none of its files: export to another prefix or bucket",
            target.describe()
        );
    }
    Ok(())
}
