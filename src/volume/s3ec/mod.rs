//! Objects of the Amazon S3 Encryption Client beside those of a client-side volume: read where
//! the mount has their key, and rewritten as the volume's own by any change
//! (docs/decisions/0004).
//!
//! Invariants:
//! 1. *Never in place of a broken object of the volume's own.* Only what has none of cloakfs's
//!    metadata is looked at here.
//! 2. *No byte is served before all of the object was authentic.* The first read of a version
//!    checks it from its beginning to its end, in a pass that keeps a digest of each piece; what
//!    is served afterwards are pieces with these digests. So neither a range nor a server that
//!    gives other bytes under the same `ETag` is trusted. What a version of AES-CBC is, which is
//!    authentic in no way, is read only on request.
//! 3. What such an object says of itself besides is not authentic and not used: its attributes
//!    are the mount's defaults.

mod find;
mod keep;
mod key;
mod read;
mod rewrite;
mod verify;

use tokio::sync::{OnceCell, Semaphore};

use crate::crypto::s3ec::RsaPrivateKey;
use crate::layout::s3ec::{Content, Envelope, FormatVersion, Wrapping};
use crate::layout::sealed::FileId;
use crate::store::{ETag, ObjectKey, VersionId};

pub(super) use find::Body;
use keep::KeptObjects;
use key::Opener;
use verify::Verdict;

/// What a client-side mount has for such objects besides its own root.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct S3ecReading {
    pub rsa_key: Option<RsaPrivateKey>,
    /// Also what does not authenticate what it relies on.
    pub allow_legacy: bool,
}

/// What such an object is, to be told to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S3ecType {
    pub version: FormatVersion,
    pub wrapping: Wrapping,
    pub has_instruction_file: bool,
}

/// What a client-side volume keeps for such objects.
pub(super) struct S3ec {
    reading: S3ecReading,
    /// Where they are encrypted, no other program gave an object its name: what is there was put
    /// there by somebody who copied it.
    names_are_plain: bool,
    kept: KeptObjects,
    /// So that the memory of passes is bounded.
    passes: Semaphore,
}

/// Where a version is read from.
pub(super) struct Place {
    pub key: ObjectKey,
    /// As a person knows it.
    pub name: String,
    pub etag: ETag,
    /// Where it is not the newest.
    pub version: Option<VersionId>,
}

/// One version of such an object.
pub(super) struct S3ecObject {
    envelope: Envelope,
    etag: ETag,
    /// The body.
    stored_bytes: u64,
    /// The body without its tag.
    ciphertext_bytes: u64,
    /// The file. Authentic once the object is.
    pub size: u64,
    opener: OnceCell<Opener>,
    verdict: OnceCell<Verdict>,
}

impl S3ec {
    /// `names_are_plain` says whether such an object can have a name of the volume.
    pub fn new(reading: S3ecReading, names_are_plain: bool) -> Self {
        Self {
            names_are_plain,
            reading,
            kept: KeptObjects::default(),
            passes: Semaphore::new(verify::PASSES),
        }
    }
}

impl S3ecObject {
    pub fn kind(&self) -> S3ecType {
        S3ecType {
            version: self.envelope.version,
            wrapping: self.envelope.wrapping,
            has_instruction_file: self.envelope.has_instruction_file,
        }
    }

    /// The file that such a version is: the same whenever it is met, and another for every other
    /// version, so that what was made of it is recognised.
    pub fn file_id(&self, key: &ObjectKey) -> FileId {
        let named = [key.as_str(), "\0", self.etag.as_str()].concat();
        FileId::from_bytes(crate::crypto::s3ec::digest(named.as_bytes()))
    }

    const fn is_legacy_content(&self) -> bool {
        matches!(self.envelope.content, Content::Cbc { .. })
    }

    /// What it takes in memory besides a fixed amount.
    fn kept_bytes(&self) -> u64 {
        self.verdict.get().map_or(0, Verdict::kept_bytes)
    }
}
