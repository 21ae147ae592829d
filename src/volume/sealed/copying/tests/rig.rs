//! A client-side volume over a store in memory, and another way to look at its objects.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::{DataKey, MasterKey};
use crate::keys::root::Root;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::path::VolumePath;
use crate::layout::plain::Defaults;
use crate::layout::sealed::map::PlainRange;
use crate::layout::sealed::object::{self, OpenedObject, Place, StoredObject};
use crate::layout::sealed::{Names, SealedMetadata, StoredKey, VolumeId, WrappedKey};
use crate::store::fault::{Calls, Fault};
use crate::store::mem::MemStore;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{ETag, GetOptions, Limits, ListedObject, Metadata, ObjectKey, Store};
use crate::volume::{
    ClientSide, Committed, Condition, Moved, ObjectMeta, ObjectRef, Result, S3ecReading, Stat,
    Version, Volume, VolumeOptions,
};

/// Where the root's marker is in a volume that is a whole bucket.
pub const ROOT_MARKER: &str = concat!(".cloakfs", "/root", "/");

/// See the module's text.
pub struct Rig {
    pub mem: Arc<MemStore>,
    pub fault: Arc<Fault>,
    pub volume: Arc<Volume>,
    id: VolumeId,
    master: [u8; 32],
    dir: TempDir,
}

/// A file as who changes it knows it: what it should be, and its newest version.
#[derive(Clone, Debug)]
pub struct File {
    pub meta: ObjectMeta,
    pub content: Vec<u8>,
    pub done: Committed,
}

/// An object opened without the volume.
pub struct Found {
    pub object: OpenedObject,
    pub content: Vec<u8>,
    pub metadata: Metadata,
    pub content_type: Option<String>,
    pub stored_bytes: u64,
    pub etag: ETag,
}

impl Rig {
    pub async fn new() -> Self {
        Self::over(MemStore::new()).await
    }

    /// Bodies of a few hundred bytes are copied in parts, and may be parts.
    pub async fn with_small_limits() -> Self {
        let limits = Limits {
            copy_bytes_max: 1000,
            part_bytes_min: 500,
            ..Limits::S3
        };
        Self::over(MemStore::new().with_limits(limits)).await
    }

    pub async fn over(mem: MemStore) -> Self {
        let mem = Arc::new(mem);
        let fault = Arc::new(Fault::new(Arc::clone(&mem) as _));
        let (id, dir) = (VolumeId::random(), TempDir::new().unwrap());
        let mut master = [0; 32];
        crate::base::secret::fill_random(&mut master);
        let volume = mount(&fault, id, master, &dir).await;
        Self {
            mem,
            fault,
            volume,
            id,
            master,
            dir,
        }
    }

    /// Another mount of the same volume, which knows nothing yet.
    pub async fn mount_again(&self) -> Arc<Volume> {
        mount(&self.fault, self.id, self.master, &self.dir).await
    }

    /// What the requests of `operation` were.
    pub async fn cost<T>(&self, operation: impl Future<Output = T>) -> (T, Calls) {
        let before = self.fault.calls();
        let done = operation.await;
        (done, self.fault.calls().since(&before))
    }

    /// A new object.
    pub async fn put(&self, at: &str, kind: FileKind, content: &[u8]) -> File {
        self.put_with(at, kind, content, Xattrs::new()).await
    }

    pub async fn put_with(&self, at: &str, kind: FileKind, content: &[u8], xattrs: Xattrs) -> File {
        let meta = meta(kind, xattrs);
        let done = put(&self.volume, at, &meta, content, &Condition::IfAbsent).await;
        let done = done.unwrap_or_else(|error| panic!("{error}"));
        File {
            meta,
            content: content.to_vec(),
            done,
        }
    }

    /// Sets the attributes that `file` has by now.
    pub async fn set_attributes(&self, at: &str, file: &mut File) {
        let done = set(&self.volume, at, file).await;
        file.done = done.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Opens the object at a stored key.
    ///
    /// # Panics
    /// When it is not one.
    pub async fn find(&self, at: &str) -> Found {
        let key = ObjectKey::new(at).unwrap();
        let stored = self.mem.get(&key, GetOptions::default()).await;
        let stored = stored.unwrap_or_else(|error| panic!("{error}"));
        let attributes = stored.info.attributes;
        let sealed = SealedMetadata::decode(&attributes.metadata).unwrap();
        let data_key = self.unwrap(&sealed.key);
        let stored_key = at.strip_prefix(ROOT_MARKER).unwrap_or(at);
        let place = Place {
            key: &data_key,
            volume: self.id,
            at: &StoredKey::below("", stored_key).unwrap(),
        };
        let object = StoredObject {
            metadata: attributes.metadata,
            body: stored.body.to_vec(),
        };
        let opened = object::open_object(&place, &object);
        let opened = opened.unwrap_or_else(|error| panic!("{at} {error}"));
        let all = PlainRange(ByteRange::new(0, opened.map.length()));
        let content = object::read(&opened, &object.body, all).unwrap();
        Found {
            object: opened,
            content,
            metadata: object.metadata,
            content_type: attributes.content_type,
            stored_bytes: stored.info.size,
            etag: stored.info.etag,
        }
    }

    fn unwrap(&self, wrapped: &WrappedKey) -> DataKey {
        let WrappedKey::Master(wrapped) = wrapped else {
            panic!("not wrapped with the master key");
        };
        let master = MasterKey::from_secret(Secret::take(&mut self.master.clone()));
        master.unwrap(self.id.as_bytes(), wrapped).ok().unwrap()
    }

    /// The object at `at` is this file; how it was found.
    pub async fn assert_is(&self, at: &str, file: &File) -> Found {
        let found = self.find(at).await;
        let expected = &file.meta.attributes;
        assert_eq!(&found.object.attributes.attributes, expected, "{at}");
        assert!(found.content == file.content, "the content of {at}");
        assert_eq!(found.object.record.file, file.meta.lineage.file, "{at}");
        assert_eq!(found.etag, file.done.version.etag, "{at}");
        let commit = found.metadata.get(CommitId::METADATA_NAME);
        assert_eq!(commit, Some(&file.done.commit), "{at}");
        found
    }
}

impl Found {
    pub fn generation(&self) -> u64 {
        self.object.record.generation
    }

