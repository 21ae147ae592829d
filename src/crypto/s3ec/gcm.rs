//! AES-256-GCM (NIST SP 800-38D) with 96-bit nonces over a message that is too long for memory.
//!
//! Ciphertext is counter mode from `nonce ‖ 2`; the tag is GHASH over the associated data and the
//! ciphertext, masked with the block of `nonce ‖ 1`. So a message is checked without decrypting
//! it, in one pass, and ranges of it are decrypted alone.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::Zeroizing;

use super::Refused;

/// Bytes of a block of AES.
pub const BLOCK_BYTES: u64 = 16;
pub const TAG_BYTES: usize = 16;
/// What one nonce encrypts at most.
const MESSAGE_BYTES_MAX: u64 = (64 << 30) - 32;
/// The counter of the first block of a message; the block before it masks the tag.
const FIRST: u32 = 2;

/// A key with the one nonce and the associated data that it is used with.
#[derive(Debug)]
pub struct GcmKey {
    /// Counter mode is its own inverse.
    cipher: DecryptingKey,
    nonce: [u8; 12],
    aad: &'static [u8],
}

/// A message that is being checked.
#[derive(Debug)]
pub struct Checking(Hash);

/// A message that is being sealed.
#[derive(Debug)]
pub struct Sealing<'a> {
    key: &'a GcmKey,
    hash: Hash,
}

#[derive(Debug)]
struct Hash {
    ghash: GHash,
    mask: [u8; TAG_BYTES],
    aad_bytes: u64,
    bytes: u64,
}

impl GcmKey {
    pub(super) fn new(key: &[u8; 32], nonce: [u8; 12], aad: &'static [u8]) -> Self {
        let key = UnboundCipherKey::new(&AES_256, key).expect("AES-256 takes any key of 32 bytes");
        let cipher = DecryptingKey::ctr(key).expect("AES has a counter mode");
        Self { cipher, nonce, aad }
    }

    /// Begins to check a message.
    #[must_use]
    pub fn check(&self) -> Checking {
        Checking(self.hash())
    }

    /// Begins to seal a message. A key seals one.
    #[must_use]
    pub fn seal(&self) -> Sealing<'_> {
        Sealing {
            key: self,
            hash: self.hash(),
        }
    }

    /// Decrypts bytes of a message in place: those from `offset` on, where a block begins.
    /// What was not checked before is not authentic.
    ///
    /// # Panics
    /// Where no block of a message begins.
    pub fn decrypt_at(&self, offset: u64, bytes: &mut [u8]) {
        assert!(
            offset.is_multiple_of(BLOCK_BYTES) && offset <= MESSAGE_BYTES_MAX,
            "a block of a message"
        );
        let blocks = u32::try_from(offset / BLOCK_BYTES).expect("64 GiB have 2^32 blocks");
        self.apply(FIRST + blocks, bytes);
    }

    fn apply(&self, counter: u32, bytes: &mut [u8]) {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&self.nonce);
        block[12..].copy_from_slice(&counter.to_be_bytes());
        self.stream(block, bytes);
    }

    fn stream(&self, block: [u8; 16], bytes: &mut [u8]) {
        let context = DecryptionContext::Iv128(FixedLength::from(block));
        self.cipher
            .decrypt(bytes, context)
            .expect("counter mode takes any number of bytes");
    }

    fn hash(&self) -> Hash {
        // Of nothing, counter mode is the cipher itself.
        let mut subkey = Zeroizing::new([0; 16]);
        self.stream([0; 16], &mut *subkey);
        let mut ghash = GHash::new((&*subkey).into());
        ghash.update_padded(self.aad);
        let mut mask = [0; TAG_BYTES];
        self.apply(FIRST - 1, &mut mask);
        Hash {
            ghash,
            mask,
            aad_bytes: self.aad.len() as u64,
            bytes: 0,
        }
    }
}

impl Hash {
    /// The next bytes of ciphertext; only the last may end within a block.
    fn update(&mut self, ciphertext: &[u8]) {
        assert!(
            self.bytes.is_multiple_of(BLOCK_BYTES),
            "only the last bytes of a message end within a block"
        );
        self.bytes += ciphertext.len() as u64;
        assert!(self.bytes <= MESSAGE_BYTES_MAX, "a message of 64 GiB");
        self.ghash.update_padded(ciphertext);
    }

    fn finish(mut self) -> [u8; TAG_BYTES] {
        let mut lengths = [0; 16];
        lengths[..8].copy_from_slice(&(8 * self.aad_bytes).to_be_bytes());
        lengths[8..].copy_from_slice(&(8 * self.bytes).to_be_bytes());
        self.ghash.update_padded(&lengths);
        let mut tag: [u8; TAG_BYTES] = self.ghash.finalize().into();
        for (byte, mask) in tag.iter_mut().zip(self.mask) {
            *byte ^= mask;
        }
        tag
    }
}

impl Checking {
    /// The next bytes of ciphertext.
    ///
    /// # Panics
    /// After bytes that ended within a block, and beyond 64 GiB.
    pub fn update(&mut self, ciphertext: &[u8]) {
        self.0.update(ciphertext);
    }

    /// # Errors
    /// When the message was not sealed with this key, or is another one.
    pub fn finish(self, tag: &[u8]) -> Result<(), Refused> {
        verify_slices_are_equal(&self.0.finish(), tag).map_err(|_| Refused)
    }
}

impl Sealing<'_> {
    /// Encrypts the next bytes in place.
    ///
    /// # Panics
    /// After bytes that ended within a block, and beyond 64 GiB.
    pub fn update(&mut self, bytes: &mut [u8]) {
        self.key.decrypt_at(self.hash.bytes, bytes);
        self.hash.update(bytes);
    }

    /// The tag, which follows the ciphertext.
    #[must_use]
    pub fn finish(self) -> [u8; TAG_BYTES] {
        self.hash.finish()
    }
}
