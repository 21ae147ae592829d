//! The objects of a client-side volume without a mount, one by one: read from beginning to end,
//! and every byte authenticated (docs/FORMAT.md, section 10).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::record::OpenVolume;
use super::sealed::DataKeys;
use super::{Result, VolumeError};
use crate::base::limits::RESERVED_PREFIX;
use crate::base::range::ByteRange;
use crate::layout::attributes::FileKind;
use crate::layout::path::VolumePath;
use crate::layout::sealed::map::{self, PlainRange, StoredRange};
use crate::layout::sealed::names::StoredNameError;
use crate::layout::sealed::{
    AttributeVersion, BodyMap, Footer, Names, ObjectError, Piece, Record, SealedMetadata, Segments,
    StoredKey, StoredPath, Tail, VolumeId, manifest, xattrs,
};
use crate::store::{ETag, ErrorKind, GetOptions, GetRange, Metadata, Object, ObjectKey, Store};

/// Of the object's end that is asked for first: a small file arrives whole.
const END_BYTES: u64 = 32 << 10;
/// Segments that are fetched ahead.
const AHEAD: usize = 3;

/// Where the content goes, in order.
pub trait Sink: Send {
    /// # Errors
    /// When it cannot be taken: the reading ends.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// So many zeros, of which nothing is stored.
    ///
    /// # Errors
    /// As [`Self::data`].
    fn zeros(&mut self, count: u64) -> io::Result<()>;
}

/// Why an object did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub enum SingleError {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("{0:?} is {1}, which has no content")]
    NoContent(String, &'static str),
    #[error("the content cannot be written: {0}")]
    Sink(#[from] io::Error),
}

/// The way to the objects of a volume. Unwrapped data keys are kept from one object to the next.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct Reader {
    store: Arc<dyn Store>,
    prefix: String,
    id: VolumeId,
    names: Names,
    keys: DataKeys,
}

/// An object whose metadata and tail are authentic.
struct Opened {
    key: ObjectKey,
    etag: ETag,
    record: Record,
    map: BodyMap,
    length: u64,
    kind: FileKind,
    end: (u64, Bytes),
}

