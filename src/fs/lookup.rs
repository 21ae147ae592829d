//! lookup and forget: from names to inodes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::inode::{Inode, Place};
use super::types::{Entry, FileKind, Ino};
use super::{FileSystem, FsError, Result};
use crate::layout::path::{NameError, PlainName, VolumePath};
use crate::volume::{Stat, VolumeError};

/// Longest listing of which names are known not to be there.
const LISTED_PAGES_MAX: u32 = 4;

impl FileSystem {
    /// Finds a name. Counts a kernel reference to the inode.
    pub async fn lookup(self: &Arc<Self>, parent: Ino, name: &OsStr) -> Result<Entry> {
        let name = PlainName::new(name)?;
        let _held = self.hold_name(parent, &name).await?;
        let path = self.child_path(parent, &name)?;
        if self.table.child(parent, &name).is_none()
            && self.stats.fresh(&path).is_none()
            && self.is_absent(&path, &name).await
        {
            return Err(FsError::posix(libc::ENOENT));
        }
        let inode = self.find(parent, &name).await?;
        self.entry(&inode)
    }

    /// The name is known not to be there; where names of its directory were missed before, after
    /// a listing of all of it. The caller holds the path.
    async fn is_absent(&self, path: &VolumePath, name: &PlainName) -> bool {
        let (absence, Some(directory)) = (&self.stats.absence, path.parent()) else {
            return false;
        };
        if absence.knows(&directory, name, Instant::now()) {
            return true;
        }
        let Some(watch) = absence.wants_listing(&directory, Instant::now()) else {
            return false;
        };
        let _alone = watch.lock().await;
        // Another lookup may have listed it meanwhile, or found that it cannot be.
        if absence.wants_listing(&directory, Instant::now()).is_some() {
            let asked = Instant::now();
            match self.names_in(&directory).await {
                Some((names, pages)) => absence.learn(&directory, &watch, asked, names, pages),
                None => absence.give_up(&directory, &watch, Instant::now()),
            }
        }
        absence.knows(&directory, name, Instant::now())
    }

    /// The names in a directory, and how many pages they took; `None` where those are many, or
    /// cannot be had: a look at a single name says why.
    async fn names_in(&self, directory: &VolumePath) -> Option<(HashSet<PlainName>, u32)> {
        let (mut names, mut next) = (HashSet::new(), None);
        for page in 1..=LISTED_PAGES_MAX {
            let listed = self.volume.list(directory, next).await.ok()?;
            for (key, reason) in listed.hidden {
                self.notices.note_hidden(&key, reason.to_string());
            }
            names.extend(listed.entries.into_iter().map(|entry| entry.name));
            next = listed.next;
            if next.is_none() {
                return Some((names, page));
            }
        }
        None
    }

