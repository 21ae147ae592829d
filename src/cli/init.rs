//! `cloakfs init`: makes a client-side volume.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::arguments::{EncryptionArgument, InitArguments, NamesArgument};
use super::client_side::{ClientSideError, Kms, Material, Place, RootSource, Wanted};
use super::config::{ConfigError, StoreConfig, absolute};
use super::source::Source;
use super::{environment, new_file, open, output};
use crate::base::secret::{self, Secret};
use crate::crypto::MasterKey;
use crate::keys::file;
use crate::keys::passphrase::Input;
use crate::mount::daemon;
use crate::volume::record::create;

/// A volume, ready to be made.
#[derive(Debug)]
pub(super) struct InitConfig {
    store: StoreConfig,
    root: Root,
    encrypt_names: bool,
    export: Option<PathBuf>,
    timeout: Duration,
}

#[derive(Debug)]
enum Root {
    Given {
        source: RootSource,
        /// Opens the volume as well as the key.
        passphrase: Option<Input>,
    },
    /// A new master key, for this file.
    Generated {
        file: PathBuf,
        passphrase: Option<Input>,
    },
}

impl InitConfig {
    pub(super) fn from_arguments(arguments: &InitArguments) -> Result<Self, ConfigError> {
        let InitArguments {
            encryption, keys, ..
        } = arguments;
        if !encryption.is_client_side() {
            return Err(ClientSideError::NothingToMake(encryption.name()).into());
        }
        let generate = arguments.generate_key.as_deref();
        let asks_kms = *encryption == EncryptionArgument::CseKms;
        let given = if asks_kms {
            "the mode is cse-kms"
        } else {
            "the mode is cse-c"
        };
        ClientSideError::refuse_other_keys(*encryption, keys, generate.is_some(), given)?;
        let source = Source::parse(&arguments.source)?;
        let store = StoreConfig::for_client_side(source, asks_kms, &arguments.connection, keys)?;
        let also = || -> Result<_, ConfigError> {
            let input = keys.passphrase_fd.map(|number| Input::take(Some(number)));
            Ok(input.transpose().map_err(ClientSideError::from)?)
        };
        let root = match (generate, &keys.key_file) {
            (Some(_), Some(_)) => return Err(ClientSideError::TwoKeyFiles.into()),
            (Some(path), None) => Root::Generated {
                file: absolute(path)?,
                passphrase: also()?,
            },
            (None, Some(path)) => Root::Given {
                source: RootSource::KeyFile(absolute(path)?),
                passphrase: also()?,
            },
            (None, None) => Root::Given {
                source: RootSource::new(*encryption, keys, absolute)?,
                passphrase: None,
            },
        };
        Ok(Self {
            store,
            root,
            encrypt_names: arguments.names != Some(NamesArgument::Plain),
            export: arguments.export.as_deref().map(absolute).transpose()?,
            timeout: arguments.timeout,
        })
    }
}

pub(super) fn init(config: &InitConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    if let Root::Given { source, .. } = &config.root
        && let Some(path) = source.key_file()
    {
        file::refuse_key_for_path(path)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let made = runtime.block_on(make(config));
    runtime.shutdown_timeout(Duration::from_secs(2));
    made
}

async fn make(config: &InitConfig) -> anyhow::Result<()> {
    for path in config.export.iter().chain(config.generated()) {
        new_file::refuse_there(path)?;
    }
    let given = match &config.root {
        Root::Given { source, .. } => Some(Material::read(source, config.timeout).await?),
        Root::Generated { .. } => None,
    };
    let opened = open::store(&config.store, config.timeout).await?;
    let place = Place {
        store: &opened.store,
        prefix: &opened.about.prefix,
        described: config.store.describe(),
        read_only: false,
    };
    create::refuse(place.store, place.prefix).await?;
    let (Root::Given { passphrase, .. } | Root::Generated { passphrase, .. }) = &config.root;
    let material = match (given, config.generated()) {
        (Some(material), _) => material,
        (None, Some(path)) => Material::Master(generate(path)?),
        (None, None) => unreachable!("a key is given or generated"),
    };
    let kms = Kms {
        store: &config.store,
        aws: opened.about.aws.clone(),
        timeout: config.timeout,
    };
    let wanted = Wanted {
        material,
        passphrase: passphrase.clone(),
        encrypt_names: config.encrypt_names,
    };
    let mut notes = opened.about.notes;
    let made = wanted.make(&place, &kms, &mut notes).await;
    let made = made.map_err(|error| match config.generated() {
        None => error,
        Some(path) => anyhow!(
            "{}; the key file {} was made before and is kept: give it with --key-file when you try again",
            output::sentence(&error),
            path.display()
        ),
    })?;
    notes.extend(secret::locking().note());
    for note in &notes {
        output::note(note);
    }
    output::say(&format!(
        "{} is now the volume {}",
        place.described, made.volume.id
    ));
    if let Some(path) = config.generated() {
        output::say(&format!(
            "its key is in {}: keep a copy elsewhere, since without it nothing can be read",
            path.display()
        ));
    }
    if let Some(path) = &config.export {
        new_file::write(path, &made.record).map_err(|error| {
            anyhow!("the volume was made, but its record was not exported: {error}")
        })?;
    }
    Ok(())
}

impl InitConfig {
    fn generated(&self) -> Option<&PathBuf> {
        match &self.root {
            Root::Generated { file, .. } => Some(file),
            Root::Given { .. } => None,
        }
    }
}

/// A new key, in a file that is on the disk before anything is sealed under it.
fn generate(path: &Path) -> anyhow::Result<MasterKey> {
    let key = Secret::<32>::random();
    let mut line = Zeroizing::new([0; 45]);
    let written = BASE64
        .encode_slice(key.expose(), &mut line[..44])
        .expect("32 bytes are 44 characters of base64");
    line[written] = b'\n';
    new_file::write(path, &line[..])?;
    Ok(MasterKey::from_secret(key))
}
