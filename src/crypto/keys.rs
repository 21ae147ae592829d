//! A type for each kind of key, so that none can be used for another's work, and the wrapping of
//! one with another (docs/FORMAT.md, section 4).
//!
//! A wrapped key is an ordinary sealed message whose context names the volume. Unwrapping with
//! the wrong key fails on the message's commitment, so a wrapped key opens under one key only.

use zeroize::Zeroizing;

use super::backend::KEY_BYTES;
use super::context::{Context, Purpose};
use super::length::HEADER_BYTES;
use super::sealed::{InputKey, OpenError, open, seal};
use crate::base::secret::Secret;

/// A key of 32 bytes, sealed.
pub const WRAPPED_KEY_BYTES: usize = HEADER_BYTES + KEY_BYTES + 16;

/// The root of a `cse-c` volume: wraps data keys and does nothing else.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct MasterKey(InputKey);

/// Seals records and settings. Its wrapped form lies beside what it sealed.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct DataKey(InputKey);

/// Seals the bodies of all versions and clones of one file's content.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct ContentKey(InputKey);

macro_rules! kind_of_key {
    ($key:ident) => {
        impl $key {
            /// Fresh from the operating system.
            #[must_use]
            pub fn random() -> Self {
                Self(InputKey::random())
            }

            /// `secret` is to be uniformly random.
            #[must_use]
            pub const fn from_secret(secret: Secret<KEY_BYTES>) -> Self {
                Self(InputKey::from_secret(secret))
            }
        }
    };
}

kind_of_key!(MasterKey);
kind_of_key!(DataKey);
kind_of_key!(ContentKey);

impl DataKey {
    #[must_use]
    pub const fn input(&self) -> &InputKey {
        &self.0
    }
}

impl ContentKey {
    #[must_use]
    pub const fn input(&self) -> &InputKey {
        &self.0
    }

    /// For the record, which is sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }
}

impl MasterKey {
    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// The wrapped form of a data key of this volume.
    #[must_use]
    pub fn wrap(&self, volume: &[u8; 16], key: &DataKey) -> [u8; WRAPPED_KEY_BYTES] {
        wrap(&self.0, &context(Purpose::DataKey, volume), &key.0)
    }

    /// # Errors
    /// When it was not wrapped with this master key for this volume.
    pub fn unwrap(&self, volume: &[u8; 16], wrapped: &[u8]) -> Result<DataKey, OpenError> {
        unwrap(&self.0, &context(Purpose::DataKey, volume), wrapped).map(DataKey)
    }

    /// The wrapped form of this key under one that was made from a passphrase.
    #[must_use]
    pub(super) fn wrapped_with(
        &self,
        passphrase: &InputKey,
        volume: &[u8; 16],
    ) -> [u8; WRAPPED_KEY_BYTES] {
        wrap(passphrase, &context(Purpose::MasterKey, volume), &self.0)
    }

    pub(super) fn unwrapped_with(
        passphrase: &InputKey,
        volume: &[u8; 16],
        wrapped: &[u8],
    ) -> Result<Self, OpenError> {
        unwrap(passphrase, &context(Purpose::MasterKey, volume), wrapped).map(Self)
    }
}

/// The wrapped form of a key that never leaves this machine.
#[must_use]
pub fn wrap_local(with: &InputKey, key: &InputKey) -> [u8; WRAPPED_KEY_BYTES] {
    wrap(with, &Context::new(Purpose::LocalKey), key)
}

/// # Errors
/// When it was not wrapped with this key.
pub fn unwrap_local(with: &InputKey, wrapped: &[u8]) -> Result<InputKey, OpenError> {
    unwrap(with, &Context::new(Purpose::LocalKey), wrapped)
}

fn context(purpose: Purpose, volume: &[u8; 16]) -> Context {
    Context::new(purpose).bytes(volume)
}

fn wrap(with: &InputKey, context: &Context, key: &InputKey) -> [u8; WRAPPED_KEY_BYTES] {
    seal(with, context, key.expose())
        .try_into()
        .expect("a sealed key is as long as every other")
}

fn unwrap(with: &InputKey, context: &Context, wrapped: &[u8]) -> Result<InputKey, OpenError> {
    let plaintext = Zeroizing::new(open(with, context, wrapped)?);
    let bytes: &[u8; KEY_BYTES] = plaintext.as_slice().try_into().map_err(|_| OpenError)?;
    let mut bytes = *bytes;
    Ok(InputKey::from_secret(Secret::take(&mut bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: [u8; 16] = [7; 16];

    #[test]
    fn a_data_key_comes_back_under_its_master_key_and_volume_only() {
        let (master, key) = (MasterKey::random(), DataKey::random());
        let wrapped = master.wrap(&VOLUME, &key);
        assert_eq!(WRAPPED_KEY_BYTES, 104);
        let again = master.unwrap(&VOLUME, &wrapped).ok().unwrap();
        assert!(again.0.expose() == key.0.expose());
        assert!(MasterKey::random().unwrap(&VOLUME, &wrapped).is_err());
        assert!(master.unwrap(&[8; 16], &wrapped).is_err());
        for at in 0..wrapped.len() {
            let mut changed = wrapped;
            changed[at] ^= 1;
            assert!(master.unwrap(&VOLUME, &changed).is_err(), "byte {at}");
        }
        assert!(master.unwrap(&VOLUME, &wrapped[..103]).is_err());
    }

    #[test]
    fn a_wrapped_data_key_is_no_wrapped_master_key() {
        let with = InputKey::random();
        let wrapped = MasterKey::random().wrapped_with(&with, &VOLUME);
        assert!(MasterKey::unwrapped_with(&with, &VOLUME, &wrapped).is_ok());
        assert!(MasterKey(with).unwrap(&VOLUME, &wrapped).is_err());
    }

    /// A message of another length under the right key and context is not a key.
    #[test]
    fn a_key_has_32_bytes() {
        let master = MasterKey::random();
        let sealed = seal(&master.0, &context(Purpose::DataKey, &VOLUME), &[1; 31]);
        assert!(master.unwrap(&VOLUME, &sealed).is_err());
    }
}