    pub fn record_sequence(&self) -> u64 {
        self.object.record.attributes.sequence
    }

    /// It is another record of the body that `other` has.
    pub fn assert_same_body(&self, other: &Self) {
        let (one, two) = (&self.object.record, &other.object.record);
        assert_eq!(one.body, two.body);
        assert_eq!(one.content.id, two.content.id);
        assert!(one.content.key.expose() == two.content.key.expose());
        assert_eq!(self.object.footer, other.object.footer);
    }
}

impl File {
    pub fn version(&self) -> Version {
        self.done.version.clone()
    }

    /// What a rename is given.
    pub fn stat(&self) -> Stat {
        Stat {
            meta: self.meta.clone(),
            size: self.content.len() as u64,
            version: Some(self.version()),
            commit: Some(self.done.commit.clone()),
            last_modified: Timestamp::now(),
            encryption: None,
            s3ec: None,
            hides_object: false,
        }
    }

    /// What a listing shows.
    pub fn listed(&self, key: &str, found: &Found) -> ListedObject {
        ListedObject {
            key: key.to_owned(),
            size: found.stored_bytes,
            etag: self.done.version.etag.clone(),
            last_modified: Timestamp::now(),
        }
    }
}

async fn mount(fault: &Arc<Fault>, id: VolumeId, master: [u8; 32], dir: &TempDir) -> Arc<Volume> {
    let options = VolumeOptions {
        server: String::new(),
        read_only: false,
        alone: false,
        defaults: Defaults {
            uid: 0,
            gid: 0,
            umask: 0o022,
        },
        trust_listing: false,
        encryption: ExpectedEncryption::default(),
        journal_dir: dir.path().join("journal"),
    };
    let client_side = ClientSide {
        id,
        names: Names::Plain,
        root: Root::Master(MasterKey::from_secret(Secret::take(&mut master.clone()))),
        records_per_data_key: NonZeroU64::new(3).unwrap(),
        s3ec: S3ecReading::default(),
    };
    let volume = Volume::open_client_side(Arc::clone(fault) as _, "", options, client_side);
    volume.await.unwrap_or_else(|error| panic!("{error}"))
}

/// [`Volume::put`] at the path that a test calls it.
pub async fn put(
    volume: &Volume,
    at: &str,
    meta: &ObjectMeta,
    content: &[u8],
    condition: &Condition,
) -> Result<Committed> {
    let body = Bytes::copy_from_slice(content);
    volume.put(&path(at), meta, body, condition).await
}

/// Sets the attributes that `file` has.
pub async fn set(volume: &Arc<Volume>, at: &str, file: &File) -> Result<Committed> {
    let size = file.content.len() as u64;
    let version = &file.done.version;
    volume
        .set_attributes(&path(at), version, size, &file.meta)
        .await
}

/// Renames it, giving it the attributes that `moved` has.
pub async fn rename(
    volume: &Arc<Volume>,
    (from, file): (&str, &File),
    (to, moved): (&str, &File),
) -> Result<Committed> {
    let (from, to) = (path(from), path(to));
    volume
        .rename(&from, &file.stat(), &to, &moved.meta, false)
        .await
}

/// Copies what is at `rest` in one directory into another.
pub async fn copy_below(
    volume: &Arc<Volume>,
    from: &str,
    to: &str,
    listed: &ListedObject,
) -> Result<Moved> {
    let rest = listed.key.strip_prefix(from).unwrap();
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    volume
        .copy_below(&path(from), &path(to), rest, listed)
        .await
}

/// Preserves it; the name below the reserved prefix.
pub async fn preserve(volume: &Arc<Volume>, at: &str, file: &File) -> Result<(String, Version)> {
    let size = file.content.len() as u64;
    let kept = volume.preserve(&path(at), &file.done.version, size).await?;
    match kept {
        (ObjectRef::Private(name), version) => Ok((name, version)),
        other => panic!("it has no versions: {other:?}"),
    }
}

pub fn path(path: &str) -> VolumePath {
    path.parse().unwrap()
}

pub fn meta(kind: FileKind, xattrs: Xattrs) -> ObjectMeta {
    let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
    ObjectMeta::new(Attributes {
        kind,
        perm: 0o4751,
        uid: 1000,
        gid: u32::MAX,
        rdev: if is_device { 0x0010_0803 } else { 0 },
        atime: Timestamp::new(-5, 6).unwrap(),
        mtime: Timestamp::new(1_763_712_000, 999_999_999).unwrap(),
        ctime: Timestamp::new(1, 0).unwrap(),
        xattrs,
    })
}

/// One attribute of so many bytes.
pub fn xattrs(bytes: usize) -> Xattrs {
    Xattrs::from([("user.a".to_owned(), vec![0xA5; bytes])])
}

/// Bytes that differ from place to place.
pub fn content(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| u8::try_from((at / 16_384 * 31 + at % 251) % 256).unwrap() | 1)
        .collect()
}
