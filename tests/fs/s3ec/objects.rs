//! Objects of the Amazon S3 Encryption Client, as their clients would write them.

use std::collections::BTreeMap;

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_256 as WRAP, AesKek, KeyWrap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloakfs::base::secret::Secret;
use cloakfs::crypto::s3ec::wrapping::AesKey;
use cloakfs::crypto::s3ec::{GcmKey, RsaPublicKey, S3ecDataKey};
use cloakfs::layout::s3ec::{Content, Envelope, FormatVersion, Wrapping};
use serde_json::Value;

/// A body with its metadata.
#[derive(Clone, Debug)]
pub struct Written {
    pub metadata: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What wraps the data key.
pub enum With<'a> {
    Aes([u8; 32]),
    /// PKCS#8
    Rsa(&'a [u8]),
}

impl With<'_> {
    fn wrap(&self, key: &S3ecDataKey, algorithm: &str) -> (Wrapping, Vec<u8>) {
        match self {
            Self::Aes(bytes) => {
                let with = AesKey::from_secret(Secret::take(&mut bytes.clone()));
                (Wrapping::AesGcm, with.wrap(key, algorithm))
            }
            Self::Rsa(der) => {
                let with = RsaPublicKey::from_pkcs8(der).unwrap();
                (Wrapping::RsaOaepSha1, with.wrap(key, algorithm))
            }
        }
    }
}

/// The object of the vectors that a raw AES key wrapped, with that key and its plaintext.
pub fn of_vector() -> (Written, [u8; 32], Vec<u8>) {
    let text = include_str!("../../format/fixtures/s3ec/hand.json");
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    let vector = &vectors[0];
    let bytes = |name: &str| {
        let text = vector[name].as_str().unwrap();
        (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
            .collect::<Vec<u8>>()
    };
    let written = Written {
        metadata: serde_json::from_value(vector["metadata"].clone()).unwrap(),
        body: bytes("ciphertext_hex"),
    };
    let key = bytes("wrapping_key_hex").try_into().unwrap();
    (written, key, bytes("plaintext_hex"))
}

fn sealed(key: &GcmKey, plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    let mut sealing = key.seal();
    sealing.update(&mut body);
    body.extend(sealing.finish());
    body
}

pub fn v3(with: &With<'_>, plain: &[u8]) -> Written {
    let data_key = S3ecDataKey::random();
    let (key, message_id, commitment) = data_key.new_v3();
    let (wrapping, wrapped_key) = with.wrap(&data_key, "115");
    let content = Content::Committing {
        message_id,
        commitment,
    };
    let envelope = Envelope {
        version: FormatVersion::V3,
        content,
        wrapping,
        wrapped_key,
        context: BTreeMap::new(),
        has_instruction_file: false,
    };
    Written {
        metadata: envelope.encode(),
        body: sealed(&key, plain),
    }
}

pub fn v2(with: &With<'_>, plain: &[u8]) -> Written {
    let (data_key, iv) = (S3ecDataKey::random(), [9; 12]);
    let (wrapping, wrapped) = with.wrap(&data_key, "AES/GCM/NoPadding");
    let body = sealed(&data_key.v2(&iv), plain);
    Written {
        metadata: old(&wrapped, &iv, wrapping.name(), "AES/GCM/NoPadding"),
        body,
    }
}

fn old(wrapped: &[u8], iv: &[u8], wrapping: &str, content: &str) -> BTreeMap<String, String> {
    let (wrapped, iv) = (BASE64.encode(wrapped), BASE64.encode(iv));
    let pairs = [
        ("x-amz-key-v2", wrapped.as_str()),
        ("x-amz-iv", &iv),
        ("x-amz-wrap-alg", wrapping),
        ("x-amz-cek-alg", content),
        ("x-amz-tag-len", "128"),
        ("x-amz-matdesc", "{}"),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A data key as RFC 3394 wraps it.
fn wrapped_rfc3394(with: &[u8; 32], key: &[u8; 32]) -> Vec<u8> {
    let mut room = [0; 40];
    let with = AesKek::new(&WRAP, with).unwrap();
    with.wrap(key, &mut room).unwrap().to_vec()
}

/// v2 under a data key that is wrapped as its early clients did.
pub fn v2_aes_wrap(with: &[u8; 32], plain: &[u8]) -> Written {
    let key = [0x51; 32];
    let data_key = S3ecDataKey::from_secret(Secret::take(&mut key.clone()));
    let iv = [7; 12];
    let wrapped = wrapped_rfc3394(with, &key);
    Written {
        metadata: old(&wrapped, &iv, "AESWrap", "AES/GCM/NoPadding"),
        body: sealed(&data_key.v2(&iv), plain),
    }
}

/// v1: AES-CBC, and the data key in AES-ECB.
pub fn v1(with: &[u8; 32], plain: &[u8]) -> Written {
    let (key, iv) = ([0x52; 32], [8; 16]);
    let cipher = |key: &[u8; 32]| UnboundCipherKey::new(&AES_256, key).unwrap();
    let mut wrapped = key.to_vec();
    let ecb = PaddedBlockEncryptingKey::ecb_pkcs7(cipher(with)).unwrap();
    ecb.encrypt(&mut wrapped).unwrap();
    let mut body = plain.to_vec();
    let cbc = PaddedBlockEncryptingKey::cbc_pkcs7(cipher(&key));
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cbc.unwrap().less_safe_encrypt(&mut body, context).unwrap();
    let pairs = [
        ("x-amz-key", BASE64.encode(wrapped)),
        ("x-amz-iv", BASE64.encode(iv)),
        ("x-amz-matdesc", "{}".to_owned()),
    ];
    Written {
        metadata: pairs.map(|(name, value)| (name.to_owned(), value)).into(),
        body,
    }
}

/// A new RSA key, as PKCS#8.
pub fn new_rsa_key() -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    der.as_ref().to_vec()
}
