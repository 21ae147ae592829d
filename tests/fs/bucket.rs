//! A bucket in memory, with faults and counters before it, to be mounted in one of the layouts;
//! and what another client does to it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloakfs::base::limits::RESERVED_PREFIX;
use cloakfs::base::range::ByteRange;
use cloakfs::base::time::Timestamp;
use cloakfs::fs::{CommitMode, FileKind, FileSystem, FsConfig, Journals};
use cloakfs::layout::attributes::Attributes;
use cloakfs::layout::path::VolumePath;
use cloakfs::layout::plain;
use cloakfs::layout::sealed::Record;
use cloakfs::store::fault::{Calls, Fault};
use cloakfs::store::mem::MemStore;
use cloakfs::store::{
    DeleteOptions, GetOptions, HeadOptions, Limits, ObjectAttributes, ObjectKey, PutOptions,
    ServerEncryption, Store,
};
use cloakfs::volume::{Condition, LocalKeys, ObjectMeta, ObjectRef, Volume, VolumeOptions};
use futures_util::FutureExt;
use tempfile::TempDir;

use crate::harness::Mount;
use crate::layouts::{Keys, Layout};
use crate::settings::{config, options};

/// One bucket, to be mounted as often as a test likes.
pub struct Bucket {
    pub mem: Arc<MemStore>,
    pub fault: Arc<Fault>,
    pub keys: Keys,
    state: TempDir,
}

impl Bucket {
    pub fn new() -> Self {
        Self::of(Layout::Plain)
    }

    pub fn of(layout: Layout) -> Self {
        Self::over(MemStore::new(), Keys::of(layout))
    }

    /// A server that may override the encryption it is asked for.
    pub fn asking_for(encryption: ServerEncryption) -> Self {
        let mem = MemStore::new().asks_for(encryption);
        Self::over(mem, Keys::of(Layout::Plain))
    }

    /// A server with other limits than Amazon's.
    pub fn limited(limits: Limits, layout: Layout) -> Self {
        Self::over(MemStore::new().with_limits(limits), Keys::of(layout))
    }

