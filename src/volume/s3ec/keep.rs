//! The objects that were met lately, with what is known of them.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::S3ecObject;
use crate::store::{ETag, ObjectKey};

/// Versions that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Bytes of digests and of small objects that are kept with them: those of objects of 512 GiB.
/// What is not kept any more is checked again.
const KEPT_BYTES: u64 = 32 << 20;

type Objects = LruCache<(ObjectKey, ETag), Arc<S3ecObject>>;

pub struct KeptObjects(Mutex<Objects>);

impl Default for KeptObjects {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl KeptObjects {
    pub fn get(&self, key: &ObjectKey, etag: &ETag) -> Option<Arc<S3ecObject>> {
        let mut objects = self.lock();
        objects.get(&(key.clone(), etag.clone())).map(Arc::clone)
    }

    pub fn put(&self, key: &ObjectKey, object: &Arc<S3ecObject>) {
        let at = (key.clone(), object.etag.clone());
        self.lock().put(at, Arc::clone(object));
    }

    /// An object has become larger in memory: the oldest go until there is room, but never the
    /// newest.
    pub fn make_room(&self) {
        let mut objects = self.lock();
        let mut bytes: u64 = objects.iter().map(|(_, object)| object.kept_bytes()).sum();
        while bytes > KEPT_BYTES && objects.len() > 1 {
            let Some((_, oldest)) = objects.pop_lru() else {
                return;
            };
            bytes -= oldest.kept_bytes();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
