//! The key that material goes into: named, found by its alias, or made.

use std::time::Duration;

use super::{ImportError, Told, settled};
use crate::keys::kms::{KeyFacts, Kms, KmsErrorKind};

/// As KMS's API limits it, with `alias/`.
const ALIAS_BYTES_MAX: usize = 256;

/// How the key is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    key: Option<String>,
    alias: Option<String>,
}

/// What is wrong with the name of an alias.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    #[error(
        "\"{0}\" is not the name of an alias: write alias/NAME, with letters, digits, /, _ and - in NAME"
    )]
    Form(String),
    #[error("\"{0}\" is a name that AWS keeps for its own keys: choose one without aws/")]
    Reserved(String),
}

impl Target {
    /// A key that is there, by its id, ARN or alias.
    #[must_use]
    pub const fn key(key: String) -> Self {
        Self {
            key: Some(key),
            alias: None,
        }
    }

    /// The key behind an alias; where there is none, one is made. With `key`, that one gets the
    /// alias.
    ///
    /// # Errors
    /// When no alias can have that name.
    pub fn alias(alias: String, key: Option<String>) -> Result<Self, AliasError> {
        let name = alias.strip_prefix("alias/").unwrap_or_default();
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
        if name.is_empty() || alias.len() > ALIAS_BYTES_MAX || !name.bytes().all(is_right) {
            return Err(AliasError::Form(alias));
        }
        if name.starts_with("aws/") {
            return Err(AliasError::Reserved(alias));
        }
        Ok(Self {
            key,
            alias: Some(alias),
        })
    }

    #[must_use]
    pub fn alias_name(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    /// As requests name the key where it is there.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.alias.as_ref().or(self.key.as_ref());
        name.map_or("", String::as_str)
    }

    pub(super) async fn find(
        &self,
        kms: &Kms,
        may_make: bool,
        timeout: Duration,
        told: &mut Told<'_>,
    ) -> Result<KeyFacts, ImportError> {
        let key = match &self.key {
            Some(key) => Some(kms.facts(key, timeout).await?),
            None => None,
        };
        let Some(alias) = &self.alias else {
            let key = key.expect("a target has a key or an alias");
            let state = state(&key);
            told(&format!("the key is {}{state}", key.arn()));
            return Ok(key);
        };
        let behind = match kms.facts(alias, timeout).await {
            Ok(behind) => Some(behind),
            Err(error) if error.kind() == KmsErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        match (key, behind) {
            (Some(key), Some(behind)) if key.arn() != behind.arn() => Err(ImportError::OtherKey {
                alias: alias.clone(),
                other: behind.arn().to_owned(),
                arn: key.arn().to_owned(),
            }),
            (_, Some(behind)) => {
                let state = state(&behind);
                told(&format!("{alias} leads to the key {}{state}", behind.arn()));
                Ok(behind)
            }
            (Some(key), None) => {
                key.importable()?;
                match name(kms, alias, &key, timeout, told).await {
                    Ok(()) => Ok(key),
                    Err(ImportError::Taken { alias, other, arn }) => {
                        Err(ImportError::OtherKey { alias, other, arn })
                    }
                    Err(error) => Err(error),
                }
            }
            (None, None) if !may_make => Err(ImportError::NoKeyOfToken {
                alias: alias.clone(),
            }),
            (None, None) => {
                let key = made(kms, alias, timeout, told).await?;
                name(kms, alias, &key, timeout, told).await?;
                Ok(key)
            }
        }
    }
}

/// As it follows a key's name.
fn state(key: &KeyFacts) -> &'static str {
    if key.waits_for_material() {
        ", which waits for its material"
    } else {
        ""
    }
}

/// The key that an earlier run made for `alias`, else a new one.
async fn made(
    kms: &Kms,
    alias: &str,
    timeout: Duration,
    told: &mut Told<'_>,
) -> Result<KeyFacts, ImportError> {
    let mut found = kms.made_for(alias, timeout).await?;
    let (alias, arns) = (alias.to_owned(), |found: &[KeyFacts]| {
        found.iter().map(|key| key.arn().to_owned()).collect()
    });
    match found.as_slice() {
        [] => {}
        [one] if one.waits_for_material() => {
            told(&format!(
                "the key {} was made for {alias} by an earlier run that did not end, and is taken",
                one.arn()
            ));
            return Ok(found.remove(0));
        }
        [one] => {
            return Err(ImportError::MadeBefore {
                alias,
                arn: one.arn().to_owned(),
            });
        }
        several => {
            return Err(ImportError::Several {
                alias,
                arns: arns(several),
            });
        }
    }
    match kms.create_for(&alias, timeout).await {
        Ok(key) => {
            told(&format!(
                "the key {} was made, for material of your own (origin EXTERNAL)",
                key.arn()
            ));
            Ok(key)
        }
        Err(error)
            if matches!(
                error.kind(),
                KmsErrorKind::Disconnected | KmsErrorKind::ServerFault | KmsErrorKind::TimedOut
            ) =>
        {
            Err(ImportError::MadeOrNot { alias, error })
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives `key` its alias. A key that was just made may not be known yet; an alias that is there
/// may be this one, whose answer was lost.
async fn name(
    kms: &Kms,
    alias: &str,
    key: &KeyFacts,
    timeout: Duration,
    told: &mut Told<'_>,
) -> Result<(), ImportError> {
    match settled(timeout, || kms.create_alias(alias, key, timeout)).await {
        Ok(()) => {}
        Err(error) if error.kind() == KmsErrorKind::Exists => {
            let behind = settled(timeout, || kms.facts(alias, timeout)).await?;
            if behind.arn() != key.arn() {
                return Err(ImportError::Taken {
                    alias: alias.to_owned(),
                    other: behind.arn().to_owned(),
                    arn: key.arn().to_owned(),
                });
            }
        }
        Err(error) => return Err(error.into()),
    }
    told(&format!("{alias} now leads to the key {}", key.arn()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_alias_can_have_is_refused() {
        for name in ["alias/a", "alias/team-1/photos_2026", "alias/awsome"] {
            let target = Target::alias(name.to_owned(), None).unwrap();
            assert_eq!(target.alias_name(), Some(name));
        }
        let long = format!("alias/{}", "a".repeat(251));
        for name in [
            "",
            "a",
            "alias",
            "alias/",
            "alias/ä",
            "alias/a b",
            "ALIAS/a",
            &long,
            "arn:aws:kms:us-east-1:111122223333:alias/a",
        ] {
            assert_eq!(
                Target::alias(name.to_owned(), None)
                    .unwrap_err()
                    .to_string(),
                format!(
                    "\"{name}\" is not the name of an alias: write alias/NAME, with letters, digits, /, _ and - in NAME"
                )
            );
        }
        assert_eq!(
            Target::alias("alias/aws/s3".to_owned(), None)
                .unwrap_err()
                .to_string(),
            "\"alias/aws/s3\" is a name that AWS keeps for its own keys: choose one without aws/"
        );
    }
}
