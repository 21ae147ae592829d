//! From where a root comes to the root itself.
//!
//! What is read from files is read before any server is asked, since what is wrong with them
//! needs none to be told; KMS is asked after the store, a passphrase once it is known that it is
//! needed. Nothing here is called before the process is without core dumps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::options::{Options, RootSource};
use crate::aws::Aws;
use crate::base::context::EncryptionContext;
use crate::base::secret::SecretBytes;
use crate::cli::config::StoreConfig;
use crate::cli::encryption::KmsKey;
use crate::cli::{open, server_side};
use crate::crypto::MasterKey;
use crate::keys::file;
use crate::keys::kms;
use crate::keys::passphrase::{Asked, Input, Wanted};
use crate::keys::root::Root;
use crate::volume::S3ecReading;
use crate::volume::record::VolumeRecord;

/// What the files held.
pub(in crate::cli) enum Material {
    Kms {
        key: KmsKey,
        context: EncryptionContext,
    },
    Master(MasterKey),
    Passphrase(Input),
}

/// The way to KMS.
pub(in crate::cli) struct Kms<'a> {
    pub store: &'a StoreConfig,
    /// Where S3 was asked too.
    pub aws: Option<Aws>,
    pub timeout: Duration,
}

impl Material {
    /// As `--encryption` names it.
    pub(in crate::cli) const fn mode(&self) -> &'static str {
        match self {
            Self::Kms { .. } => "cse-kms",
            Self::Master(_) | Self::Passphrase(_) => "cse-c",
        }
    }

    pub(in crate::cli) async fn read(
        source: &RootSource,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        Ok(match source {
            RootSource::Kms { key, context } => Self::Kms {
                key: key.clone(),
                context: context.clone(),
            },
            RootSource::KeyFile(path) => Self::Master(master_key(path, timeout).await?),
            RootSource::Passphrase(input) => Self::Passphrase(input.clone()),
        })
    }

    /// The root of a volume that is there. Adds to `notes` what the user should know.
    pub(in crate::cli) async fn root_of(
        self,
        record: &Arc<VolumeRecord>,
        described: &str,
        kms: &Kms<'_>,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Root> {
        match self {
            Self::Kms { key, context } => kms.root(&key, context, notes).await,
            Self::Master(key) => Ok(Root::Master(key)),
            Self::Passphrase(input) if record.has_passphrase() => {
                let prompt = format!("Passphrase of {described}");
                let passphrase = ask(input, prompt, Asked::Once, kms.timeout).await?;
                let record = Arc::clone(record);
                // It takes a second of computing.
                let unlocked =
                    tokio::task::spawn_blocking(move || record.unlock(passphrase.expose()));
                Ok(Root::Master(unlocked.await??))
            }
            Self::Passphrase(_) => bail!(
                "{described} has no passphrase, only a key: give the file that holds it with --key-file"
            ),
        }
    }
}

impl Kms<'_> {
    pub(in crate::cli) async fn root(
        &self,
        key: &KmsKey,
        context: EncryptionContext,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Root> {
        let aws = match &self.aws {
            Some(aws) => aws.clone(),
            None => open::find_aws(self.store.connection(), self.timeout).await?,
        };
        let Some(kms) = kms::Kms::new(&aws)? else {
            bail!(
                "no KMS is known beside {}, which is not Amazon's: give --kms-endpoint-url",
                aws.s3().describe("S3")
            );
        };
        let (root, told) = kms.root(key.as_str(), context, self.timeout).await?;
        notes.extend(told);
        Ok(Root::Kms(Box::new(root)))
    }
}

/// What a mount has for objects of the Amazon S3 Encryption Client.
pub(in crate::cli) async fn s3ec_reading(
    options: &Options,
    timeout: Duration,
) -> anyhow::Result<S3ecReading> {
    let rsa_key = match &options.s3ec_rsa_key {
        Some(path) => Some(server_side::within(timeout, path, file::read_rsa_private).await?),
        None => None,
    };
    Ok(S3ecReading {
        rsa_key,
        allow_legacy: options.allow_legacy,
    })
}

pub(in crate::cli) async fn master_key(
    path: &Path,
    timeout: Duration,
) -> anyhow::Result<MasterKey> {
    let key = server_side::within(timeout, path, file::read_one).await?;
    Ok(MasterKey::from_secret(key))
}

/// A passphrase: from a terminal whenever somebody types it, from a descriptor within `timeout`.
pub(in crate::cli) async fn ask(
    input: Input,
    prompt: String,
    asked: Asked,
    timeout: Duration,
) -> anyhow::Result<SecretBytes> {
    let wanted = Wanted::default();
    let still = wanted.still();
    let is_person = matches!(input, Input::Terminal(_));
    let reading = tokio::task::spawn_blocking(move || input.read(&prompt, asked, &still));
    if is_person {
        return Ok(reading.await??);
    }
    match tokio::time::timeout(timeout, reading).await {
        Ok(read) => Ok(read??),
        Err(_elapsed) => bail!(
            "the passphrase was not read to its end within {} s: whoever writes into a pipe must write it and close the pipe",
            timeout.as_secs()
        ),
    }
}
