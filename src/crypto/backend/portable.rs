//! The primitives from the RustCrypto project: no C and no assembler, on any processor.
//!
//! HKDF-Expand is written out over HMAC, because the `hkdf` crate takes no pseudorandom key
//! that is shorter than its hash, and Cobblestone-256 has one of 32 bytes.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Backend, ContentCipher, KEY_BYTES, Nonce, TAG_BYTES, TagMismatch};

const HASH_BYTES: usize = 64;

#[derive(Debug)]
pub enum Portable {}

#[derive(Debug)]
pub struct PortableCipher(Aes256Gcm);

impl Backend for Portable {
    const NAME: &'static str = "rustcrypto";

    type Cipher = PortableCipher;

    fn expand_sha512(prk: &[u8], info: &[&[u8]], okm: &mut [u8]) {
        let keyed = Hmac::<Sha512>::new_from_slice(prk).expect("HMAC takes keys of any length");
        let mut block = Zeroizing::new([0; HASH_BYTES]);
        for (index, part) in okm.chunks_mut(HASH_BYTES).enumerate() {
            let mut mac = keyed.clone();
            if index > 0 {
                mac.update(&*block);
            }
            for piece in info {
                mac.update(piece);
            }
            let counter = u8::try_from(index + 1)
                .expect("HKDF-SHA512 expands to any length up to 16,320 bytes");
            mac.update(&[counter]);
            block.copy_from_slice(
                &Zeroizing::new(<[u8; HASH_BYTES]>::from(mac.finalize().into_bytes()))[..],
            );
            part.copy_from_slice(&block[..part.len()]);
        }
    }

    fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
        a.ct_eq(b).into()
    }
}

impl ContentCipher for PortableCipher {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    fn seal(&self, Nonce(nonce): Nonce, plaintext: &[u8], sealed: &mut [u8]) {
        assert_eq!(sealed.len(), plaintext.len() + TAG_BYTES, "room to seal");
        let (ciphertext, tag) = sealed.split_at_mut(plaintext.len());
        let buffer = InOutBuf::new(plaintext, ciphertext).expect("both are as long");
        let computed = self
            .0
            .encrypt_inout_detached(&nonce.into(), &[], buffer)
            .expect("AES-256-GCM seals any message below 64 GiB");
        tag.copy_from_slice(&computed);
    }

    fn open(
        &self,
        Nonce(nonce): Nonce,
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), TagMismatch> {
        assert_eq!(sealed.len(), plaintext.len() + TAG_BYTES, "room to open");
        let (ciphertext, tag) = sealed.split_at(plaintext.len());
        let tag = tag.try_into().expect("what is left is the tag");
        let buffer = InOutBuf::new(ciphertext, plaintext).expect("both are as long");
        self.0
            .decrypt_inout_detached(&nonce.into(), &[], buffer, tag)
            .map_err(|_| TagMismatch)
    }
}
