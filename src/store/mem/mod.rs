//! A bucket in memory: the reference that the other back ends and all simulations stand on.
//!
//! It answers as S3 does with versioning off, and where S3 leaves a choice, with the stricter
//! one: every condition is checked, every limit enforced, and every write has an ETag of its
//! own that is not an MD5. One lock guards everything and is held only for memory operations,
//! so that requests are atomic and in a total order.
//!
//! With [`MemStore::seeded`] the ETags, upload ids and times depend on nothing but the seed,
//! the order of requests and tokio's clock, which a test may pause.

mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    ETag, ErrorKind, Limits, ObjectAttributes, ObjectInfo, ObjectKey, Operation, Result,
    ServerEncryption, StoreError, UploadId,
};
use crate::base::jitter::Jitter;
use crate::base::time::Timestamp;

/// When a seeded store's clock begins, in seconds since the epoch.
const SEEDED_CLOCK_STARTS: i64 = 1_800_000_000;

#[derive(Debug)]
pub struct MemStore {
    limits: Limits,
    copies_keep_etags: bool,
    identifiers: Jitter,
    clock: Clock,
    /// Of objects written or copied from now on.
    encryption: Mutex<ServerEncryption>,
    /// What was asked for, if anything.
    asked: Option<ServerEncryption>,
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<UploadId, Upload>,
}

#[derive(Clone, Debug)]
struct Stored {
    body: Bytes,
    etag: ETag,
    last_modified: Timestamp,
    attributes: ObjectAttributes,
    encryption: ServerEncryption,
}

#[derive(Debug)]
struct Upload {
    key: ObjectKey,
    attributes: ObjectAttributes,
    initiated: Timestamp,
    /// By part number.
    parts: BTreeMap<u32, (ETag, Bytes)>,
}

#[derive(Debug)]
struct Clock {
    wall: Timestamp,
    origin: Instant,
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemStore {
    /// With S3's limits, random identifiers and the wall clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Jitter::from_os(), Timestamp::now())
    }

    /// Repeatable: see the module's page.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let wall = Timestamp::new(SEEDED_CLOCK_STARTS, 0).unwrap_or_default();
        Self::with(Jitter::seeded(seed), wall)
    }

    fn with(identifiers: Jitter, wall: Timestamp) -> Self {
        Self {
            limits: Limits::S3,
            copies_keep_etags: false,
            identifiers,
            clock: Clock {
                wall,
                origin: Instant::now(),
            },
            encryption: Mutex::default(),
            asked: None,
            bucket: Mutex::default(),
        }
    }

    /// Other limits, such as small parts for a test.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A copy of a whole object keeps its ETag, as S3 does for objects written by one PUT.
    #[must_use]
    pub fn copies_keep_etags(mut self) -> Self {
        self.copies_keep_etags = true;
        self
    }

    /// Asks for this encryption: whatever [`MemStore::encrypt_as`] says, writes go through, and
    /// [`Store::check_written`](super::Store::check_written) tells. So is a server that overrides
    /// what is asked for when its answers are lost.
    #[must_use]
    pub fn asks_for(mut self, encryption: ServerEncryption) -> Self {
        self.asked = Some(encryption);
        self
    }

    fn check_asked(&self, operation: Operation, key: &ObjectKey, found: &ObjectInfo) -> Result<()> {
        match &self.asked {
            Some(asked) if *asked != found.encryption => {
                let words = format!(
                    "asked for {asked:?}, but the object is under {:?}",
                    found.encryption
                );
                let kind = ErrorKind::Corrupt;
                Err(StoreError::new(kind, operation, key.as_str(), words).about_encryption())
            }
            _ => Ok(()),
        }
    }

    /// Objects that are written or copied from now on are said to be under this encryption.
    pub fn encrypt_as(&self, encryption: ServerEncryption) {
        *self
            .encryption
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = encryption;
    }

    fn encryption(&self) -> ServerEncryption {
        let encryption = self.encryption.lock();
        encryption.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All keys, in byte order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.bucket().objects.keys().cloned().collect()
    }

    /// Bytes of all objects and of the parts of unfinished uploads.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let bucket = self.bucket();
        let objects = bucket.objects.values().map(|stored| stored.body.len());
        let parts = bucket.uploads.values().flat_map(|upload| {
            let parts = upload.parts.values();
            parts.map(|(_, body)| body.len())
        });
        objects.chain(parts).map(|len| len as u64).sum()
    }

    /// The parts of unfinished uploads.
    #[cfg(test)]
    pub fn parts(&self) -> Vec<Bytes> {
        let bucket = self.bucket();
        let parts = bucket
            .uploads
            .values()
            .flat_map(|upload| upload.parts.values());
        parts.map(|(_, body)| body.clone()).collect()
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // A panic in a test elsewhere leaves whole requests only: the map is consistent.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identifier(&self) -> String {
        let (high, low) = (self.identifiers.next_u64(), self.identifiers.next_u64());
        format!("{high:016x}{low:016x}")
    }

    fn fresh_etag(&self) -> ETag {
        ETag::new(format!("\"{}\"", self.identifier()))
    }

    fn now(&self) -> Timestamp {
        let elapsed = self.clock.origin.elapsed().as_secs();
        let secs = i64::try_from(elapsed).unwrap_or(i64::MAX);
        Timestamp::new(self.clock.wall.secs().saturating_add(secs), 0).unwrap_or_default()
    }
}

impl Stored {
    fn info(&self) -> ObjectInfo {
        ObjectInfo {
            size: self.body.len() as u64,
            etag: self.etag.clone(),
            last_modified: self.last_modified,
            version: None,
            attributes: self.attributes.clone(),
            encryption: self.encryption.clone(),
        }
    }
}