    /// Gives back `count` kernel references.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.table.forget(ino, count);
    }

    /// The inode of a name, asking the bucket unless this mount knows better. The caller holds
    /// the path.
    pub(super) async fn find(&self, parent: Ino, name: &PlainName) -> Result<Arc<Inode>> {
        let path = self.child_path(parent, name)?;
        let known = self.table.child(parent, name);
        if let Some(inode) = &known
            && (inode.is_uncommitted() || self.is_fresh(inode))
        {
            return Ok(Arc::clone(inode));
        }
        let (stat, asked) = if let Some((stat, asked)) = self.stats.fresh(&path) {
            (Some(stat), asked)
        } else {
            let asked = Instant::now();
            let marked = match &known {
                Some(inode) => self.stat_marked(inode, &path).await,
                None => None,
            };
            match marked {
                Some(stat) => (Some(stat), asked),
                None => match self.stat(&path).await {
                    Ok(stat) => (stat, asked),
                    Err(error) => {
                        return self.find_closed(&path, parent, name, &error, asked).await;
                    }
                },
            }
        };
        if let Some(stat) = stat {
            self.note_hidden(&path, &stat);
            self.stats.note(path.clone(), stat.clone(), asked);
            Ok(self.adopt(&path, parent, name, stat, asked))
        } else {
            if let Some(inode) = known {
                if inode.content().flux.settled().await {
                    // This mount itself moved it, or took it away: the next look tells.
                    return Box::pin(self.find(parent, name)).await;
                }
                if inode.is_uncommitted()
                    || Self::changed_since(&inode, asked)
                    || self.holds_uncommitted(&inode)
                {
                    return Ok(inode);
                }
                self.lose(&inode);
            }
            self.stats.absence.missed(&path, asked, Instant::now());
            self.stats.note_absent(path, asked);
            Err(FsError::posix(libc::ENOENT))
        }
    }

    /// What is known to have been a directory with a marker, if it is that still: it is looked at
    /// again every second while paths lead through it.
    pub(super) async fn stat_marked(&self, inode: &Inode, path: &VolumePath) -> Option<Stat> {
        let marked = inode.kind == FileKind::Directory
            && inode.why_closed().is_none()
            && !inode.state().implicit
            && !path.is_root();
        if !marked {
            return None;
        }
        // Whatever is wrong is told by the whole look that follows.
        let stat = self.volume.stat_marked_directory(path).await.ok()??;
        (stat.meta.attributes.kind == FileKind::Directory).then_some(stat)
    }

    /// Nothing is at a name, here or in the bucket, where the bucket was asked just now. For files
    /// whose upload fails if that is not so.
    pub(super) fn is_free(&self, path: &VolumePath, parent: Ino, name: &PlainName) -> bool {
        if self.table.child(parent, name).is_some() {
            return false;
        }
        self.stats.was_absent_just_now(path) || self.is_listed_as_absent(path, name)
    }

    /// The listing that answers lookups says so. In write-back the journal promises what is
    /// created, and its upload keeps both where somebody else was first after all.
    fn is_listed_as_absent(&self, path: &VolumePath, name: &PlainName) -> bool {
        let knows = |directory: VolumePath| {
            let absence = &self.stats.absence;
            absence.knows(&directory, name, Instant::now())
        };
        self.write_back.is_some()
            && self.stats.fresh(path).is_none()
            && path.parent().is_some_and(knows)
    }

    /// What is at a path of unknown type.
    async fn stat(&self, path: &VolumePath) -> std::result::Result<Option<Stat>, VolumeError> {
        if self.stats.is_listed_object(path)
            && let Some(stat) = self.volume.stat_file(path).await?
        {
            return Ok(Some(stat));
        }
        self.volume.stat(path).await
    }

    /// The inode of a name that the bucket has just described.
    pub(super) fn adopt(
        &self,
        path: &VolumePath,
        parent: Ino,
        name: &PlainName,
        stat: Stat,
        asked: Instant,
    ) -> Arc<Inode> {
        if let Some(inode) = self.table.child(parent, name) {
            self.follow_own_copy(&inode, path, &stat);
            let keeps = (inode.kind == stat.meta.attributes.kind
                && !self.is_anothers(&inode, &stat))
                || inode.is_uncommitted()
                || self.holds_uncommitted(&inode);
            if keeps {
                inode.refresh(stat, asked);
                return inode;
            }
            self.lose(&inode);
        }
        self.table.insert(path, parent, name, |ino, place| {
            Inode::from_stat(ino, place, stat, asked)
        })
    }

    /// The answer to a lookup, with its reference counted.
    pub(super) fn entry(&self, inode: &Arc<Inode>) -> Result<Entry> {
        let counted = self.table.acquire(inode.ino);
        if !counted.is_some_and(|counted| Arc::ptr_eq(&counted, inode)) {
            // It was dropped, or replaced, between being found and being counted.
            return Err(FsError::posix(libc::ESTALE));
        }
        Ok(Entry {
            attr: inode.attr(),
            generation: 0,
            entry_ttl: self.ttl_of(inode),
            attr_ttl: self.ttl_of(inode),
        })
    }

    /// The path of a name in a directory that is still there.
    pub(super) fn child_path(&self, parent: Ino, name: &PlainName) -> Result<VolumePath> {
        if name.as_str().len() > self.volume.name_bytes_max() {
            return Err(NameError::TooLong.into());
        }
        let parent = self.inode(parent)?;
        if parent.kind != FileKind::Directory {
            return Err(FsError::posix(libc::ENOTDIR));
        }
        let path = self
            .table
            .path(&parent)
            .ok_or_else(|| FsError::posix(libc::ENOENT))?;
        let path = path.join(name);
        if self.volume.is_reserved(&path) {
            return Err(FsError::posix(libc::ENOENT));
        }
        Ok(path)
    }

    /// Somebody else deleted what was at a name, or put something of another type there. Who has
    /// it open may not write to it any more: it would go nowhere.
    pub(super) fn lose(&self, inode: &Inode) {
        inode.content().mark_stale();
        self.table.unlink(inode);
        self.table.drop_unused(inode.ino);
    }

    /// A directory below which something is not in the bucket yet, or is just being renamed, is
    /// there as long as that.
    pub(super) fn holds_uncommitted(&self, inode: &Inode) -> bool {
        if inode.kind != FileKind::Directory {
            return false;
        }
        let Some(directory) = self.table.path(inode) else {
            return false;
        };
        if self.tree.has_taken_below(&directory) {
            return true;
        }
        let has_children = inode.children.load(Ordering::Acquire) > 0;
        has_children
            && self.table.all().iter().any(|inode| {
                inode.is_uncommitted()
                    && self
                        .table
                        .path(inode)
                        .is_some_and(|path| path.starts_with(&directory))
            })
    }

    /// The attributes were read within the time to live.
    pub(super) fn is_fresh(&self, inode: &Inode) -> bool {
        let state = inode.state();
        state.place == Place::Unlinked
            || state
                .checked
                .is_some_and(|checked| checked.elapsed() < self.config.ttl)
    }

    pub(super) fn changed_since(inode: &Inode, asked: Instant) -> bool {
        inode
            .state()
            .changed
            .is_some_and(|changed| changed >= asked)
    }

    /// One handle more on an inode.
    pub(super) fn pin(&self, inode: &Inode) {
        inode.opens.fetch_add(1, Ordering::AcqRel);
    }
}
