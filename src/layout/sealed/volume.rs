//! The volume record (section 8): what a mount has to know before it reads anything else. Two
//! objects below the volume's prefix, or an exported file, of the same bytes.

use zeroize::Zeroizing;

use super::cursor::Cursor;
use super::error::ObjectError;
use super::id::VolumeId;
use super::metadata::WrappedKey;
use super::names::Names;
use crate::base::secret::Secret;
use crate::crypto::keys::WRAPPED_KEY_BYTES;
use crate::crypto::name::NAME_KEY_BYTES;
use crate::crypto::passphrase::{Cost, CostError, Lock, SALT_BYTES};
use crate::crypto::{Context, DataKey, MasterKey, NameKey, OpenError, Purpose, open, seal};

/// The two copies' names under the reserved prefix.
pub const OBJECTS: [&str; 2] = ["volume-a", "volume-b"];
/// Longest record: what a reader fetches at most.
pub const VOLUME_RECORD_BYTES_MAX: usize = 8192;

const MAGIC: &[u8; 8] = b"cloakfs\0";
const VERSION: u8 = 1;
const KMS_KEY_NAME_BYTES_MAX: usize = 2048;
const LOCK_BYTES: usize = SALT_BYTES + 3 * 4 + WRAPPED_KEY_BYTES;

/// What everybody can read. Authentic only once the settings were opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeHeader {
    pub id: VolumeId,
    /// The ARN of the KMS key at the time, to be shown to people and for nothing else; empty
    /// for a master key.
    pub kms_key_name: String,
    /// The data key of this record.
    pub key: WrappedKey,
    /// The master key under a passphrase.
    pub lock: Option<Lock>,
}

/// What only the root's holder can read.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Settings {
    /// Grows with each rewriting of the record.
    pub sequence: u64,
    pub names: Names,
}

/// A volume record whose settings are still sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedVolume {
    header: VolumeHeader,
    header_bytes: Vec<u8>,
    settings: Vec<u8>,
}

/// Each message is what follows "the volume record" in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    #[error("is not one: it does not begin as a volume record does")]
    NotOurs,
    #[error("has format version {0}, and this cloakfs reads version 1: use a newer one")]
    UnknownVersion(u8),
    #[error("was cut or changed: {0}; restore it from its export or an older version")]
    Broken(&'static str),
    #[error("was changed: {0}; restore it from its export or an older version")]
    Cost(#[from] CostError),
    #[error("does not open with this master key: it is not the key of this volume")]
    WrongKey,
    #[error("was changed, for the key is right: restore it from its export or an older version")]
    NotAuthentic,
    #[error(
        "was made with a feature that this cloakfs does not know (bits {0:#010x}): use a newer one"
    )]
    UnknownFeature(u32),
    #[error(
        "was written wrongly, though by a holder of the key: {0}; report it as a fault of cloakfs"
    )]
    Malformed(&'static str),
}

impl VolumeHeader {
    /// The whole record.
    ///
    /// # Panics
    /// When the KMS key's name is longer than any ARN, or there is a passphrase without a
    /// master key: programmer errors.
    #[must_use]
    pub fn seal(&self, key: &DataKey, settings: &Settings) -> Vec<u8> {
        let mut record = self.encode();
        let mut plain = Zeroizing::new(Vec::with_capacity(4 + 8 + 1 + NAME_KEY_BYTES));
        plain.extend_from_slice(&0_u32.to_be_bytes());
        plain.extend_from_slice(&settings.sequence.to_be_bytes());
        match &settings.names {
            Names::Plain => {
                plain.push(0);
                plain.extend_from_slice(&[0; NAME_KEY_BYTES]);
            }
            Names::Encrypted(key) => {
                plain.push(1);
                plain.extend_from_slice(key.expose());
            }
        }
        let sealed = seal(key.input(), &context(&record), &plain);
        record.extend_from_slice(&sealed);
        record
    }

    fn encode(&self) -> Vec<u8> {
        let is_kms = matches!(self.key, WrappedKey::Kms(_));
        assert!(
            is_kms || self.kms_key_name.is_empty(),
            "a name without a KMS key"
        );
        assert!(
            !is_kms || self.lock.is_none(),
            "a passphrase without a master key"
        );
        assert!(self.kms_key_name.len() <= KMS_KEY_NAME_BYTES_MAX);
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        out.extend_from_slice(self.id.as_bytes());
        let mut field = |bytes: &[u8]| {
            let len = u16::try_from(bytes.len()).expect("fields are below 64 KiB");
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(bytes);
        };
        field(self.kms_key_name.as_bytes());
        field(&self.key.encode());
        field(&self.lock.as_ref().map_or_else(Vec::new, encode_lock));
        out
    }
}

