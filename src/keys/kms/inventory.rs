//! Keys and aliases: looked at, looked for, made.

use std::time::Duration;

use aws_sdk_kms::types::OriginType;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Kms;
use super::date::timestamp;
use super::deadline::Deadline;
use super::error::{KmsError, KmsErrorKind, Operation};
use super::facts::{KeyFacts, PastRotation, Rotation};
use super::key_name::KeyName;

/// Keys that are looked at at the same time; KMS's quota is the whole account's.
const LOOKS_MAX: usize = 8;

/// The description of a key that is made for an alias. It is how a later run finds the key, should
/// this one end before the alias is there.
#[must_use]
pub fn marker(alias: &str) -> String {
    format!("made by `cloakfs keys import` for {alias}")
}

impl Kms {
    /// What KMS tells of a key, by its id, ARN or alias.
    ///
    /// # Errors
    /// When there is no such key, or KMS does not tell within `timeout`.
    pub async fn facts(&self, key: &str, timeout: Duration) -> Result<KeyFacts, KmsError> {
        let name = KeyName::parse(key);
        let (client, endpoint) = self.place(&name);
        let subject = name.subject(Operation::DescribeKey, endpoint);
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                client.describe_key().key_id(name.as_str()).send()
            })
            .await?;
        KeyFacts::of(&name, answer.key_metadata)
    }

    /// The aliases of a key, in order.
    ///
    /// # Errors
    /// When KMS does not tell them.
    pub async fn aliases(
        &self,
        key: &KeyFacts,
        timeout: Duration,
    ) -> Result<Vec<String>, KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key.name().subject(Operation::ListAliases, endpoint);
        let mut names = Vec::new();
        let mut marker = None;
        loop {
            let page = Deadline::after(timeout)
                .run(&subject, || {
                    let asked = client.list_aliases().key_id(key.arn());
                    asked.set_marker(marker.clone()).send()
                })
                .await?;
            let found = page.aliases.unwrap_or_default();
            names.extend(found.into_iter().filter_map(|alias| alias.alias_name));
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                names.sort();
                return Ok(names);
            }
        }
    }

    /// # Errors
    /// When KMS does not tell, or does not rotate keys of its kind.
    pub async fn rotation(&self, key: &KeyFacts, timeout: Duration) -> Result<Rotation, KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key
            .name()
            .subject(Operation::GetKeyRotationStatus, endpoint);
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                client.get_key_rotation_status().key_id(key.arn()).send()
            })
            .await?;
        Ok(Rotation {
            is_automatic: answer.key_rotation_enabled,
            period_days: answer.rotation_period_in_days,
            next: answer.next_rotation_date.as_ref().map(timestamp),
            under_way_since: answer.on_demand_rotation_start_date.as_ref().map(timestamp),
        })
    }

    /// The rotations that were, as KMS lists them.
    ///
    /// # Errors
    /// As [`Self::rotation`].
    pub async fn rotations(
        &self,
        key: &KeyFacts,
        timeout: Duration,
    ) -> Result<Vec<PastRotation>, KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key.name().subject(Operation::ListKeyRotations, endpoint);
        let mut rotations = Vec::new();
        let mut marker = None;
        loop {
            let page = Deadline::after(timeout)
                .run(&subject, || {
                    let asked = client.list_key_rotations().key_id(key.arn());
                    asked.set_marker(marker.clone()).send()
                })
                .await?;
            let found = page.rotations.unwrap_or_default();
            rotations.extend(found.into_iter().map(|entry| PastRotation {
                at: entry.rotation_date.as_ref().map(timestamp),
                kind: entry.rotation_type.map(|kind| kind.as_str().to_owned()),
            }));
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                return Ok(rotations);
            }
        }
    }

    /// The keys that were made for `alias` ([`marker`]) and are not to be deleted. Every key of
    /// the account in this region is looked at; those that may not be are somebody else's.
    ///
    /// # Errors
    /// When the keys may not be listed, or KMS does not answer.
    pub async fn made_for(
        &self,
        alias: &str,
        timeout: Duration,
    ) -> Result<Vec<KeyFacts>, KmsError> {
        let keys = self.list(alias, timeout).await?;
        let looks = stream::iter(keys).map(|arn| async move {
            match self.facts(&arn, timeout).await {
                Ok(key) => Ok(Some(key)),
                Err(error)
                    if matches!(error.kind(), KmsErrorKind::Denied | KmsErrorKind::NotFound) =>
                {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        });
        let looked: Vec<Option<KeyFacts>> = looks.buffered(LOOKS_MAX).try_collect().await?;
        let marker = marker(alias);
        let is_it = |key: &KeyFacts| {
            key.is_external() && key.description() == marker && !key.is_to_be_deleted()
        };
        Ok(looked.into_iter().flatten().filter(is_it).collect())
    }

    /// The ARNs of all keys.
    async fn list(&self, alias: &str, timeout: Duration) -> Result<Vec<String>, KmsError> {
        let name = KeyName::parse(alias);
        let (client, endpoint) = self.place(&name);
        let subject = name.subject(Operation::ListKeys, endpoint);
        let mut arns = Vec::new();
        let mut marker = None;
        loop {
            let page = Deadline::after(timeout)
                .run(&subject, || {
                    let asked = client.list_keys().limit(1000);
                    asked.set_marker(marker.clone()).send()
                })
                .await?;
            let found = page.keys.unwrap_or_default();
            arns.extend(found.into_iter().filter_map(|key| key.key_arn));
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                return Ok(arns);
            }
        }
    }

    /// Makes a key for material of one's own, once: where the answer is lost, whether it was made
    /// is for [`Self::made_for`] to tell.
    ///
    /// # Errors
    /// When KMS makes none, or does not say so.
    pub async fn create_for(&self, alias: &str, timeout: Duration) -> Result<KeyFacts, KmsError> {
        let name = KeyName::parse(alias);
        let (client, endpoint) = self.place(&name);
        let subject = name.subject(Operation::CreateKey, endpoint);
        let answer = Deadline::after(timeout)
            .run_once(&subject, || {
                let asked = client.create_key().origin(OriginType::External);
                asked.description(marker(alias)).send()
            })
            .await?;
        let Some(arn) = answer.key_metadata().and_then(|key| key.arn()) else {
            return Err(KmsError::bad_answer(&subject, "the answer has no ARN"));
        };
        KeyFacts::of(&KeyName::parse(arn), answer.key_metadata)
    }

    /// Gives `key` a name.
    ///
    /// # Errors
    /// [`KmsErrorKind::Exists`] when the name is taken, also where the answer of an earlier
    /// request was lost.
    pub async fn create_alias(
        &self,
        alias: &str,
        key: &KeyFacts,
        timeout: Duration,
    ) -> Result<(), KmsError> {
        let name = KeyName::parse(alias);
        let (client, endpoint) = self.place(key.name());
        let subject = name.subject(Operation::CreateAlias, endpoint);
        let asking = Deadline::after(timeout);
        let made = asking.run(&subject, || {
            let asked = client.create_alias().alias_name(alias);
            asked.target_key_id(key.id()).send()
        });
        made.await.map(|_empty| ())
    }
}
