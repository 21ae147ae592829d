//! The objects that were opened lately, for a while and in bounded memory.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Opened;
use crate::store::{ETag, ObjectKey};

/// Keys of which an object is kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Versions that are kept for one key: the newest, and those that handles read last.
const VERSIONS: usize = 4;
/// Bytes of bodies that are kept with them: their ends, their manifests, their attributes.
const KEPT_BYTES: u64 = 32 << 20;
/// Those that were met lately.
pub struct OpenedObjects(Mutex<Kept>);

struct Kept {
    objects: LruCache<ObjectKey, Versions>,
    bytes: u64,
}

struct Versions {
    /// The one that was met last, whichever are read.
    latest: ETag,
    /// The one that was met or read last first.
    by_use: Vec<(ETag, Arc<Opened>)>,
}

impl Default for OpenedObjects {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            objects: LruCache::new(KEPT),
            bytes: 0,
        }))
    }
}

impl OpenedObjects {
    pub fn get(&self, key: &ObjectKey, etag: &ETag) -> Option<Arc<Opened>> {
        let mut kept = self.lock();
        let by_use = &mut kept.objects.get_mut(key)?.by_use;
        let used = by_use.iter().position(|(kept, _)| kept == etag)?;
        by_use[..=used].rotate_right(1);
        let (_, opened) = by_use.first()?;
        Some(Arc::clone(opened))
    }

    /// The version of a key that was met last.
    pub fn latest(&self, key: &ObjectKey) -> Option<ETag> {
        let mut kept = self.lock();
        Some(kept.objects.get(key)?.latest.clone())
    }

    /// The newest is kept, however large it is.
    pub fn put(&self, key: &ObjectKey, etag: &ETag, opened: &Arc<Opened>) {
        let mut kept = self.lock();
        let before = kept.objects.pop(key);
        kept.bytes -= before.as_ref().map_or(0, bytes_of);
        let mut by_use = before.map_or_else(Vec::new, |before| before.by_use);
        by_use.retain(|(kept, _)| kept != etag);
        by_use.truncate(VERSIONS - 1);
        by_use.insert(0, (etag.clone(), Arc::clone(opened)));
        let versions = Versions {
            latest: etag.clone(),
            by_use,
        };
        kept.bytes += bytes_of(&versions);
        if let Some((_, dropped)) = kept.objects.push(key.clone(), versions) {
            kept.bytes -= bytes_of(&dropped);
        }
        while kept.bytes > KEPT_BYTES && kept.objects.len() > 1 {
            let Some((_, oldest)) = kept.objects.pop_lru() else {
                return;
            };
            kept.bytes -= bytes_of(&oldest);
        }
    }

