//! What v1 wrote, and what wrapped its data keys: read on request alone.
//!
//! AES-CBC is not authenticated: whoever can write the object can change what is read. Nor is a
//! data key in AES-ECB. AWS-LC does not wipe the copy of the wrapping key that it makes to
//! unwrap RFC 3394.

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_256 as WRAP_AES_256, AesKek, KeyWrap};
use zeroize::Zeroizing;

use super::{Refused, S3ecDataKey};
use crate::crypto::MasterKey;

const BLOCK_BYTES: usize = 16;

/// Decrypts the content of a v1 object.
#[derive(Debug)]
pub struct CbcKey(DecryptingKey);

impl S3ecDataKey {
    /// What decrypts AES-CBC under this key.
    #[must_use]
    pub fn cbc(&self) -> CbcKey {
        CbcKey(DecryptingKey::cbc(cipher_key(self.expose())).expect("AES has a CBC mode"))
    }
}

impl CbcKey {
    /// Decrypts whole blocks in place; `before` is the block of ciphertext before them, or the
    /// initialisation vector.
    ///
    /// # Panics
    /// When they are no whole blocks.
    pub fn decrypt(&self, before: &[u8; BLOCK_BYTES], blocks: &mut [u8]) {
        let context = DecryptionContext::Iv128(FixedLength::from(before));
        self.0
            .decrypt(blocks, context)
            .expect("CBC takes whole blocks");
    }

    /// How many bytes of padding the last block has, 1 to 16.
    ///
    /// # Errors
    /// When it is not padded as PKCS#7 has it.
    pub fn padding(
        &self,
        before: &[u8; BLOCK_BYTES],
        last: &[u8; BLOCK_BYTES],
    ) -> Result<u64, Refused> {
        let mut plain = Zeroizing::new(*last);
        self.decrypt(before, &mut *plain);
        let bytes = plain[BLOCK_BYTES - 1];
        let count = usize::from(bytes);
        let padding = (1..=BLOCK_BYTES)
            .contains(&count)
            .then(|| &plain[BLOCK_BYTES - count..]);
        match padding {
            Some(padding) if padding.iter().all(|byte| *byte == bytes) => Ok(u64::from(bytes)),
            _ => Err(Refused),
        }
    }
}

impl MasterKey {
    /// A data key that was wrapped as RFC 3394 has it.
    ///
    /// # Errors
    /// When another key wrapped it.
    pub fn unwrap_rfc3394(&self, wrapped: &[u8]) -> Result<S3ecDataKey, Refused> {
        let with = AesKek::new(&WRAP_AES_256, self.expose()).map_err(|_| Refused)?;
        let mut key = Zeroizing::new([0; 32]);
        if wrapped.len() != 40 {
            return Err(Refused);
        }
        with.unwrap(wrapped, &mut *key).map_err(|_| Refused)?;
        Ok(S3ecDataKey::take(&mut key))
    }

    /// A data key that was encrypted in AES-ECB with padding.
    ///
    /// # Errors
    /// When the padding is not right, as with most other keys.
    pub fn unwrap_ecb(&self, wrapped: &[u8]) -> Result<S3ecDataKey, Refused> {
        let with = PaddedBlockDecryptingKey::ecb_pkcs7(cipher_key(self.expose()));
        let with = with.map_err(|_| Refused)?;
        let mut room = Zeroizing::new(wrapped.to_vec());
        let key = with.decrypt(&mut room, DecryptionContext::None);
        let key = key.map_err(|_| Refused)?;
        let key: &mut [u8; 32] = key.try_into().map_err(|_| Refused)?;
        Ok(S3ecDataKey::take(key))
    }
}

fn cipher_key(key: &[u8; 32]) -> UnboundCipherKey {
    UnboundCipherKey::new(&AES_256, key).expect("AES-256 takes any key of 32 bytes")
}
