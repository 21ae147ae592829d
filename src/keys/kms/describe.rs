//! Whether S3 can encrypt with a key, from what KMS says of it: pure.
//!
//! S3 encrypts with symmetric keys of the bucket's own region ("Using server-side encryption
//! with AWS KMS keys", "Key states of AWS KMS keys").

use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::error::{KmsError, KmsErrorKind};
use super::key_name::{Arn, KeyName, partition_of};

/// A key that S3 can be asked to encrypt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedKey {
    /// What to send to S3. The key's ARN; an id where KMS would not tell the ARN.
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
    let Some((key, arn)) = key.and_then(|key| Some((key, key.arn()?))) else {
        return Err(KmsError::new(
            KmsErrorKind::Unreachable,
            format!("{name} cannot be looked at: the answer has no ARN, so it is none of KMS"),
        ));
    };
    let named = called(name, arn);
    check_kind(&named, key)?;
    check_state(&named, key)?;
    // An answer in another form than Amazon's has no place to compare.
    if let Some(place) = Arn::parse(arn) {
        check_place(&named, &place, bucket_region)?;
    }
    check_answers_name(name, arn)?;
    Ok(ResolvedKey {
        arn: arn.to_owned(),
        notes: Vec::new(),
    })
}

/// Whether the answer is about the key that was asked about, as far as its name tells: a key's
/// ARN is answered with itself, and an alias leads to a key of its own account.
fn check_answers_name(name: &KeyName, arn: &str) -> Result<(), KmsError> {
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

fn check_kind(named: &str, key: &KeyMetadata) -> Result<(), KmsError> {
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
            "{named} is {what} ({}, {}), and S3 encrypts with symmetric keys only: give a key of the kind SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT",
            spec.as_str(),
            usage.as_str()
        ),
    ))
}

fn check_state(named: &str, key: &KeyMetadata) -> Result<(), KmsError> {
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
            "has no key material, because none was imported yet or what was has expired or was deleted: import it, or give another".to_owned()
        }
        Some(KeyState::Creating) => {
            "is still being created: try again in a minute".to_owned()
        }
        Some(KeyState::Unavailable) => {
            "is in a key store that KMS cannot reach: connect its custom key store, or give another key".to_owned()
        }
        Some(other) => format!("is in the state {}, in which S3 cannot encrypt with it: give another", other.as_str()),
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
fn called(name: &KeyName, arn: &str) -> String {
    if name.is_alias() {
        format!("{name} (now {arn})")
    } else {
        name.to_string()
    }
}
