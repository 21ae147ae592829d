//! Wrapping keys: the public RSA keys of KMS under which a customer's own key travels there, by
//! RSA-OAEP without a label (RSAES_OAEP_SHA_256 and RSAES_OAEP_SHA_1).
//!
//! Whoever has the private part has the key that is wrapped, and nothing in a wrapping key says
//! whose it is: [`WrappingKey::fingerprint`] lets people compare.

use super::backend::KEY_BYTES;
pub use super::backend::oaep::OaepHash;
use super::backend::oaep::{RsaPublicKey, sha256};
use crate::base::secret::Secret;

/// The lengths that KMS has, in bits.
const BITS: [usize; 3] = [2048, 3072, 4096];

/// A public key of RSA with 2,048, 3,072 or 4,096 bits.
#[derive(Debug)]
pub struct WrappingKey {
    key: RsaPublicKey,
    fingerprint: [u8; 32],
}

/// What is wrong with a wrapping key; the rest of a sentence that begins with where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrappingKeyError {
    #[error(
        "is no public RSA key in DER (SubjectPublicKeyInfo): give the file as KMS gave it, WrappingPublicKey.bin"
    )]
    NoKey,
    #[error(
        "is in PEM, and a wrapping key is DER: convert it with `openssl pkey -pubin -outform DER`"
    )]
    Pem,
    #[error("is an RSA key of {0} bits, and wrapping keys have 2048, 3072 or 4096")]
    Bits(usize),
}

impl OaepHash {
    /// As KMS names the algorithm.
    #[must_use]
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::Sha256 => "RSAES_OAEP_SHA_256",
            Self::Sha1 => "RSAES_OAEP_SHA_1",
        }
    }
}

impl WrappingKey {
    /// # Errors
    /// When it is no such key.
    pub fn from_der(der: &[u8]) -> Result<Self, WrappingKeyError> {
        if der.starts_with(b"-----BEGIN") {
            return Err(WrappingKeyError::Pem);
        }
        let key = RsaPublicKey::from_der(der).ok_or(WrappingKeyError::NoKey)?;
        if !BITS.contains(&key.bits()) {
            return Err(WrappingKeyError::Bits(key.bits()));
        }
        Ok(Self {
            key,
            fingerprint: sha256(der),
        })
    }

    #[must_use]
    pub fn bits(&self) -> usize {
        self.key.bits()
    }

    /// SHA-256 of its DER in hex, as `sha256sum` shows it of the file.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digits = self
            .fingerprint
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15]);
        let hex = digits.map(|digit| char::from_digit(digit.into(), 16).expect("a digit"));
        hex.collect()
    }

    /// `key` as only the holder of the private part opens it.
    #[must_use]
    pub fn wrap(&self, hash: OaepHash, key: &Secret<KEY_BYTES>) -> Vec<u8> {
        self.key.encrypt(hash, key.expose())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{
        KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey,
        PrivateDecryptingKey,
    };

    use super::*;

    fn der(key: &PrivateDecryptingKey) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    #[test]
    fn what_is_wrapped_opens_with_the_private_key_and_the_same_hash() {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
            let private = PrivateDecryptingKey::generate(size).unwrap();
            let public = WrappingKey::from_der(&der(&private)).unwrap();
            let private = OaepPrivateDecryptingKey::new(private).unwrap();
            assert_eq!(public.bits(), private.key_size_bits());
            let open = |wrapped: &[u8], algorithm| {
                let mut plain = vec![0; private.min_output_size()];
                let opened = private.decrypt(algorithm, wrapped, &mut plain, None);
                opened.ok().map(|plain| plain.to_vec())
            };
            let material = Secret::take(&mut [7; 32]);
            for (hash, own, other) in [
                (
                    OaepHash::Sha256,
                    &OAEP_SHA256_MGF1SHA256,
                    &OAEP_SHA1_MGF1SHA1,
                ),
                (OaepHash::Sha1, &OAEP_SHA1_MGF1SHA1, &OAEP_SHA256_MGF1SHA256),
            ] {
                let wrapped = public.wrap(hash, &material);
                assert_eq!(wrapped.len() * 8, public.bits());
                assert_eq!(open(&wrapped, own).unwrap(), [7; 32]);
                assert_eq!(open(&wrapped, other), None);
                assert!(wrapped != public.wrap(hash, &material), "it is randomised");
            }
        }
    }

    #[test]
    fn what_is_no_wrapping_key_is_told() {
        let sentence = |bytes: &[u8]| WrappingKey::from_der(bytes).unwrap_err().to_string();
        assert_eq!(
            sentence(b"-----BEGIN PUBLIC KEY-----\n"),
            "is in PEM, and a wrapping key is DER: convert it with `openssl pkey -pubin -outform DER`"
        );
        let none = "is no public RSA key in DER (SubjectPublicKeyInfo): give the file as KMS gave it, WrappingPublicKey.bin";
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let whole = der(&private);
        for wrong in [&b""[..], &[0; 294], &whole[..whole.len() - 1]] {
            assert_eq!(sentence(wrong), none);
        }
        // A key of EC, P-256: its public point does not matter here.
        let curve = [
            &[
                0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
            ][..],
            &[1; 64],
        ];
        assert_eq!(sentence(&curve.concat()), none);
    }
}