impl Reader {
    /// `prefix` is the volume's.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, prefix: String, volume: OpenVolume) -> Self {
        Self {
            store,
            prefix,
            id: volume.id,
            names: volume.names,
            keys: DataKeys::new(volume.root, volume.id, std::num::NonZeroU64::MIN),
        }
    }

    /// Reads the file or symbolic link that a path in the volume names, or else the object that
    /// is stored under this key in it. Gives its length.
    ///
    /// # Errors
    /// When there is none, anything of it is not authentic, or the sink takes no more. What the
    /// sink got before is authentic.
    pub async fn read(
        &self,
        name: &str,
        sink: &mut dyn Sink,
    ) -> std::result::Result<u64, SingleError> {
        let store = self.store.as_ref();
        let (key, end) = find(store, &self.prefix, &self.names, name).await?;
        let record = self
            .record(name, &key, &end.info.attributes.metadata)
            .await?;
        let opened = open(store, name, key, record, end).await?;
        let what = match opened.kind {
            FileKind::File | FileKind::Symlink => None,
            FileKind::Directory => Some("a directory"),
            FileKind::Fifo => Some("a FIFO"),
            FileKind::CharDevice | FileKind::BlockDevice => Some("a device"),
            FileKind::Socket => Some("a socket"),
        };
        if let Some(what) = what {
            return Err(SingleError::NoContent(name.to_owned(), what));
        }
        opened.content(store, name, sink).await?;
        Ok(opened.length)
    }

    /// What a mount calls the object at a key; of a directory's marker it ends in `/`.
    ///
    /// # Errors
    /// When a component of the key is no name of this volume.
    pub fn path_of(&self, key: &str) -> std::result::Result<String, StoredNameError> {
        let stored = key.strip_prefix(&self.prefix).unwrap_or(key);
        let Names::Encrypted(_) = self.names else {
            return Ok(stored.to_owned());
        };
        let mut path = String::with_capacity(stored.len());
        let mut parent = StoredPath::root();
        for component in stored.split_inclusive('/') {
            let name = component.trim_end_matches('/');
            path.push_str(self.names.open(&parent, name)?.as_str());
            path.push_str(&component[name.len()..]);
            parent = parent.join(name);
        }
        Ok(path)
    }

    /// Unwraps the data key in an object's metadata: it is of this volume and of its root. KMS is
    /// asked once for what one mount wrote.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn open_key(&self, key: &str, metadata: &Metadata) -> Result<()> {
        let metadata = SealedMetadata::decode(metadata);
        let metadata = metadata.map_err(|error| VolumeError::object(key, error))?;
        let opened = self.keys.to_open(&metadata.key).await;
        opened
            .map(drop)
            .map_err(|error| VolumeError::data_key(key, error))
    }

    /// Opens the record in the metadata of the object at a key, too: it is of this key, and was
    /// not changed.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn open_record(&self, key: &str, metadata: &Metadata) -> Result<()> {
        let object = ObjectKey::new(key);
        let object = object.map_err(|error| VolumeError::invalid(key, &error.to_string()))?;
        self.record(key, &object, metadata).await.map(drop)
    }

    /// Reads all of the object at a key, of whatever type it is, and keeps none of it: every
    /// byte of it is authentic. Gives how many bytes it holds.
    ///
    /// # Errors
    /// What is not, or [`ErrorKind::NotFound`] where nothing is there any more.
    pub async fn authenticate(&self, key: &ObjectKey) -> std::result::Result<u64, SingleError> {
        let (store, name) = (self.store.as_ref(), key.as_str());
        let end = end_of(store, key).await;
        let end = end.map_err(|error| VolumeError::store(name, error))?;
        let record = self
            .record(name, key, &end.info.attributes.metadata)
            .await?;
        let opened = open(store, name, key.clone(), record, end).await?;
        opened.content(store, name, &mut Nowhere).await?;
        Ok(opened.length)
    }

    async fn record(&self, name: &str, key: &ObjectKey, metadata: &Metadata) -> Result<Record> {
        let at = self.stored_key(key);
        let refused = |error| VolumeError::object(name, error);
        let metadata = SealedMetadata::decode(metadata).map_err(refused)?;
        let data_key = self.keys.to_open(&metadata.key).await;
        let data_key = data_key.map_err(|error| VolumeError::data_key(name, error))?;
        Record::open(&data_key, self.id, &at, &metadata.record).map_err(refused)
    }

    /// What a record at this key is sealed for, as in a mount.
    fn stored_key(&self, key: &ObjectKey) -> StoredKey {
        let is_root = self.prefix.is_empty() && key.as_str() == format!("{RESERVED_PREFIX}root/");
        let text = if is_root { "" } else { key.as_str() };
        StoredKey::below(&self.prefix, text).expect("the key has the prefix")
    }
}

/// What is read only to be authenticated.
struct Nowhere;

