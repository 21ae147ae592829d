//! The user metadata of an object (section 5): format, wrapped data key and sealed record, as
//! text. Nothing here is authentic yet.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::ObjectError;
use super::record::RECORD_BYTES_MAX;
use crate::crypto::MessageLength;
use crate::crypto::keys::WRAPPED_KEY_BYTES;

/// The metadata names, without the `x-amz-meta-` prefix.
pub const FORMAT: &str = "cloakfs-format";
pub const KEY: &str = "cloakfs-key";
pub const RECORD: &str = "cloakfs-record";

const VERSION: &str = "1";
const KMS: u8 = 1;
const MASTER: u8 = 2;
/// Longest blob of KMS that an object has room for; its usual ones have 184 bytes.
pub const KMS_BLOB_BYTES_MAX: usize = 512;

const SEALED_RECORD_BYTES_MAX: u64 = match MessageLength::of_plain(RECORD_BYTES_MAX as u64) {
    Ok(length) => length.stored(),
    Err(_) => unreachable!(),
};

/// A data key as only the root opens it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WrappedKey {
    /// The `CiphertextBlob` of KMS: 1 to [`KMS_BLOB_BYTES_MAX`] bytes.
    Kms(Vec<u8>),
    /// Sealed under the master key.
    Master([u8; WRAPPED_KEY_BYTES]),
}

/// What an object says of itself, before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedMetadata {
    pub key: WrappedKey,
    /// A sealed [`super::Record`].
    pub record: Vec<u8>,
}

impl WrappedKey {
    /// # Panics
    /// When a blob of KMS has no length that an object has room for: checked when it was made.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Kms(blob) => {
                let fits = (1..=KMS_BLOB_BYTES_MAX).contains(&blob.len());
                assert!(fits, "a KMS blob of {} bytes", blob.len());
                [&[KMS], blob.as_slice()].concat()
            }
            Self::Master(wrapped) => [&[MASTER], wrapped.as_slice()].concat(),
        }
    }

    /// `None` where it is no wrapped key.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&KMS, blob) if (1..=KMS_BLOB_BYTES_MAX).contains(&blob.len()) => {
                Some(Self::Kms(blob.to_vec()))
            }
            (&MASTER, wrapped) => wrapped.try_into().ok().map(Self::Master),
            _ => None,
        }
    }
}

impl SealedMetadata {
    /// The three headers. The volume adds its commit id.
    #[must_use]
    pub fn encode(&self) -> BTreeMap<String, String> {
        assert!(self.record.len() as u64 <= SEALED_RECORD_BYTES_MAX);
        BTreeMap::from([
            (FORMAT.to_owned(), VERSION.to_owned()),
            (KEY.to_owned(), URL_SAFE_NO_PAD.encode(self.key.encode())),
            (RECORD.to_owned(), URL_SAFE_NO_PAD.encode(&self.record)),
        ])
    }

    /// # Errors
    /// When the object is not ours, of another version, or its headers are not as they should
    /// be.
    pub fn decode(metadata: &BTreeMap<String, String>) -> Result<Self, ObjectError> {
        let header = |name: &str| metadata.get(name).map(String::as_str);
        let (format, key, record) = (header(FORMAT), header(KEY), header(RECORD));
        if format.is_none() && key.is_none() && record.is_none() {
            return Err(ObjectError::NotOurs);
        }
        let format = format.ok_or(ObjectError::BrokenMetadata("cloakfs-format is missing"))?;
        let key = key.ok_or(ObjectError::BrokenMetadata("cloakfs-key is missing"));
        let record = record.ok_or(ObjectError::BrokenMetadata("cloakfs-record is missing"));
        match format.parse::<u64>() {
            _ if format == VERSION => {}
            Ok(version) if version.to_string() == format => {
                return Err(ObjectError::UnknownVersion(version));
            }
            _ => {
                return Err(ObjectError::BrokenMetadata(
                    "cloakfs-format is not a version number",
                ));
            }
        }
        let key = decode(key?)
            .and_then(|bytes| WrappedKey::decode(&bytes))
            .ok_or(ObjectError::BrokenMetadata(
                "cloakfs-key is not a wrapped key",
            ))?;
        let record = decode(record?)
            .filter(|record| record.len() as u64 <= SEALED_RECORD_BYTES_MAX)
            .ok_or(ObjectError::BrokenMetadata(
                "cloakfs-record is not a record",
            ))?;
        Ok(Self { key, record })
    }
}

/// Strictly: padding, other characters and unused bits that are not zero are refused.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
