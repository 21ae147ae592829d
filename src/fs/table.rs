//! Which inodes there are, under which names, and who is changing a name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::inode::{Inode, Place};
use super::types::{Ino, ROOT};
use crate::layout::path::{PlainName, VolumePath};

/// Inodes by number and numbers by name.
#[derive(Debug)]
pub(super) struct InodeTable {
    inodes: DashMap<Ino, Arc<Inode>>,
    dentries: DashMap<(Ino, PlainName), Ino>,
}

impl InodeTable {
    pub fn new(root: Inode) -> Self {
        let table = Self {
            inodes: DashMap::new(),
            dentries: DashMap::new(),
        };
        table.inodes.insert(ROOT, Arc::new(root));
        table
    }

    pub fn inode(&self, ino: Ino) -> Option<Arc<Inode>> {
        self.inodes.get(&ino).map(|inode| Arc::clone(&inode))
    }

    /// The inode, with a reference for the kernel counted before anybody can drop it.
    pub fn acquire(&self, ino: Ino) -> Option<Arc<Inode>> {
        let inode = self.inodes.get(&ino)?;
        inode.lookups.fetch_add(1, Ordering::AcqRel);
        Some(Arc::clone(&inode))
    }

    pub fn child(&self, parent: Ino, name: &PlainName) -> Option<Arc<Inode>> {
        let ino = *self.dentries.get(&(parent, name.clone()))?;
        self.inode(ino)
    }

    /// Makes an inode for a name and puts it into both tables. Its number follows from its path,
    /// so that it is the same in every mount, unless an inode of an earlier life has it still.
    pub fn insert(
        &self,
        path: &VolumePath,
        parent: Ino,
        name: &PlainName,
        make: impl FnOnce(Ino, Place) -> Inode,
    ) -> Arc<Inode> {
        let place = Place::At {
            parent,
            name: name.clone(),
        };
        let mut ino = number_of(path);
        loop {
            match self.inodes.entry(ino) {
                MapEntry::Vacant(free) => {
                    let inode = Arc::new(make(ino, place));
                    free.insert(Arc::clone(&inode));
                    self.link(parent, name.clone(), ino);
                    return inode;
                }
                MapEntry::Occupied(_) => ino = ino.wrapping_add(1) & MASK | 2,
            }
        }
    }

    /// Gives an inode another name. It is never without one: who asks meanwhile for what is below
    /// it would be told that it was removed.
    pub fn rename(&self, inode: &Inode, parent: Ino, name: &PlainName) {
        let place = Place::At {
            parent,
            name: name.clone(),
        };
        let before = std::mem::replace(&mut inode.state().place, place);
        if let Place::At { parent, name } = before {
            self.drop_name(parent, name, inode.ino);
        }
        self.link(parent, name.clone(), inode.ino);
    }

    /// Takes an inode's name away.
    pub fn unlink(&self, inode: &Inode) {
        let place = std::mem::replace(&mut inode.state().place, Place::Unlinked);
        if let Place::At { parent, name } = place {
            self.drop_name(parent, name, inode.ino);
        }
    }

    fn link(&self, parent: Ino, name: PlainName, ino: Ino) {
        if self.dentries.insert((parent, name), ino).is_none()
            && let Some(parent) = self.inodes.get(&parent)
        {
            parent.children.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn drop_name(&self, parent: Ino, name: PlainName, ino: Ino) {
        let dropped = self
            .dentries
            .remove_if(&(parent, name), |_, named| *named == ino);
        if dropped.is_some()
            && let Some(parent) = self.inodes.get(&parent)
        {
            parent.children.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Gives back kernel references, and the inode when nothing needs it.
    pub fn forget(&self, ino: Ino, count: u64) {
        if let Some(inode) = self.inodes.get(&ino) {
            let fewer = |before: u64| Some(before.saturating_sub(count));
            let before = inode
                .lookups
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer);
            if before.is_ok_and(|before| before < count) {
                tracing::error!("the kernel gave back more references to inode {ino} than it had");
            }
        }
        self.drop_unused(ino);
    }

    /// Drops an inode that nothing needs, and then its directory if nothing needs that. A
    /// directory is needed for the paths of those below it.
    pub fn drop_unused(&self, ino: Ino) {
        let unused = |_: &Ino, inode: &Arc<Inode>| {
            ino != ROOT
                && inode.lookups.load(Ordering::Acquire) == 0
                && inode.opens.load(Ordering::Acquire) == 0
                && inode.children.load(Ordering::Acquire) == 0
                && !inode.is_uncommitted()
        };
        if let Some((_, inode)) = self.inodes.remove_if(&ino, unused) {
            let place = inode.state().place.clone();
            if let Place::At { parent, name } = place {
                self.drop_name(parent, name, ino);
                self.drop_unused(parent);
            }
        }
    }

    /// The path from the volume's root; `None` for what has no name any more.
    pub fn path(&self, inode: &Inode) -> Option<VolumePath> {
        let mut names = Vec::new();
        let mut place = inode.state().place.clone();
        loop {
            match place {
                Place::Root => break,
                Place::Unlinked => return None,
                Place::At { parent, name } => {
                    names.push(name);
                    place = self.inode(parent)?.state().place.clone();
                }
            }
        }
        Some(
            names
                .iter()
                .rev()
                .fold(VolumePath::root(), |path, name| path.join(name)),
        )
    }

    /// The number that a name has or would get.
    pub fn number(&self, parent: Ino, name: &PlainName, path: &VolumePath) -> Ino {
        self.dentries
            .get(&(parent, name.clone()))
            .map_or_else(|| number_of(path), |ino| *ino)
    }

    pub fn all(&self) -> Vec<Arc<Inode>> {
        self.inodes.iter().map(|inode| Arc::clone(&inode)).collect()
    }

    pub fn len(&self) -> usize {
        self.inodes.len()
    }
}

/// Inode numbers are below 2^63 and neither 0 nor the root's 1.
const MASK: Ino = (1 << 63) - 1;

fn number_of(path: &VolumePath) -> Ino {
    // SipHash with fixed keys: the number must not change from mount to mount.
    let mut hasher = DefaultHasher::new();
    path.as_str().hash(&mut hasher);
    hasher.finish() & MASK | 2
}

/// One change of a name at a time. Each name has a lock of its own, for as long as somebody wants
/// it: a directory rename keeps its two for as long as it takes.
#[derive(Debug, Default)]
pub(super) struct NameLocks {
    locks: DashMap<(Ino, PlainName), Arc<Mutex<()>>>,
}

/// The locks of one or two names.
#[derive(Debug)]
pub(super) struct NameGuard<'a> {
    _first: Locked<'a>,
    _second: Option<Locked<'a>>,
}

/// The lock of a name, or a place among those who wait for it.
#[derive(Debug)]
struct Locked<'a> {
    locks: &'a NameLocks,
    name: (Ino, PlainName),
    guard: Option<OwnedMutexGuard<()>>,
}

impl NameLocks {
    pub async fn lock(&self, parent: Ino, name: &PlainName) -> NameGuard<'_> {
        NameGuard {
            _first: self.lock_one((parent, name)).await,
            _second: None,
        }
    }

