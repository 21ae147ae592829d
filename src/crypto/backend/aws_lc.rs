//! The primitives from AWS-LC, through `aws-lc-rs`. AWS-LC wipes its own copies of keys.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AwsNonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Prk};

use super::{KEY_BYTES, Nonce, TAG_BYTES, TagMismatch};

/// AES-256-GCM (NIST SP 800-38D) with 96-bit nonces, 128-bit tags and no associated data.
pub(in crate::crypto) struct ContentCipher(LessSafeKey);

impl ContentCipher {
    pub(in crate::crypto) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes any key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `plaintext` into `sealed`, which is [`TAG_BYTES`] longer.
    pub(in crate::crypto) fn seal(&self, Nonce(nonce): Nonce, plaintext: &[u8], sealed: &mut [u8]) {
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

    /// Opens `sealed` into `plaintext`, which is [`TAG_BYTES`] shorter.
    ///
    /// # Errors
    /// When the tag does not match; `plaintext` then holds nothing of use.
    pub(in crate::crypto) fn open(
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

/// HKDF-Expand with SHA-512 (RFC 5869, section 2.3): fills `okm`, at most 255 × 64 bytes, from
/// a pseudorandom key of at most 64 bytes and the concatenation of `info`.
pub(in crate::crypto) fn expand_sha512(prk: &[u8], info: &[&[u8]], okm: &mut [u8]) {
    Prk::new_less_safe(HKDF_SHA512, prk)
        .expand(info, OutputBytes(okm.len()))
        .and_then(|expanded| expanded.fill(okm))
        .expect("HKDF-SHA512 expands to any length up to 16,320 bytes");
}

/// Compares without telling by its time where the first difference is.
pub(in crate::crypto) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

struct OutputBytes(usize);

impl KeyType for OutputBytes {
    fn len(&self) -> usize {
        self.0
    }
}
