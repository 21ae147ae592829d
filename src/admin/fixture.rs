//! For tests: a bucket in memory whose requests are counted, and a client-side volume in it.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::MasterKey;
use crate::keys::root::Root;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::path::VolumePath;
use crate::layout::plain::Defaults;
use crate::layout::sealed::VolumeId;
use crate::store::fault::Fault;
use crate::store::mem::MemStore;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{GetOptions, Object, ObjectAttributes, ObjectKey, PutOptions, Store};
use crate::volume::record::create::{self, NewVolume};
use crate::volume::record::{self, OpenVolume};
use crate::volume::single::Reader;
use crate::volume::{Condition, ObjectMeta, Volume, VolumeOptions};

pub const PREFIX: &str = "p/";

pub struct Ground {
    pub mem: Arc<MemStore>,
    pub fault: Arc<Fault>,
    pub state: TempDir,
}

impl Ground {
    pub fn new() -> Self {
        let mem = Arc::new(MemStore::new());
        Self {
            fault: Arc::new(Fault::new(Arc::clone(&mem) as _)),
            mem,
            state: TempDir::new().unwrap(),
        }
    }

    /// With a volume of this key, whose names are encrypted.
    pub async fn with_volume(key: u8) -> Self {
        let ground = Self::new();
        ground.make_volume(key, true).await;
        ground
    }

    pub async fn make_volume(&self, key: u8, encrypt_names: bool) {
        let new = NewVolume {
            id: VolumeId::random(),
            root: root(key),
            lock: None,
            encrypt_names,
        };
        let made = create::create(&self.store(), PREFIX, new).await;
        drop(made.expect("a new volume"));
    }

    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.fault) as _
    }

    pub fn options(&self, read_only: bool) -> VolumeOptions {
        VolumeOptions {
            read_only,
            alone: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0,
            },
            trust_listing: false,
            server: String::new(),
            encryption: ExpectedEncryption::default(),
            journal_dir: self.state.path().join("uploads"),
        }
    }

    async fn opened(&self, key: u8) -> OpenVolume {
        let record = record::find(&self.store(), PREFIX).await.unwrap().unwrap();
        record.open(root(key), true).await.expect("its key")
    }

    /// A mount of the volume.
    pub async fn mount(&self, key: u8) -> Arc<Volume> {
        let records = NonZeroU64::new(10).unwrap();
        let volume = self.opened(key).await.client_side(records);
        let options = self.options(false);
        let opened = Volume::open_client_side(self.store(), PREFIX, options, volume).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn reader(&self, key: u8) -> Reader {
        Reader::new(self.store(), PREFIX.to_owned(), self.opened(key).await)
    }

    pub async fn put(&self, key: &str, body: impl Into<Bytes>) {
        self.put_with(key, body, ObjectAttributes::default()).await;
    }

    pub async fn put_with(&self, key: &str, body: impl Into<Bytes>, attributes: ObjectAttributes) {
        let options = PutOptions {
            attributes,
            ..PutOptions::default()
        };
        let key = ObjectKey::new(key).unwrap();
        self.mem.put(&key, body.into(), options).await.unwrap();
    }

    pub async fn get(&self, key: &str) -> Object {
        let key = ObjectKey::new(key).unwrap();
        self.mem.get(&key, GetOptions::default()).await.unwrap()
    }

    /// Puts what is at one key at another.
    pub async fn copy(&self, from: &str, to: &str) {
        let object = self.get(from).await;
        let attributes = object.info.attributes;
        self.put_with(to, object.body, attributes).await;
    }

    /// Changes a byte of an object's body, whose metadata stays.
    pub async fn tamper(&self, key: &str, at: usize) {
        let object = self.get(key).await;
        let mut body = object.body.to_vec();
        body[at] ^= 1;
        self.put_with(key, body, object.info.attributes).await;
    }
}

pub fn root(key: u8) -> Root {
    Root::Master(MasterKey::from_secret(Secret::take(&mut [key; 32])))
}

/// Writes a file or a directory, and gives the key that it has.
pub async fn write(ground: &Ground, volume: &Volume, path: &str, content: Vec<u8>) -> String {
    let before = ground.mem.keys();
    let kind = if path.ends_with('/') {
        FileKind::Directory
    } else {
        FileKind::File
    };
    let now = Timestamp::now();
    let meta = ObjectMeta::new(Attributes {
        kind,
        perm: 0o600,
        uid: 0,
        gid: 0,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
        xattrs: Xattrs::new(),
    });
    let path: VolumePath = path.trim_end_matches('/').parse().unwrap();
    let put = volume.put(&path, &meta, content.into(), &Condition::IfAbsent);
    put.await.unwrap_or_else(|error| panic!("{error}"));
    let mut new = ground.mem.keys();
    new.retain(|key| !before.contains(key));
    new.pop().expect("a new key")
}
