//! opendir, readdir and readdirplus: a listing page by page, with true types.

mod look;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::closed::WhyClosed;
use super::inode::{Inode, Place};
use super::types::{DirItem, FileKind, HandleId, Ino};
use super::write_back::Depth;
use super::{FileSystem, FsError, Result};
use crate::layout::path::{PlainName, VolumePath};
use crate::store::{ListToken, ListedObject};
use crate::volume::{ListedKind, Stat};

/// Entries whose attributes are fetched together for readdirplus: more than one reply holds, so
/// that the next ones find them in memory.
const LOOK_AHEAD: usize = 256;

/// An open directory.
#[derive(Debug)]
pub(super) struct DirHandle {
    inode: Arc<Inode>,
    listing: tokio::sync::Mutex<Listing>,
}

/// What has been listed so far. Entries keep their places, so that an offset means the same
/// entry until the directory is rewound.
#[derive(Debug, Default)]
struct Listing {
    entries: Vec<Listed>,
    names: HashSet<PlainName>,
    next: Next,
}

#[derive(Debug, Default)]
enum Next {
    #[default]
    First,
    Page(ListToken),
    End,
}

#[derive(Clone, Debug)]
struct Listed {
    name: PlainName,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Known(FileKind),
    /// A small object: a file, or a symlink, or what else its metadata says. With the time at
    /// which the listing was asked for.
    Small(ListedObject, Instant),
    Large(ListedObject, Instant),
}

/// What an entry turned out to be.
#[derive(Debug)]
enum Looked {
    /// This mount has it, newer than any answer or just as new.
    Inode(Arc<Inode>),
    /// What the bucket said, when it was asked.
    Stat(Box<Stat>, Instant),
    /// The bucket does not let it be looked at, for lack of its key or of the right to: it is
    /// there, and this is all that the listing, asked for at that time, tells; and why.
    Closed(Box<Stat>, Instant, WhyClosed),
}

impl Looked {
    fn kind(&self) -> FileKind {
        match self {
            Self::Inode(inode) => inode.kind,
            Self::Stat(stat, _) | Self::Closed(stat, ..) => stat.meta.attributes.kind,
        }
    }
}

impl FileSystem {
    #[expect(clippy::unused_async, reason = "like every operation of the kernel's")]
    pub async fn opendir(self: &Arc<Self>, ino: Ino) -> Result<HandleId> {
        let inode = self.inode(ino)?;
        if inode.kind != FileKind::Directory {
            return Err(FsError::posix(libc::ENOTDIR));
        }
        self.pin(&inode);
        let id = self.next_handle();
        let listing = tokio::sync::Mutex::default();
        self.dirs.insert(id, Arc::new(DirHandle { inode, listing }));
        Ok(id)
    }

    pub fn releasedir(&self, handle: HandleId) {
        if let Some((_, dir)) = self.dirs.remove(&handle) {
            dir.inode.opens.fetch_sub(1, Ordering::AcqRel);
            self.table.drop_unused(dir.inode.ino);
        }
    }

    /// Returns when the bucket has what was closed in the directory, for the root of everything
    /// below. Open files are put there by their own fsync or close, and names are there already.
    pub async fn fsyncdir(self: &Arc<Self>, handle: HandleId) -> Result<()> {
        let dir = self.dirs.get(&handle).map(|dir| Arc::clone(&dir));
        let dir = dir.ok_or_else(|| FsError::posix(libc::EBADF))?;
        match self.table.path(&dir.inode) {
            Some(root) if root.is_root() => self.commit_below(&root, Depth::All).await,
            Some(path) => self.commit_below(&path, Depth::Children).await,
            None => Ok(()),
        }
    }

    /// Up to `max_items` entries from `offset` on. With `plus` each carries its attributes and a
    /// kernel reference.
    pub async fn readdir(
        self: &Arc<Self>,
        handle: HandleId,
        offset: u64,
        plus: bool,
        max_items: usize,
    ) -> Result<Vec<DirItem>> {
        let dir = self.dirs.get(&handle).map(|dir| Arc::clone(&dir));
        let dir = dir.ok_or_else(|| FsError::posix(libc::EBADF))?;
        let _held = self.hold_names(&dir.inode).await;
        let Some(path) = self.table.path(&dir.inode) else {
            // It was removed while it was open: there is nothing in it.
            return Ok(Vec::new());
        };
        let mut listing = dir.listing.lock().await;
        if offset == 0 {
            *listing = Listing::default();
        }
        let mut items = self.dots(&dir.inode, offset);
        let mut from = usize::try_from(offset.saturating_sub(2)).unwrap_or(usize::MAX);
        // An answer without names means the end: what has gone since it was listed is no end.
        loop {
            let wanted = max_items.saturating_sub(items.len()).max(1);
            let mut more = true;
            while more && listing.entries.len() < from.saturating_add(wanted) {
                more = self.list_more(&dir.inode, &path, &mut listing).await?;
            }
            let end = listing.entries.len().min(from.saturating_add(wanted));
            from = from.min(end);
            self.add_items(&dir.inode, &path, &mut listing, from..end, plus, &mut items)
                .await?;
            if !items.is_empty() || end == listing.entries.len() && !more {
                return Ok(items);
            }
            from = end;
        }
    }

