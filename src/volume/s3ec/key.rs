//! From the wrapped data key of an object to what opens its content.

use super::S3ecObject;
use crate::crypto::s3ec::legacy::CbcKey;
use crate::crypto::s3ec::{GcmKey, Refused, S3ecDataKey};
use crate::keys::root::Root;
use crate::layout::s3ec::{Content, Envelope, S3ecError, Wrapping};
use crate::layout::sealed::ObjectError;
use crate::store::ObjectKey;
use crate::volume::sealed::DataKeyError;
use crate::volume::{Result, Volume, VolumeError};

/// Opens the content of an object.
#[derive(Debug)]
pub enum Opener {
    Gcm(GcmKey),
    /// With the initialisation vector.
    Cbc(CbcKey, [u8; 16]),
}

impl Volume {
    /// What opens an object's content; the first time, its data key is unwrapped.
    pub(super) async fn s3ec_opener<'a>(
        &self,
        key: &ObjectKey,
        object: &'a S3ecObject,
    ) -> Result<&'a Opener> {
        let open = || async {
            let refused = |error: S3ecError| VolumeError::object(key, error.into());
            let envelope = &object.envelope;
            let data_key = self.s3ec_data_key(key, envelope).await?;
            match &envelope.content {
                Content::Cbc { iv } => Ok(Opener::Cbc(data_key.cbc(), *iv)),
                Content::Gcm { iv } => Ok(Opener::Gcm(data_key.v2(iv))),
                Content::Committing {
                    message_id,
                    commitment,
                } => data_key
                    .v3(message_id, commitment)
                    .map(Opener::Gcm)
                    .map_err(|Refused| refused(S3ecError::NotAuthentic)),
            }
        };
        object.opener.get_or_try_init(open).await
    }

    async fn s3ec_data_key(&self, key: &ObjectKey, envelope: &Envelope) -> Result<S3ecDataKey> {
        let refused = |error: S3ecError| VolumeError::object(key, error.into());
        let sealed = self.sealed();
        let (wrapped, algorithm) = (&envelope.wrapped_key, envelope.content.algorithm());
        let unwrapped = match (envelope.wrapping, sealed.keys.root()) {
            (Wrapping::RsaOaepSha1, _) => {
                let rsa = sealed.s3ec.reading.rsa_key.as_ref();
                let rsa = rsa.ok_or_else(|| refused(S3ecError::NeedsRsaKey))?;
                rsa.unwrap(wrapped, algorithm)
            }
            (Wrapping::AesGcm, Root::Master(master)) => master.unwrap_s3ec(wrapped, algorithm),
            (Wrapping::AesKeyWrap, Root::Master(master)) => master.unwrap_rfc3394(wrapped),
            (Wrapping::AesEcb, Root::Master(master)) => master.unwrap_ecb(wrapped),
            (Wrapping::AesGcm | Wrapping::AesKeyWrap | Wrapping::AesEcb, Root::Kms(_)) => {
                return Err(refused(S3ecError::NeedsAesKey));
            }
            (Wrapping::Kms | Wrapping::KmsContext, Root::Master(_)) => {
                return Err(refused(S3ecError::NeedsKms));
            }
            (Wrapping::Kms | Wrapping::KmsContext, Root::Kms(kms)) => {
                // The mount's own pairs, never those that were stored.
                let context = envelope.context_for(kms.context().pairs());
                let context = context.map_err(refused)?;
                let unwrapped = kms.unwrap_s3ec(&context, wrapped).await;
                return unwrapped.map_err(|error| match DataKeyError::from(error) {
                    DataKeyError::Object(ObjectError::NotAuthentic) => {
                        refused(S3ecError::NotAuthentic)
                    }
                    error => VolumeError::data_key(key, error),
                });
            }
        };
        unwrapped.map_err(|Refused| refused(S3ecError::NotAuthentic))
    }
}
