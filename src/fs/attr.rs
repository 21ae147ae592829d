//! getattr, setattr and statfs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inode::{Inode, Place};
use super::types::{Attr, Caller, FileKind, HandleId, Ino, ROOT, SetAttr, SetTime, StatFs};
use super::virtual_xattr::Told;
use super::{FileSystem, FsError, Result};
use crate::base::id::CommitId;
use crate::base::time::Timestamp;
use crate::layout::path::VolumePath;
use crate::volume::{Condition, ObjectRef, Stat};
use crate::write::Base;

impl FileSystem {
    pub async fn getattr(
        self: &Arc<Self>,
        ino: Ino,
        handle: Option<HandleId>,
    ) -> Result<(Attr, Duration)> {
        let inode = self.inode(ino)?;
        if handle.is_none() && self.is_given_up(&inode) {
            return Err(FsError::posix(libc::ESTALE));
        }
        if let Err(error) = self.recheck(&inode).await {
            let shown = match error.why_closed() {
                Some(why) => self.is_listed(&inode, &why).await,
                None => false,
            };
            if !shown {
                return Err(error);
            }
        }
        Ok((inode.attr(), self.ttl_of(&inode)))
    }

    pub async fn setattr(
        self: &Arc<Self>,
        caller: Caller,
        ino: Ino,
        set: SetAttr,
        handle: Option<HandleId>,
    ) -> Result<(Attr, Duration)> {
        let _change = self.writable()?;
        let inode = self.inode(ino)?;
        if let Some(size) = set.size {
            self.truncate(caller, &inode, size, handle).await?;
        }
        let changes_attributes = set.mode.is_some()
            || set.uid.is_some()
            || set.gid.is_some()
            || set.atime.is_some()
            || set.mtime.is_some();
        if changes_attributes && !self.changes_nothing(&inode, &set) {
            self.change_meta(&inode, |meta| {
                let now = Timestamp::now();
                let time = |set: SetTime| match set {
                    SetTime::Now => now,
                    SetTime::At(time) => time,
                };
                let attributes = &mut meta.attributes;
                if let Some(mode) = set.mode {
                    attributes.perm = u16::try_from(mode & 0o7777).unwrap_or_default();
                }
                attributes.uid = set.uid.unwrap_or(attributes.uid);
                attributes.gid = set.gid.unwrap_or(attributes.gid);
                attributes.atime = set.atime.map_or(attributes.atime, time);
                attributes.mtime = set.mtime.map_or(attributes.mtime, time);
                attributes.ctime = now;
                Ok(())
            })
            .await?;
        }
        Ok((inode.attr(), self.config.ttl))
    }

    /// Changes attributes. While the file has uncommitted content they go with it; else they are
    /// in the bucket when this returns.
    pub(super) async fn change_meta(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        change: impl FnOnce(&mut crate::volume::ObjectMeta) -> Result<()> + Send,
    ) -> Result<()> {
        let (_held, _operation) = self.hold_operation(inode).await;
        // A change is made to the newest attributes, not to those of a second ago.
        if !inode.is_uncommitted() && !self.is_trusted(inode) {
            self.ask_held(inode).await?;
        }
        let (before, meta, defer, changes) = {
            let mut state = inode.state();
            let before = state.meta.clone();
            let mut meta = before.clone();
            change(&mut meta)?;
            state.meta = meta.clone();
            state.meta_changes += 1;
            state.meta_set_here = true;
            let defer = state.place == Place::Unlinked
                || (inode.kind == FileKind::File && (state.meta_dirty || state.content.is_dirty()));
            if defer && state.place != Place::Unlinked {
                state.meta_dirty = true;
            }
            (before, meta, defer, state.meta_changes)
        };
        if defer {
            self.note_meta(inode, changes - 1);
            return Ok(());
        }
        let stored = match self.table.path(inode) {
            Some(path) => self.store_meta(inode, &path, &meta).await,
            None => Ok(()),
        };
        let mut state = inode.state();
        if state.meta_changes == changes {
            state.meta_set_here = false;
            if stored.is_err() {
                state.meta = before;
            }
        }
        drop(state);
        if stored.is_err() {
            self.distrust(inode);
        }
        stored
    }

    /// Puts attributes into the bucket. The caller holds the path and the inode's operation.
    pub(super) async fn store_meta(
        &self,
        inode: &Inode,
        path: &VolumePath,
        meta: &crate::volume::ObjectMeta,
    ) -> Result<()> {
        if inode.kind == FileKind::Directory {
            if inode.state().implicit {
                self.volume.check_marker(path, None).await?;
            }
            self.volume.put_marker(path, meta, &Condition::None).await?;
            let mut state = inode.state();
            state.implicit = false;
            state.changed = Some(Instant::now());
        } else {
            let content = inode.content();
            let snapshot = content.snapshot();
            let version = snapshot
                .version
                .ok_or_else(|| FsError::posix(libc::ESTALE))?;
            let id = meta.commit.unwrap_or_else(CommitId::random);
            let mut meta = meta.clone();
            meta.commit = Some(id);
            let done = self
                .volume
                .set_attributes(path, &version, snapshot.size, &meta)
                .await
                .inspect_err(|error| {
                    if error.kind().leaves_open() {
                        content.update(|snapshot| snapshot.copy_in_doubt = Some(id));
                    }
                })?;
            content.delete_is_over();
            content.update(|snapshot| {
                snapshot.copy_in_doubt = None;
                snapshot.version = Some(done.version.clone());
                snapshot.commit = Some(done.commit);
            });
            if let Some(dirty) = content.dirty()
                && let Some(base) = dirty.base()
            {
                dirty.set_base(Base {
                    version: done.version,
                    ..base
                });
            }
            inode.state().changed = Some(Instant::now());
        }
        self.stats.changed(path);
        Ok(())
    }