    /// Locks two names in an order that cannot deadlock.
    pub async fn lock_two(&self, one: (Ino, &PlainName), two: (Ino, &PlainName)) -> NameGuard<'_> {
        let first = self.lock_one(one.min(two)).await;
        let second = if one == two {
            None
        } else {
            Some(self.lock_one(one.max(two)).await)
        };
        NameGuard {
            _first: first,
            _second: second,
        }
    }

    async fn lock_one(&self, (parent, name): (Ino, &PlainName)) -> Locked<'_> {
        let mut locked = Locked {
            locks: self,
            name: (parent, name.clone()),
            guard: None,
        };
        let lock = Arc::clone(&self.locks.entry(locked.name.clone()).or_default());
        locked.guard = Some(lock.lock_owned().await);
        locked
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        let unused = |_: &_, lock: &Arc<_>| Arc::strong_count(lock) == 1;
        self.locks.locks.remove_if(&self.name, unused);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use futures_util::FutureExt;

    use super::super::types::FileKind;
    use super::*;
    use crate::layout::attributes::{Attributes, Xattrs};
    use crate::volume::ObjectMeta;

    fn name(text: &str) -> PlainName {
        PlainName::new(text.as_ref()).unwrap()
    }

    #[test]
    fn a_name_is_locked_once_and_the_others_are_free() {
        let (locks, a, b) = (NameLocks::default(), name("a"), name("b"));
        let first = locks.lock_two((1, &b), (1, &a)).now_or_never().unwrap();
        let mut waiting = Box::pin(locks.lock(1, &a));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(locks.lock_two((2, &a), (1, &b)).now_or_never().is_none());
        for other in 0..10_000 {
            let free = locks.lock(1, &name(&format!("f{other}"))).now_or_never();
            assert!(free.is_some());
        }
        drop(first);
        drop(waiting.now_or_never().expect("the lock is free"));
        let same = locks.lock_two((1, &a), (1, &a)).now_or_never();
        drop(same.expect("one name, one lock"));
        assert!(locks.locks.is_empty(), "{locks:?}");
    }

    fn inode(kind: FileKind, ino: Ino, place: Place) -> Inode {
        let now = crate::base::time::Timestamp::default();
        let meta = ObjectMeta::new(Attributes {
            kind,
            perm: 0o755,
            uid: 0,
            gid: 0,
            rdev: 0,
            atime: now,
            mtime: now,
            ctime: now,
            xattrs: Xattrs::new(),
        });
        Inode::pending(ino, place, meta)
    }

    /// Who holds no path is not told in the middle of a rename that a file has none.
    #[test]
    fn what_is_renamed_always_has_a_name() {
        let table = InodeTable::new(inode(FileKind::Directory, ROOT, Place::Root));
        let make = |path: &str, parent: Ino, kind| {
            let path: VolumePath = path.parse().unwrap();
            let name = name(path.name().unwrap());
            table.insert(&path, parent, &name, |ino, place| inode(kind, ino, place))
        };
        let directory = make("d", ROOT, FileKind::Directory);
        let file = make("d/f", directory.ino, FileKind::File);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..100_000 {
                    let to = if round % 2 == 0 { "e" } else { "d" };
                    table.rename(&directory, ROOT, &name(to));
                }
                ended.store(true, Ordering::Release);
            });
            while !ended.load(Ordering::Acquire) {
                let path = table.path(&file).expect("it has a name");
                assert!(["d/f", "e/f"].contains(&path.as_str()), "{path}");
            }
        });
        assert_eq!(table.path(&file).unwrap().as_str(), "d/f");
        let root = table.inode(ROOT).unwrap();
        assert_eq!(root.children.load(Ordering::Acquire), 1);
        assert_eq!(table.dentries.len(), 2);
    }
}
