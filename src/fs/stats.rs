//! Attributes that were read a moment ago, or that a listing shows to be unchanged.
//!
//! An entry answers a lookup for the mount's time to live. After that it is still worth having:
//! when a listing shows the same ETag, size and modification time, the object's metadata need
//! not be read again. A metadata copy may keep the ETag and times have whole seconds, so an
//! entry whose object was modified within two seconds of being read proves nothing later.
//!
//! In a client-side volume it is remembered for a while, too, which names a listing showed as
//! objects: whoever then looks them up need not ask whether they are directories.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::absence::Absence;
use super::open::JUST_NOW;
use crate::base::time::Timestamp;
use crate::layout::path::VolumePath;
use crate::store::ListedObject;
use crate::volume::Stat;

const ENTRIES: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// They are asked for again at once, or not at all.
const ABSENT: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// How long a name that was listed as an object is looked up as one first. What is wrong about it
/// is found out unless an object and a directory have the same name.
const LISTED_FOR: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct StatCache {
    ttl: Duration,
    /// What is not there.
    pub absence: Absence,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    known: LruCache<VolumePath, Known>,
    /// Names that were listed as objects, and when.
    listed: LruCache<VolumePath, Instant>,
    /// Names that were not there, and when that was asked for.
    absent: LruCache<VolumePath, Instant>,
    /// When a directory was last renamed: nothing that was asked for earlier is worth anything.
    all_changed: Option<Instant>,
}

#[derive(Debug)]
enum Known {
    There {
        stat: Box<Stat>,
        as_of: Instant,
        /// A later listing can vouch for it.
        settled: bool,
    },
    /// This mount changed it: answers that were asked for earlier are worth nothing.
    Changed(Instant),
}

impl StatCache {
    pub fn new(ttl: Duration) -> Self {
        let entries = Entries {
            known: LruCache::new(ENTRIES),
            listed: LruCache::new(ENTRIES),
            absent: LruCache::new(ABSENT),
            all_changed: None,
        };
        Self {
            ttl,
            absence: Absence::new(ttl),
            entries: Mutex::new(entries),
        }
    }

    /// What is known to be so within the time to live, and when it was asked for.
    pub fn fresh(&self, path: &VolumePath) -> Option<(Stat, Instant)> {
        match self.lock().known.get(path)? {
            Known::There { stat, as_of, .. } if as_of.elapsed() < self.ttl => {
                Some((Stat::clone(stat), *as_of))
            }
            Known::There { .. } | Known::Changed(_) => None,
        }
    }

    /// What is known of an object that a listing, asked for at `asked`, has just shown.
    pub fn vouched(
        &self,
        path: &VolumePath,
        listed: &ListedObject,
        asked: Instant,
    ) -> Option<Stat> {
        let mut entries = self.lock();
        let Known::There {
            stat,
            as_of,
            settled: true,
        } = entries.known.get_mut(path)?
        else {
            return None;
        };
        let same = stat.last_modified.secs() == listed.last_modified.secs()
            && stat
                .version
                .as_ref()
                .is_some_and(|version| version.etag == listed.etag);
        if !same {
            return None;
        }
        *as_of = asked.max(*as_of);
        Some(Stat::clone(stat))
    }

    /// A listing showed a name as an object, or as a directory.
    pub fn listed(&self, path: VolumePath, as_object: bool) {
        let mut entries = self.lock();
        if as_object {
            entries.listed.put(path, Instant::now());
        } else {
            entries.listed.pop(&path);
        }
    }

    /// The name was listed as an object not long ago.
    pub fn is_listed_object(&self, path: &VolumePath) -> bool {
        let entries = self.lock();
        let listed = entries.listed.peek(path);
        listed.is_some_and(|listed| listed.elapsed() < LISTED_FOR)
    }

    /// Nothing was at the path when that was asked for at `asked`.
    pub fn note_absent(&self, path: VolumePath, asked: Instant) {
        self.lock().absent.put(path, asked);
    }

    /// The bucket said so within the time that passes between a lookup and what it was for. Only
    /// for what finds out by itself if it is so no more.
    pub fn was_absent_just_now(&self, path: &VolumePath) -> bool {
        let entries = self.lock();
        let asked = entries.absent.peek(path);
        asked.is_some_and(|asked| asked.elapsed() < JUST_NOW)
    }

    /// Remembers an answer that was asked for at `asked`.
    pub fn note(&self, path: VolumePath, stat: Stat, asked: Instant) {
        self.absence.may_be_there(&path);
        let settled = Timestamp::now().secs() - stat.last_modified.secs() > 2;
        let mut entries = self.lock();
        let changed = match entries.known.peek(&path) {
            Some(Known::Changed(changed)) => Some(*changed),
            _ => None,
        };
        if changed
            .max(entries.all_changed)
            .is_some_and(|changed| changed >= asked)
        {
            return;
        }
        entries.known.put(
            path,
            Known::There {
                stat: Box::new(stat),
                as_of: asked,
                settled,
            },
        );
    }

    /// This mount changed what is at the path.
    pub fn changed(&self, path: &VolumePath) {
        self.absence.changed(path, Instant::now());
        let mut entries = self.lock();
        entries.listed.pop(path);
        entries.absent.pop(path);
        let changed = Known::Changed(Instant::now());
        entries.known.put(path.clone(), changed);
    }

    /// This mount changed what is at many paths.
    pub fn all_changed(&self) {
        self.absence.all_changed();
        let mut entries = self.lock();
        entries.known.clear();
        entries.listed.clear();
        entries.absent.clear();
        entries.all_changed = Some(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
