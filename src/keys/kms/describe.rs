//! Whether a key can be used, from what KMS says of it: pure.
//!
//! For data keys, and to import material, it takes a symmetric key for encryption. S3 encrypts
//! with symmetric keys of the bucket's own region ("Using server-side encryption with AWS KMS
//! keys", "Key states of AWS KMS keys").

use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::error::{KmsError, KmsErrorKind};
use super::key_name::{Arn, KeyName, partition_of};

/// Who is to use the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    S3,
    DataKeys,
    /// Somebody with 32 bytes.
    Import,
}

impl User {
    const fn limit(self) -> &'static str {
        match self {
            Self::S3 => "S3 encrypts with symmetric keys only",
            Self::DataKeys => "data keys are made by symmetric keys only",
            Self::Import => "32 bytes are the material of symmetric keys only",
        }
    }

    const fn unusable(self) -> &'static str {
        match self {
            Self::S3 => "in which S3 cannot encrypt with it",
            Self::DataKeys => "in which it makes no data keys",
            Self::Import => "in which it takes no material",
        }
    }
}

/// A key that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedKey {
    /// What requests name. The key's ARN; an id where KMS would not tell the ARN.
    pub arn: String,
    /// What the user should know although all is well: sentences.
    pub notes: Vec<String>,
}

/// A key that these credentials may not look at.
pub(super) fn taken_as_given(name: &KeyName, denied: &KmsError) -> ResolvedKey {
    ResolvedKey {
        arn: name.as_str().to_owned(),
        notes: vec![format!(
            "{denied}; the key is used as given, and whether it works will be seen when something is written"
        )],
    }
}

/// The key's ARN, where S3 can use it.
pub(super) fn usable_by_s3(
    name: &KeyName,
    key: Option<&KeyMetadata>,
    bucket_region: &str,
) -> Result<ResolvedKey, KmsError> {
    let (named, arn) = usable(name, key, User::S3)?;
    // An answer in another form than Amazon's has no place to compare.
    if let Some(place) = Arn::parse(arn) {
        check_place(&named, &place, bucket_region)?;
    }
    resolved(name, arn)
}

/// The key's ARN, where it can make data keys.
pub(super) fn usable_for_data_keys(
    name: &KeyName,
    key: Option<&KeyMetadata>,
) -> Result<ResolvedKey, KmsError> {
    let (_, arn) = usable(name, key, User::DataKeys)?;
    resolved(name, arn)
}

fn resolved(name: &KeyName, arn: &str) -> Result<ResolvedKey, KmsError> {
    check_answers_name(name, arn)?;
    Ok(ResolvedKey {
        arn: arn.to_owned(),
        notes: Vec::new(),
    })
}

/// The key as a person knows it and its ARN, where kind and state allow its use.
fn usable<'a>(
    name: &KeyName,
    key: Option<&'a KeyMetadata>,
    user: User,
) -> Result<(String, &'a str), KmsError> {
    let Some((key, arn)) = key.and_then(|key| Some((key, key.arn()?))) else {
        return Err(no_arn(name));
    };
    let named = called(name, arn);
    check_kind(&named, key, user)?;
    check_state(&named, key, user)?;
    Ok((named, arn))
}

pub(super) fn no_arn(name: &KeyName) -> KmsError {
    KmsError::new(
        KmsErrorKind::Unreachable,
        format!("{name} cannot be looked at: the answer has no ARN, so it is none of KMS"),
    )
}

/// Whether the answer is about the key that was asked about, as far as its name tells: a key's
/// ARN is answered with itself, and an alias leads to a key of its own account.
pub(super) fn check_answers_name(name: &KeyName, arn: &str) -> Result<(), KmsError> {
    let Some(asked) = name.arn() else {
        return Ok(());
    };
    let fits = if name.is_alias() {
        Arn::parse(arn).as_ref() == Some(asked)
    } else {
        arn == name.as_str()
    };
    if fits {
        return Ok(());
    }
    Err(KmsError::new(
        KmsErrorKind::Unsuitable,
        format!(
            "{name} was asked for, and the answer is of {arn}, which is another key or of another account: check --kms-endpoint-url, since KMS does not answer so"
        ),
    ))
}

