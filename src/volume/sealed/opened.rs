//! Objects of which everything but the content was opened.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use tokio::sync::OnceCell;

use crate::layout::sealed::map::{self, StoredRange};
use crate::layout::sealed::{
    AttributeVersion, BodyMap, Footer, ObjectError, Pin, Record, SealedMetadata, Segments, Tail,
    manifest,
};
use crate::store::{ETag, ErrorKind, GetOptions, GetRange, Object, ObjectKey, Operation};
use crate::volume::content::past_version;
use crate::volume::{ObjectRef, Result, Version, Volume, VolumeError};

/// Objects that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// Bytes of bodies that are kept with them.
const KEPT_BYTES: u64 = 16 << 20;
/// The end of an object that is asked for where nothing is known of its length: a small file
/// arrives whole, a larger one with its manifest.
pub const SUFFIX_BYTES: u64 = 32 << 10;

/// An object whose record and footer were opened. Of one version; see the module above.
pub struct Opened {
    pub record: Record,
    pub footer: Footer,
    pub tail: Tail,
    pub object_bytes: u64,
    /// The last bytes of the object, from this place on. What is served from them is opened like
    /// anything else.
    end: (u64, Bytes),
    map: OnceCell<BodyMap>,
}

/// Those that were met lately.
pub struct OpenedObjects(Mutex<Kept>);

struct Kept {
    objects: LruCache<(ObjectKey, ETag), Arc<Opened>>,
    bytes: u64,
}

impl Opened {
    /// An object that was written here: `segments_bytes` of messages with these pins, and the
    /// tail.
    pub fn written(
        record: Record,
        segments_bytes: u64,
        tail_bytes: Bytes,
        pins: Vec<Option<Pin>>,
    ) -> std::result::Result<Self, ObjectError> {
        let object_bytes = segments_bytes + tail_bytes.len() as u64;
        let StoredRange(place) = map::footer_range(object_bytes)?;
        let at = usize::try_from(place.start() - segments_bytes).expect("it is in memory");
        let footer = Footer::open(&record.content, record.body, &tail_bytes[at..])?;
        let tail = Tail::new(&footer, object_bytes)?;
        let map = BodyMap::new(&footer, &tail, pins)?;
        let end = match tail_bytes.len() as u64 {
            0..=SUFFIX_BYTES => (segments_bytes, tail_bytes),
            _ => (object_bytes, Bytes::new()),
        };
        Ok(Self {
            record,
            footer,
            tail,
            object_bytes,
            end,
            map: OnceCell::new_with(Some(map)),
        })
    }

    /// The attributes that hold, as this answer told them. Extended ones in the body are not
    /// with them.
    pub fn attributes(&self) -> std::result::Result<AttributeVersion, ObjectError> {
        AttributeVersion::current(&self.record.attributes, &self.footer.attributes)
    }

    /// These bytes of the object, if they came with its end.
    pub fn kept(&self, StoredRange(range): StoredRange) -> Option<Bytes> {
        let (start, bytes) = &self.end;
        let at = |offset: u64| usize::try_from(offset.checked_sub(*start)?).ok();
        let (from, to) = (at(range.start())?, at(range.end())?);
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }

