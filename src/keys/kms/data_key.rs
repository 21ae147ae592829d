//! Data keys: made and unwrapped by KMS, each request with the mount's own key and encryption
//! context, whatever was found in the bucket.
//!
//! The SDK hands a plaintext out as a vector, which is wiped here. What it does not wipe are the
//! buffers that the answer came through: the body with the plaintext in base64, and TLS's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use serde::Serialize;
use zeroize::Zeroizing;

use super::deadline::Deadline;
use super::error::{KmsError, KmsErrorKind, Operation, Subject};
use super::key_name::KeyName;
use crate::aws::Endpoint;
use crate::base::context::EncryptionContext;
use crate::base::secret::Secret;
use crate::crypto::DataKey;
use crate::crypto::s3ec::S3ecDataKey;

/// Longest wrapped form that is taken; KMS's usual ones have 184 bytes.
pub const BLOB_BYTES_MAX: usize = 512;

/// A key of KMS as the root of a client-side volume.
#[derive(Debug)]
pub struct KmsRoot {
    client: Client,
    endpoint: Endpoint,
    key: KeyName,
    context: EncryptionContext,
    timeout: Duration,
    generated: AtomicU64,
    decrypted: AtomicU64,
}

/// Requests so far. One that KMS asked to repeat counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    pub generate_data_key: u64,
    pub decrypt: u64,
}

impl KmsRoot {
    pub(super) fn new(
        client: Client,
        endpoint: Endpoint,
        key: KeyName,
        context: EncryptionContext,
        timeout: Duration,
    ) -> Self {
        Self {
            client,
            endpoint,
            key,
            context,
            timeout,
            generated: AtomicU64::default(),
            decrypted: AtomicU64::default(),
        }
    }

    /// The key's ARN; an id where KMS would not tell the ARN.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// The pairs that the user gave.
    #[must_use]
    pub const fn context(&self) -> &EncryptionContext {
        &self.context
    }

    #[must_use]
    pub fn calls(&self) -> Calls {
        Calls {
            generate_data_key: self.generated.load(Ordering::Relaxed),
            decrypt: self.decrypted.load(Ordering::Relaxed),
        }
    }

    /// A new data key of this volume with its wrapped form.
    ///
    /// # Errors
    /// When KMS gives none within the timeout.
    pub async fn generate(&self, volume: &[u8; 16]) -> Result<(DataKey, Vec<u8>), KmsError> {
        let context = self.context_of(volume)?;
        let (key, wrapped) = self.generate_with(context.pairs()).await?;
        Ok((DataKey::from_secret(key), wrapped))
    }

    /// What [`Self::generate`] of this volume wrapped as `blob`.
    ///
    /// # Errors
    /// [`KmsErrorKind::NotWrapped`] when that was another key, volume or context; when KMS does
    /// not unwrap it within the timeout.
    pub async fn unwrap(&self, volume: &[u8; 16], blob: &[u8]) -> Result<DataKey, KmsError> {
        let context = self.context_of(volume)?;
        let key = self.unwrap_with(context.pairs(), blob).await?;
        Ok(DataKey::from_secret(key))
    }

    /// A new data key of an object of the Amazon S3 Encryption Client, with its wrapped form.
    /// `context` is the whole encryption context.
    ///
    /// # Errors
    /// When KMS gives none within the timeout.
    pub async fn generate_s3ec(
        &self,
        context: &BTreeMap<String, String>,
    ) -> Result<(S3ecDataKey, Vec<u8>), KmsError> {
        let (key, wrapped) = self.generate_with(context).await?;
        Ok((S3ecDataKey::from_secret(key), wrapped))
    }

