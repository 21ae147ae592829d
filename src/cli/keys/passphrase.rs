//! `keys passphrase`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::config::KeysError;
use super::{harden, note_locking, run};
use crate::cli::arguments::{EncryptionArgument, KeyArguments, PassphraseArguments};
use crate::cli::client_side::{ClientSideError, Kms, Material, RootSource, ask};
use crate::cli::config::{ConfigError, StoreConfig, absolute};
use crate::cli::source::Source;
use crate::cli::{new_file, open, output};
use crate::crypto::passphrase::{Cost, Lock};
use crate::keys::file;
use crate::keys::passphrase::{Asked, Input};
use crate::keys::root::Root;
use crate::volume::record::{self, RecordError, place};

#[derive(Debug)]
pub(super) struct PassphraseConfig {
    store: StoreConfig,
    /// What opens the volume now.
    opener: RootSource,
    new: Input,
    export: Option<PathBuf>,
    timeout: Duration,
}

impl PassphraseConfig {
    pub(super) fn from_arguments(arguments: &PassphraseArguments) -> Result<Self, ConfigError> {
        if arguments.new_passphrase_fd.is_some()
            && arguments.new_passphrase_fd == arguments.passphrase_fd
        {
            return Err(KeysError::SameDescriptor.into());
        }
        let keys = KeyArguments {
            key_file: arguments.key_file.clone(),
            passphrase_fd: arguments.passphrase_fd,
            ..KeyArguments::default()
        };
        let source = Source::parse(&arguments.source)?;
        let new = Input::take_of("--new-passphrase-fd", arguments.new_passphrase_fd)
            .map_err(ClientSideError::from)?;
        if !new.is_there() {
            return Err(KeysError::NoNewPassphrase.into());
        }
        Ok(Self {
            store: StoreConfig::for_client_side(source, false, &arguments.connection, &keys)?,
            opener: RootSource::new(EncryptionArgument::CseC, &keys, absolute)?,
            new,
            export: arguments.export.as_deref().map(absolute).transpose()?,
            timeout: arguments.timeout,
        })
    }
}

pub(super) fn change(config: PassphraseConfig) -> anyhow::Result<()> {
    harden()?;
    if let Some(path) = config.opener.key_file() {
        file::refuse_key_for_path(path)?;
    }
    run(Box::pin(relock(config)))
}

async fn relock(config: PassphraseConfig) -> anyhow::Result<()> {
    if let Some(path) = &config.export {
        new_file::refuse_there(path)?;
    }
    let described = config.store.describe();
    let opener = Material::read(&config.opener, config.timeout).await?;
    let opened = open::store(&config.store, config.timeout).await?;
    let (store, prefix) = (&opened.store, &opened.about.prefix);
    place::refuse_inside(store.as_ref(), prefix).await?;
    let Some(found) = record::find(store, prefix).await? else {
        bail!("{described} is no client-side volume, so it has no passphrase");
    };
    if !found.has_mode("cse-c") {
        bail!(
            "{described} has no passphrase and gets none: it is a volume of the mode {}, which a key of KMS opens",
            found.mode()
        );
    }
    let had_one = found.has_passphrase();
    let kms = Kms {
        store: &config.store,
        aws: None,
        timeout: config.timeout,
    };
    let mut notes = opened.about.notes;
    let found = Arc::new(found);
    let root = opener.root_of(&found, &described, &kms, &mut notes).await?;
    let volume = found.open(root, false).await?;
    notes.extend(volume.notes);
    for note in &notes {
        output::note(note);
    }
    // As it is after it was opened, which mends it.
    let found = record::find(store, prefix).await?;
    let found = found.ok_or_else(|| RecordError::Vanished {
        volume: described.clone(),
    })?;
    let prompt = format!("New passphrase of {described}");
    let new = ask(config.new, prompt, Asked::Twice, config.timeout)
        .await
        .map_err(|error| anyhow!("the new passphrase cannot be taken: {error}"))?;
    let (id, root) = (volume.id, volume.root);
    let locking = tokio::task::spawn_blocking(move || {
        let Root::Master(master) = root else {
            unreachable!("its mode is cse-c")
        };
        let lock = Lock::new(new.expose(), Cost::RECOMMENDED, id.as_bytes(), &master)?;
        anyhow::Ok((Root::Master(master), lock))
    });
    let (root, lock) = locking.await??;
    let written = found.relock(&root, lock).await?;
    note_locking();
    if had_one {
        output::say(&format!(
            "{described} has its new passphrase, and the old one opens it no more"
        ));
        output::say(
            "who kept an older copy of its record (an export, a backup, an older version in the bucket) opens that with the old passphrase, and has the same key: delete such copies",
        );
    } else {
        output::say(&format!("{described} has a passphrase now, beside its key"));
    }
    if let Some(path) = &config.export {
        new_file::write(path, &written).map_err(|error| {
            anyhow!("the passphrase was changed, but the record was not exported: {error}")
        })?;
    }
    Ok(())
}
