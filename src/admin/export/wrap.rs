//! What wraps the data keys of exported objects.

use std::collections::BTreeMap;
use std::fmt;

use crate::crypto::s3ec::wrapping::AesKey;
use crate::crypto::s3ec::{GcmKey, RsaPublicKey, S3ecDataKey};
use crate::keys::kms::{KmsError, KmsRoot};
use crate::layout::s3ec::{ALGORITHM_CONTEXT, Content, Envelope, FormatVersion, Wrapping};

/// The suite of v3, as wrapped keys name it.
const ALGORITHM: &str = "115";

/// A wrapping key. No wrapping but these is written.
pub enum Wrap {
    Aes(AesKey),
    Rsa(RsaPublicKey),
    Kms(Box<KmsRoot>),
}

impl fmt::Debug for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes(_) => "Aes",
            Self::Rsa(_) => "Rsa",
            Self::Kms(_) => "Kms",
        })
    }
}

impl Wrap {
    /// What one new object is sealed with, and what is stored beside it.
    ///
    /// # Errors
    /// When KMS gives no data key.
    pub(super) async fn new_object(&self) -> Result<(GcmKey, Envelope), KmsError> {
        let mut context = BTreeMap::new();
        let (data_key, wrapping, wrapped_key) = match self {
            Self::Aes(with) => {
                let key = S3ecDataKey::random();
                let wrapped = with.wrap(&key, ALGORITHM);
                (key, Wrapping::AesGcm, wrapped)
            }
            Self::Rsa(with) => {
                let key = S3ecDataKey::random();
                let wrapped = with.wrap(&key, ALGORITHM);
                (key, Wrapping::RsaOaepSha1, wrapped)
            }
            Self::Kms(kms) => {
                context.clone_from(kms.context().pairs());
                context.insert(ALGORITHM_CONTEXT.to_owned(), ALGORITHM.to_owned());
                let (key, wrapped) = kms.generate_s3ec(&context).await?;
                (key, Wrapping::KmsContext, wrapped)
            }
        };
        let (key, message_id, commitment) = data_key.new_v3();
        let envelope = Envelope {
            version: FormatVersion::V3,
            content: Content::Committing {
                message_id,
                commitment,
            },
            wrapping,
            wrapped_key,
            context,
            has_instruction_file: false,
        };
        Ok((key, envelope))
    }
}
