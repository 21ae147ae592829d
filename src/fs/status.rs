//! What a person may ask of a living filesystem.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::inode::Inode;
use super::{FileSystem, FsError, RenameStatus, Unreplayed, WriteBackStatus};
use crate::keys::kms::Calls;
use crate::layout::path::VolumePath;
use crate::volume::{ModesSeen, Stat};

/// Hidden keys and conflicts that are remembered by name; more are only counted.
const REMEMBERED: usize = 100;

/// How far a sync has come.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SyncProgress {
    pub files_done: u64,
    pub files: u64,
    pub bytes_done: u64,
    pub bytes: u64,
}

/// Two writers met: `path` has the other's version, `kept_as` ours.
#[derive(Clone, Debug, Serialize)]
pub struct Conflict {
    pub path: String,
    pub kept_as: String,
}

/// The answer to `cloakfs status`.
#[derive(Debug, Serialize)]
pub struct FsStatus {
    pub inodes: usize,
    pub open_files: usize,
    pub open_directories: usize,
    pub cache_hits: u64,
    pub cache_misses: u64,
    pub cache_bytes: u64,
    pub cache_capacity_bytes: u64,
    pub fetched_bytes: u64,
    /// Files with something that is not in the bucket yet.
    pub uncommitted_files: u64,
    pub uncommitted_bytes: u64,
    /// Files whose last commit failed, and why.
    pub failed: BTreeMap<String, String>,
    /// Directory renames under way.
    pub renames: Vec<RenameStatus>,
    pub conflicts: Vec<Conflict>,
    pub conflicts_total: u64,
    /// Objects that no path shows, and why.
    pub hidden: BTreeMap<String, String>,
    pub hidden_total: u64,
    /// Objects of other modes or keys than the mount's.
    pub modes: ModesSeen,
    /// Requests for data keys, where KMS makes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms: Option<Calls>,
    /// In write-back mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_back: Option<WriteBackStatus>,
    /// Journals of earlier mounts that could not be replayed.
    pub unreplayed: Vec<Unreplayed>,
}

#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    failed: BTreeMap<String, String>,
    /// The first upload in the background that lost what was written, until a sync tells it.
    unheard: Option<FsError>,
    conflicts: VecDeque<Conflict>,
    conflicts_total: u64,
    hidden: BTreeMap<String, String>,
    hidden_more: u64,
    virtual_xattr_refused: bool,
}

impl Notices {
    pub fn note_failure(&self, path: Option<VolumePath>, error: &FsError) {
        if let Some(path) = path {
            self.inner()
                .failed
                .insert(path.as_str().to_owned(), error.to_string());
        }
    }

    pub fn clear_failure(&self, path: Option<VolumePath>) {
        if let Some(path) = path {
            self.inner().failed.remove(path.as_str());
        }
    }

    pub fn note_unheard(&self, error: FsError) {
        self.inner().unheard.get_or_insert(error);
    }

    pub fn take_unheard(&self) -> Option<FsError> {
        self.inner().unheard.take()
    }

    pub fn note_conflict(&self, path: &VolumePath, kept: &VolumePath) {
        let mut inner = self.inner();
        inner.conflicts_total += 1;
        if inner.conflicts.len() == REMEMBERED {
            inner.conflicts.pop_front();
        }
        inner.conflicts.push_back(Conflict {
            path: path.as_str().to_owned(),
            kept_as: kept.as_str().to_owned(),
        });
    }

    pub fn has_conflicts(&self) -> bool {
        self.inner().conflicts_total > 0
    }

    /// Said once for each key.
    pub fn note_hidden(&self, key: &str, reason: String) {
        let mut inner = self.inner();
        if inner.hidden.contains_key(key) {
            return;
        }
        if inner.hidden.len() == REMEMBERED {
            inner.hidden_more += 1;
            return;
        }
        tracing::warn!("{key:?} is hidden: {reason}");
        inner.hidden.insert(key.to_owned(), reason);
    }

    /// EOPNOTSUPP for setting a `user.cloakfs` attribute. Logged once: tools that copy all
    /// attributes try it for every file.
    pub fn refuse_virtual_xattr(&self, name: &str) -> FsError {
        let message = format!(
            "{name} cannot be set: the user.cloakfs attributes tell what the server says of an \
             object; copying tools may leave them out"
        );
        if std::mem::replace(&mut self.inner().virtual_xattr_refused, true) {
            FsError::quietly(libc::EOPNOTSUPP, message)
        } else {
            FsError::refused(libc::EOPNOTSUPP, message)
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileSystem {
    #[must_use]
    pub fn status(&self) -> FsStatus {
        let cache = self.cache.stats();
        let uncommitted: Vec<_> = self
            .table
            .all()
            .into_iter()
            .filter(|inode| inode.is_uncommitted())
            .collect();
        let bytes = uncommitted
            .iter()
            .filter_map(|inode| inode.content().dirty())
            .map(|dirty| dirty.dirty_bytes())
            .sum();
        let notices = self.notices.inner();
        FsStatus {
            inodes: self.table.len(),
            open_files: self.files.len(),
            open_directories: self.dirs.len(),
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            cache_bytes: cache.bytes,
            cache_capacity_bytes: cache.capacity,
            fetched_bytes: cache.fetched_bytes,
            uncommitted_files: uncommitted.len() as u64,
            uncommitted_bytes: bytes,
            failed: notices.failed.clone(),
            renames: self.renames.status(),
            conflicts: notices.conflicts.iter().cloned().collect(),
            conflicts_total: notices.conflicts_total,
            hidden: notices.hidden.clone(),
            hidden_total: notices.hidden.len() as u64 + notices.hidden_more,
            modes: self.volume.modes_seen(),
            kms: self.volume.kms_calls(),
            write_back: self.write_back_status(),
            unreplayed: self.replays.kept(),
        }
    }

    /// Names of the files with something that is not in the bucket yet, in order. Files without
    /// a name any more are left out: nobody will miss them.
    #[must_use]
    pub fn uncommitted_paths(&self) -> Vec<String> {
        self.paths_of(Inode::is_uncommitted)
    }

    /// The names of the files that are so, in order.
    pub(super) fn paths_of(&self, which: impl Fn(&Inode) -> bool) -> Vec<String> {
        let inodes = self.table.all();
        let mut paths: Vec<_> = inodes
            .iter()
            .filter(|inode| which(inode))
            .filter_map(|inode| Some(self.table.path(inode)?.as_str().to_owned()))
            .collect();
        paths.sort();
        paths
    }

    /// A plain object that a directory of the same name hides.
    pub(super) fn note_hidden(&self, path: &VolumePath, stat: &Stat) {
        if stat.hides_object {
            self.notices.note_hidden(
                path.as_str(),
                "there are objects below it as if it were a directory, so it is shown as one; \
                 rename or delete the plain object with an S3 tool to see its content"
                    .to_owned(),
            );
        }
    }
}