impl SealedVolume {
    /// # Errors
    /// When it is no volume record of version 1.
    pub fn decode(record: &[u8]) -> Result<Self, VolumeError> {
        let rest = record.strip_prefix(MAGIC).ok_or(VolumeError::NotOurs)?;
        let rest = match rest.split_first().ok_or(VolumeError::Broken(CUT))? {
            (&VERSION, rest) => rest,
            (&version, _) => return Err(VolumeError::UnknownVersion(version)),
        };
        if record.len() > VOLUME_RECORD_BYTES_MAX {
            return Err(VolumeError::Broken("it is longer than any"));
        }
        let (id, rest) = rest.split_first_chunk().ok_or(VolumeError::Broken(CUT))?;
        let (name, rest) = field(rest)?;
        let (key, rest) = field(rest)?;
        let (lock, settings) = field(rest)?;
        let kms_key_name = str::from_utf8(name)
            .ok()
            .filter(|name| name.len() <= KMS_KEY_NAME_BYTES_MAX)
            .ok_or(VolumeError::Broken("its KMS key has no name"))?
            .to_owned();
        let key = WrappedKey::decode(key).ok_or(VolumeError::Broken("it has no wrapped key"))?;
        let lock = match lock.len() {
            0 => None,
            _ => Some(decode_lock(lock)?),
        };
        let is_kms = matches!(key, WrappedKey::Kms(_));
        if (is_kms && lock.is_some()) || !(is_kms || kms_key_name.is_empty()) {
            return Err(VolumeError::Broken("it mixes two kinds of keys"));
        }
        Ok(Self {
            header: VolumeHeader {
                id: VolumeId::from_bytes(*id),
                kms_key_name,
                key,
                lock,
            },
            header_bytes: record[..record.len() - settings.len()].to_vec(),
            settings: settings.to_vec(),
        })
    }

    /// Not authentic yet.
    #[must_use]
    pub const fn header(&self) -> &VolumeHeader {
        &self.header
    }

    /// The key check: whether `master` is this volume's master key.
    ///
    /// # Errors
    /// When it is not, or the volume has a KMS key.
    pub fn unwrap(&self, master: &MasterKey) -> Result<DataKey, VolumeError> {
        match &self.header.key {
            WrappedKey::Master(wrapped) => master
                .unwrap(self.header.id.as_bytes(), wrapped)
                .map_err(|OpenError| VolumeError::WrongKey),
            WrappedKey::Kms(_) => Err(VolumeError::WrongKey),
        }
    }

    /// # Errors
    /// When the record was changed, or is malformed.
    pub fn open(&self, key: &DataKey) -> Result<Settings, VolumeError> {
        let plain = open(key.input(), &context(&self.header_bytes), &self.settings)
            .map_err(|OpenError| VolumeError::NotAuthentic)?;
        Settings::decode(&Zeroizing::new(plain)).map_err(|error| match error {
            ObjectError::UnknownFeature(bits) => VolumeError::UnknownFeature(bits),
            ObjectError::Malformed(what) => VolumeError::Malformed(what),
            _ => VolumeError::NotAuthentic,
        })
    }
}

impl Settings {
    /// Decodes what was opened.
    ///
    /// # Errors
    /// When they are malformed.
    pub fn decode(plain: &[u8]) -> Result<Self, ObjectError> {
        let mut from = Cursor(plain);
        from.features()?;
        let sequence = from.u64()?;
        let policy = from.u8()?;
        let mut key: [u8; NAME_KEY_BYTES] = from.array()?;
        from.end()?;
        let names = match policy {
            0 if key == [0; NAME_KEY_BYTES] => Names::Plain,
            1 => Names::Encrypted(Box::new(NameKey::from_secret(Secret::take(&mut key)))),
            _ => return Err(ObjectError::Malformed("its policy of names is none")),
        };
        Ok(Self { sequence, names })
    }
}

const CUT: &str = "it ends in the middle";

fn context(header: &[u8]) -> Context {
    Context::new(Purpose::Settings).bytes(header)
}

/// A field with its length before it, and what follows it.
fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), VolumeError> {
    bytes
        .split_first_chunk()
        .and_then(|(len, rest)| rest.split_at_checked(u16::from_be_bytes(*len).into()))
        .ok_or(VolumeError::Broken(CUT))
}

fn encode_lock(lock: &Lock) -> Vec<u8> {
    let cost = lock.cost;
    let mut out = lock.salt.to_vec();
    for number in [cost.memory_kib(), cost.passes(), cost.lanes()] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&lock.wrapped);
    out
}

fn decode_lock(bytes: &[u8]) -> Result<Lock, VolumeError> {
    let broken = |_| VolumeError::Broken("its passphrase's part is not one");
    if bytes.len() != LOCK_BYTES {
        return Err(broken(ObjectError::NotAuthentic));
    }
    let mut from = Cursor(bytes);
    let salt = from.array().map_err(broken)?;
    let mut number = || from.u32().map_err(broken);
    let cost = Cost::new(number()?, number()?, number()?)?;
    let wrapped = from.array().map_err(broken)?;
    Ok(Lock {
        salt,
        cost,
        wrapped,
    })
}
