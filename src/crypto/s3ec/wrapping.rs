//! Data keys wrapped by an AES key: a nonce of 12 bytes, then 32 bytes and a tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{Refused, S3ecDataKey};
use crate::base::secret::{Secret, fill_random};
use crate::crypto::MasterKey;

/// Bytes of a data key that an AES key wrapped.
pub const AES_GCM_BYTES: usize = 12 + 32 + 16;

/// The customer's AES key: wraps the data keys of new objects.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct AesKey(Secret<32>);

impl AesKey {
    #[must_use]
    pub const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The wrapped form of a data key; `algorithm` is the content's.
    #[must_use]
    pub fn wrap(&self, key: &S3ecDataKey, algorithm: &str) -> Vec<u8> {
        let mut nonce = [0; 12];
        fill_random(&mut nonce);
        seal(self.0.expose(), nonce, key.expose(), algorithm.as_bytes())
    }

    /// # Errors
    /// When another key wrapped it, or for another algorithm.
    pub fn unwrap(&self, wrapped: &[u8], algorithm: &str) -> Result<S3ecDataKey, Refused> {
        open(self.0.expose(), wrapped, algorithm.as_bytes())
    }
}

impl MasterKey {
    /// A data key of the Amazon S3 Encryption Client that was wrapped with the key that this
    /// volume has in its key file.
    ///
    /// # Errors
    /// When another key wrapped it, or for another algorithm.
    pub fn unwrap_s3ec(&self, wrapped: &[u8], algorithm: &str) -> Result<S3ecDataKey, Refused> {
        open(self.expose(), wrapped, algorithm.as_bytes())
    }
}

pub(super) fn seal(with: &[u8; 32], nonce: [u8; 12], key: &[u8; 32], aad: &[u8]) -> Vec<u8> {
    let mut wrapped = [&nonce, &key[..], &[0; 16]].concat();
    let (sealed, tag) = wrapped[12..].split_at_mut(32);
    let computed = cipher(with)
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), sealed)
        .expect("AES-256-GCM seals 32 bytes");
    tag.copy_from_slice(computed.as_ref());
    wrapped
}

fn open(with: &[u8; 32], wrapped: &[u8], aad: &[u8]) -> Result<S3ecDataKey, Refused> {
    if wrapped.len() != AES_GCM_BYTES {
        return Err(Refused);
    }
    let (nonce, sealed) = wrapped.split_first_chunk().ok_or(Refused)?;
    let (sealed, tag) = sealed.split_at(32);
    let mut key = Zeroizing::new([0; 32]);
    cipher(with)
        .open_separate_gather(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            sealed,
            tag,
            &mut *key,
        )
        .map_err(|_| Refused)?;
    Ok(S3ecDataKey::take(&mut key))
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes any key of 32 bytes");
    LessSafeKey::new(key)
}
