//! An inode and what its handles see.

mod content;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) use content::{Content, Snapshot};

use super::closed::WhyClosed;
use super::types::{Attr, FileKind, Ino, ROOT};
use super::virtual_xattr::Told;
use super::write_back::Journaled;
use crate::base::time::Timestamp;
use crate::layout::path::PlainName;
use crate::volume::{ObjectMeta, Stat, Version};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Inode {
    pub ino: Ino,
    pub kind: FileKind,
    /// References that the kernel holds.
    pub lookups: AtomicU64,
    /// Open handles.
    pub opens: AtomicU32,
    /// Names in the table that are in this directory.
    pub children: AtomicU32,
    /// One change of the object at a time: commit, attributes, rename, delete.
    pub operation: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub place: Place,
    pub meta: ObjectMeta,
    /// Counts changes of `meta`, so that a commit knows whether it carried the newest.
    pub meta_changes: u64,
    /// `meta` has changes that are to go to the bucket with the next commit.
    pub meta_dirty: bool,
    /// Mode, owner or xattrs were changed here since they were read.
    pub meta_set_here: bool,
    /// When the bucket was last asked; `None` when it must be asked again.
    pub checked: Option<Instant>,
    /// When this mount last changed the object: answers asked for earlier are worth nothing.
    pub changed: Option<Instant>,
    /// When this mount asked for the object to be made, if it did.
    pub made: Option<Instant>,
    /// A directory without a marker of its own.
    pub implicit: bool,
    /// Why the object could not be looked at, the last time that was tried.
    closed: Option<WhyClosed>,
    /// What the last HEAD told of the object at its name.
    pub told: Option<Told>,
    pub content: Arc<Content>,
    /// The content whose pages the kernel may have.
    pub kernel_content: Option<u64>,
    /// Its name is being deleted: an open waits for the outcome.
    pub going: bool,
    /// What the journal of closed files knows of it.
    pub journaled: Option<Journaled>,
    /// An upload of it may have been carried out although no answer came.
    pub in_doubt: bool,
    /// Directories: children that the bucket does not have yet.
    pub pending: std::collections::BTreeMap<PlainName, Ino>,
}

/// Where an inode is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    At {
        parent: Ino,
        name: PlainName,
    },
    /// It has no name any more.
    Unlinked,
}

impl Inode {
    pub fn root(stat: Stat) -> Self {
        Self::from_stat(ROOT, Place::Root, stat, Instant::now())
    }

    /// What the bucket said when it was asked at `asked`.
    pub fn from_stat(ino: Ino, place: Place, stat: Stat, asked: Instant) -> Self {
        let implicit = stat.version.is_none();
        let told = Told::of(&stat, asked);
        let content = Content::new(Snapshot::of(&stat));
        let inode = Self::build(ino, place, stat.meta, content);
        {
            let mut state = inode.state();
            state.implicit = implicit;
            state.checked = Some(asked);
            state.told = told;
        }
        inode
    }

    /// The name of an object that could not be looked at, as a listing shows it.
    pub fn closed(ino: Ino, place: Place, stat: Stat, why: WhyClosed) -> Self {
        let inode = Self::from_stat(ino, place, stat, Instant::now());
        {
            let mut state = inode.state();
            // A marker that is not there would be one that can be looked at.
            state.implicit = false;
            state.set_closed(why);
        }
        inode
    }

    /// What was known of an object cannot be looked at any more, and `listed` is there. False
    /// where that is another version.
    pub fn close(&self, listed: &Stat, why: &WhyClosed) -> bool {
        let mut state = self.state();
        let etag = |version: &Option<Version>| Some(version.as_ref()?.etag.clone());
        let same = if self.kind == FileKind::Directory {
            listed.meta.attributes.kind == FileKind::Directory
        } else {
            etag(&state.content.snapshot().version) == etag(&listed.version)
        };
        if same {
            state.set_closed(why.clone());
        }
        same
    }

    /// Why what is here is not to be taken for the object's attributes; `None` where this mount
    /// knows better than the bucket.
    pub fn why_closed(&self) -> Option<WhyClosed> {
        let state = self.state();
        if state.meta_dirty || state.content.is_dirty() {
            return None;
        }
        state.closed.clone()
    }

