//! Objects of which everything but the content was opened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::layout::attributes::Xattrs;
use crate::layout::sealed::map::{self, StoredRange};
use crate::layout::sealed::{
    AttributeVersion, BodyMap, Footer, ObjectError, Record, SealedMetadata, Segments, Tail,
    XattrPlace, manifest,
};
use crate::store::{ErrorKind, GetOptions, GetRange, Object, ObjectInfo, ObjectKey, Operation};
use crate::volume::content::past_version;
use crate::volume::{ObjectRef, Result, Version, Volume, VolumeError};

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
    /// Shared by all that were opened of this body.
    rest: Arc<Rest>,
}

/// What of a body is asked for when it is needed.
#[derive(Default)]
struct Rest {
    map: OnceCell<BodyMap>,
    xattrs: OnceCell<Xattrs>,
    /// The version that took the place of this one with the same segments, as a reader found it.
    successor: Mutex<Option<Version>>,
}

impl Opened {
    /// Opens what hangs on a record that was opened: `end` is the object's end, from the given
    /// place on, with the whole footer.
    ///
    /// # Errors
    /// When anything of it is not what was stored there.
    pub fn new(
        record: Record,
        object_bytes: u64,
        end: (u64, Bytes),
    ) -> std::result::Result<Self, ObjectError> {
        let StoredRange(place) = map::footer_range(object_bytes)?;
        let skipped = place.start().checked_sub(end.0);
        let skipped = skipped.and_then(|bytes| usize::try_from(bytes).ok());
        let sealed = skipped.and_then(|skipped| end.1.get(skipped..));
        let sealed = sealed.ok_or(ObjectError::NotAuthentic)?;
        let footer = Footer::open(&record.content, record.body, sealed)?;
        let tail = Tail::new(&footer, object_bytes)?;
        Ok(Self {
            record,
            footer,
            tail,
            object_bytes,
            end,
            rest: Arc::default(),
        })
    }

    /// A copy of the body at another place, under a record of its own.
    pub fn copied(&self, record: Record) -> Self {
        let rest = Rest {
            map: self.rest.map.clone(),
            xattrs: self.rest.xattrs.clone(),
            successor: Mutex::default(),
        };
        Self {
            rest: Arc::new(rest),
            ..self.with_record(record)
        }
    }

    /// The same body under another record of it.
    pub fn with_record(&self, record: Record) -> Self {
        Self {
            record,
            footer: self.footer.clone(),
            tail: self.tail,
            object_bytes: self.object_bytes,
            end: self.end.clone(),
            rest: Arc::clone(&self.rest),
        }
    }

    /// With the places of its segments, so that its manifest is not asked for.
    #[must_use]
    pub fn with_map(self, map: BodyMap) -> Self {
        let rest = Rest {
            map: OnceCell::new_with(Some(map)),
            ..Rest::default()
        };
        Self {
            rest: Arc::new(rest),
            ..self
        }
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

    /// Of a large file the end of the content came by chance: it is not kept.
    fn forget_segments(&mut self) {
        let (start, bytes) = &self.end;
        let from = self.tail.segments_end;
        if let Some(skipped) = from.checked_sub(*start) {
            let skipped = usize::try_from(skipped).expect("it is in memory");
            // A slice would keep all of it in memory.
            self.end = (from, Bytes::copy_from_slice(&bytes[skipped..]));
        }
    }

    /// The version that took this one's place with the same segments.
    pub fn successor(&self) -> Option<Version> {
        self.rest.successor().clone()
    }

    pub fn set_successor(&self, version: Version) {
        *self.rest.successor() = Some(version);
    }

    /// What it takes in memory besides a fixed amount, once all of it has been asked for.
    pub fn kept_bytes(&self) -> u64 {
        let segments = match self.footer.segments {
            Segments::Many { count, .. } => u64::from(count),
            Segments::None | Segments::One(_) => 0,
        };
        let xattrs = self.footer.xattrs.map_or(0, |pin| pin.length().plain());
        self.end.1.len() as u64 + segments * BodyMap::BYTES_PER_SEGMENT + xattrs
    }
}

impl Rest {
    fn successor(&self) -> MutexGuard<'_, Option<Version>> {
        self.successor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let refused = |error| VolumeError::object(key, error);
        let record = self.open_record(key, &end.info).await?;
        let size = end.info.size;
        let StoredRange(place) = map::footer_range(size).map_err(refused)?;
        if end.range.end() != size || end.range.start() > place.start() {
            let message = format!("asked for its end, the store answered {}", end.range);
            return Err(VolumeError::other(key, ErrorKind::Corrupt, &message));
        }
        let start = end.range.start();
        let mut opened = Opened::new(record, size, (start, end.body)).map_err(refused)?;
        if start > 0 {
            opened.forget_segments();
        }
        let opened = Arc::new(opened);
        self.sealed().keep(key, &end.info.etag, &opened);
        Ok(opened)
    }