    /// What was found at a file's name may be this mount's own copy with other attributes, whose
    /// answer was lost: the bytes are those that are open here, under another version.
    pub(super) fn follow_own_copy(&self, inode: &Inode, path: &VolumePath, found: &Stat) {
        let content = inode.content();
        let snapshot = content.snapshot();
        let Some(version) = &found.version else {
            return;
        };
        let may_be_it = content.is_copy_in_doubt(found.commit.as_deref())
            && snapshot.elsewhere.is_none()
            && snapshot.size == found.size
            // Else it may be a write in doubt as well, which its commit recognises.
            && !inode.is_uncommitted()
            && !content.is_stale();
        if may_be_it && self.volume.may_be_ours(path, found).unwrap_or(false) {
            self.move_content(inode, ObjectRef::Path(path.clone()), version.clone());
            content.update(|snapshot| {
                snapshot.commit.clone_from(&found.commit);
                snapshot.copy_in_doubt = None;
            });
        }
    }

    /// Asks the bucket about an inode unless it was asked a moment ago or this mount knows
    /// better.
    pub(super) async fn recheck(&self, inode: &Arc<Inode>) -> Result<()> {
        if inode.is_uncommitted() || self.is_fresh(inode) {
            return Ok(());
        }
        self.ask(inode).await
    }

    /// Asks the bucket about an inode.
    pub(super) async fn ask(&self, inode: &Arc<Inode>) -> Result<()> {
        loop {
            let held = self.hold_inode(inode).await;
            let asked = Instant::now();
            let Some(path) = self.table.path(inode) else {
                return Ok(());
            };
            // A rename of the file after this is a change since it was asked.
            if !held.is_at(&path) {
                continue;
            }
            let stat = self.stat_inode(inode, &path).await?;
            // This mount itself may have moved it, or taken it away, and be about to note that.
            if stat.is_none() && inode.content().flux.settled().await {
                continue;
            }
            return self.told(inode, &path, stat, asked);
        }
    }

    /// The same for a caller who holds its path and its operation.
    async fn ask_held(&self, inode: &Arc<Inode>) -> Result<()> {
        let asked = Instant::now();
        match self.table.path(inode) {
            Some(path) => {
                let stat = self.stat_inode(inode, &path).await?;
                self.told(inode, &path, stat, asked)
            }
            None => Ok(()),
        }
    }

    async fn stat_inode(&self, inode: &Inode, path: &VolumePath) -> Result<Option<Stat>> {
        Ok(match inode.kind {
            FileKind::Directory => match self.stat_marked(inode, path).await {
                Some(stat) => Some(stat),
                None => self.volume.stat_directory(path).await?,
            },
            _ => self.volume.stat_file(path).await?,
        })
    }

    /// Takes over what the bucket said of an inode.
    fn told(
        &self,
        inode: &Arc<Inode>,
        path: &VolumePath,
        stat: Option<Stat>,
        asked: Instant,
    ) -> Result<()> {
        if stat.is_none() {
            let nothing = Told {
                asked,
                object: None,
            };
            inode.state().note_told(nothing);
        }
        if let Some(stat) = &stat {
            self.follow_own_copy(inode, path, stat);
        }
        match stat {
            Some(stat)
                if stat.meta.attributes.kind == inode.kind && !self.is_anothers(inode, &stat) =>
            {
                inode.refresh(stat, asked);
                Ok(())
            }
            None if inode.ino == ROOT => {
                inode.state().checked = Some(asked);
                Ok(())
            }
            _ if inode.is_uncommitted()
                || Self::changed_since(inode, asked)
                || self.holds_uncommitted(inode) =>
            {
                Ok(())
            }
            _ => {
                self.lose(inode);
                Err(FsError::posix(libc::ESTALE))
            }
        }
    }

    /// A bucket has no end: the numbers are large and constant, so that tools which check for
    /// room before they write find it.
    pub fn statfs(&self) -> StatFs {
        const BLOCK_BYTES: u32 = 4096;
        const BLOCKS: u64 = (1 << 50) / BLOCK_BYTES as u64;
        StatFs {
            block_bytes: BLOCK_BYTES,
            blocks: BLOCKS,
            blocks_free: BLOCKS,
            files: 1 << 32,
            files_free: 1 << 32,
            name_bytes_max: u32::try_from(self.volume.name_bytes_max()).unwrap_or(255),
        }
    }
}