    fn kept_bytes(&self) -> u64 {
        self.end.1.len() as u64
    }
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
        self.lock()
            .objects
            .get(&(key.clone(), etag.clone()))
            .cloned()
    }

    pub fn put(&self, key: &ObjectKey, etag: &ETag, opened: &Arc<Opened>) {
        let mut kept = self.lock();
        kept.bytes += opened.kept_bytes();
        let place = (key.clone(), etag.clone());
        if let Some((_, replaced)) = kept.objects.push(place, Arc::clone(opened)) {
            kept.bytes -= replaced.kept_bytes();
        }
        while kept.bytes > KEPT_BYTES {
            let Some((_, oldest)) = kept.objects.pop_lru() else {
                return;
            };
            kept.bytes -= oldest.kept_bytes();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volume {
    /// Opens what a GET of an object's end gave, and keeps it.
    ///
    /// # Errors
    /// When anything of it is not what was stored there.
    pub(in crate::volume) async fn open_end(
        &self,
        key: &ObjectKey,
        end: Object,
    ) -> Result<Arc<Opened>> {
        let sealed = self.sealed.as_ref().expect("a client-side volume");
        let refused = |error| VolumeError::object(key, error);
        let metadata = SealedMetadata::decode(&end.info.attributes.metadata).map_err(refused)?;
        let data_key = sealed.keys.to_open(&metadata.key).await;
        let data_key = data_key.map_err(|error| VolumeError::data_key(key, error))?;
        let at = self.stored_key(key);
        let record = Record::open(&data_key, sealed.id, &at, &metadata.record).map_err(refused)?;
        let size = end.info.size;
        let StoredRange(place) = map::footer_range(size).map_err(refused)?;
        if end.range.end() != size || end.range.start() > place.start() {
            let message = format!("asked for its end, the store answered {}", end.range);
            return Err(VolumeError::other(key, ErrorKind::Corrupt, &message));
        }
        let skipped = usize::try_from(place.start() - end.range.start())
            .expect("what is in memory has a length that fits usize");
        let footer = Footer::open(&record.content, record.body, &end.body[skipped..]);
        let footer = footer.map_err(refused)?;
        let tail = Tail::new(&footer, size).map_err(refused)?;
        let opened = Arc::new(Opened {
            record,
            footer,
            tail,
            object_bytes: size,
            end: (end.range.start(), end.body),
            map: OnceCell::new(),
        });
        sealed.opened.put(key, &end.info.etag, &opened);
        Ok(opened)
    }

    /// A version of an object, opened: without a request where it was met lately.
    pub(in crate::volume) async fn opened(
        &self,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Arc<Opened>> {
        let key = self.object_key(object)?;
        let sealed = self.sealed.as_ref().expect("a client-side volume");
        if let Some(opened) = sealed.opened.get(&key, &version.etag) {
            return Ok(opened);
        }
        let range = GetRange::Suffix(SUFFIX_BYTES);
        let end = self.get_version(&key, object, version, range).await?;
        self.open_end(&key, end).await
    }

    /// Where the segments of an opened object are; its manifest is asked for the first time.
    pub(in crate::volume) async fn body_map<'a>(
        &self,
        opened: &'a Opened,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<&'a BodyMap> {
        let load = || async {
            let refused = |error| self.refused(object, error);
            match (opened.footer.segments, opened.tail.manifest) {
                (Segments::Many { .. }, Some((pin, range))) => {
                    let message = self.stored_bytes(opened, object, version, range).await?;
                    let (content, body) = (&opened.record.content, opened.record.body);
                    let pins = manifest::open_pins(content, body, &pin, &message);
                    BodyMap::new(&opened.footer, &opened.tail, pins.map_err(refused)?)
                        .map_err(refused)
                }
                _ => BodyMap::small(&opened.footer, &opened.tail).map_err(refused),
            }
        };
        opened.map.get_or_try_init(load).await
    }

    /// These bytes of the object, still sealed.
    pub(in crate::volume) async fn stored_bytes(
        &self,
        opened: &Opened,
        object: &ObjectRef,
        version: &Version,
        range: StoredRange,
    ) -> Result<Bytes> {
        if let Some(bytes) = opened.kept(range) {
            return Ok(bytes);
        }
        let key = self.object_key(object)?;
        let StoredRange(range) = range;
        let answer = self
            .get_version(&key, object, version, GetRange::Bytes(range))
            .await?;
        if answer.range != range || answer.body.len() as u64 != range.len() {
            let message = format!("asked for {range}, the store answered {}", answer.range);
            return Err(VolumeError::other(&key, ErrorKind::Corrupt, &message));
        }
        Ok(answer.body)
    }

    async fn get_version(
        &self,
        key: &ObjectKey,
        object: &ObjectRef,
        version: &Version,
        range: GetRange,
    ) -> Result<Object> {
        let options = GetOptions {
            range: Some(range),
            if_match: Some(version.etag.clone()),
            version: past_version(object, version),
        };
        let answer = self.store.get(key, options).await;
        if let Ok(object) = &answer {
            let told = &object.info.encryption;
            self.modes.told(key, Operation::GetObject, told);
        }
        answer.map_err(|error| VolumeError::store(key, error))
    }

    /// An object that is not read, by the name that a person knows.
    pub(in crate::volume) fn refused(&self, object: &ObjectRef, error: ObjectError) -> VolumeError {
        match object {
            ObjectRef::Path(path) | ObjectRef::PastVersion(path) => {
                VolumeError::object(path, error)
            }
            ObjectRef::Private(name) => VolumeError::object(name, error),
        }
    }
}
