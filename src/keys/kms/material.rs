//! Material of one's own: the way into a key, out of it again, and whether it works.

use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{AlgorithmSpec, ExpirationModelType, WrappingKeySpec};
use zeroize::Zeroizing;

use super::Kms;
use super::date::{Expiry, date_time, timestamp};
use super::deadline::Deadline;
use super::error::{KmsError, Operation};
use super::facts::KeyFacts;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::wrapping::{OaepHash, WrappingKey};

/// The pair of the encryption context that probes are under.
const PROBE_CONTEXT: (&str, &str) = ("cloakfs:probe", "import");

/// How material is to be wrapped on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapping {
    pub hash: OaepHash,
    pub bits: WrappingBits,
}

/// The length of the wrapping key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrappingBits {
    Rsa2048,
    Rsa3072,
    Rsa4096,
}

/// What an import needs; wrapping key and token belong together.
#[derive(Debug)]
pub struct ImportParameters {
    pub wrapping_key: WrappingKey,
    /// As KMS gave it: `SubjectPublicKeyInfo` in DER.
    pub wrapping_key_der: Vec<u8>,
    pub token: Vec<u8>,
    /// Until when both are good; KMS gives them 24 hours.
    pub valid_to: Option<Timestamp>,
}

/// Something that a key has encrypted.
#[expect(missing_debug_implementations, reason = "it holds a secret")]
pub struct Probe {
    plain: Secret<32>,
    sealed: Vec<u8>,
}

impl WrappingBits {
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    const fn spec(self) -> WrappingKeySpec {
        match self {
            Self::Rsa2048 => WrappingKeySpec::Rsa2048,
            Self::Rsa3072 => WrappingKeySpec::Rsa3072,
            Self::Rsa4096 => WrappingKeySpec::Rsa4096,
        }
    }
}

impl Kms {
    /// A wrapping key for `key` and the token that belongs to it.
    ///
    /// # Errors
    /// When KMS gives none, or another than was asked for.
    pub async fn import_parameters(
        &self,
        key: &KeyFacts,
        wrapping: Wrapping,
        timeout: Duration,
    ) -> Result<ImportParameters, KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key
            .name()
            .subject(Operation::GetParametersForImport, endpoint);
        let algorithm = match wrapping.hash {
            OaepHash::Sha256 => AlgorithmSpec::RsaesOaepSha256,
            OaepHash::Sha1 => AlgorithmSpec::RsaesOaepSha1,
        };
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                client
                    .get_parameters_for_import()
                    .key_id(key.arn())
                    .wrapping_algorithm(algorithm.clone())
                    .wrapping_key_spec(wrapping.bits.spec())
                    .send()
            })
            .await?;
        let bad = |reason: &str| KmsError::bad_answer(&subject, reason);
        match answer.key_id.as_deref() {
            Some(answered) if key.name().is_answered_by(answered) => {}
            Some(other) => {
                return Err(bad(&format!(
                    "the answer is of {other}, which is another key"
                )));
            }
            None => return Err(bad("the answer names no key")),
        }
        let of_blob = |blob: Option<Blob>| blob.map(Blob::into_inner).unwrap_or_default();
        let (der, token) = (of_blob(answer.public_key), of_blob(answer.import_token));
        if token.is_empty() {
            return Err(bad("the answer has no import token"));
        }
        let wrapping_key = WrappingKey::from_der(&der)
            .map_err(|error| bad(&format!("its wrapping key {error}")))?;
        if wrapping_key.bits() != wrapping.bits.bits() {
            return Err(bad(&format!(
                "its wrapping key has {} bits, and {} were asked for",
                wrapping_key.bits(),
                wrapping.bits.bits()
            )));
        }
        Ok(ImportParameters {
            wrapping_key,
            wrapping_key_der: der,
            token,
            valid_to: answer.parameters_valid_to.as_ref().map(timestamp),
        })
    }

    /// Puts wrapped material into `key`. The same again does no harm.
    ///
    /// # Errors
    /// When KMS does not take it.
    pub async fn import_material(
        &self,
        key: &KeyFacts,
        wrapped: &[u8],
        token: &[u8],
        expiry: Expiry,
        timeout: Duration,
    ) -> Result<(), KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key.name().subject(Operation::ImportKeyMaterial, endpoint);
        let (model, valid_to) = match expiry {
            Expiry::Never => (ExpirationModelType::KeyMaterialDoesNotExpire, None),
            Expiry::At(at) => (ExpirationModelType::KeyMaterialExpires, Some(date_time(at))),
        };
        let asking = Deadline::after(timeout);
        let imported = asking.run(&subject, || {
            client
                .import_key_material()
                .key_id(key.arn())
                .encrypted_key_material(Blob::new(wrapped))
                .import_token(Blob::new(token))
                .expiration_model(model.clone())
                .set_valid_to(valid_to)
                .send()
        });
        imported.await.map(|_told| ())
    }

    /// Takes the imported material out of `key`.
    ///
    /// # Errors
    /// When KMS keeps it.
    pub async fn delete_material(&self, key: &KeyFacts, timeout: Duration) -> Result<(), KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key
            .name()
            .subject(Operation::DeleteImportedKeyMaterial, endpoint);
        let asking = Deadline::after(timeout);
        let deleted = asking.run(&subject, || {
            client
                .delete_imported_key_material()
                .key_id(key.arn())
                .send()
        });
        deleted.await.map(|_told| ())
    }

    /// Lets `key` encrypt something random.
    ///
    /// # Errors
    /// When it does not.
    pub async fn probe(&self, key: &KeyFacts, timeout: Duration) -> Result<Probe, KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key.name().subject(Operation::Encrypt, endpoint);
        let plain = Secret::random();
        let (name, value) = PROBE_CONTEXT;
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                client
                    .encrypt()
                    .key_id(key.arn())
                    .plaintext(Blob::new(&plain.expose()[..]))
                    .encryption_context(name, value)
                    .send()
            })
            .await?;
        let sealed = answer.ciphertext_blob.map(Blob::into_inner);
        let sealed = sealed.filter(|sealed| !sealed.is_empty());
        let sealed =
            sealed.ok_or_else(|| KmsError::bad_answer(&subject, "the answer has no ciphertext"))?;
        Ok(Probe { plain, sealed })
    }

    /// Whether `key` decrypts what it encrypted.
    ///
    /// # Errors
    /// [`super::KmsErrorKind::NotWrapped`] when its material is another than it was.
    pub async fn opens(
        &self,
        key: &KeyFacts,
        probe: &Probe,
        timeout: Duration,
    ) -> Result<(), KmsError> {
        let (client, endpoint) = self.place(key.name());
        let subject = key.name().subject(Operation::DecryptProbe, endpoint);
        let (name, value) = PROBE_CONTEXT;
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                client
                    .decrypt()
                    .key_id(key.arn())
                    .ciphertext_blob(Blob::new(&probe.sealed[..]))
                    .encryption_context(name, value)
                    .send()
            })
            .await?;
        let plain = Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        if *plain != probe.plain.expose()[..] {
            return Err(KmsError::bad_answer(
                &subject,
                "the answer is something else",
            ));
        }
        Ok(())
    }
}