    pub fn over(mem: MemStore, keys: Keys) -> Self {
        let mem = Arc::new(mem);
        let fault = Arc::new(Fault::new(Arc::clone(&mem) as Arc<dyn Store>));
        Self {
            mem,
            fault,
            keys,
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// A mount that asks the bucket anew at every operation.
    pub async fn mount(&self) -> Mount {
        self.mount_with(Duration::ZERO).await
    }

    pub async fn mount_with(&self, ttl: Duration) -> Mount {
        self.mount_as(ttl, |_| {}).await
    }

    pub async fn mount_read_only(&self) -> Mount {
        self.mount_as(Duration::ZERO, |options| options.read_only = true)
            .await
    }

    pub async fn mount_as(&self, ttl: Duration, choose: impl FnOnce(&mut VolumeOptions)) -> Mount {
        let state = self.new_state();
        self.mount_from(state, ttl, choose).await
    }

    /// A mount of the machine whose last mount is given, which was killed. What it held is let
    /// go, and its journal is as it was.
    pub async fn mount_again(&self, killed: Mount) -> Mount {
        let Mount { fs, state } = killed;
        let journal: Vec<_> = std::fs::read_dir(state.path().join("journal"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        drop(fs);
        let is_held = |path: &Path| {
            let held = File::open(path).and_then(|file| Ok(file.try_lock()?));
            held.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        };
        while journal.iter().any(|(path, _)| is_held(path)) {
            // A task that was ended is gone when it would have run next.
            tokio::task::yield_now().await;
        }
        for (path, text) in journal {
            std::fs::write(path, text).unwrap();
        }
        self.mount_from(state, Duration::ZERO, |_| {}).await
    }

    async fn mount_from(
        &self,
        state: TempDir,
        ttl: Duration,
        choose: impl FnOnce(&mut VolumeOptions),
    ) -> Mount {
        let store = Arc::clone(&self.fault) as Arc<dyn Store>;
        self.mount_over(store, state, ttl, choose).await
    }

    /// A directory for what a mount keeps on its machine.
    pub fn new_state(&self) -> TempDir {
        tempfile::tempdir_in(self.state.path()).unwrap()
    }

    /// A mount of a machine that has this state, over a store in front of the bucket.
    pub async fn mount_over(
        &self,
        store: Arc<dyn Store>,
        state: TempDir,
        ttl: Duration,
        choose: impl FnOnce(&mut VolumeOptions),
    ) -> Mount {
        let mut options = options(&state);
        choose(&mut options);
        let read_only = options.read_only;
        let volume = self.keys.open(store, options).await;
        let config = FsConfig {
            read_only,
            ..config(&state, ttl)
        };
        Mount {
            fs: FileSystem::new(volume, config).await.unwrap(),
            state,
        }
    }

    /// The same with its journals there too, in either commit mode.
    pub async fn start_over(
        &self,
        store: Arc<dyn Store>,
        state: TempDir,
        mode: CommitMode,
    ) -> Mount {
        let volume = self.keys.open(store, options(&state)).await;
        let journals = Journals {
            dir: state.path().join("write-back"),
            keys: LocalKeys {
                file: state.path().join("local.key"),
                customer: Vec::new(),
            },
        };
        let config = config(&state, Duration::ZERO);
        let fs = FileSystem::start(volume, config, mode, &journals).await;
        Mount {
            fs: fs.unwrap(),
            state,
        }
    }

    /// A mount whose state is in `state`, as the next one there finds it.
    pub async fn mount_in(&self, state: &Path, mode: CommitMode) -> Mount {
        self.mount_in_with(state, mode, |_| {}).await
    }

    pub async fn mount_in_with(
        &self,
        state: &Path,
        mode: CommitMode,
        choose: impl FnOnce(&mut FsConfig),
    ) -> Mount {
        let own = tempfile::tempdir_in(self.state.path()).unwrap();
        let mut options = options(&own);
        options.journal_dir = state.join("uploads");
        let mut config = config(&own, Duration::ZERO);
        choose(&mut config);
        options.read_only = config.read_only;
        let store = Arc::clone(&self.fault) as Arc<dyn Store>;
        let volume = self.keys.open(store, options).await;
        let journals = Journals {
            dir: state.join("write-back"),
            keys: LocalKeys {
                file: state.join("local.key"),
                customer: Vec::new(),
            },
        };
        let fs = FileSystem::start(volume, config, mode, &journals).await;
        Mount {
            fs: fs.unwrap(),
            state: own,
        }
    }

    /// The calls that `work` makes.
    pub async fn calls<T>(&self, work: impl Future<Output = T>) -> (T, Calls) {
        let before = self.fault.calls();
        let done = work.await;
        (done, self.fault.calls().since(&before))
    }

    /// What another client reads.
    pub async fn body(&self, path: &str) -> Option<Vec<u8>> {
        if self.keys.layout == Layout::Plain || path.starts_with(RESERVED_PREFIX) {
            let key = ObjectKey::new(path).unwrap();
            let object = self.mem.get(&key, GetOptions::default()).await.ok()?;
            return Some(object.body.to_vec());
        }
        let (peer, _state) = self.peer().await;
        let path: VolumePath = path.parse().unwrap();
        let stat = peer.stat_file(&path).await.ok()??;
        let (object, version) = (ObjectRef::Path(path), stat.version?);
        let whole = ByteRange::new(0, stat.size);
        let body = peer.read(&object, &version, whole).await.ok()?;
        Some(body.to_vec())
    }

    /// What the object of a file says that it is, in a client-side layout.
    pub async fn record(&self, path: &str) -> Record {
        self.keys.record(self.mem.as_ref(), path).await
    }

    /// An attribute as the plain layout has it.
    pub async fn metadata(&self, path: &str, name: &str) -> Option<String> {
        if self.keys.layout == Layout::Plain {
            let key = ObjectKey::new(path).unwrap();
            let info = self.mem.head(&key, HeadOptions::default()).await.ok()?;
            return info.attributes.metadata.get(name).cloned();
        }
        let (peer, _state) = self.peer().await;
        let stat = peer.stat_file(&path.parse().unwrap()).await.unwrap()?;
        let meta = plain::encode(&stat.meta.attributes, &stat.meta.foreign).unwrap();
        meta.get(name).cloned()
    }

    /// What another client writes: in the plain layout any S3 client, else another mount.
    pub async fn put(&self, path: &str, body: &[u8]) {
        if self.keys.layout == Layout::Plain || path.starts_with(RESERVED_PREFIX) {
            return self.put_with(path, body, &[]).await;
        }
        let (peer, _state) = self.peer().await;
        let meta = ObjectMeta::new(if path.ends_with('/') {
            attributes(FileKind::Directory, 0o755)
        } else {
            attributes(FileKind::File, 0o644)
        });
        let path: VolumePath = path.trim_end_matches('/').parse().unwrap();
        let body = Bytes::copy_from_slice(body);
        peer.put(&path, &meta, body, &Condition::None)
            .await
            .unwrap();
    }

    /// The id of a client-side volume.
    pub fn volume_id(&self) -> String {
        self.keys.id.to_string()
    }

    /// A client-side file of a given length, of which these segments are stored.
    pub async fn seal(&self, path: &str, length: u64, segments: BTreeMap<u32, &[u8]>) {
        let attributes = attributes(FileKind::File, 0o644);
        let key = self.key(path);
        let object = self.keys.seal(&key, attributes, length, segments);
        let metadata = object.metadata.iter();
        let metadata: Vec<_> = metadata.map(|(name, value)| (&**name, &**value)).collect();
        self.put_with(key.as_str(), &object.body, &metadata).await;
    }

    /// Changes one byte of an object.
    pub async fn tamper(&self, path: &str, at: usize) {
        let key = self.key(path);
        let object = self.mem.get(&key, GetOptions::default()).await.unwrap();
        let mut body = object.body.to_vec();
        body[at] ^= 1;
        let options = PutOptions {
            attributes: object.info.attributes,
            ..PutOptions::default()
        };
        self.mem.put(&key, body.into(), options).await.unwrap();
    }

    /// The volume over a store in front of the bucket.
    pub async fn open(&self, store: Arc<dyn Store>) -> Arc<Volume> {
        let state = tempfile::tempdir_in(self.state.path()).unwrap();
        self.keys.open(store, options(&state)).await
    }

    /// What another S3 client writes with metadata, as it is.
    pub async fn put_with(&self, key: &str, body: &[u8], metadata: &[(&str, &str)]) {
        let key = ObjectKey::new(key).unwrap();
        let metadata = metadata.iter();
        let attributes = ObjectAttributes {
            metadata: metadata
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            content_type: None,
        };
        let options = PutOptions {
            attributes,
            ..PutOptions::default()
        };
        let body = Bytes::copy_from_slice(body);
        self.mem.put(&key, body, options).await.unwrap();
    }

    /// The ETag of an object, without its quotes.
    pub async fn etag(&self, path: &str) -> String {
        let key = self.key(path);
        let info = self.mem.head(&key, HeadOptions::default()).await.unwrap();
        info.etag.as_str().trim_matches('"').to_owned()
    }

    pub async fn delete(&self, path: &str) {
        self.delete_key(self.key(path).as_str()).await;
    }

    pub async fn delete_key(&self, key: &str) {
        let key = ObjectKey::new(key).unwrap();
        let options = DeleteOptions::default();
        self.mem.delete(&key, options).await.unwrap();
    }

    /// Where what is at a path is stored.
    pub fn key(&self, path: &str) -> ObjectKey {
        let key = self.keys.mapper().key_below(&VolumePath::root(), path);
        ObjectKey::new(key.unwrap()).unwrap()
    }

    /// The paths of all objects but cloakfs's own; those of directories with a `/` at the end.
    pub fn keys(&self) -> Vec<String> {
        let mapper = self.keys.mapper();
        let root = mapper.directory(&VolumePath::root()).unwrap();
        let mut paths: Vec<_> = self
            .mem
            .keys()
            .into_iter()
            .filter(|key| !key.starts_with(RESERVED_PREFIX))
            .map(|key| root.below(&key).unwrap().unwrap())
            .collect();
        paths.sort();
        paths
    }

    /// Bytes of all objects.
    pub fn object_bytes(&self) -> u64 {
        let keys = self.mem.keys().into_iter();
        let sizes = keys.map(|key| {
            let key = ObjectKey::new(key).unwrap();
            let head = self.mem.head(&key, HeadOptions::default());
            let head = head.now_or_never().expect("memory answers at once");
            head.unwrap().size
        });
        sizes.sum()
    }

    /// Cloakfs's own keys.
    pub fn private_keys(&self) -> Vec<String> {
        self.mem
            .keys()
            .into_iter()
            .filter(|key| key.starts_with(RESERVED_PREFIX))
            .collect()
    }

    /// Another mount, whose calls do not count.
    async fn peer(&self) -> (Arc<Volume>, TempDir) {
        let state = tempfile::tempdir_in(self.state.path()).unwrap();
        let store = Arc::clone(&self.mem) as Arc<dyn Store>;
        let volume = self.keys.open(store, options(&state)).await;
        (volume, state)
    }
}

fn attributes(kind: FileKind, perm: u16) -> Attributes {
    let now = Timestamp::now();
    Attributes {
        kind,
        perm,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
        xattrs: BTreeMap::new(),
    }
}
