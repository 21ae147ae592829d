//! A customer's own 32 bytes as the material of a key in KMS: the key is found or made ([`target`]),
//! the material imported, and the key seen to work.
//!
//! Whatever fails, the same again goes on where it ended, and no second key is made: a key is made
//! with a description that names its alias, and where the alias is missing such a key is looked
//! for first. A request that makes a key is sent once; where its answer is lost, the next run
//! finds out.
//!
//! KMS takes a moment until all of it knows of a change ("eventual consistency"): what was just
//! made or imported is asked for again until the timeout.

mod target;

use std::time::Duration;

use tokio::time::Instant;

use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::keys::kms::{
    Expires, Expiry, Holds, ImportParameters, KeyFacts, Kms, KmsError, KmsErrorKind, Wrapping,
    rfc3339,
};
pub use target::{AliasError, Target};

/// Between two looks at what may not be there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// What a person is told while it is done: a sentence.
pub type Told<'a> = dyn FnMut(&str) + Send + 'a;

/// What is to be imported.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub enum Material {
    /// The key itself, to be wrapped here.
    Key { key: Secret<32>, wrapping: Wrapping },
    /// Wrapped elsewhere.
    Wrapped { wrapped: Vec<u8>, token: Vec<u8> },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The key's ARN.
    pub arn: String,
    pub alias: Option<String>,
    pub expires: Expires,
    /// What the user should know although all is well: a sentence.
    pub note: Option<String>,
}

/// Why nothing was imported, or it is not known to work. Each message is a whole sentence.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Kms(#[from] KmsError),
    #[error(
        "{error}; whether a key was made for {alias} is not known: run the same again in a minute, which looks for it first"
    )]
    MadeOrNot {
        alias: String,
        #[source]
        error: KmsError,
    },
    #[error(
        "{alias} does not exist, and what was wrapped elsewhere was wrapped for a key that does: give the alias or key that the wrapping key and the token came for"
    )]
    NoKeyOfToken { alias: String },
    #[error(
        "{alias} does not exist, and the key {arn} was made for it before and has material: give --kms-key {arn} as well to have the alias made for that key, or another --alias for a new one"
    )]
    MadeBefore { alias: String, arn: String },
    #[error(
        "{alias} does not exist, and {} keys wait for material that were made for it: {}; give one of them with --kms-key as well, and delete the others with `aws kms schedule-key-deletion`",
        arns.len(), arns.join(", ")
    )]
    Several { alias: String, arns: Vec<String> },
    #[error(
        "{alias} leads to the key {other}, and not to {arn}: give one of them, or another --alias"
    )]
    OtherKey {
        alias: String,
        other: String,
        arn: String,
    },
    #[error(
        "{alias} was made by somebody else at this moment and leads to the key {other}; the key {arn}, which was just made for it, has no use: delete it with `aws kms schedule-key-deletion --key-id {arn}`"
    )]
    Taken {
        alias: String,
        other: String,
        arn: String,
    },
    #[error(
        "the material was imported into {key}, but whether the key works is not known: {error}"
    )]
    NotSeenToWork {
        key: String,
        #[source]
        error: KmsError,
    },
    #[error(
        "{key} does not decrypt what it encrypted before this import: this KMS took other material in place of what was there, which AWS's refuses; what is encrypted under one material is read with that one alone, so import the right one again"
    )]
    Replaced { key: String },
}

/// Imports `material` for `target`, and sees whether the key works.
///
/// # Errors
/// When any step fails; what was done is told before, and stays.
pub async fn import(
    kms: &Kms,
    target: &Target,
    material: Material,
    expiry: Expiry,
    timeout: Duration,
    told: &mut Told<'_>,
) -> Result<Imported, ImportError> {
    let may_make = matches!(material, Material::Key { .. });
    let key = target.find(kms, may_make, timeout, told).await?;
    let before = match key.importable()? {
        Holds::Nothing => None,
        Holds::Material(expires) => {
            told(&format!(
                "it has material ({}): the same is imported again",
                until(expires)
            ));
            Some(kms.probe(&key, timeout).await?)
        }
    };
    let (wrapped, token) = match material {
        Material::Wrapped { wrapped, token } => (wrapped, token),
        Material::Key { key: own, wrapping } => {
            let parameters = parameters(kms, &key, wrapping, timeout).await?;
            let wrapped = parameters.wrapping_key.wrap(wrapping.hash, &own);
            (wrapped, parameters.token)
        }
    };
    kms.import_material(&key, &wrapped, &token, expiry, timeout)
        .await?;
    told("the material was imported");
    if let Some(before) = before
        && let Err(error) = kms.opens(&key, &before, timeout).await
    {
        let called = key.called().to_owned();
        return Err(match error.kind() {
            KmsErrorKind::NotWrapped => ImportError::Replaced { key: called },
            _ => ImportError::NotSeenToWork { key: called, error },
        });
    }
    let expires = see(kms, &key, timeout).await.map_err(|error| {
        let key = key.called().to_owned();
        ImportError::NotSeenToWork { key, error }
    })?;
    told("the key encrypts, and decrypts what it encrypted");
    Ok(Imported {
        arn: key.arn().to_owned(),
        alias: target.alias_name().map(str::to_owned),
        expires,
        note: difference(expiry, expires),
    })
}

