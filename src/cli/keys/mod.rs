//! `cloakfs keys`: keys in files and in KMS, and the passphrases of volumes.

mod config;
mod delete;
mod generate;
mod import;
mod passphrase;
mod show;
mod used;
mod wrap;

use std::time::Duration;

use anyhow::{Context as _, bail};
pub(super) use config::KeysError;
use config::KmsWay;

use super::arguments::{KeysArguments, KeysCommand};
use super::reencrypt::{self, ReencryptConfig};
use super::{environment, open};
use crate::base::secret;
use crate::keys::kms::Kms;
use crate::mount::daemon;

pub(super) fn keys(arguments: &KeysArguments) -> anyhow::Result<()> {
    match &arguments.command {
        KeysCommand::Generate(arguments) => generate::generate(&generate::config(arguments)?),
        KeysCommand::Import(arguments) => {
            import::import(config::ImportConfig::from_arguments(arguments)?)
        }
        KeysCommand::DeleteMaterial(arguments) => delete::delete(
            &arguments.key,
            arguments.yes,
            &KmsWay::from_arguments(&arguments.kms)?,
        ),
        KeysCommand::Show(arguments) => show::show(
            &arguments.key,
            arguments.json,
            &KmsWay::from_arguments(&arguments.kms)?,
            used::UsedIn::from_arguments(arguments)?.as_ref(),
        ),
        KeysCommand::Passphrase(arguments) => {
            passphrase::change(passphrase::PassphraseConfig::from_arguments(arguments)?)
        }
        KeysCommand::Rotate(arguments) => {
            reencrypt::reencrypt(&ReencryptConfig::of_rotation(arguments)?)
        }
    }
}

/// Before a key is read. The working directory is another one afterwards.
fn harden() -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")
}

fn run(asking: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(asking);
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

impl KmsWay {
    async fn open(&self) -> anyhow::Result<Kms> {
        let aws = open::find_aws(&self.connection, self.timeout).await?;
        match Kms::new(&aws)? {
            Some(kms) => Ok(kms),
            None => bail!(
                "no KMS is known beside {}, which is not Amazon's: give --kms-endpoint-url",
                aws.s3().describe("S3")
            ),
        }
    }
}

/// What the user should know of the secrets that there were.
fn note_locking() {
    if let Some(note) = secret::locking().note() {
        super::output::note(&note);
    }
}