    /// Nothing of the object at a key is known any more.
    pub fn forget(&self, key: &ObjectKey) {
        let mut kept = self.lock();
        let before = kept.objects.pop(key);
        kept.bytes -= before.as_ref().map_or(0, bytes_of);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(versions: &Versions) -> u64 {
    let bytes = versions
        .by_use
        .iter()
        .map(|(_, opened)| opened.kept_bytes());
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::time::Timestamp;
    use crate::layout::attributes::{Attributes, FileKind, Xattrs};
    use crate::layout::sealed::writer::seal_segment;
    use crate::layout::sealed::{
        AttributeVersion, BodyId, BodyWriter, Content, FileId, Record, SegmentIndex, XattrPlace,
    };

    /// A file of which this many bytes came with its footer.
    fn opened(bytes: usize) -> Arc<Opened> {
        let now = Timestamp::now();
        let attributes = AttributeVersion {
            sequence: 1,
            attributes: Attributes {
                kind: FileKind::File,
                perm: 0o644,
                uid: 0,
                gid: 0,
                rdev: 0,
                atime: now,
                mtime: now,
                ctime: now,
                xattrs: Xattrs::new(),
            },
            xattrs: XattrPlace::None,
        };
        let record = Record {
            file: FileId::random(),
            content: Content::random(),
            body: BodyId::random(),
            generation: 1,
            attributes,
        };
        let segment = seal_segment(&record.content, SegmentIndex(0), &vec![7; bytes]);
        let mut writer = BodyWriter::new(record.body);
        writer.put(SegmentIndex(0), Some(segment.pin));
        let mut body = segment.message;
        let none = Xattrs::new();
        body.extend(writer.finish(&record.content, bytes as u64, &record.attributes, &none));
        let size = body.len() as u64;
        let opened = Opened::new(record, size, (0, Bytes::from(body)));
        Arc::new(opened.ok().unwrap())
    }

    fn key(index: usize) -> ObjectKey {
        ObjectKey::new(format!("{index}")).unwrap()
    }

    fn etag(index: usize) -> ETag {
        ETag::new(format!("\"{index}\""))
    }

    fn bytes(kept: &OpenedObjects) -> u64 {
        let kept = kept.lock();
        let all: u64 = kept.objects.iter().map(|(_, of)| bytes_of(of)).sum();
        assert_eq!(kept.bytes, all, "what is kept is what is counted");
        all
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let kept = OpenedObjects::default();
        let opened = opened(30_000);
        let many = 2 * usize::try_from(KEPT_BYTES).unwrap() / 30_000;
        for index in 0..many {
            kept.put(&key(index), &etag(index), &opened);
        }
        let kept_bytes = bytes(&kept);
        assert!(kept_bytes <= KEPT_BYTES, "{kept_bytes}");
        assert!(kept_bytes > KEPT_BYTES - 31_000, "{kept_bytes}");
        assert!(kept.get(&key(0), &etag(0)).is_none());
        assert!(kept.get(&key(many - 1), &etag(many - 1)).is_some());
    }

    #[test]
    fn so_is_their_number() {
        let kept = OpenedObjects::default();
        let opened = opened(1);
        for index in 0..KEPT.get() + 10 {
            kept.put(&key(index), &etag(index), &opened);
        }
        assert_eq!(kept.lock().objects.len(), KEPT.get());
        bytes(&kept);
    }

    #[test]
    fn one_that_is_larger_than_all_may_be_is_kept_until_the_next() {
        let kept = OpenedObjects::default();
        let large = opened(usize::try_from(KEPT_BYTES).unwrap() / 4);
        // As large as a file of many segments.
        for index in 0..=VERSIONS {
            kept.put(&key(0), &etag(index), &large);
        }
        assert!(bytes(&kept) > KEPT_BYTES);
        assert!(kept.get(&key(0), &etag(VERSIONS)).is_some());
        assert!(kept.get(&key(0), &etag(0)).is_none(), "too many versions");
        kept.put(&key(1), &etag(1), &opened(1));
        assert!(bytes(&kept) < KEPT_BYTES);
        assert!(kept.get(&key(1), &etag(1)).is_some());
    }

    #[test]
    fn a_version_that_is_read_stays_however_many_are_newer() {
        let kept = OpenedObjects::default();
        let opened = opened(1);
        kept.put(&key(0), &etag(0), &opened);
        for newer in 1..10 * VERSIONS {
            kept.put(&key(0), &etag(newer), &opened);
            assert!(kept.get(&key(0), &etag(0)).is_some(), "after {newer}");
            assert_eq!(
                kept.latest(&key(0)),
                Some(etag(newer)),
                "reading is not meeting"
            );
        }
        assert!(kept.get(&key(0), &etag(1)).is_none(), "nobody read it");
        bytes(&kept);
    }

    #[test]
    fn the_version_that_was_met_last_is_told() {
        let kept = OpenedObjects::default();
        assert_eq!(kept.latest(&key(0)), None);
        let opened = opened(1);
        for index in [1, 2, 1, 1] {
            kept.put(&key(0), &etag(index), &opened);
            assert_eq!(kept.latest(&key(0)), Some(etag(index)));
        }
        assert!(kept.get(&key(0), &etag(2)).is_some());
        bytes(&kept);
    }
}
