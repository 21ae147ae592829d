//! Rank 4: turning the dirty bytes of open files into objects.
//!
//! [`extents`] knows which bytes are dirty, [`grid`] how a file is cut into parts, [`planner`]
//! decides what a commit uploads and what it copies on the server; all three are pure, and so
//! is [`content`], the table of a file's dirty cells. [`staging`] keeps dirty bytes, sealed, on
//! the local disk; [`journal`] keeps there, for the next mount, what was closed. Around them are [`WriteEngine`], one for each mount, and [`DirtyFile`], one
//! for each file being changed, shared by all handles of its inode.
//!
//! What a writer can count on:
//! 1. A write that returned is in every later read and in every later commit that succeeds. A
//!    failed commit leaves the object and the dirty bytes as they were, and can be repeated.
//! 2. Memory for dirty bytes is bounded for the mount ([`WriteConfig::memory_bytes`]), and so
//!    is staging. Who needs room takes it from the least recently written cell of any file,
//!    so many half-written files cannot block each other; when there is no room anywhere, the
//!    file that holds most is uploaded to a private object, and only if that fails a write is
//!    told [`WriteError::NoSpace`].
//! 3. Nothing is written to the local disk in clear.
//! 4. The old object is visible, whole, until a commit's last request, which is conditional.
//!
//! How a commit goes:
//! - up to 8 MiB: one PUT;
//! - up to [`WriteConfig::stream_after_bytes`] dirty: a multipart upload at the target's key,
//!   parts in parallel, what the base still holds copied on the server;
//! - above that, if it is mostly new, the file *streams*: full parts that the writer has left go up while it still
//!   writes, as parts of a multipart upload of a private object (see
//!   docs/decisions/0001-streaming-through-a-private-key.md for why not the target's). At the
//!   commit that upload is completed, which makes the private object the base (a *checkpoint*),
//!   and the target is made of part copies. After a conflict the bytes are there still.
//!
//! In a client-side volume parts are sealed segment by segment when they are sent, holes are no
//! parts, and what follows the segments goes with the completion ([`planner::sealed`]). An
//! upload is completed in one way only there: a completion that failed is asked for again as it
//! was, or the upload is given up.
//!
//! What was uploaded need not be kept: its memory is simply reused, and a later read or partial
//! overwrite of it makes a checkpoint first. A file for which that happened goes to staging
//! from then on.
//!
//! Locks: one mutex for each file's [`content`] table, one for the pool, in this order, neither
//! held across an await. An async gate for each file keeps writes out while it is committed.
//! A task that waits for room holds no gate, and an upload takes its memory from a share of its
//! own, so waiting for room always ends.

mod clone;
mod commit;
mod content;
mod engine;
mod error;
mod executor;
pub mod extents;
mod file;
mod frozen;
pub mod grid;
pub mod journal;
pub mod planner;
mod pool;
mod publish;
mod read;
pub mod staging;
mod stream;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use engine::WriteEngine;
pub use error::WriteError;
pub use file::DirtyFile;
pub use frozen::Frozen;

use crate::base::range::ByteRange;
use crate::volume::{ObjectRef, Version, VolumeError};

/// Shorthand for the answer to a write, read or commit.
pub type Result<T> = std::result::Result<T, WriteError>;

/// What bounds a mount's writing.
#[derive(Clone, Debug)]
pub struct WriteConfig {
    /// Memory for dirty bytes and for the bodies of uploads. Below 48 MiB it counts as that:
    /// a few cells have to fit.
    pub memory_bytes: u64,
    /// Local disk for dirty bytes that memory has no room for.
    pub staging_bytes: u64,
    /// Where; made when missing. Has no default.
    pub staging_dir: PathBuf,
    /// Most uploads and part copies at once.
    pub parallel_uploads: usize,
    /// A file with more dirty bytes than this is uploaded while it is written.
    pub stream_after_bytes: u64,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            staging_bytes: 4 << 30,
            staging_dir: PathBuf::new(),
            parallel_uploads: 8,
            stream_after_bytes: 64 << 20,
        }
    }
}

/// The version that a changed file is a change of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub object: ObjectRef,
    pub version: Version,
    /// Bytes.
    pub size: u64,
}

/// Reads what is not dirty; the filesystem's is the block cache.
#[async_trait]
pub trait BaseReader: Send + Sync {
    /// All bytes of `range` of that version.
    async fn read_base(
        &self,
        base: &Base,
        range: ByteRange,
    ) -> std::result::Result<Bytes, Arc<VolumeError>>;
}
