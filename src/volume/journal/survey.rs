//! What dead mounts of this machine left behind, told and not touched.

use std::fs::{OpenOptions, TryLockError};

use super::{Journal, LeftBehind};
use crate::store::UploadId;
use crate::volume::{Result, Volume};

/// A mount that ended with something unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMount {
    pub mount: String,
    /// Uploads that were neither completed nor aborted.
    pub uploads: Vec<UploadId>,
    /// Uploads of which it is not known whether they were begun.
    pub begun: usize,
    /// Files that may be at two names.
    pub renames: usize,
}

/// Whether a mount lives, by its journal on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountState {
    Living,
    Dead,
    /// It is of another machine or state directory, or left nothing.
    Unknown,
}

impl LeftBehind {
    /// A mount that left nothing is no news; a file without a name is not of one.
    fn told(&self) -> DeadMount {
        let unfinished = &self.unfinished;
        DeadMount {
            mount: self.mount_id.clone(),
            uploads: unfinished
                .uploads
                .iter()
                .map(|(_, id)| id.clone())
                .collect(),
            begun: unfinished.begun.len(),
            renames: unfinished.renames.len(),
        }
    }
}

impl Journal {
    fn state_of(&self, mount: &str) -> MountState {
        let is_id = mount.len() == 16 && mount.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = self.path.with_file_name(format!("{mount}.uploads"));
        if path == self.path {
            return MountState::Living;
        }
        let Ok(file) = OpenOptions::new().read(true).open(path) else {
            return MountState::Unknown;
        };
        match file.try_lock() {
            Ok(()) if is_id => MountState::Dead,
            Err(TryLockError::WouldBlock) => MountState::Living,
            Ok(()) | Err(TryLockError::Error(_)) => MountState::Unknown,
        }
    }
}

impl Volume {
    /// The mounts of this machine that ended with something unfinished in the bucket.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub fn dead_mounts(&self) -> Result<Vec<DeadMount>> {
        let left = self.left_behind()?;
        Ok(left.iter().map(LeftBehind::told).collect())
    }

    /// Whether the mount of a private object lives.
    #[must_use]
    pub fn state_of(&self, mount: &str) -> MountState {
        self.journal.state_of(mount)
    }

    fn left_behind(&self) -> Result<Vec<LeftBehind>> {
        Journal::left_behind(&self.options.journal_dir, &self.source())
    }

    /// Clears away what the dead mounts of this machine left behind, and finishes the directory
    /// renames of those that are dead: all of them where this process has the volume `alone`. Where
    /// it has not, an upload that another mount may have begun stays. Gives the renames that could not be finished, a sentence each.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn clear_after_the_dead(
        self: &std::sync::Arc<Self>,
        alone: bool,
    ) -> Result<Vec<String>> {
        for dead in self.left_behind()? {
            self.clear_away(dead, alone).await;
        }
        Ok(Box::pin(self.finish_renames(alone)).await)
    }
}
