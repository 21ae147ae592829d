//! `cloakfs recover`: journals of closed files that no mount replays.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};

use super::arguments::{MountArguments, RecoverArguments};
use super::config::{MountConfig, absolute};
use super::open::{self, Opened};
use super::{environment, mount, output};
use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::keys::file;
use crate::mount::daemon;
use crate::mount::state::StateDir;
use crate::volume::{LocalKeys, Volume};
use crate::write::journal::{self, Dead, Found, Header, Unclaimed};

pub(super) struct RecoverConfig {
    /// As it is mounted; `None`: all sources.
    source: Option<MountConfig>,
    journal: Option<String>,
    to: Option<PathBuf>,
    discard: bool,
}

impl RecoverConfig {
    pub(super) fn from_arguments(arguments: &RecoverArguments) -> anyhow::Result<Self> {
        let source = match &arguments.source {
            None => None,
            Some(source) => {
                let mut mount = MountArguments::of_source(source)
                    .ok_or_else(|| anyhow!("{} is no source", source.display()))?;
                mount.encryption = arguments.encryption;
                mount.keys = arguments.keys.clone();
                mount.read_key_file.clone_from(&arguments.read_key_file);
                mount.connection = arguments.connection.clone();
                mount.timeout = arguments.timeout;
                Some(MountConfig::from_arguments(&mount)?)
            }
        };
        let to = arguments.to.as_deref().map(absolute).transpose()?;
        Ok(Self {
            source,
            journal: arguments.journal.clone(),
            to,
            discard: arguments.discard,
        })
    }
}

pub(super) fn recover(config: &RecoverConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let state = StateDir::at(StateDir::locate()?);
    let Some(source) = &config.source else {
        return list_headers(&state);
    };
    source.key_files().try_for_each(file::refuse_key_for_path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(of_source(config, source, &state));
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

fn list_headers(state: &StateDir) -> anyhow::Result<()> {
    let found = journal::find(&state.write_back_dir())?;
    if found.is_empty() {
        output::say("no mount left anything");
    }
    for found in found {
        match found {
            Found::Held(header) => output::say(&format!("{}: in use", told(&header))),
            Found::Unclaimed(unclaimed) => output::say(&format!(
                "{}: opens with {}",
                told(&unclaimed.header),
                unclaimed.header.key.describe()
            )),
            Found::Unreadable(error) => output::say(&error.to_string()),
        }
    }
    Ok(())
}

async fn of_source(
    config: &RecoverConfig,
    source: &MountConfig,
    state: &StateDir,
) -> anyhow::Result<()> {
    let (volume, keys) = open(source, state).await?;
    let mut seen = 0;
    for found in journal::find(&state.write_back_dir())? {
        let asked = |header: &Header| {
            let wanted = config.journal.as_ref();
            header.source == volume.source() && wanted.is_none_or(|id| *id == header.mount)
        };
        match found {
            Found::Held(header) if asked(&header) => {
                seen += 1;
                output::say(&format!(
                    "{}: in use by a mount, which uploads it",
                    told(&header)
                ));
                if config.to.is_some() || config.discard {
                    bail!("the journal {} is in use: unmount first", header.mount);
                }
            }
            Found::Unclaimed(unclaimed) if asked(&unclaimed.header) => {
                seen += 1;
                one(config, unclaimed, &volume, &keys).await?;
            }
            Found::Held(_) | Found::Unclaimed(_) => {}
            Found::Unreadable(error) => output::note(&error.to_string()),
        }
    }
    match (&config.journal, seen) {
        (Some(id), 0) => bail!(
            "there is no journal {id} of {} in {}",
            source.store.describe(),
            state.path().display()
        ),
        (None, 0) => output::say("no mount left anything"),
        _ => {}
    }
    Ok(())
}

/// The volume, as far as it is needed for its keys.
async fn open(
    source: &MountConfig,
    state: &StateDir,
) -> anyhow::Result<(std::sync::Arc<Volume>, LocalKeys)> {
    let (opened, sealed) = Box::pin(mount::open(source, true)).await?;
    let Opened { store, about, .. } = opened;
    let options = about.to_read(state);
    let volume = open::volume(store, &about.prefix, options, sealed).await?;
    let keys = LocalKeys {
        file: state.local_key(),
        customer: about.customer,
    };
    Ok((volume, keys))
}

async fn one(
    config: &RecoverConfig,
    unclaimed: Unclaimed,
    volume: &Volume,
    keys: &LocalKeys,
) -> anyhow::Result<()> {
    let (header, path) = (unclaimed.header.clone(), unclaimed.path.clone());
    let acts = config.to.is_some() || config.discard;
    if config.discard && config.to.is_none() {
        if !Dead::is_exported(&path) {
            bail!(
                "the journal {} was not brought out: give --to DIR as well; if nobody can open it any more, remove the directory {} yourself",
                header.mount,
                path.display()
            );
        }
        unclaimed.discard()?;
        output::say(&format!("{}: forgotten", told(&header)));
        return Ok(());
    }
    let key = match volume.local_key(&header.key, keys).await {
        Ok(key) => key,
        Err(error) if acts => return Err(error.into()),
        Err(error) => {
            output::say(&format!("{}: {error}", told(&header)));
            return Ok(());
        }
    };
    let dead = tokio::task::spawn_blocking(move || unclaimed.read(key)).await??;
    output::say(&told(&header));
    if let Some(damage) = dead.damage() {
        output::note(&damage.to_string());
    }
    let Some(to) = config.to.clone() else {
        for (_, pending) in dead.pending() {
            let closed = &pending.closed;
            let (path, bytes) = (closed.place.path.as_str(), ByteSize(pending.bytes()));
            let line = format!("  {} ({}, {bytes} changed)", path, ByteSize(closed.size));
            output::say(&printable(&line));
        }
        return Ok(());
    };
    let (dead, exported) = tokio::task::spawn_blocking(move || {
        let exported = dead.export(&to);
        (dead, exported)
    })
    .await?;
    for file in exported? {
        let part = if file.is_part {
            "; only what was changed, with zeros between: see recovered.json"
        } else {
            ""
        };
        let line = format!("  {} as {}{part}", file.path, file.written_as.display());
        output::say(&printable(&line));
    }
    if config.discard {
        dead.remove()?;
        output::say("  and forgotten here");
    }
    Ok(())
}

/// Which journal it is.
fn told(header: &Header) -> String {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(header.since.unsigned_abs());
    let text = format!(
        "{} of {} on {}, since {}",
        header.mount,
        header.source.trim(),
        header.host,
        httpdate::fmt_http_date(since)
    );
    printable(&text)
}