    /// A file that only this mount knows so far.
    pub fn pending(ino: Ino, place: Place, meta: ObjectMeta) -> Self {
        let content = Content::new(Snapshot::nothing());
        let inode = Self::build(ino, place, meta, content);
        inode.state().meta_dirty = true;
        inode
    }

    fn build(ino: Ino, place: Place, meta: ObjectMeta, content: Content) -> Self {
        Self {
            ino,
            kind: meta.attributes.kind,
            lookups: AtomicU64::new(0),
            opens: AtomicU32::new(0),
            children: AtomicU32::new(0),
            operation: tokio::sync::Mutex::new(()),
            state: Mutex::new(State {
                place,
                meta,
                meta_changes: 0,
                meta_dirty: false,
                meta_set_here: false,
                checked: None,
                changed: None,
                made: None,
                implicit: false,
                closed: None,
                told: None,
                content: Arc::new(content),
                kernel_content: None,
                going: false,
                journaled: None,
                in_doubt: false,
                pending: std::collections::BTreeMap::new(),
            }),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn content(&self) -> Arc<Content> {
        Arc::clone(&self.state().content)
    }

    /// There is something here that the bucket does not have.
    pub fn is_uncommitted(&self) -> bool {
        let state = self.state();
        state.place != Place::Unlinked
            && self.kind == FileKind::File
            && (state.meta_dirty || state.content.is_dirty())
    }

    pub fn attr(&self) -> Attr {
        let closed = self.why_closed();
        let state = self.state();
        let attributes = &state.meta.attributes;
        let nlink = match (&state.place, self.kind) {
            (Place::Unlinked, _) => 0,
            (_, FileKind::Directory) => 2,
            _ => 1,
        };
        Attr {
            ino: self.ino,
            size: match self.kind {
                FileKind::Directory => 0,
                _ => state.content.size(),
            },
            kind: self.kind,
            perm: match closed {
                Some(_) if self.kind == FileKind::Directory => 0,
                Some(why) => why.perm(),
                None => attributes.perm,
            },
            nlink,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: attributes.rdev,
            atime: attributes.atime,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
        }
    }

    /// Takes over what the bucket said when it was asked at `asked`, unless this mount has
    /// something newer: a change of its own, or the answer to a later question.
    pub fn refresh(&self, stat: Stat, asked: Instant) {
        let mut state = self.state();
        if let Some(told) = Told::of(&stat, asked) {
            state.note_told(told);
        }
        let overtaken = state.changed.is_some_and(|changed| changed >= asked)
            || state.checked.is_some_and(|checked| checked > asked);
        if overtaken {
            return;
        }
        state.checked = Some(asked);
        state.closed = None;
        if state.meta_dirty
            || state.content.is_dirty()
            || state.place == Place::Unlinked
            || stat.meta.attributes.kind != self.kind
        {
            return;
        }
        state.implicit = stat.version.is_none();
        if self.kind == FileKind::Directory {
            // Times of a directory move with its entries, which no marker records.
            let (mtime, ctime) = (state.meta.attributes.mtime, state.meta.attributes.ctime);
            state.meta = stat.meta;
            let attributes = &mut state.meta.attributes;
            attributes.mtime = attributes.mtime.max(mtime);
            attributes.ctime = attributes.ctime.max(ctime);
            return;
        }
        if state.content.is_version_of(&stat) {
            state.content.note_commit(stat.commit.clone());
        } else {
            // Who has it open for writing is told so, and not left writing into nothing.
            state.content.mark_stale();
            state.content = Arc::new(Content::new(Snapshot::of(&stat)));
        }
        state.meta = stat.meta;
        state.meta_set_here = false;
    }

    /// A name was made or removed in this directory.
    pub fn touch_directory(&self) {
        let now = Timestamp::now();
        let mut state = self.state();
        state.meta.attributes.mtime = now;
        state.meta.attributes.ctime = now;
    }
}

impl State {
    /// Nothing is remembered: whoever asks for the attributes asks the bucket again.
    fn set_closed(&mut self, why: WhyClosed) {
        self.closed = Some(why);
        self.checked = None;
        self.told = None;
    }

    /// Answers may come in another order than they were asked for.
    pub fn note_told(&mut self, told: Told) {
        if self
            .told
            .as_ref()
            .is_none_or(|known| known.asked <= told.asked)
        {
            self.told = Some(told);
        }
    }
}
