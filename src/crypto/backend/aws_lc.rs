//! The primitives from AWS-LC, through `aws-lc-rs`. AWS-LC wipes its own copies of keys.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AwsNonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Prk};

use super::{Backend, ContentCipher, KEY_BYTES, Nonce, TAG_BYTES, TagMismatch};

#[derive(Debug)]
pub enum AwsLc {}

#[derive(Debug)]
pub struct AwsLcCipher(LessSafeKey);

impl Backend for AwsLc {
    const NAME: &'static str = "aws-lc";

    type Cipher = AwsLcCipher;

    fn expand_sha512(prk: &[u8], info: &[&[u8]], okm: &mut [u8]) {
        Prk::new_less_safe(HKDF_SHA512, prk)
            .expand(info, OutputBytes(okm.len()))
            .and_then(|expanded| expanded.fill(okm))
            .expect("HKDF-SHA512 expands to any length up to 16,320 bytes");
    }

    fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
        verify_slices_are_equal(a, b).is_ok()
    }
}

impl ContentCipher for AwsLcCipher {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes any key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    fn seal(&self, Nonce(nonce): Nonce, plaintext: &[u8], sealed: &mut [u8]) {
        assert_eq!(sealed.len(), plaintext.len() + TAG_BYTES, "room to seal");
        let (ciphertext, tag) = sealed.split_at_mut(plaintext.len());
        self.0
            .seal_out_of_place_scatter(
                AwsNonce::assume_unique_for_key(nonce),
                Aad::empty(),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .expect("AES-256-GCM seals any message below 64 GiB");
    }

    fn open(
        &self,
        Nonce(nonce): Nonce,
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), TagMismatch> {
        assert_eq!(sealed.len(), plaintext.len() + TAG_BYTES, "room to open");
        let (ciphertext, tag) = sealed.split_at(plaintext.len());
        self.0
            .open_separate_gather(
                AwsNonce::assume_unique_for_key(nonce),
                Aad::empty(),
                ciphertext,
                tag,
                plaintext,
            )
            .map_err(|_| TagMismatch)
    }
}

struct OutputBytes(usize);

impl KeyType for OutputBytes {
    fn len(&self) -> usize {
        self.0
    }
}
