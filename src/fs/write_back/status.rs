//! What there is to tell of write-back.

use std::time::Duration;

use serde::Serialize;

use crate::fs::FileSystem;
use crate::fs::inode::Inode;
use crate::write::journal::Pending;

/// What is closed and not in the bucket.
#[derive(Clone, Debug, Serialize)]
pub struct WriteBackStatus {
    pub pending_files: u64,
    pub pending_bytes: u64,
    /// Since the first of them was closed.
    pub oldest_secs: u64,
    /// Local disk that the journal takes.
    pub journal_bytes: u64,
}

/// A journal of an earlier mount that could not be replayed.
#[derive(Clone, Debug, Serialize)]
pub struct Unreplayed {
    /// As `cloakfs recover` names it.
    pub journal: String,
    pub host: String,
    /// Seconds since 1970.
    pub since: i64,
    pub why: String,
    /// As far as they could be read.
    pub files: Vec<UnreplayedFile>,
}

#[derive(Clone, Debug, Serialize)]
pub struct UnreplayedFile {
    pub path: String,
    pub bytes: u64,
    pub why: String,
}

impl UnreplayedFile {
    pub(super) fn new(pending: &Pending, why: &str) -> Self {
        Self {
            path: pending.closed.place.path.as_str().to_owned(),
            bytes: pending.bytes(),
            why: why.to_owned(),
        }
    }
}

impl FileSystem {
    /// `None` in on-close mode.
    pub(in crate::fs) fn write_back_status(&self) -> Option<WriteBackStatus> {
        let write_back = self.write_back.as_ref()?;
        let (mut files, mut bytes, mut oldest) = (0, 0, Duration::ZERO);
        for inode in self.table.all() {
            if let Some(journaled) = &inode.state().journaled {
                files += 1;
                bytes += journaled.bytes;
                oldest = oldest.max(journaled.since.elapsed());
            }
        }
        Some(WriteBackStatus {
            pending_files: files,
            pending_bytes: bytes,
            oldest_secs: oldest.as_secs(),
            journal_bytes: write_back.journal.bytes(),
        })
    }

    /// Files that are not in the bucket and that the next mount uploads: the journal has them as
    /// they are.
    #[must_use]
    pub fn journaled_paths(&self) -> Vec<String> {
        self.paths_of(Inode::is_closed_and_journaled)
    }

    /// Files with something that is neither in the bucket nor in the journal.
    #[must_use]
    pub fn unsaved_paths(&self) -> Vec<String> {
        self.paths_of(|inode| inode.is_uncommitted() && !inode.is_closed_and_journaled())
    }
}
