//! The client-side layout in a volume (docs/FORMAT.md): objects whose metadata and body are
//! sealed here and opened here.
//!
//! [`DataKeys`] has the keys that seal records and opens those of others. [`Opened`] is an
//! object of which everything but the content was opened; those that were met lately are kept,
//! so that reading and changing a file asks for its record and footer once.
//!
//! Invariants:
//! 1. An [`Opened`] is one body: what it holds of content key, length, pins and places is true
//!    of every object version with that ETag at that key. Its *attributes* are those of one
//!    record; a metadata copy can keep the ETag, so they are taken from a fresh answer only.
//! 2. Ranges outside of this module and [`super::upload`] are bytes of the file.
//! 3. The sealed record of an object is made for the key that it is stored at: every copy to
//!    another key seals it again.

mod copying;
mod data_keys;
mod generations;
mod kept;
mod moving;
mod opened;
mod read;
mod sealing;
mod segments;
mod stat;
mod tail;
mod upload;
mod wrap;

use std::num::NonZeroU64;
use std::sync::Arc;

pub(super) use data_keys::{DataKeyError, DataKeys};
pub(super) use generations::Generations;
pub(super) use kept::OpenedObjects;
pub(super) use opened::Opened;
pub(super) use sealing::xattr_place;
pub use segments::StoredSegments;
pub(super) use stat::LINK_STORED_BYTES_MAX;
pub use upload::SealedPart;
pub(super) use upload::{Sealing, UploadRecord};
pub(super) use wrap::new_data_key;

use super::s3ec::{S3ec, S3ecReading};
use super::{SealedAs, Volume};
use crate::base::limits::RESERVED_PREFIX;
use crate::keys::root::Root;
use crate::layout::sealed::{FORMAT_VERSION, Names, StoredKey, VolumeId};
use crate::store::{ETag, ObjectKey};

/// What makes a volume a client-side one: what its record told, and the root that opened it.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct ClientSide {
    pub id: VolumeId,
    pub names: Names,
    pub root: Root,
    /// Records that one data key seals at most; at most 2^32.
    pub records_per_data_key: NonZeroU64,
    /// For objects of the Amazon S3 Encryption Client.
    pub s3ec: S3ecReading,
}

/// What a client-side volume has besides what every volume has. Names are the key mapper's.
pub(super) struct Sealed {
    pub id: VolumeId,
    pub keys: DataKeys,
    pub opened: OpenedObjects,
    pub generations: Generations,
    pub s3ec: S3ec,
}

impl Sealed {
    pub fn new(client_side: ClientSide) -> (Names, Self) {
        let ClientSide {
            id,
            names,
            root,
            records_per_data_key,
            s3ec,
        } = client_side;
        let sealed = Self {
            id,
            keys: DataKeys::new(root, id, records_per_data_key),
            opened: OpenedObjects::default(),
            generations: Generations::default(),
            s3ec: S3ec::new(s3ec, matches!(names, Names::Plain)),
        };
        (names, sealed)
    }

    /// Remembers an object that was opened or written, so that what follows asks for nothing.
    pub fn keep(&self, key: &ObjectKey, etag: &ETag, opened: &Arc<Opened>) {
        self.generations.note(key, opened.record.generation);
        self.opened.put(key, etag, opened);
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Volume {
    /// # Panics
    /// In the plain layout.
    pub(super) fn sealed(&self) -> &Sealed {
        self.sealed.as_ref().expect("a client-side volume")
    }

    /// What the objects are sealed with; `None` in the plain layout.
    #[must_use]
    pub fn sealed_as(&self) -> Option<SealedAs> {
        let sealed = self.sealed.as_ref()?;
        let root = sealed.keys.root();
        Some(SealedAs {
            mode: root.mode(),
            kms_key: root.kms_key().map(str::to_owned),
            volume: sealed.id,
            format: FORMAT_VERSION,
        })
    }

    /// What a record at this key is sealed for.
    pub(super) fn stored_key(&self, key: &ObjectKey) -> StoredKey {
        let prefix = self.keys.prefix();
        // The root's marker in a volume that is a whole bucket.
        let is_root = prefix.is_empty() && key.as_str() == format!("{RESERVED_PREFIX}root/");
        let text = if is_root { "" } else { key.as_str() };
        StoredKey::below(prefix, text).expect("keys of a volume begin with its prefix")
    }
}