    /// Adds the entries of a range that are there still.
    async fn add_items(
        &self,
        dir: &Arc<Inode>,
        path: &VolumePath,
        listing: &mut Listing,
        range: Range<usize>,
        plus: bool,
        items: &mut Vec<DirItem>,
    ) -> Result<()> {
        let ahead = listing
            .entries
            .len()
            .min(range.start + range.len().max(LOOK_AHEAD));
        let until = if plus { ahead } else { range.end };
        let entries = &mut listing.entries[range.start..until];
        let mut looked = self.look_at(dir, path, entries, plus).await?;
        for index in range.clone() {
            let listed = &listing.entries[index];
            let next_offset = index as u64 + 3;
            let was_looked_at = looked.remove(&(index - range.start));
            let there = was_looked_at.is_some();
            let item = self.item(dir, path, listed, was_looked_at, next_offset, plus);
            match item {
                Some(item) => items.push(item),
                None if plus && there => {
                    // The kernel forgot it between being found and being counted.
                    let Ok(inode) = self.find(dir.ino, &listed.name).await else {
                        continue;
                    };
                    let Ok(entry) = self.entry(&inode) else {
                        continue;
                    };
                    items.push(DirItem {
                        ino: inode.ino,
                        next_offset,
                        kind: inode.kind,
                        name: listed.name.as_os_str().to_owned(),
                        entry: Some(entry),
                    });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// `.` and `..`, which have the first two offsets.
    fn dots(&self, inode: &Inode, offset: u64) -> Vec<DirItem> {
        let parent = match &inode.state().place {
            Place::At { parent, .. } => *parent,
            Place::Root | Place::Unlinked => inode.ino,
        };
        let dot = |name: &str, ino, next_offset| DirItem {
            ino,
            next_offset,
            kind: FileKind::Directory,
            name: OsString::from(name),
            entry: None,
        };
        match offset {
            0 => vec![dot(".", inode.ino, 1), dot("..", parent, 2)],
            1 => vec![dot("..", parent, 2)],
            _ => Vec::new(),
        }
    }

    /// Adds the next page to a listing; false at the end.
    async fn list_more(
        &self,
        inode: &Inode,
        path: &VolumePath,
        listing: &mut Listing,
    ) -> Result<bool> {
        let token = match std::mem::take(&mut listing.next) {
            Next::First => {
                // What the bucket does not have yet comes first.
                let pending: BTreeMap<_, _> = inode.state().pending.clone();
                for (name, ino) in pending {
                    if self.table.inode(ino).is_some() && listing.names.insert(name.clone()) {
                        let kind = Kind::Known(FileKind::File);
                        listing.entries.push(Listed { name, kind });
                    }
                }
                None
            }
            Next::Page(token) => Some(token),
            Next::End => {
                listing.next = Next::End;
                return Ok(false);
            }
        };
        let asked = Instant::now();
        let page = self.volume.list(path, token).await?;
        listing.next = page.next.map_or(Next::End, Next::Page);
        for (key, reason) in page.hidden {
            self.notices.note_hidden(&key, reason.to_string());
        }
        let names = page.entries.iter().map(|entry| &entry.name);
        self.stats.absence.shown(path, names, Instant::now());
        // Where a name is both, the directory is what a lookup finds.
        let directories: HashSet<PlainName> = page
            .entries
            .iter()
            .filter(|entry| matches!(entry.kind, ListedKind::Directory))
            .map(|entry| entry.name.clone())
            .collect();
        for entry in page.entries {
            if self.volume.is_sealed() {
                let is_object = matches!(entry.kind, ListedKind::Object(_))
                    && !directories.contains(&entry.name);
                self.stats.listed(path.join(&entry.name), is_object);
            }
            let kind = match entry.kind {
                ListedKind::Directory => Kind::Known(FileKind::Directory),
                ListedKind::Object(_) if directories.contains(&entry.name) => continue,
                ListedKind::Object(object)
                    if object.size > self.volume.bytes_of_other_types_max() =>
                {
                    Kind::Large(object, asked)
                }
                ListedKind::Object(object) => Kind::Small(object, asked),
            };
            if listing.names.insert(entry.name.clone()) {
                listing.entries.push(Listed {
                    name: entry.name,
                    kind,
                });
            }
        }
        Ok(true)
    }

    /// One entry as the kernel gets it; `None` when it has gone since it was listed.
    fn item(
        &self,
        dir: &Inode,
        path: &VolumePath,
        listed: &Listed,
        looked: Option<Looked>,
        next_offset: u64,
        plus: bool,
    ) -> Option<DirItem> {
        let path = path.join(&listed.name);
        let name = listed.name.as_os_str().to_owned();
        if plus {
            let looked = looked?;
            let inode = match looked {
                Looked::Inode(inode) => inode,
                Looked::Stat(stat, asked) => self.adopt(&path, dir.ino, &listed.name, *stat, asked),
                Looked::Closed(stat, asked, why) => {
                    self.adopt_closed(&path, dir.ino, &listed.name, *stat, why, asked)
                }
            };
            let entry = self.entry(&inode).ok()?;
            let (ino, kind) = (inode.ino, inode.kind);
            return Some(DirItem {
                ino,
                next_offset,
                kind,
                name,
                entry: Some(entry),
            });
        }
        let kind = match (self.table.child(dir.ino, &listed.name), &listed.kind) {
            (Some(inode), _) => inode.kind,
            (None, Kind::Known(kind)) => *kind,
            (None, Kind::Large(..)) => FileKind::File,
            (None, Kind::Small(..)) => return None,
        };
        let ino = self.table.number(dir.ino, &listed.name, &path);
        Some(DirItem {
            ino,
            next_offset,
            kind,
            name,
            entry: None,
        })
    }
}