impl Sink for Nowhere {
    fn data(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn zeros(&mut self, _count: u64) -> io::Result<()> {
        Ok(())
    }
}

/// The object and its end.
async fn find(
    store: &dyn Store,
    prefix: &str,
    names: &Names,
    name: &str,
) -> Result<(ObjectKey, Object)> {
    for key in candidates(prefix, names, name) {
        match end_of(store, &key).await {
            Ok(end) => return Ok((key, end)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(VolumeError::store(name, error)),
        }
    }
    Err(VolumeError::other(
        name,
        ErrorKind::NotFound,
        "there is no such file in the volume, neither by its path nor by its stored key",
    ))
}

async fn end_of(store: &dyn Store, key: &ObjectKey) -> crate::store::Result<Object> {
    let options = GetOptions {
        range: Some(GetRange::Suffix(END_BYTES)),
        ..GetOptions::default()
    };
    store.get(key, options).await
}

/// The keys that a name may mean: as a path, and as what is stored. Where names are encrypted,
/// what does not decrypt is a path, and is not shown to the store.
fn candidates(prefix: &str, names: &Names, name: &str) -> Vec<ObjectKey> {
    let path: Option<VolumePath> = name.parse().ok();
    let by_path = path.and_then(|path| names.stored_path(&path).ok());
    let by_path = by_path.map(|path| path.file_key().as_str().to_owned());
    let as_stored = is_stored(names, name).then(|| name.to_owned());
    by_path
        .into_iter()
        .chain(as_stored)
        // A stored key that is sealed once more as a path may be too long.
        .filter_map(|stored| ObjectKey::new(format!("{prefix}{stored}")).ok())
        .collect()
}

fn is_stored(names: &Names, name: &str) -> bool {
    let mut parent = StoredPath::root();
    name.split('/').all(|component| {
        let opens = names.open(&parent, component).is_ok();
        parent = parent.join(component);
        opens
    })
}

async fn open(
    store: &dyn Store,
    name: &str,
    key: ObjectKey,
    record: Record,
    end: Object,
) -> std::result::Result<Opened, SingleError> {
    let refused = |error: ObjectError| VolumeError::object(name, error);
    let size = end.info.size;
    let start = end.range.start();
    let etag = end.info.etag.clone();
    let StoredRange(place) = map::footer_range(size).map_err(refused)?;
    let end = (start, end.body);
    let sealed = kept(&end, place).ok_or_else(|| short(name))?;
    let footer = Footer::open(&record.content, record.body, &sealed).map_err(refused)?;
    let tail = Tail::new(&footer, size).map_err(refused)?;
    let fetch = async |StoredRange(range): StoredRange| match kept(&end, range) {
        Some(bytes) => Ok(bytes),
        None => get(store, name, &key, &etag, range).await,
    };
    let map = match (footer.segments, tail.manifest) {
        (Segments::Many { .. }, Some((pin, range))) => {
            let message = fetch(range).await?;
            let pins = manifest::open_pins(&record.content, record.body, &pin, &message);
            BodyMap::new(&footer, &tail, pins.map_err(refused)?).map_err(refused)?
        }
        _ => BodyMap::small(&footer, &tail).map_err(refused)?,
    };
    if let Some((pin, range)) = tail.xattrs {
        let message = fetch(range).await?;
        xattrs::open(&record.content, record.body, &pin, &message).map_err(refused)?;
    }
    let current = AttributeVersion::current(&record.attributes, &footer.attributes);
    let kind = current.map_err(refused)?.attributes.kind;
    Ok(Opened {
        key,
        etag,
        length: footer.length,
        kind,
        record,
        map,
        end,
    })
}

impl Opened {
    async fn content(
        &self,
        store: &dyn Store,
        name: &str,
        sink: &mut dyn Sink,
    ) -> std::result::Result<(), SingleError> {
        let pieces = self.map.pieces(PlainRange(ByteRange::new(0, self.length)));
        let mut fetched = stream::iter(pieces)
            .map(async |piece| {
                let Piece::Sealed(sealed) = piece else {
                    return Ok((piece, Bytes::new()));
                };
                let StoredRange(range) = sealed.stored;
                if let Some(bytes) = kept(&self.end, range) {
                    return Ok((piece, bytes));
                }
                let got = get(store, name, &self.key, &self.etag, range).await;
                got.map(|bytes| (piece, bytes))
            })
            .buffered(AHEAD);
        while let Some(next) = fetched.next().await {
            match next? {
                (Piece::Zeros(PlainRange(zeros)), _) => sink.zeros(zeros.len())?,
                (Piece::Sealed(piece), bytes) => {
                    let plain = piece
                        .open(&self.record.content, &bytes)
                        .map_err(|error| VolumeError::object(name, error.into()))?;
                    sink.data(&plain)?;
                }
            }
        }
        Ok(())
    }
}

fn kept((start, bytes): &(u64, Bytes), range: ByteRange) -> Option<Bytes> {
    let at = |offset: u64| usize::try_from(offset.checked_sub(*start)?).ok();
    let (from, to) = (at(range.start())?, at(range.end())?);
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

async fn get(
    store: &dyn Store,
    name: &str,
    key: &ObjectKey,
    etag: &ETag,
    range: ByteRange,
) -> Result<Bytes> {
    let options = GetOptions {
        range: Some(GetRange::Bytes(range)),
        if_match: Some(etag.clone()),
        version: None,
    };
    let answer = store.get(key, options).await;
    let answer = answer.map_err(|error| VolumeError::store(name, error))?;
    if answer.range != range || answer.body.len() as u64 != range.len() {
        return Err(short(name));
    }
    Ok(answer.body)
}

fn short(name: &str) -> VolumeError {
    VolumeError::other(
        name,
        ErrorKind::Corrupt,
        "the store answered other bytes than those that were asked for",
    )
}

#[cfg(test)]
mod tests;