/// Whether a key is where S3 looks for it.
pub(super) fn check_place(
    named: &impl std::fmt::Display,
    place: &Arn,
    bucket_region: &str,
) -> Result<(), KmsError> {
    let unsuitable = |message| Err(KmsError::new(KmsErrorKind::Unsuitable, message));
    if place.region != bucket_region {
        return unsuitable(format!(
            "{named} is in the region {}, and S3 encrypts objects of a bucket in {bucket_region} with keys of that region only: give a key of {bucket_region} (of a multi-region key, its replica there)",
            place.region
        ));
    }
    let partition = partition_of(&place.region);
    if place.partition != partition {
        return unsuitable(format!(
            "{named} is in the partition {}, and the region {} belongs to {partition}: check the ARN",
            place.partition, place.region
        ));
    }
    Ok(())
}

pub(super) fn check_kind(named: &str, key: &KeyMetadata, user: User) -> Result<(), KmsError> {
    let spec = key.key_spec().unwrap_or(&KeySpec::SymmetricDefault);
    let usage = key.key_usage().unwrap_or(&KeyUsageType::EncryptDecrypt);
    if *spec == KeySpec::SymmetricDefault && *usage == KeyUsageType::EncryptDecrypt {
        return Ok(());
    }
    let what = match usage {
        KeyUsageType::GenerateVerifyMac => "an HMAC key",
        _ if *spec == KeySpec::SymmetricDefault => "a key for another use",
        _ => "an asymmetric key",
    };
    Err(KmsError::new(
        KmsErrorKind::Unsuitable,
        format!(
            "{named} is {what} ({}, {}), and {}: give a key of the kind SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT",
            spec.as_str(),
            usage.as_str(),
            user.limit()
        ),
    ))
}

pub(super) fn check_state(named: &str, key: &KeyMetadata, user: User) -> Result<(), KmsError> {
    let reason = match key.key_state() {
        // A multi-region key that is being updated still encrypts.
        Some(KeyState::Enabled | KeyState::Updating) => return Ok(()),
        None if key.enabled() => return Ok(()),
        None | Some(KeyState::Disabled) => {
            "is disabled: enable it with `aws kms enable-key`, or give another".to_owned()
        }
        Some(state @ (KeyState::PendingDeletion | KeyState::PendingReplicaDeletion)) => {
            pending_deletion(state, key.deletion_date())
        }
        Some(KeyState::PendingImport) => {
            "has no key material, because none was imported yet or what was has expired or was deleted: import it with `cloakfs keys import`, or give another".to_owned()
        }
        Some(KeyState::Creating) => {
            "is still being created: try again in a minute".to_owned()
        }
        Some(KeyState::Unavailable) => {
            "is in a key store that KMS cannot reach: connect its custom key store, or give another key".to_owned()
        }
        Some(other) => format!("is in the state {}, {}: give another", other.as_str(), user.unusable()),
    };
    Err(KmsError::new(
        KmsErrorKind::State,
        format!("{named} {reason}"),
    ))
}

fn pending_deletion(state: &KeyState, date: Option<&DateTime>) -> String {
    let day = date
        .and_then(|date| date.fmt(Format::DateTime).ok())
        .and_then(|date| Some(format!(" on {}", date.split_once('T')?.0)));
    if *state == KeyState::PendingReplicaDeletion {
        return "is to be deleted as soon as its replicas are: cancel that with `aws kms cancel-key-deletion`, or give another".to_owned();
    }
    format!(
        "is to be deleted{}, and what is encrypted with it is lost then: cancel that with `aws kms cancel-key-deletion` and enable the key, or give another",
        day.unwrap_or_default()
    )
}

/// The name, with the key behind it where it is an alias.
pub(super) fn called(name: &KeyName, arn: &str) -> String {
    if name.is_alias() {
        format!("{name} (now {arn})")
    } else {
        name.to_string()
    }
}
