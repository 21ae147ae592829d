//! Encryption of one component of a path: AES-SIV with AES-256 (RFC 5297), bound to the stored
//! path of its parent (docs/FORMAT.md, section 9).
//!
//! Deterministic on purpose: the same name in the same directory has to become the same key.
//! What that tells is whether two names are equal, and names of one directory always differ.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

use super::context::{Context, Purpose};
use super::sealed::OpenError;
use crate::base::secret::Secret;

/// Two AES-256 keys: for the synthetic IV, then for the counter mode.
pub const NAME_KEY_BYTES: usize = 64;
/// The synthetic IV, by which an encrypted name is longer.
pub const SIV_BYTES: usize = 16;

/// Encrypts the names of one volume.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct NameKey(Secret<NAME_KEY_BYTES>);

impl NameKey {
    /// Fresh from the operating system.
    #[must_use]
    pub fn random() -> Self {
        Self(Secret::random())
    }

    #[must_use]
    pub const fn from_secret(secret: Secret<NAME_KEY_BYTES>) -> Self {
        Self(secret)
    }

    /// For the volume's settings, which are sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; NAME_KEY_BYTES] {
        self.0.expose()
    }

    /// `name` within the directory whose stored path is `parent`; [`SIV_BYTES`] longer.
    #[must_use]
    pub fn seal(&self, parent: &str, name: &[u8]) -> Vec<u8> {
        self.cipher()
            .encrypt([associated(parent)], name)
            .expect("one string of associated data, and a name of less than 2^36 bytes")
    }

    /// # Errors
    /// When it was not sealed under this key for this directory.
    pub fn open(&self, parent: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.cipher()
            .decrypt([associated(parent)], sealed)
            .map_err(|_| OpenError)
    }

    fn cipher(&self) -> Box<Aes256Siv> {
        let key = Zeroizing::new(*self.expose());
        Box::new(Aes256Siv::new((&*key).into()))
    }
}

fn associated(parent: &str) -> impl AsRef<[u8]> {
    Context::new(Purpose::Name).bytes(parent.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// RFC 5297's own examples, which are of AES-128, through the same generic code.
    #[test]
    fn rfc_5297_vectors() {
        use aes_siv::siv::Aes128Siv;

        let key = hex("fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff");
        let header = hex("10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627");
        let plain = hex("11223344 55667788 99aabbcc ddee");
        let sealed = hex("85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c");
        let mut siv = Aes128Siv::new_from_slice(&key).unwrap();
        assert_eq!(siv.encrypt([&header], &plain).unwrap(), sealed);
        assert_eq!(siv.decrypt([&header], &sealed).unwrap(), plain);

        let key = hex("7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f");
        let headers = [
            hex(
                "00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988
                 77665544 33221100",
            ),
            hex("10203040 50607080 90a0"),
            hex("09f91102 9d74e35b d84156c5 635688c0"),
        ];
        let plain = hex(
            "74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e
                         63727970 74207573 696e6720 5349562d 414553",
        );
        let sealed = hex(
            "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965
                          c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c
                          485b62a3 fd5c0d",
        );
        let mut siv = Aes128Siv::new_from_slice(&key).unwrap();
        assert_eq!(siv.encrypt(&headers, &plain).unwrap(), sealed);
        assert_eq!(siv.decrypt(&headers, &sealed).unwrap(), plain);
    }

    #[test]
    fn a_name_opens_only_in_its_directory_under_its_key() {
        let key = NameKey::random();
        let sealed = key.seal("parent", b"name");
        assert_eq!(sealed.len(), 4 + SIV_BYTES);
        assert_eq!(key.seal("parent", b"name"), sealed);
        assert_ne!(key.seal("", b"name"), sealed);
        assert_eq!(key.open("parent", &sealed), Ok(b"name".to_vec()));
        assert_eq!(key.open("", &sealed), Err(OpenError));
        assert_eq!(key.open("parent/x", &sealed), Err(OpenError));
        assert_eq!(NameKey::random().open("parent", &sealed), Err(OpenError));
        assert_eq!(key.open("parent", &sealed[..15]), Err(OpenError));
        assert_eq!(key.open("parent", &[]), Err(OpenError));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_of_a_name_is_found(
            parent in "\\PC{0,30}", name in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let key = NameKey::random();
            let mut sealed = key.seal(&parent, &name);
            prop_assert_eq!(key.open(&parent, &sealed), Ok(name));
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(key.open(&parent, &sealed), Err(OpenError));
        }
    }
}
