//! What an audit finds.

use serde::Serialize;

use crate::admin::inspect::Looked;
use crate::keys::kms::KmsErrorKind;
use crate::layout::sealed::ObjectError;
use crate::layout::sealed::names::StoredNameError;
use crate::store::{ErrorKind, StoreError};
use crate::volume::VolumeError;

/// Something that is not as it must be. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// Nothing is required there that the object has.
    NotEncrypted,
    /// It is encrypted in another way than is required.
    OtherMode,
    /// In the mode that is required, under another key, or in another context.
    OtherKey,
    /// By another version of cloakfs's format.
    OtherFormat,
    /// By the Amazon S3 Encryption Client: encrypted, and not by cloakfs.
    ForeignFormat,
    /// What the object says of its encryption cannot be.
    BrokenMetadata,
    /// It was changed, or put where it does not belong.
    NotAuthentic,
    /// A deep audit could not read it, or a key could not be asked for.
    Unreadable,
    /// Nothing is known of it: it could not be looked at.
    CannotLook,
    /// Its name is not one of the volume's.
    UndecryptableName,
    /// An upload that nobody has ended.
    IncompleteUpload,
    /// There is no client-side volume, or it does not open with the key that was given.
    NoVolume,
}

impl Flaw {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotEncrypted => "not-encrypted",
            Self::OtherMode => "other-mode",
            Self::OtherKey => "other-key",
            Self::OtherFormat => "other-format",
            Self::ForeignFormat => "foreign-format",
            Self::BrokenMetadata => "broken-metadata",
            Self::NotAuthentic => "not-authentic",
            Self::Unreadable => "unreadable",
            Self::CannotLook => "cannot-look",
            Self::UndecryptableName => "undecryptable-name",
            Self::IncompleteUpload => "incomplete-upload",
            Self::NoVolume => "no-volume",
        }
    }
}

/// One flaw of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub finding: Flaw,
    /// The whole key; the prefix, where it is of all.
    pub object: String,
    /// In a volume with a key: what a mount calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the object is under, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it is and what can be done: a sentence.
    pub text: String,
}

impl Finding {
    #[must_use]
    pub fn new(finding: Flaw, object: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            finding,
            object: object.into(),
            path: None,
            mode: None,
            key: None,
            text: text.into(),
        }
    }

    /// Of an object that was looked at.
    pub(super) fn of(finding: Flaw, object: &str, looked: &Looked, text: String) -> Self {
        Self {
            mode: Some(looked.mode().into_owned()),
            key: looked.key().map(str::to_owned),
            ..Self::new(finding, object, text)
        }
    }

    pub(super) fn of_name(object: &str, why: StoredNameError) -> Self {
        Self::new(Flaw::UndecryptableName, object, format!("it {why}"))
    }

    /// Its data key did not open.
    pub(super) fn of_key(object: &str, looked: &Looked, error: &VolumeError) -> Self {
        if is_of_another_key(error) {
            let text = "its data key does not open with the volume's key, encryption context and id: it is of another volume or key, or was changed; if it was copied here, copy it through a mount".to_owned();
            return Self::of(Flaw::OtherKey, object, looked, text);
        }
        let text = format!("its data key cannot be had: {error}");
        Self::of(Flaw::Unreadable, object, looked, text)
    }

    /// What is sealed did not open.
    pub(super) fn of_content(object: &str, looked: &Looked, error: &VolumeError) -> Self {
        let (flaw, text) = match error.object_error() {
            Some(ObjectError::UnknownVersion(_) | ObjectError::UnknownFeature(_)) => {
                (Flaw::OtherFormat, error.to_string())
            }
            Some(ObjectError::BrokenMetadata(_)) => (Flaw::BrokenMetadata, error.to_string()),
            Some(_) => (Flaw::NotAuthentic, error.to_string()),
            None if is_cut(error) => (
                Flaw::NotAuthentic,
                format!("it is shorter than what was sealed: {error}"),
            ),
            None => (Flaw::Unreadable, error.to_string()),
        };
        Self::of(flaw, object, looked, text)
    }

    /// A read in clear failed.
    pub(super) fn of_read(object: &str, looked: &Looked, error: &StoreError) -> Self {
        Self::of(
            Flaw::Unreadable,
            object,
            looked,
            format!("it cannot be read: {error}"),
        )
    }
}

fn is_of_another_key(error: &VolumeError) -> bool {
    error.kms_error() == Some(KmsErrorKind::NotWrapped)
        || error.object_error() == Some(ObjectError::NotAuthentic)
}

/// There are no bytes where its end should be.
fn is_cut(error: &VolumeError) -> bool {
    let store = error.store_error();
    store.is_some_and(|store| {
        store.kind() == ErrorKind::Invalid && store.code() == Some("InvalidRange")
    })
}
