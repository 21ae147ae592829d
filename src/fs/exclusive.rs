//! What a mount may believe when nobody else changes the volume.
//!
//! Names, attributes and data are trusted until the unmount, here and in the kernel, which also
//! keeps written pages back (its write-back cache). So the kernel alone knows the size and times
//! of a file that is being written, and says so later; pages come through any handle that may
//! write, in nobody's name; and a close is told of what was written through another handle.
//!
//! Should somebody change an object all the same, with an S3 tool perhaps, the conditions of the
//! commits find it. The inode is given up then, since the kernel believes none but its own size
//! of it: the name gets another.

use std::sync::Arc;
use std::time::Duration;

use super::inode::{Content, Inode, Place};
use super::types::{SetAttr, SetTime};
use super::{FileSystem, FsConfig};
use crate::volume::Stat;

/// Long enough for any mount; the kernel adds it to a clock of its own.
const UNTIL_UNMOUNT: Duration = Duration::from_hours(24 * 365 * 10);

/// Who else may change what is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Anybody: what is opened is as new as the bucket, and trusted for a moment.
    #[default]
    Shared,
    /// Nobody.
    Exclusive,
}

impl FsConfig {
    /// With the time to live that the consistency allows.
    pub(super) const fn settled(mut self) -> Self {
        if matches!(self.consistency, Consistency::Exclusive) {
            self.ttl = UNTIL_UNMOUNT;
        }
        self
    }
}

impl FileSystem {
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.config.consistency == Consistency::Exclusive
    }

    /// How long the kernel may believe that a name is not there.
    #[must_use]
    pub fn absence_ttl(&self) -> Option<Duration> {
        self.is_exclusive().then_some(self.config.ttl)
    }

    /// Whether the kernel may keep listings. A conflict copy is a name that it did not make.
    #[must_use]
    pub fn keeps_listings(&self) -> bool {
        self.is_exclusive() && !self.notices.has_conflicts()
    }

    /// What is known of the inode need not be asked for again.
    pub(super) fn is_trusted(&self, inode: &Inode) -> bool {
        self.is_exclusive() && self.is_fresh(inode)
    }

    /// Something showed that an object is not as it is known: it is asked for again.
    pub(super) fn distrust(&self, inode: &Inode) {
        if self.is_exclusive() {
            inode.state().checked = None;
        }
    }

    /// Somebody else wrote what the kernel has pages and a size of.
    pub(super) fn is_anothers(&self, inode: &Inode, stat: &Stat) -> bool {
        self.is_exclusive()
            && inode.kind == super::FileKind::File
            && !inode.is_uncommitted()
            && !inode.content().is_version_of(stat)
    }

    /// The kernel still has the name for an inode that was given up. ESTALE makes it look again.
    pub(super) fn is_given_up(&self, inode: &Inode) -> bool {
        self.is_exclusive() && inode.state().place == Place::Unlinked && inode.content().is_stale()
    }

    /// The kernel sends the times of an inode after each change of its own, a rename too: where
    /// they are as they were, there is nothing to store.
    pub(super) fn changes_nothing(&self, inode: &Inode, set: &SetAttr) -> bool {
        let only_mtime = set.mode.is_none()
            && set.uid.is_none()
            && set.gid.is_none()
            && set.size.is_none()
            && set.atime.is_none();
        let now = inode.state().meta.attributes.mtime;
        self.is_exclusive() && only_mtime && set.mtime == Some(SetTime::At(now))
    }

    /// Pages that were kept back came through some handle; whichever wrote them is to hear what
    /// becomes of them.
    pub(super) fn note_pages(&self, content: &Arc<Content>) {
        if self.is_exclusive() {
            content.note_pages();
        }
    }
}
