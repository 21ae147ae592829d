//! Names that are not there, known without asking for each.
//!
//! Unpacking an archive looks every name up before it is made, and each such look is a HEAD and a
//! listing. So the whole listing of a directory is kept for the mount's time to live, counted
//! from when it was asked for: of a directory that this mount made, which is empty, and of one in
//! which it makes names and misses them again and again, which is then listed once for all. Who
//! only looks is answered by the bucket: a name that another machine has made a moment ago, and
//! perhaps has told of, is there at once.
//!
//! Invariants:
//! 1. *Only absence is answered.* A name of the listing may have gone meanwhile or changed; it is
//!    looked at as ever.
//! 2. *A name that this mount changed, or showed to a program, is not answered.* Both are noted
//!    from before a listing is asked for until it is dropped, so whatever the listing says of
//!    them does not count. What is noted for one listing is not there for another: [`Watch`]
//!    tells them apart.
//! 3. *What others make is seen after the time to live.* This is for lookups alone: what changes
//!    a name asks the bucket.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::layout::path::{PlainName, VolumePath};

/// Directories of which something is known.
const DIRECTORIES: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Names of all listings and of all changes together.
const NAMES_MAX: usize = 100_000;
/// Misses that a page of a listing is worth.
const MISSES_PER_PAGE: u32 = 2;
/// Misses that follow each other more slowly, or own changes, are not worth a listing: times to
/// live.
const LULL: u32 = 5;
/// How long a directory that is too long to be listed, or was refused, is not tried again.
const GIVEN_UP_FOR: Duration = Duration::from_mins(1);

/// See the module's text.
#[derive(Debug)]
pub(super) struct Absence {
    ttl: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    directories: LruCache<VolumePath, Directory>,
    /// Paths with nothing at or below them, and when that was asked.
    nothing_at: LruCache<VolumePath, Instant>,
    /// In all directories.
    names: usize,
}

/// One directory, from the first miss in it until it is dropped: its changes are noted for as
/// long. Held while the directory is listed, one at a time.
pub(super) type Watch = Arc<tokio::sync::Mutex<()>>;

/// A directory that is being made.
#[derive(Debug)]
pub(super) struct Making {
    watch: Watch,
    /// When nothing was at its name.
    asked: Instant,
}

#[derive(Debug, Default)]
struct Directory {
    watch: Watch,
    listing: Option<Listing>,
    /// Names that this mount changed, or showed, and when.
    changed: HashMap<PlainName, Instant>,
    misses: u32,
    last_miss: Option<Instant>,
    /// This mount made or changed a name in it.
    last_change: Option<Instant>,
    /// Pages of the last listing.
    pages: u32,
    given_up: Option<Instant>,
}

#[derive(Debug)]
struct Listing {
    asked: Instant,
    names: HashSet<PlainName>,
}

impl Absence {
    pub fn new(ttl: Duration) -> Self {
        let inner = Inner {
            directories: LruCache::new(DIRECTORIES),
            nothing_at: LruCache::new(DIRECTORIES),
            names: 0,
        };
        Self {
            ttl,
            inner: Mutex::new(inner),
        }
    }

    /// The name is known not to be in the directory.
    pub fn knows(&self, directory: &VolumePath, name: &PlainName, now: Instant) -> bool {
        let mut inner = self.lock();
        let Some(known) = inner.directories.get_mut(directory) else {
            return false;
        };
        let fresh = known
            .listing
            .as_ref()
            .filter(|listing| self.is_fresh(listing.asked, now));
        let Some(listing) = fresh else {
            return false;
        };
        if listing.names.contains(name) || known.changed.contains_key(name) {
            return false;
        }
        let asked = listing.asked;
        known.missed(now);
        inner.nothing_at.put(directory.join(name), asked);
        true
    }

    /// The directory is worth a listing: whoever has the watch's lock may ask for it.
    pub fn wants_listing(&self, directory: &VolumePath, now: Instant) -> Option<Watch> {
        let mut inner = self.lock();
        let known = inner.directories.get_mut(directory)?;
        let listed = |listing: &Listing| self.is_fresh(listing.asked, now);
        let of_late = |at: Option<Instant>| {
            at.is_some_and(|at| now.saturating_duration_since(at) < self.ttl * LULL)
        };
        let lively = of_late(known.last_miss) && of_late(known.last_change);
        let given_up = known
            .given_up
            .is_some_and(|since| now.saturating_duration_since(since) < GIVEN_UP_FOR);
        let worth = known.misses >= MISSES_PER_PAGE * known.pages.max(1);
        let wanted = lively && worth && !given_up && !known.listing.as_ref().is_some_and(listed);
        wanted.then(|| Arc::clone(&known.watch))
    }

