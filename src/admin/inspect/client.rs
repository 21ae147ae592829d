//! How an object says that it was encrypted before it was sent: by its metadata, pure. Nothing of
//! it is authentic.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::s3ec::{self, S3ec};
use crate::layout::sealed::metadata::{FORMAT, KEY, RECORD};
use crate::layout::sealed::{FORMAT_VERSION, ObjectError, SealedMetadata, WrappedKey};
use crate::store::Metadata;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// It says nothing.
    None,
    /// By cloakfs in a client-side mode.
    Native(Native),
    /// By the Amazon S3 Encryption Client.
    S3ec(S3ec),
    /// It says something that cannot be: what follows its name in a sentence.
    Unknown(String),
}

/// An object of a client-side volume. Which volume it is of, only its key tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    pub format: FormatVersion,
    pub root: RootKind,
    /// The key of KMS that its data key is wrapped under, where the wrapped key tells: those of
    /// Amazon's KMS are opaque, others begin with the key's id.
    pub kms_key: Option<String>,
    /// As it is in the metadata. What one mount wrote shares it, in general.
    pub wrapped_key: Option<WrappedKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatVersion {
    /// The one that this program reads.
    Known,
    Other(u64),
}

/// What the data key is wrapped under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// `cse-kms`
    Kms,
    /// `cse-c`
    Master,
    /// The format is another one.
    Unknown,
}

impl Client {
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let native = [FORMAT, KEY, RECORD]
            .iter()
            .any(|name| metadata.contains_key(*name));
        match (native, s3ec::of(metadata)) {
            (true, Ok(None)) => native_of(metadata),
            (true, _) => Self::Unknown(
                "has both the metadata of cloakfs and that of the Amazon S3 Encryption Client: it was changed, and neither is to be believed".to_owned(),
            ),
            (false, Ok(Some(s3ec))) => Self::S3ec(s3ec),
            (false, Ok(None)) => Self::None,
            (false, Err(why)) => Self::Unknown(why),
        }
    }
}

fn native_of(metadata: &Metadata) -> Client {
    match SealedMetadata::decode(metadata) {
        Ok(sealed) => Client::Native(Native {
            format: FormatVersion::Known,
            root: RootKind::of(&sealed.key),
            kms_key: kms_key(&sealed.key),
            wrapped_key: Some(sealed.key),
        }),
        Err(ObjectError::UnknownVersion(version)) => {
            // Where a newer format keeps its wrapped key as this one does.
            let key = metadata.get(KEY);
            let key = key.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            let key = key.and_then(|bytes| WrappedKey::decode(&bytes));
            Client::Native(Native {
                format: FormatVersion::Other(version),
                root: key.as_ref().map_or(RootKind::Unknown, RootKind::of),
                kms_key: key.as_ref().and_then(kms_key),
                wrapped_key: key,
            })
        }
        Err(error) => Client::Unknown(error.to_string()),
    }
}

fn kms_key(key: &WrappedKey) -> Option<String> {
    match key {
        WrappedKey::Kms(blob) => kms_key_of(blob).map(str::to_owned),
        WrappedKey::Master(_) => None,
    }
}

/// A key's id at the beginning of what KMS wrapped, as servers that stand in for KMS have it.
pub(in crate::admin) fn kms_key_of(blob: &[u8]) -> Option<&str> {
    /// Of a UUID as text.
    const ID_BYTES: usize = 36;
    let id = str::from_utf8(blob.get(..ID_BYTES)?).ok()?;
    let is_uuid = id.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    is_uuid.then_some(id)
}

impl RootKind {
    const fn of(key: &WrappedKey) -> Self {
        match key {
            WrappedKey::Kms(_) => Self::Kms,
            WrappedKey::Master(_) => Self::Master,
        }
    }

    /// As `--encryption` names it.
    #[must_use]
    pub const fn mode(self) -> &'static str {
        match self {
            Self::Kms => "cse-kms",
            Self::Master => "cse-c",
            Self::Unknown => "cse",
        }
    }
}

impl FormatVersion {
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Known => FORMAT_VERSION as u64,
            Self::Other(version) => version,
        }
    }
}