    /// An object that was met lately and that a HEAD shows to have the same body still, with the
    /// record that the HEAD told. `None` where its end must be asked for.
    pub(in crate::volume) async fn open_again(
        &self,
        key: &ObjectKey,
        info: &ObjectInfo,
    ) -> Result<Option<Arc<Opened>>> {
        let sealed = self.sealed();
        let Some(known) = sealed.opened.get(key, &info.etag) else {
            return Ok(None);
        };
        let record = self.open_record(key, info).await?;
        let same_body = record.body == known.record.body
            && record.content.id == known.record.content.id
            && info.size == known.object_bytes;
        if !same_body {
            return Ok(None);
        }
        let again = Arc::new(known.with_record(record));
        sealed.keep(key, &info.etag, &again);
        Ok(Some(again))
    }

    pub(super) async fn open_record(&self, key: &ObjectKey, info: &ObjectInfo) -> Result<Record> {
        let sealed = self.sealed();
        let refused = |error| VolumeError::object(key, error);
        let metadata = SealedMetadata::decode(&info.attributes.metadata).map_err(refused)?;
        let data_key = sealed.keys.to_open(&metadata.key).await;
        let data_key = data_key.map_err(|error| VolumeError::data_key(key, error))?;
        let at = self.stored_key(key);
        Record::open(&data_key, sealed.id, &at, &metadata.record).map_err(refused)
    }

    /// The attributes that hold, with all extended ones wherever they are.
    pub(in crate::volume) async fn attributes_of(
        &self,
        opened: &Opened,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<AttributeVersion> {
        let refused = |error| self.refused(object, error);
        let mut current = opened.attributes().map_err(refused)?;
        if current.xattrs == XattrPlace::Body {
            let load = || async {
                let found = self.body_xattrs(opened, object, version).await?;
                found.ok_or_else(|| {
                    refused(ObjectError::Malformed(
                        "its extended attributes should be in the body and are not",
                    ))
                })
            };
            let xattrs = opened.rest.xattrs.get_or_try_init(load).await?;
            current.attributes.xattrs.clone_from(xattrs);
        }
        Ok(current)
    }

    /// A version of an object, opened: without a request where it was met lately.
    pub(in crate::volume) async fn opened(
        &self,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Arc<Opened>> {
        let key = self.object_key(object)?;
        if let Some(opened) = self.sealed().opened.get(&key, &version.etag) {
            return Ok(opened);
        }
        let end = self.end_of_version(&key, object, version).await?;
        let opened = self.open_end(&key, end).await;
        opened.map_err(|error| error.named(object.name()))
    }

    /// The last bytes of a version.
    pub(in crate::volume) async fn end_of_version(
        &self,
        key: &ObjectKey,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Object> {
        let range = GetRange::Suffix(SUFFIX_BYTES);
        self.get_version(key, object, version, range).await
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
        opened.rest.map.get_or_try_init(load).await
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
            return Err(VolumeError::other(
                object.name(),
                ErrorKind::Corrupt,
                &message,
            ));
        }
        Ok(answer.body)
    }

    pub(in crate::volume) async fn get_version(
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
        match &answer {
            Ok(object) => {
                let told = &object.info.encryption;
                self.modes.told(key, Operation::GetObject, told);
            }
            Err(error) => self.modes.refused(key, error),
        }
        answer.map_err(|error| VolumeError::store(object.name(), error))
    }

    /// An object that is not read, by the name that a person knows.
    pub(in crate::volume) fn refused(&self, object: &ObjectRef, error: ObjectError) -> VolumeError {
        VolumeError::object(object.name(), error)
    }
}