/// A key for material that is wrapped elsewhere, and what that takes.
///
/// # Errors
/// When any step fails; what was done is told before, and stays.
pub async fn prepare(
    kms: &Kms,
    target: &Target,
    wrapping: Wrapping,
    timeout: Duration,
    told: &mut Told<'_>,
) -> Result<(KeyFacts, ImportParameters), ImportError> {
    let key = target.find(kms, true, timeout, told).await?;
    key.importable()?;
    let parameters = parameters(kms, &key, wrapping, timeout).await?;
    Ok((key, parameters))
}

/// A key that was just made may not be known yet.
async fn parameters(
    kms: &Kms,
    key: &KeyFacts,
    wrapping: Wrapping,
    timeout: Duration,
) -> Result<ImportParameters, KmsError> {
    settled(timeout, || kms.import_parameters(key, wrapping, timeout)).await
}

/// Sees the key work; when its material goes, as KMS tells it.
async fn see(kms: &Kms, key: &KeyFacts, timeout: Duration) -> Result<Expires, KmsError> {
    let probe = settled(timeout, || kms.probe(key, timeout)).await?;
    kms.opens(key, &probe, timeout).await?;
    let facts = kms.facts(key.arn(), timeout).await?;
    Ok(facts.expires().unwrap_or(Expires::Untold))
}

/// Asks until what was just changed is known, or the time is over.
async fn settled<T, F>(timeout: Duration, mut ask: impl FnMut() -> F) -> Result<T, KmsError>
where
    F: Future<Output = Result<T, KmsError>>,
{
    let end = Instant::now() + timeout;
    loop {
        match ask().await {
            Err(error)
                if matches!(error.kind(), KmsErrorKind::NotFound | KmsErrorKind::State)
                    && Instant::now() + PAUSE < end =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// As it is told of a key's material.
#[must_use]
pub fn until(expires: Expires) -> String {
    match expires {
        Expires::Never => "it does not expire".to_owned(),
        Expires::At(at) => format!("it expires at {}", rfc3339(at)),
        Expires::Untold => "when it expires is not told".to_owned(),
    }
}

/// Where KMS tells another end than was asked for.
fn difference(asked: Expiry, expires: Expires) -> Option<String> {
    let at_second = |at: Timestamp| at.secs();
    let asked = match (asked, expires) {
        (Expiry::Never, Expires::Never) => return None,
        (Expiry::At(asked), Expires::At(told)) if at_second(asked) == at_second(told) => {
            return None;
        }
        (Expiry::Never, _) => "material that stays".to_owned(),
        (Expiry::At(at), _) => format!("material that expires at {}", rfc3339(at)),
    };
    Some(format!(
        "{asked} was asked for, and KMS answers otherwise: {}",
        until(expires)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_end_than_was_asked_for_is_told() {
        let at = |secs| Timestamp::new(secs, 0).unwrap();
        let noon = 1_769_860_800;
        for (asked, expires) in [
            (Expiry::Never, Expires::Never),
            (Expiry::At(at(noon)), Expires::At(at(noon))),
        ] {
            assert_eq!(difference(asked, expires), None);
        }
        for (asked, expires, sentence) in [
            (
                Expiry::Never,
                Expires::At(at(noon)),
                "material that stays was asked for, and KMS answers otherwise: it expires at 2026-01-31T12:00:00Z",
            ),
            (
                Expiry::At(at(noon)),
                Expires::Untold,
                "material that expires at 2026-01-31T12:00:00Z was asked for, and KMS answers otherwise: when it expires is not told",
            ),
            (
                Expiry::At(at(noon)),
                Expires::At(at(noon + 1)),
                "material that expires at 2026-01-31T12:00:00Z was asked for, and KMS answers otherwise: it expires at 2026-01-31T12:00:01Z",
            ),
        ] {
            assert_eq!(difference(asked, expires).as_deref(), Some(sentence));
        }
    }
}
