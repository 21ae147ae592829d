//! `cloakfs policy`: prints policies, puts them into the bucket, and shows what they do.
//!
//! Printing asks nobody anything where the key is given by its ARN.

mod applying;
mod config;
mod key;
mod settings;
mod verifying;

use std::time::Duration;

use anyhow::{Context as _, bail};

use config::{Kind, Subject};
pub(super) use config::{PolicyConfig, PolicyError};

use super::arguments::EncryptionArgument;
use super::config::Connection;
use super::encryption::KmsKey as NamedKey;
use super::{environment, open, output};
use crate::admin::policy::bucket::{self, Requirement};
use crate::admin::policy::{KmsKey, Mode, Place, SseKms, default, iam, kms_key};
use crate::aws::{self, Aws};
use crate::keys::kms::{Kms, partition_of};

pub(super) fn policy(config: &PolicyConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(perform(config));
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

async fn perform(config: &PolicyConfig) -> anyhow::Result<()> {
    let subject = &config.subject;
    let mut way = Way::default();
    let mode = mode(subject, &mut way).await?;
    if config.kind.asks_the_bucket() {
        // Where it is decides how its policy names it.
        way.aws(subject).await?;
    }
    let place = place(subject, &mode, &way).await;
    match &config.kind {
        Kind::Iam { how } => {
            note_key_of_others(&mode);
            output::say(&iam::policy(&place, &mode, *how).to_text());
            Ok(())
        }
        Kind::KmsKey {
            principals,
            read_only,
            put,
        } => {
            let Some(policy) = kms_key::policy(&place, &mode, *read_only, principals) else {
                bail!(
                    "the key {:?} is not one of AWS's, which alone have policies: give the ARN of one, arn:aws:kms:REGION:ACCOUNT:key/ID",
                    mode.key().map_or("", KmsKey::arn)
                );
            };
            if !put.apply {
                output::say(&policy.to_text());
                return Ok(());
            }
            let wanted = key::KeyPolicy {
                place: &place,
                mode: &mode,
                read_only: *read_only,
                principals,
            };
            key::apply(subject, &mut way, &wanted, *put).await
        }
        Kind::Bucket { require, put } => {
            let required = require.clone().unwrap_or_else(|| Requirement::of(&mode));
            let policy = bucket::policy(&place, &mode, &required);
            if !put.apply && !put.verify {
                output::say(&policy.to_text());
                return Ok(());
            }
            let wanted = applying::BucketPolicy {
                place: &place,
                mode: &mode,
                required: &required,
                policy: &policy,
            };
            applying::bucket(subject, &mut way, &wanted, *put).await
        }
        Kind::DefaultEncryption { put } => {
            if !subject.location.prefix.is_empty() {
                output::note(&format!(
                    "a default is of the whole bucket {:?}, not of a prefix",
                    subject.location.bucket
                ));
            }
            let wanted = default::of(&mode);
            if !put.apply && !put.verify {
                output::say(&serde_json::to_string_pretty(&default::to_json(&wanted))?);
                return Ok(());
            }
            applying::default_encryption(subject, &mut way, &wanted, *put).await
        }
    }
}

/// The way to AWS, found when it is first needed.
#[derive(Default)]
struct Way(Option<Aws>);

impl Way {
    async fn aws(&mut self, subject: &Subject) -> anyhow::Result<&Aws> {
        if self.0.is_none() {
            self.0 = Some(open::find_aws(&subject.connection, subject.timeout).await?);
        }
        Ok(self.0.as_ref().expect("it was found"))
    }
}

async fn mode(subject: &Subject, way: &mut Way) -> anyhow::Result<Mode> {
    let key = match &subject.key {
        Some(key) => Some(KmsKey::new(&arn_of(key, subject, way).await?)),
        None => None,
    };
    let context = subject.context.clone();
    Ok(match subject.mode {
        EncryptionArgument::None => Mode::None,
        EncryptionArgument::SseS3 => Mode::SseS3,
        EncryptionArgument::SseC => Mode::SseC,
        EncryptionArgument::CseC => Mode::CseC,
        EncryptionArgument::SseKms => Mode::SseKms(SseKms {
            key,
            context,
            bucket_key: subject.bucket_key,
            dsse: subject.dsse,
        }),
        EncryptionArgument::CseKms => Mode::CseKms {
            key,
            context,
            volume: subject.volume.clone(),
        },
    })
}

/// Policies name keys by their ARN; what is named otherwise only KMS knows.
async fn arn_of(key: &NamedKey, subject: &Subject, way: &mut Way) -> anyhow::Result<String> {
    if let NamedKey::Itself(arn) = key
        && arn.starts_with("arn:")
    {
        return Ok(arn.clone());
    }
    let aws = way.aws(subject).await?;
    let Some(kms) = Kms::new(aws)? else {
        bail!(
            "policies name a key by its ARN, and no KMS is known beside {} that could tell the one of {}: give the ARN, or --kms-endpoint-url",
            aws.s3().describe("S3"),
            key.as_str()
        );
    };
    let (arn, notes) = if subject.mode == EncryptionArgument::CseKms {
        let context = subject.context.clone();
        let (root, notes) = kms.root(key.as_str(), context, subject.timeout).await?;
        (root.key().to_owned(), notes)
    } else {
        let region = &aws.s3().region;
        let found = kms.resolve_for_s3(key.as_str(), region, subject.timeout);
        let found = found.await?;
        (found.arn, found.notes)
    };
    if !arn.starts_with("arn:") {
        bail!(
            "policies name a key by its ARN, which KMS does not tell these credentials of {}: give the ARN",
            key.as_str()
        );
    }
    for note in &notes {
        output::note(note);
    }
    Ok(arn)
}

async fn place(subject: &Subject, mode: &Mode, way: &Way) -> Place {
    let of_key = mode.key().and_then(KmsKey::place);
    let partition = match of_key {
        Some(key) => key.partition.clone(),
        None => partition_of(&region(subject, way).await).to_owned(),
    };
    Place {
        partition,
        bucket: subject.location.bucket.clone(),
        prefix: subject.location.prefix.clone(),
    }
}

/// As far as it is known without asking: only the partition is wanted of it.
async fn region(subject: &Subject, way: &Way) -> String {
    if let Some(aws) = &way.0 {
        return aws.s3().region.clone();
    }
    let Connection {
        region, profile, ..
    } = &subject.connection;
    let configured = aws::configured_region(region.as_deref(), profile.as_deref());
    configured.await.unwrap_or_default()
}

fn note_key_of_others(mode: &Mode) {
    if let Some(key) = mode.key()
        && key.place().is_none()
    {
        output::note(&format!(
            "the key {:?} is not one of AWS's, so nothing is said about it: the server that keeps it has its own rules",
            key.arn()
        ));
    }
}
