//! What KMS tells of a key, and what follows from it for its material: pure.

use aws_sdk_kms::types::{ExpirationModelType, KeyMetadata, KeyState, OriginType};
use aws_smithy_types::DateTime;

use super::date::timestamp;
use super::describe::{self, User};
use super::error::{KmsError, KmsErrorKind};
use super::key_name::KeyName;
use crate::base::time::Timestamp;

/// A key as KMS describes it.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// As a person called it, with its ARN where that was an alias.
    called: String,
    /// Its ARN, which requests name it by.
    name: KeyName,
    metadata: KeyMetadata,
}

/// Whether a key has imported material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Nothing,
    Material(Expires),
}

/// When imported material goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    Never,
    At(Timestamp),
    /// It does, and KMS does not say when.
    Untold,
}

/// How KMS changes a key's material by itself, or when it is asked to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    pub is_automatic: bool,
    pub period_days: Option<i32>,
    pub next: Option<Timestamp>,
    /// One that was asked for and is under way.
    pub under_way_since: Option<Timestamp>,
}

/// A rotation that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastRotation {
    pub at: Option<Timestamp>,
    /// `AUTOMATIC` or `ON_DEMAND`.
    pub kind: Option<String>,
}

impl KeyFacts {
    /// # Errors
    /// When the answer is none of KMS about the key that was asked for.
    pub(super) fn of(asked: &KeyName, metadata: Option<KeyMetadata>) -> Result<Self, KmsError> {
        let found = metadata.and_then(|metadata| Some((metadata.arn()?.to_owned(), metadata)));
        let Some((arn, metadata)) = found else {
            return Err(describe::no_arn(asked));
        };
        describe::check_answers_name(asked, &arn)?;
        Ok(Self {
            called: describe::called(asked, &arn),
            name: KeyName::parse(&arn),
            metadata,
        })
    }

    pub(super) const fn name(&self) -> &KeyName {
        &self.name
    }

    #[must_use]
    pub fn arn(&self) -> &str {
        self.name.as_str()
    }

    #[must_use]
    pub fn id(&self) -> &str {
        self.metadata.key_id()
    }

    /// As it begins a sentence.
    #[must_use]
    pub fn called(&self) -> &str {
        &self.called
    }

    /// As KMS names it: `Enabled`, `PendingImport`, ...
    #[must_use]
    pub fn state(&self) -> &str {
        self.metadata
            .key_state()
            .map_or("not told", KeyState::as_str)
    }

    /// As KMS names it: `EXTERNAL` where the material is imported.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.metadata
            .origin()
            .map_or("not told", OriginType::as_str)
    }

    /// `SYMMETRIC_DEFAULT` and its like.
    #[must_use]
    pub fn spec(&self) -> &str {
        let spec = self.metadata.key_spec();
        spec.map_or("not told", aws_sdk_kms::types::KeySpec::as_str)
    }

    /// `ENCRYPT_DECRYPT` and its like.
    #[must_use]
    pub fn usage(&self) -> &str {
        let usage = self.metadata.key_usage();
        usage.map_or("not told", aws_sdk_kms::types::KeyUsageType::as_str)
    }

    /// `AWS` or `CUSTOMER`.
    #[must_use]
    pub fn manager(&self) -> &str {
        let manager = self.metadata.key_manager();
        manager.map_or("not told", aws_sdk_kms::types::KeyManagerType::as_str)
    }

    #[must_use]
    pub fn description(&self) -> &str {
        self.metadata.description().unwrap_or_default()
    }

    #[must_use]
    pub fn is_multi_region(&self) -> bool {
        self.metadata.multi_region().unwrap_or(false)
    }

    #[must_use]
    pub fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_date().map(timestamp)
    }

    /// Where it is to be deleted.
    #[must_use]
    pub fn deletion(&self) -> Option<Timestamp> {
        self.metadata.deletion_date().map(timestamp)
    }

    /// KMS's own name for the material, which tells one from another.
    #[must_use]
    pub fn material_id(&self) -> Option<&str> {
        self.metadata.current_key_material_id()
    }

    #[must_use]
    pub fn is_external(&self) -> bool {
        self.metadata.origin() == Some(&OriginType::External)
    }

    #[must_use]
    pub fn waits_for_material(&self) -> bool {
        self.metadata.key_state() == Some(&KeyState::PendingImport)
    }

    #[must_use]
    pub fn is_to_be_deleted(&self) -> bool {
        matches!(
            self.metadata.key_state(),
            Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion)
        )
    }

    /// `None` where no material was imported, or it is gone.
    #[must_use]
    pub fn expires(&self) -> Option<Expires> {
        if !self.is_external() || self.waits_for_material() {
            return None;
        }
        Some(match self.metadata.expiration_model()? {
            ExpirationModelType::KeyMaterialDoesNotExpire => Expires::Never,
            _ => self
                .metadata
                .valid_to()
                .map_or(Expires::Untold, |at: &DateTime| Expires::At(timestamp(at))),
        })
    }

    /// Whether 32 bytes can be imported into it, and what it holds already.
    ///
    /// # Errors
    /// When they cannot: it is of another origin, kind or state.
    pub fn importable(&self) -> Result<Holds, KmsError> {
        self.check_external(
            "material of one's own goes only into keys that are made for it (origin EXTERNAL): give --alias a name that is not taken, and such a key is made",
        )?;
        describe::check_kind(&self.called, &self.metadata, User::Import)?;
        if self.waits_for_material() {
            return Ok(Holds::Nothing);
        }
        describe::check_state(&self.called, &self.metadata, User::Import)?;
        Ok(Holds::Material(self.expires().unwrap_or(Expires::Untold)))
    }

    /// Whether there is imported material that can be deleted.
    ///
    /// # Errors
    /// When it is of another origin, or its state allows no change.
    pub fn deletable(&self) -> Result<Holds, KmsError> {
        self.check_external("such material cannot be deleted: disable the key with `aws kms disable-key`, which can be undone, or schedule its deletion")?;
        match self.metadata.key_state() {
            Some(KeyState::PendingImport) => Ok(Holds::Nothing),
            Some(KeyState::Disabled) => {
                Ok(Holds::Material(self.expires().unwrap_or(Expires::Untold)))
            }
            _ => {
                describe::check_state(&self.called, &self.metadata, User::Import)?;
                Ok(Holds::Material(self.expires().unwrap_or(Expires::Untold)))
            }
        }
    }

    fn check_external(&self, advice: &str) -> Result<(), KmsError> {
        if self.is_external() {
            return Ok(());
        }
        let origin = self.origin();
        Err(KmsError::new(
            KmsErrorKind::Unsuitable,
            format!(
                "{} has material that was not imported (origin {origin}), and {advice}",
                self.called
            ),
        ))
    }
}
