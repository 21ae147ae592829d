//! The volume record (docs/FORMAT.md, section 8) in a store: found, opened, mended, made.
//!
//! Whoever mounts a client-side volume begins here. [`find`] reads the two copies and nothing
//! else; [`VolumeRecord::open`] is the key check: a wrong key is told before any other object is
//! read. [`create`](create::create) makes a volume where there is none, [`VolumeRecord::relock`]
//! changes the passphrase, and [`place`] tells where a volume is in the way.
//!
//! Invariants:
//! 1. Of two copies the authentic one with the higher sequence number counts, whatever the other
//!    is: only two authentic ones of two volumes are refused. A copy that this program does not
//!    understand is never written over.
//! 2. A record is made by a write that refuses to replace one, and what is there afterwards is
//!    compared with it: of several that make one at the same time, one wins.

pub mod create;
mod error;
mod open;
pub mod place;
mod relock;
pub mod reroot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
pub use error::RecordError;
pub use open::{DamagedCopy, OpenVolume, Restoring};

use crate::base::limits::RESERVED_PREFIX;
use crate::base::range::ByteRange;
use crate::crypto::MasterKey;
use crate::crypto::passphrase::PassphraseError;
use crate::layout::sealed::WrappedKey;
use crate::layout::sealed::volume::{
    OBJECTS, SealedVolume, VOLUME_RECORD_BYTES_MAX, VolumeError, VolumeHeader,
};
use crate::store::{ETag, ErrorKind, GetOptions, GetRange, HeadOptions, ObjectKey, Store};

/// A volume's record as it is in the store; nothing of it is authentic yet.
#[derive(Debug)]
pub struct VolumeRecord {
    store: Arc<dyn Store>,
    /// What a person calls the volume.
    volume: String,
    copies: [Copy; 2],
    /// The copy whose header is shown.
    shown: SealedVolume,
}

#[derive(Debug)]
struct Copy {
    key: ObjectKey,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Missing,
    Broken(ETag, VolumeError),
    Sealed(ETag, Bytes, Box<SealedVolume>),
}

/// Looks for a volume at `prefix`, which is empty or ends in `/`.
///
/// # Errors
/// When a copy cannot be read, or there is none that could be authentic.
pub async fn find(
    store: &Arc<dyn Store>,
    prefix: &str,
) -> Result<Option<VolumeRecord>, RecordError> {
    let [a, b] = OBJECTS.map(|name| read_copy(store.as_ref(), prefix, name));
    let (a, b) = tokio::try_join!(a, b)?;
    let volume = describe(store.as_ref(), prefix);
    let mut shown: Option<&SealedVolume> = None;
    let mut broken: Option<VolumeError> = None;
    for copy in [&a, &b] {
        match &copy.found {
            Found::Sealed(_, _, sealed) => shown = shown.or(Some(sealed)),
            Found::Broken(_, error @ VolumeError::UnknownVersion(_)) => broken = Some(*error),
            Found::Broken(_, error) => broken = broken.or(Some(*error)),
            Found::Missing => {}
        }
    }
    match (shown.cloned(), broken) {
        (Some(shown), _) => Ok(Some(VolumeRecord {
            store: Arc::clone(store),
            volume,
            copies: [a, b],
            shown,
        })),
        (None, Some(error)) => Err(RecordError::record(&volume, error)),
        (None, None) => Ok(None),
    }
}

impl VolumeRecord {
    /// What everybody can read, which is for messages and for the way to the key alone.
    #[must_use]
    pub const fn header(&self) -> &VolumeHeader {
        self.shown.header()
    }

    /// The mode as `--encryption` names it.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        mode_of(self.header())
    }

    /// Whether a copy has this data key, so that whoever opened that one opens this.
    #[must_use]
    pub fn has_key(&self, key: &WrappedKey) -> bool {
        let has = |copy: &Copy| matches!(&copy.found, Found::Sealed(_, _, sealed) if sealed.header().key == *key);
        self.copies.iter().any(has)
    }

    /// Whether a copy is of this mode. That of a damaged one may be another.
    #[must_use]
    pub fn has_mode(&self, mode: &str) -> bool {
        self.sealed().any(|sealed| mode_of(sealed.header()) == mode)
    }

    /// A passphrase opens it.
    #[must_use]
    pub fn has_passphrase(&self) -> bool {
        self.sealed().any(|sealed| sealed.header().lock.is_some())
    }

    /// The master key. Takes a second and 64 MiB or more, on purpose.
    ///
    /// # Errors
    /// When the passphrase is another one, or there is none.
    pub fn unlock(&self, passphrase: &[u8]) -> Result<MasterKey, RecordError> {
        let mut tried = Vec::new();
        let mut failed = None;
        // They differ where somebody was interrupted who changed the passphrase, or one is
        // damaged.
        for header in self.sealed().map(SealedVolume::header) {
            let Some(lock) = header.lock.as_ref() else {
                continue;
            };
            if tried.contains(&(header.id, lock)) {
                continue;
            }
            tried.push((header.id, lock));
            match lock.open(passphrase, header.id.as_bytes()) {
                Ok(master) => return Ok(master),
                Err(PassphraseError::Wrong) => {}
                Err(error) => failed = Some(error),
            }
        }
        let volume = self.volume.clone();
        Err(match failed {
            Some(error) => error.into(),
            None if tried.is_empty() => RecordError::NoPassphrase { volume },
            None => RecordError::WrongPassphrase { volume },
        })
    }

    fn sealed(&self) -> impl Iterator<Item = &SealedVolume> {
        self.copies.iter().filter_map(|copy| match &copy.found {
            Found::Sealed(_, _, sealed) => Some(&**sealed),
            Found::Missing | Found::Broken(..) => None,
        })
    }
}

const fn mode_of(header: &VolumeHeader) -> &'static str {
    match header.key {
        WrappedKey::Kms(_) => "cse-kms",
        WrappedKey::Master(_) => "cse-c",
    }
}

async fn read_copy(store: &dyn Store, prefix: &str, name: &str) -> Result<Copy, RecordError> {
    let key = key(prefix, name)?;
    let options = GetOptions {
        // One byte more, to tell a longer one.
        range: Some(GetRange::Bytes(ByteRange::new(
            0,
            VOLUME_RECORD_BYTES_MAX as u64 + 1,
        ))),
        ..GetOptions::default()
    };
    let found = match store.get(&key, options).await {
        Ok(object) => match SealedVolume::decode(&object.body) {
            Ok(sealed) => Found::Sealed(object.info.etag, object.body, Box::new(sealed)),
            Err(error) => Found::Broken(object.info.etag, error),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Found::Missing,
        // No range of an empty object can be had.
        Err(error) if error.kind() == ErrorKind::Invalid => {
            let info = store.head(&key, HeadOptions::default()).await?;
            if info.size > 0 {
                return Err(error.into());
            }
            Found::Broken(info.etag, VolumeError::NotOurs)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Copy { key, found })
}

fn key(prefix: &str, name: &str) -> Result<ObjectKey, RecordError> {
    let key = format!("{prefix}{RESERVED_PREFIX}{name}");
    ObjectKey::new(key).map_err(|_too_long| RecordError::Prefix(prefix.to_owned()))
}

fn describe(store: &dyn Store, prefix: &str) -> String {
    match prefix.trim_end_matches('/') {
        "" => store.describe(),
        prefix => format!("{}/{prefix}", store.describe()),
    }
}