    /// The data key of an object of the Amazon S3 Encryption Client. `context` is the whole
    /// encryption context, which the caller has compared with [`Self::context`].
    ///
    /// # Errors
    /// [`KmsErrorKind::NotWrapped`] when it was wrapped by another key or with another context;
    /// when KMS does not unwrap it within the timeout.
    pub async fn unwrap_s3ec(
        &self,
        context: &BTreeMap<String, String>,
        blob: &[u8],
    ) -> Result<S3ecDataKey, KmsError> {
        let key = self.unwrap_with(context, blob).await?;
        Ok(S3ecDataKey::from_secret(key))
    }

    async fn generate_with(
        &self,
        context: &BTreeMap<String, String>,
    ) -> Result<(Secret<32>, Vec<u8>), KmsError> {
        self.generated.fetch_add(1, Ordering::Relaxed);
        let subject = self.subject(Operation::GenerateDataKey);
        let answer = Deadline::after(self.timeout)
            .run(&subject, || {
                self.client
                    .generate_data_key()
                    .key_id(self.key.as_str())
                    .key_spec(DataKeySpec::Aes256)
                    .set_encryption_context(Some(context.clone().into_iter().collect()))
                    .send()
            })
            .await?;
        let key = take_key(&subject, answer.plaintext)?;
        self.check_key(&subject, answer.key_id.as_deref())?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner);
        let wrapped = wrapped.filter(|blob| !blob.is_empty()).ok_or_else(|| {
            KmsError::bad_answer(&subject, "the answer has no wrapped form of the data key")
        })?;
        if wrapped.len() > BLOB_BYTES_MAX {
            let (reason, bytes) = ("the data key's wrapped form has", wrapped.len());
            let reason =
                format!("{reason} {bytes} bytes, and an object has room for {BLOB_BYTES_MAX}");
            return Err(KmsError::bad_answer(&subject, &reason));
        }
        Ok((key, wrapped))
    }

    async fn unwrap_with(
        &self,
        context: &BTreeMap<String, String>,
        blob: &[u8],
    ) -> Result<Secret<32>, KmsError> {
        self.decrypted.fetch_add(1, Ordering::Relaxed);
        let subject = self.subject(Operation::Decrypt);
        let answer = Deadline::after(self.timeout)
            .run(&subject, || {
                self.client
                    .decrypt()
                    .key_id(self.key.as_str())
                    .ciphertext_blob(Blob::new(blob))
                    .set_encryption_context(Some(context.clone().into_iter().collect()))
                    .send()
            })
            .await?;
        let key = take_key(&subject, answer.plaintext)?;
        self.check_key(&subject, answer.key_id.as_deref())?;
        Ok(key)
    }

    fn subject(&self, operation: Operation) -> Subject<'_> {
        Subject {
            operation,
            key: &self.key,
            endpoint: self.endpoint.clone(),
        }
    }

    fn context_of(&self, volume: &[u8; 16]) -> Result<EncryptionContext, KmsError> {
        self.context
            .for_volume(volume)
            .map_err(|error| KmsError::new(KmsErrorKind::Unsuitable, error.to_string()))
    }

    fn check_key(&self, subject: &Subject<'_>, answered: Option<&str>) -> Result<(), KmsError> {
        match answered {
            Some(answered) if self.key.is_answered_by(answered) => Ok(()),
            Some(other) => {
                let reason = format!("the answer is of {other}, which is another key");
                Err(KmsError::bad_answer(subject, &reason))
            }
            None => Err(KmsError::bad_answer(subject, "the answer names no key")),
        }
    }
}

fn take_key(subject: &Subject<'_>, plaintext: Option<Blob>) -> Result<Secret<32>, KmsError> {
    let plaintext = Zeroizing::new(plaintext.map(Blob::into_inner).unwrap_or_default());
    let Ok(bytes) = <&[u8; 32]>::try_from(plaintext.as_slice()) else {
        let reason = format!(
            "the answer has a data key of {} bytes, not 32",
            plaintext.len()
        );
        return Err(KmsError::bad_answer(subject, &reason));
    };
    Ok(Secret::take(&mut Zeroizing::new(*bytes)))
}
