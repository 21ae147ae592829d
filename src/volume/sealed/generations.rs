//! The highest generation known of what is at a key: what replaces it is above.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::store::ObjectKey;

/// Keys that are remembered. Whoever replaces an object of which nothing is known looks at it
/// first.
const KEPT: NonZeroUsize = NonZeroUsize::new(32_768).unwrap();

/// See the module's text.
pub struct Generations(Mutex<LruCache<ObjectKey, u64>>);

impl Default for Generations {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl Generations {
    /// An object at this key was met, or written.
    pub fn note(&self, key: &ObjectKey, generation: u64) {
        let mut known = self.lock();
        match known.get_mut(key) {
            Some(highest) => *highest = generation.max(*highest),
            None => {
                known.put(key.clone(), generation);
            }
        }
    }

    /// `None` where nothing is known, or nothing is there.
    pub fn highest(&self, key: &ObjectKey) -> Option<u64> {
        self.lock().get(key).copied()
    }

    /// The key has no object any more.
    pub fn forget(&self, key: &ObjectKey) {
        self.lock().pop(key);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<ObjectKey, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
