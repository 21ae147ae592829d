//! RSA-OAEP (RFC 8017, section 7.1) and SHA-256 from AWS-LC, in every build: it is there for TLS,
//! and the portable back end has the primitives of the client-side format alone. AWS-LC wipes the
//! padded message.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};

/// The hash of OAEP and of its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OaepHash {
    Sha256,
    Sha1,
}

/// A public key of RSA.
#[derive(Debug)]
pub struct RsaPublicKey(OaepPublicEncryptingKey);

impl RsaPublicKey {
    /// From `SubjectPublicKeyInfo` in DER; `None` where it is none of RSA.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let key = PublicEncryptingKey::from_der(der).ok()?;
        OaepPublicEncryptingKey::new(key).ok().map(Self)
    }

    pub fn bits(&self) -> usize {
        self.0.key_size_bits()
    }

    /// As long as the key.
    ///
    /// # Panics
    /// When the message does not fit: 32 bytes fit every key of 1,024 bits.
    pub fn encrypt(&self, hash: OaepHash, message: &[u8]) -> Vec<u8> {
        let algorithm: &'static OaepAlgorithm = match hash {
            OaepHash::Sha256 => &OAEP_SHA256_MGF1SHA256,
            OaepHash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        };
        let mut sealed = vec![0; self.0.ciphertext_size()];
        let len = self
            .0
            .encrypt(algorithm, message, &mut sealed, None)
            .expect("a message that fits is encrypted")
            .len();
        sealed.truncate(len);
        sealed
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest(&SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
