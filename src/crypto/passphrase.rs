//! Keys from passphrases: Argon2id (RFC 9106). Such a key unwraps the master key and seals
//! nothing else, so that a passphrase can be changed without touching a file.
//!
//! The cost is stored beside the wrapped key, where anybody may have written it: it is checked
//! against [`Cost`]'s limits before anything is computed.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::backend::KEY_BYTES;
use super::keys::{MasterKey, WRAPPED_KEY_BYTES};
use super::sealed::{InputKey, OpenError};
use crate::base::secret::{Secret, fill_random};

/// Bytes of the salt that makes equal passphrases unequal.
pub const SALT_BYTES: usize = 16;

const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
/// RFC 9106, section 3.1: at least 8 blocks of 1 KiB for each lane.
const LANE_KIB_MIN: u32 = 8;

/// What one guess of a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A cost that nobody should be made to pay, or that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the passphrase's Argon2id parameters ({memory_kib} KiB, {passes} passes, {lanes} lanes) are outside of what is accepted (up to {MEMORY_KIB_MAX} KiB, {PASSES_MAX} passes, {LANES_MAX} lanes, and {LANE_KIB_MIN} KiB or more for each lane)"
)]
pub struct CostError {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    #[error("there is not enough memory for the passphrase's key: it takes {0} KiB")]
    Memory(u32),
    #[error("the passphrase is wrong")]
    Wrong,
}

impl Cost {
    /// RFC 9106's second recommended choice, for machines that cannot spare 2 GiB.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };

    /// # Errors
    /// When one of them is out of bounds.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        let ok = memory_kib <= MEMORY_KIB_MAX
            && passes >= 1
            && passes <= PASSES_MAX
            && lanes >= 1
            && lanes <= LANES_MAX
            && memory_kib >= LANE_KIB_MIN * lanes;
        if ok {
            Ok(Self {
                memory_kib,
                passes,
                lanes,
            })
        } else {
            Err(CostError {
                memory_kib,
                passes,
                lanes,
            })
        }
    }

    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }
}

/// A master key as only a passphrase opens it. Not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub salt: [u8; SALT_BYTES],
    pub cost: Cost,
    pub wrapped: [u8; WRAPPED_KEY_BYTES],
}

impl Lock {
    /// Wraps `master` under a fresh salt. The passphrase's bytes are taken as they are.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub fn new(
        passphrase: &[u8],
        cost: Cost,
        volume: &[u8; 16],
        master: &MasterKey,
    ) -> Result<Self, PassphraseError> {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt);
        let wrapped = master.wrapped_with(&derive(passphrase, &salt, cost)?, volume);
        Ok(Self {
            salt,
            cost,
            wrapped,
        })
    }

    /// # Errors
    /// When the passphrase is another one, or the memory cannot be had.
    pub fn open(&self, passphrase: &[u8], volume: &[u8; 16]) -> Result<MasterKey, PassphraseError> {
        let key = derive(passphrase, &self.salt, self.cost)?;
        MasterKey::unwrapped_with(&key, volume, &self.wrapped)
            .map_err(|OpenError| PassphraseError::Wrong)
    }
}

fn derive(
    passphrase: &[u8],
    salt: &[u8; SALT_BYTES],
    cost: Cost,
) -> Result<InputKey, PassphraseError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES))
        .expect("a cost is within Argon2's own limits");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    argon
        .hash_password_into(passphrase, salt, &mut *key)
        .map_err(|_| PassphraseError::Memory(cost.memory_kib))?;
    Ok(InputKey::from_secret(Secret::take(&mut key)))
}

#[cfg(test)]
mod tests {
    use argon2::AssociatedData;

    use super::*;

    const VOLUME: [u8; 16] = [7; 16];
    const CHEAP: Cost = Cost {
        memory_kib: 32,
        passes: 1,
        lanes: 4,
    };

    /// RFC 9106, section 5.3.
    #[test]
    fn rfc_9106_vector() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .output_len(32)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon =
            Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        argon
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        assert_eq!(
            tag,
            [
                0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b,
                0x53, 0xc9, 0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9,
                0x6b, 0x01, 0xe6, 0x59
            ]
        );
    }

    /// What RFC 9106's vector does not show: no secret and no associated data. From the Python
    /// package `cryptography` 50.0.2.
    #[test]
    fn a_key_from_a_passphrase_is_argon2id() {
        let key = derive(b"correct horse", b"somesaltsomesalt", CHEAP)
            .ok()
            .unwrap();
        let expected = [
            0x0e, 0xce, 0x83, 0x19, 0x28, 0x7b, 0x27, 0xde, 0x5b, 0x82, 0x01, 0x33, 0xf6, 0x63,
            0x5e, 0xde, 0xb8, 0x5c, 0x44, 0xf3, 0x55, 0xd0, 0x8c, 0xb7, 0xf8, 0xee, 0x4b, 0x7e,
            0x8e, 0x50, 0x33, 0x21,
        ];
        assert!(*key.expose() == expected);
    }

    #[test]
    fn a_lock_opens_with_its_passphrase_in_its_volume_only() {
        let master = MasterKey::random();
        let lock = Lock::new(b"correct horse", CHEAP, &VOLUME, &master)
            .ok()
            .unwrap();
        assert!(lock.open(b"correct horse", &VOLUME).is_ok());
        let error = lock.open(b"correct hors", &VOLUME).err().unwrap();
        assert_eq!(error.to_string(), "the passphrase is wrong");
        assert!(lock.open(b"correct horse", &[8; 16]).is_err());
        let weaker = Lock {
            cost: Cost::new(32, 2, 4).unwrap(),
            ..lock
        };
        assert!(weaker.open(b"correct horse", &VOLUME).is_err());
    }

    #[test]
    fn a_cost_is_bounded_before_it_is_paid() {
        assert_eq!(Cost::new(65_536, 3, 4), Ok(Cost::RECOMMENDED));
        assert!(Cost::new(1 << 20, 16, 16).is_ok());
        for (memory, passes, lanes) in [
            ((1 << 20) + 1, 3, 4),
            (65_536, 17, 4),
            (65_536, 0, 4),
            (65_536, 3, 0),
            (65_536, 3, 17),
            (31, 3, 4),
            (0, 1, 1),
        ] {
            assert!(Cost::new(memory, passes, lanes).is_err());
        }
        assert_eq!(
            Cost::new(u32::MAX, 3, 4).unwrap_err().to_string(),
            "the passphrase's Argon2id parameters (4294967295 KiB, 3 passes, 4 lanes) are outside of what is accepted (up to 1048576 KiB, 16 passes, 16 lanes, and 8 KiB or more for each lane)"
        );
    }
}
