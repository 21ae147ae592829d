//! Data keys wrapped by an RSA key: OAEP with SHA-1, of the key's length, the key, and the name
//! of the content's algorithm. Whoever has the public half can wrap.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::{Refused, S3ecDataKey};

/// Unwraps data keys. AWS-LC wipes its own copy.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct RsaPrivateKey(OaepPrivateDecryptingKey);

/// Wraps data keys.
#[derive(Debug)]
pub struct RsaPublicKey(OaepPublicEncryptingKey);

impl RsaPrivateKey {
    /// From PKCS#8 in DER.
    ///
    /// # Errors
    /// When that is no RSA key of 2,048 to 8,192 bits.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Refused> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| Refused)?;
        OaepPrivateDecryptingKey::new(key)
            .map(Self)
            .map_err(|_| Refused)
    }

    /// # Errors
    /// When another key wrapped it, or for another algorithm.
    pub fn unwrap(&self, wrapped: &[u8], algorithm: &str) -> Result<S3ecDataKey, Refused> {
        let mut room = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let message = self
            .0
            .decrypt(&OAEP_SHA1_MGF1SHA1, wrapped, &mut room, None)
            .map_err(|_| Refused)?;
        let (length, rest) = message.split_first_mut().ok_or(Refused)?;
        let (key, name) = rest.split_first_chunk_mut::<32>().ok_or(Refused)?;
        if *length != 32 || *name != *algorithm.as_bytes() {
            return Err(Refused);
        }
        Ok(S3ecDataKey::take(key))
    }
}

impl RsaPublicKey {
    /// From a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// When that is no RSA key of 2,048 to 8,192 bits.
    pub fn from_der(der: &[u8]) -> Result<Self, Refused> {
        Self::new(PublicEncryptingKey::from_der(der).map_err(|_| Refused)?)
    }

    /// The public half of a private key in PKCS#8.
    ///
    /// # Errors
    /// When that is no RSA key of 2,048 to 8,192 bits.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Refused> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| Refused)?;
        Self::new(key.public_key())
    }

    fn new(key: PublicEncryptingKey) -> Result<Self, Refused> {
        OaepPublicEncryptingKey::new(key)
            .map(Self)
            .map_err(|_| Refused)
    }

    /// The wrapped form of a data key; `algorithm` is the content's.
    #[must_use]
    pub fn wrap(&self, key: &S3ecDataKey, algorithm: &str) -> Vec<u8> {
        let message = [&[32], &key.expose()[..], algorithm.as_bytes()].concat();
        let message = Zeroizing::new(message);
        let mut wrapped = vec![0; self.0.ciphertext_size()];
        let bytes = self
            .0
            .encrypt(&OAEP_SHA1_MGF1SHA1, &message, &mut wrapped, None)
            .expect("OAEP of 2,048 bits takes 214 bytes")
            .len();
        wrapped.truncate(bytes);
        wrapped
    }
}