    /// A listing of the whole directory, in so many pages.
    pub fn learn(
        &self,
        directory: &VolumePath,
        watch: &Watch,
        asked: Instant,
        names: HashSet<PlainName>,
        pages: u32,
    ) {
        let mut inner = self.lock();
        let Some(known) = inner.watched(directory, watch) else {
            return;
        };
        let before = known.names();
        known.changed.retain(|_, changed| *changed >= asked);
        known.listing = Some(Listing { asked, names });
        (known.pages, known.misses) = (pages, 0);
        let after = known.names();
        inner.count(before, after);
    }

    /// The directory could not be listed, or not in a few pages.
    pub fn give_up(&self, directory: &VolumePath, watch: &Watch, now: Instant) {
        if let Some(known) = self.lock().watched(directory, watch) {
            known.given_up = Some(now);
        }
    }

    /// The bucket has nothing at the path, as it was asked at `asked`.
    pub fn missed(&self, path: &VolumePath, asked: Instant, now: Instant) {
        if self.ttl.is_zero() {
            return;
        }
        let Some(parent) = path.parent() else {
            return;
        };
        let mut inner = self.lock();
        inner.nothing_at.put(path.clone(), asked);
        inner.directory(parent).missed(now);
    }

    /// Before a directory is made where nothing was: its changes count from now on.
    pub fn making(&self, directory: &VolumePath) -> Option<Making> {
        let mut inner = self.lock();
        let asked = inner.nothing_at.pop(directory)?;
        inner.drop_directory(directory);
        let watch = Arc::clone(&inner.directory(directory.clone()).watch);
        Some(Making { watch, asked })
    }

    /// It was made: it is empty, as of when nothing was there.
    pub fn made(&self, directory: &VolumePath, making: &Making) {
        self.learn(directory, &making.watch, making.asked, HashSet::new(), 0);
    }

    /// This mount changed what is at the path.
    pub fn changed(&self, path: &VolumePath, now: Instant) {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return;
        };
        let Ok(name) = PlainName::new(name.as_ref()) else {
            return;
        };
        let mut inner = self.lock();
        inner.nothing_at.pop(path);
        let Some(known) = inner.directories.get_mut(&parent) else {
            return;
        };
        known.last_change = Some(now);
        if known.changed.insert(name, now).is_none() {
            inner.count(0, 1);
        }
    }

    /// A program is shown these names now: from then on it finds them.
    pub fn shown<'a>(
        &self,
        directory: &VolumePath,
        names: impl IntoIterator<Item = &'a PlainName>,
        now: Instant,
    ) {
        let mut inner = self.lock();
        let Some(known) = inner.directories.get_mut(directory) else {
            return;
        };
        let is_being_listed = known.watch.try_lock().is_err();
        if known.listing.is_none() && !is_being_listed {
            return;
        }
        let before = known.names();
        for name in names {
            let listing = known.listing.as_ref();
            if is_being_listed || !listing.is_some_and(|listing| listing.names.contains(name)) {
                known.changed.insert(name.clone(), now);
            }
        }
        let after = known.names();
        inner.count(before, after);
    }

    /// There is something at the path after all, or there may be.
    pub fn may_be_there(&self, path: &VolumePath) {
        self.lock().nothing_at.pop(path);
    }

    /// This mount changed what is at many paths.
    pub fn all_changed(&self) {
        let mut inner = self.lock();
        inner.directories.clear();
        inner.nothing_at.clear();
        inner.names = 0;
    }

    fn is_fresh(&self, asked: Instant, now: Instant) -> bool {
        now.saturating_duration_since(asked) < self.ttl
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn directory(&mut self, path: VolumePath) -> &mut Directory {
        if !self.directories.contains(&path) && self.directories.len() == DIRECTORIES.get() {
            self.drop_oldest();
        }
        self.directories.get_or_insert_mut(path, Directory::default)
    }

    /// The directory, if it was not dropped since the watch began.
    fn watched(&mut self, path: &VolumePath, watch: &Watch) -> Option<&mut Directory> {
        let known = self.directories.get_mut(path)?;
        Arc::ptr_eq(&known.watch, watch).then_some(known)
    }

    fn drop_directory(&mut self, path: &VolumePath) {
        if let Some(dropped) = self.directories.pop(path) {
            self.names -= dropped.names();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, dropped)) = self.directories.pop_lru() {
            self.names -= dropped.names();
        }
    }

    /// A directory has other names than before.
    fn count(&mut self, before: usize, after: usize) {
        self.names = self.names - before + after;
        while self.names > NAMES_MAX {
            self.drop_oldest();
        }
    }
}

impl Directory {
    fn missed(&mut self, now: Instant) {
        self.misses = self.misses.saturating_add(1);
        self.last_miss = Some(now);
    }

    fn names(&self) -> usize {
        let listed = self
            .listing
            .as_ref()
            .map_or(0, |listing| listing.names.len());
        listed + self.changed.len()
    }
}

#[cfg(test)]
mod tests;
