//! What the metadata of an object say together: how its content is encrypted, and how the data
//! key is wrapped.

use std::collections::BTreeMap;

use super::S3ecError;

/// Longest content of an object: what one key and nonce of GCM encrypt.
pub const CONTENT_BYTES_MAX: u64 = (64 << 30) - 32;
/// GCM's tag, at the end of the body.
pub const TAG_BYTES: u64 = 16;
const CBC_BLOCK_BYTES: u64 = 16;

/// The pair of an encryption context that names the content's algorithm.
pub const ALGORITHM_CONTEXT: &str = "aws:x-amz-cek-alg";
/// The pair that v1 wrapped with alone.
pub const KEY_ID_CONTEXT: &str = "kms_cmk_id";

/// Longest wrapped key that is taken: RSA's of 8,192 bits.
pub const WRAPPED_KEY_BYTES_MAX: usize = 1024;

/// Which clients wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormatVersion {
    V1,
    V2,
    V3,
}

/// How the content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// v1, and v2 in its early days: not authenticated.
    Cbc { iv: [u8; 16] },
    /// v2: under the data key itself.
    Gcm { iv: [u8; 12] },
    /// v3: under a key that is derived from the data key, and committed to.
    Committing {
        message_id: [u8; 28],
        commitment: [u8; 28],
    },
}

/// What wrapped the data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// AES-256-GCM under the customer's key.
    AesGcm,
    /// RSA-OAEP with SHA-1, the content's algorithm behind the key.
    RsaOaepSha1,
    /// KMS, with the content's algorithm in its encryption context.
    KmsContext,
    /// KMS without that. Legacy.
    Kms,
    /// RFC 3394. Legacy.
    AesKeyWrap,
    /// AES-ECB: not authenticated. Legacy.
    AesEcb,
}

/// Everything that is needed besides keys to read a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub version: FormatVersion,
    pub content: Content,
    pub wrapping: Wrapping,
    /// 1 to [`WRAPPED_KEY_BYTES_MAX`] bytes.
    pub wrapped_key: Vec<u8>,
    /// What was stored of the encryption context. Of [`Wrapping::Kms`] and
    /// [`Wrapping::KmsContext`] alone.
    pub context: BTreeMap<String, String>,
    /// The data key came from an instruction file.
    pub has_instruction_file: bool,
}

impl FormatVersion {
    /// As `user.cloakfs.format` tells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "s3ec-v1",
            Self::V2 => "s3ec-v2",
            Self::V3 => "s3ec-v3",
        }
    }
}

impl Content {
    /// What stands for the algorithm in associated data, wrapped keys and encryption contexts.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Cbc { .. } => "AES/CBC/PKCS5Padding",
            Self::Gcm { .. } => "AES/GCM/NoPadding",
            Self::Committing { .. } => "115",
        }
    }

    /// Bytes of ciphertext in a body of this length, without the tag.
    ///
    /// # Errors
    /// When no content has such a body.
    pub const fn ciphertext_bytes(&self, body: u64) -> Result<u64, S3ecError> {
        match self {
            Self::Cbc { .. } if body > 0 && body.is_multiple_of(CBC_BLOCK_BYTES) => Ok(body),
            Self::Cbc { .. } => Err(S3ecError::Length),
            Self::Gcm { .. } | Self::Committing { .. } => match body.checked_sub(TAG_BYTES) {
                Some(bytes) if bytes <= CONTENT_BYTES_MAX => Ok(bytes),
                _ => Err(S3ecError::Length),
            },
        }
    }
}

impl Wrapping {
    #[must_use]
    pub const fn is_kms(self) -> bool {
        matches!(self, Self::KmsContext | Self::Kms)
    }

    /// As `user.cloakfs.wrapping` tells it: the client's own words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "AES/GCM",
            Self::RsaOaepSha1 => "RSA-OAEP-SHA1",
            Self::KmsContext => "kms+context",
            Self::Kms => "kms",
            Self::AesKeyWrap => "AESWrap",
            Self::AesEcb => "AES",
        }
    }
}

impl Envelope {
    /// What of it is legacy, if anything is.
    #[must_use]
    pub const fn legacy(&self) -> Option<&'static str> {
        match (self.content, self.wrapping) {
            (Content::Cbc { .. }, _) => Some("its content is AES-CBC"),
            (_, Wrapping::Kms) => Some("its data key is wrapped as kms"),
            (_, Wrapping::AesKeyWrap) => Some("its data key is wrapped as AESWrap"),
            (_, Wrapping::AesEcb) => Some("its data key is wrapped as AES"),
            _ => None,
        }
    }

    /// The encryption context that this data key is to be unwrapped with by a mount whose own
    /// pairs these are.
    ///
    /// # Errors
    /// When it was stored with other pairs.
    pub fn context_for(
        &self,
        own: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, S3ecError> {
        let mut stored = self.context.clone();
        let algorithm = stored.remove(ALGORITHM_CONTEXT);
        let key_id = stored.remove(KEY_ID_CONTEXT);
        let mut context = own.clone();
        if self.wrapping == Wrapping::KmsContext {
            let expected = self.content.algorithm();
            // The client keeps the name for itself: it is never a caller's.
            if algorithm.as_deref() != Some(expected) || key_id.is_some() {
                return Err(S3ecError::OtherContext);
            }
            context.insert(ALGORITHM_CONTEXT.to_owned(), expected.to_owned());
        } else {
            let (None, Some(key_id)) = (algorithm, key_id) else {
                return Err(S3ecError::OtherContext);
            };
            context.insert(KEY_ID_CONTEXT.to_owned(), key_id);
        }
        if stored == *own {
            Ok(context)
        } else {
            Err(S3ecError::OtherContext)
        }
    }
}
