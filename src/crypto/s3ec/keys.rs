//! The data key of an object, and what v3 derives from it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use super::Refused;
use super::gcm::GcmKey;
use crate::base::secret::{Secret, fill_random};

pub const MESSAGE_ID_BYTES: usize = 28;
pub const COMMITMENT_BYTES: usize = 28;

/// The suite as two bytes: associated data, and the beginning of what is derived from.
const SUITE: [u8; 2] = [0x00, 0x73];
const NONCE: [u8; 12] = [1; 12];

/// 32 bytes, which an object stores wrapped.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct S3ecDataKey(Secret<32>);

impl S3ecDataKey {
    /// Fresh from the operating system.
    #[must_use]
    pub fn random() -> Self {
        Self(Secret::random())
    }

    /// `secret` is to be uniformly random.
    #[must_use]
    pub const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// Moves the bytes in; they are wiped where they were.
    pub(super) fn take(bytes: &mut [u8; 32]) -> Self {
        Self(Secret::take(bytes))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// What opens the content of a v2 object.
    #[must_use]
    pub fn v2(&self, iv: &[u8; 12]) -> GcmKey {
        GcmKey::new(self.expose(), *iv, &[])
    }

    /// What opens the content of a v3 object: the commitment is compared, in constant time,
    /// before there is such a key.
    ///
    /// # Errors
    /// When the object was not encrypted under this data key.
    pub fn v3(
        &self,
        message_id: &[u8; MESSAGE_ID_BYTES],
        commitment: &[u8; COMMITMENT_BYTES],
    ) -> Result<GcmKey, Refused> {
        let (key, computed) = self.derive(message_id);
        verify_slices_are_equal(&computed, commitment).map_err(|_| Refused)?;
        Ok(GcmKey::new(&key, NONCE, &SUITE))
    }

    /// What seals the content of a new v3 object, with its message id and commitment.
    #[must_use]
    pub fn new_v3(&self) -> (GcmKey, [u8; MESSAGE_ID_BYTES], [u8; COMMITMENT_BYTES]) {
        let mut message_id = [0; MESSAGE_ID_BYTES];
        fill_random(&mut message_id);
        let (key, commitment) = self.derive(&message_id);
        (GcmKey::new(&key, NONCE, &SUITE), message_id, commitment)
    }

    fn derive(
        &self,
        message_id: &[u8; MESSAGE_ID_BYTES],
    ) -> (Zeroizing<[u8; 32]>, [u8; COMMITMENT_BYTES]) {
        let prk = Salt::new(HKDF_SHA512, message_id).extract(self.expose());
        let mut key = Zeroizing::new([0; 32]);
        expand(&prk, b"DERIVEKEY", &mut *key);
        let mut commitment = [0; COMMITMENT_BYTES];
        expand(&prk, b"COMMITKEY", &mut commitment);
        (key, commitment)
    }
}

fn expand(prk: &Prk, label: &[u8], okm: &mut [u8]) {
    prk.expand(&[&SUITE, label], Bytes(okm.len()))
        .and_then(|expanded| expanded.fill(okm))
        .expect("HKDF-SHA512 expands to any length up to 16,320 bytes");
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}
