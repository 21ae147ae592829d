//! Names whose object may not be looked at, for lack of its key or of the right to, and those of a
//! client-side volume whose object does not open: what is not of the volume, or not authentic.
//!
//! Such a name is shown with what a listing tells, its size and time, and with no permissions,
//! because its own are not known; nothing of it is remembered, here or by the kernel. What needs
//! no look works, as the directory's permissions allow: it is deleted, only while it is the
//! version that was listed; and replaced by a rename, as any other file without a condition, by
//! what is stored under the old name before. Everything else is EACCES with the reason, or EIO
//! where the object does not open; of such a file the owner has the right to read, lest the
//! kernel answer EACCES in its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inode::Inode;
use super::types::Ino;
use super::{FileSystem, FsError, Result};
use crate::layout::path::{PlainName, VolumePath};
use crate::volume::{Stat, VolumeError};

/// Why an object could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WhyClosed {
    /// Of what cannot be done for it.
    pub errno: i32,
    pub reason: String,
}

impl WhyClosed {
    /// The permissions that a file is shown with.
    pub const fn perm(&self) -> u16 {
        match self.errno {
            libc::EIO => 0o400,
            _ => 0,
        }
    }
}

impl FileSystem {
    /// The inode of a name that could not be looked at when it was tried at `asked`, if a
    /// listing shows it; else the error. The error is logged in both cases.
    pub(super) async fn find_closed(
        &self,
        path: &VolumePath,
        parent: Ino,
        name: &PlainName,
        error: &VolumeError,
        asked: Instant,
    ) -> Result<Arc<Inode>> {
        let refused = FsError::of(error);
        let Some(why) = refused.why_closed() else {
            return Err(refused);
        };
        match self.volume.stat_closed(path).await {
            Ok(Some(stat)) => Ok(self.adopt_closed(path, parent, name, stat, why, asked)),
            // Who may not look at anything may not list either: the first refusal says more.
            Ok(None) | Err(_) => Err(refused),
        }
    }

    /// The inode of a name that could not be looked at and is listed as `stat` tells.
    pub(super) fn adopt_closed(
        &self,
        path: &VolumePath,
        parent: Ino,
        name: &PlainName,
        stat: Stat,
        why: WhyClosed,
        asked: Instant,
    ) -> Arc<Inode> {
        if let Some(inode) = self.table.child(parent, name) {
            if self.knows_better(&inode, asked) || inode.close(&stat, &why) {
                return inode;
            }
            self.lose(&inode);
        }
        self.table.insert(path, parent, name, |ino, place| {
            Inode::closed(ino, place, stat, why)
        })
    }

    /// Whether an inode that could not be looked at is listed still, to be shown without its
    /// attributes.
    pub(super) async fn is_listed(&self, inode: &Inode, why: &WhyClosed) -> bool {
        let asked = Instant::now();
        let _held = self.hold_inode(inode).await;
        let Some(path) = self.table.path(inode).filter(|path| !path.is_root()) else {
            return false;
        };
        match self.volume.stat_closed(&path).await {
            Ok(Some(stat)) => self.knows_better(inode, asked) || inode.close(&stat, why),
            Ok(None) | Err(_) => false,
        }
    }

    fn knows_better(&self, inode: &Inode, asked: Instant) -> bool {
        inode.is_uncommitted() || Self::changed_since(inode, asked) || self.holds_uncommitted(inode)
    }

    /// Refuses what cannot be done to an object that could not be looked at.
    pub(super) fn refuse_closed(inode: &Inode) -> Result<()> {
        match inode.why_closed() {
            Some(WhyClosed { errno, reason }) => {
                let name = if errno == libc::EIO { "EIO" } else { "EACCES" };
                Err(FsError::refused(errno, format!("{name}: {reason}")))
            }
            None => Ok(()),
        }
    }

    /// How long the kernel may believe what it is told of an inode.
    pub(super) fn ttl_of(&self, inode: &Inode) -> Duration {
        if inode.why_closed().is_some() {
            Duration::ZERO
        } else {
            self.config.ttl
        }
    }
}
