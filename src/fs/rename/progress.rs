//! How far the directory renames of this mount have come, for `cloakfs status`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::layout::path::VolumePath;

/// A directory rename under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RenameStatus {
    pub from: String,
    pub to: String,
    /// Objects below the directory: its files, links and directories, and itself.
    pub objects: u64,
    /// Of them, those that are at the new name.
    pub copied: u64,
    /// Of them, those that are gone from the old name.
    pub deleted: u64,
}

/// The renames under way.
#[derive(Debug, Default)]
pub(in crate::fs) struct Renames(Mutex<Vec<Arc<Progress>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Progress {
    from: String,
    to: String,
    objects: u64,
    pub copied: AtomicU64,
    pub deleted: AtomicU64,
}

/// Shows a rename until dropped.
pub(super) struct Shown<'a> {
    renames: &'a Renames,
    pub progress: Arc<Progress>,
}

impl Renames {
    pub(super) fn show(&self, from: &VolumePath, to: &VolumePath, objects: usize) -> Shown<'_> {
        let progress = Arc::new(Progress {
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            objects: objects as u64,
            copied: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        });
        self.inner().push(Arc::clone(&progress));
        Shown {
            renames: self,
            progress,
        }
    }

    pub fn status(&self) -> Vec<RenameStatus> {
        let status = |progress: &Arc<Progress>| RenameStatus {
            from: progress.from.clone(),
            to: progress.to.clone(),
            objects: progress.objects,
            copied: progress.copied.load(Ordering::Relaxed),
            deleted: progress.deleted.load(Ordering::Relaxed),
        };
        self.inner().iter().map(status).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Vec<Arc<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut renames = self.renames.inner();
        renames.retain(|other| !Arc::ptr_eq(other, &self.progress));
    }
}
