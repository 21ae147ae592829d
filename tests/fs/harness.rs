//! A filesystem over a store in memory, with faults and counters between them, and calls as a
//! process would make them.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloakfs::base::limits::RESERVED_PREFIX;
use cloakfs::fs::{
    Attr, Caller, DirItem, Entry, FileKind, FileSystem, FsConfig, FsError, HandleId, Ino, ROOT,
    SetAttr,
};
use cloakfs::layout::plain::Defaults;
use cloakfs::store::fault::{Calls, Fault};
use cloakfs::store::mem::MemStore;
use cloakfs::store::s3::encryption::ExpectedEncryption;
use cloakfs::store::{
    GetOptions, HeadOptions, ObjectAttributes, ObjectKey, PutOptions, ServerEncryption, Store,
};
use cloakfs::volume::{Volume, VolumeOptions};
use tempfile::TempDir;

pub type Result<T> = std::result::Result<T, FsError>;

/// The process that makes the calls.
pub fn me() -> Caller {
    Caller {
        uid: 1000,
        gid: 1000,
        pid: std::process::id(),
    }
}

/// One bucket, to be mounted as often as a test likes.
pub struct Bucket {
    pub mem: Arc<MemStore>,
    pub fault: Arc<Fault>,
    state: TempDir,
}

impl Bucket {
    pub fn new() -> Self {
        Self::of(MemStore::new())
    }

    /// A server that may override the encryption it is asked for.
    pub fn asking_for(encryption: ServerEncryption) -> Self {
        Self::of(MemStore::new().asks_for(encryption))
    }

    fn of(mem: MemStore) -> Self {
        let mem = Arc::new(mem);
        let fault = Arc::new(Fault::new(Arc::clone(&mem) as Arc<dyn Store>));
        Self {
            mem,
            fault,
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
        let state = tempfile::tempdir_in(self.state.path()).unwrap();
        let mut options = VolumeOptions {
            server: String::new(),
            read_only: false,
            defaults: Defaults {
                uid: 1000,
                gid: 1000,
                umask: 0o022,
            },
            trust_listing: false,
            encryption: ExpectedEncryption::default(),
            journal_dir: state.path().join("journal"),
        };
        choose(&mut options);
        let read_only = options.read_only;
        let volume = Volume::open(Arc::clone(&self.fault) as Arc<dyn Store>, "", options)
            .await
            .unwrap();
        let config = FsConfig {
            read_only,
            memory_bytes: 128 << 20,
            staging_bytes: 1 << 30,
            staging_dir: state.path().join("staging"),
            ttl,
            timeout: Duration::from_mins(1),
            host: "testhost".to_owned(),
        };
        Mount {
            fs: FileSystem::new(volume, config).await.unwrap(),
            _state: state,
        }
    }

    /// The calls that `work` makes.
    pub async fn calls<T>(&self, work: impl Future<Output = T>) -> (T, Calls) {
        let before = self.fault.calls();
        let done = work.await;
        (done, self.fault.calls().since(&before))
    }

    /// What another S3 client reads.
    pub async fn body(&self, key: &str) -> Option<Vec<u8>> {
        let key = ObjectKey::new(key).unwrap();
        let object = self.mem.get(&key, GetOptions::default()).await.ok()?;
        Some(object.body.to_vec())
    }

    pub async fn metadata(&self, key: &str, name: &str) -> Option<String> {
        let key = ObjectKey::new(key).unwrap();
        let info = self.mem.head(&key, HeadOptions::default()).await.ok()?;
        info.attributes.metadata.get(name).cloned()
    }

    /// What another S3 client writes.
    pub async fn put(&self, key: &str, body: &[u8]) {
        let key = ObjectKey::new(key).unwrap();
        let body = Bytes::copy_from_slice(body);
        self.mem
            .put(&key, body, PutOptions::default())
            .await
            .unwrap();
    }

    /// What another S3 client writes with metadata.
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
    pub async fn etag(&self, key: &str) -> String {
        let key = ObjectKey::new(key).unwrap();
        let info = self.mem.head(&key, HeadOptions::default()).await.unwrap();
        info.etag.as_str().trim_matches('"').to_owned()
    }

    pub async fn delete(&self, key: &str) {
        let key = ObjectKey::new(key).unwrap();
        self.mem
            .delete(&key, cloakfs::store::DeleteOptions::default())
            .await
            .unwrap();
    }

    /// All keys but cloakfs's own.
    pub fn keys(&self) -> Vec<String> {
        self.mem
            .keys()
            .into_iter()
            .filter(|key| !key.starts_with(RESERVED_PREFIX))
            .collect()
    }

    /// Cloakfs's own keys.
    pub fn private_keys(&self) -> Vec<String> {
        self.mem
            .keys()
            .into_iter()
            .filter(|key| key.starts_with(RESERVED_PREFIX))
            .collect()
    }
}

pub struct Mount {
    pub fs: Arc<FileSystem>,
    _state: TempDir,
}

impl Mount {
    /// Walks a path as the kernel does, a lookup for each component.
    pub async fn walk(&self, path: &str) -> Result<Entry> {
        let mut parent = ROOT;
        let mut entry = None;
        for name in path.split('/') {
            let found = self.fs.lookup(parent, OsStr::new(name)).await?;
            parent = found.attr.ino;
            entry = Some(found);
        }
        Ok(entry.unwrap())
    }

    /// The directory that a path is in, and its last name.
    pub async fn parent<'a>(&self, path: &'a str) -> Result<(Ino, &'a OsStr)> {
        let path = Path::new(path);
        let name = path.file_name().unwrap();
        match path.parent().and_then(Path::to_str) {
            None | Some("") => Ok((ROOT, name)),
            Some(parent) => Ok((self.walk(parent).await?.attr.ino, name)),
        }
    }

    pub async fn attr(&self, path: &str) -> Result<Attr> {
        Ok(self.walk(path).await?.attr)
    }

    /// open(2): a lookup, then create or open as the kernel decides.
    pub async fn open(&self, path: &str, flags: i32) -> Result<(Ino, HandleId)> {
        self.open_as(me(), path, flags).await
    }

    pub async fn open_as(&self, who: Caller, path: &str, flags: i32) -> Result<(Ino, HandleId)> {
        let (parent, name) = self.parent(path).await?;
        match self.fs.lookup(parent, name).await {
            Ok(_) if flags & libc::O_EXCL != 0 => {
                // The kernel answers this itself.
                Err(self
                    .fs
                    .create(who, parent, name, 0o644, flags)
                    .await
                    .err()
                    .unwrap())
            }
            Ok(entry) => {
                let opened = self.fs.open(who, entry.attr.ino, flags).await?;
                Ok((entry.attr.ino, opened.handle))
            }
            Err(error) if error.errno() == libc::ENOENT && flags & libc::O_CREAT != 0 => {
                let (entry, opened) = self.fs.create(who, parent, name, 0o644, flags).await?;
                Ok((entry.attr.ino, opened.handle))
            }
            Err(error) => Err(error),
        }
    }

    pub async fn write_at(&self, handle: HandleId, offset: u64, data: &[u8]) -> Result<()> {
        let data = Bytes::copy_from_slice(data);
        let length = data.len();
        let written = self
            .fs
            .write(me(), handle, offset, data, libc::O_WRONLY, false)
            .await?;
        assert_eq!(written as usize, length);
        Ok(())
    }

    /// close(2).
    pub async fn close(&self, handle: HandleId) -> Result<()> {
        let flushed = self.fs.flush(me(), handle).await;
        self.fs.release(handle).await;
        flushed
    }

    pub async fn write_file(&self, path: &str, data: &[u8]) -> Result<()> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        let (_, handle) = self.open(path, flags).await?;
        if !data.is_empty() {
            self.write_at(handle, 0, data).await?;
        }
        self.close(handle).await
    }

    pub async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let (_, handle) = self.open(path, libc::O_RDONLY).await?;
        let data = self.read_all(handle).await;
        self.fs.release(handle).await;
        data
    }

    pub async fn read_all(&self, handle: HandleId) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let more = self.fs.read(handle, data.len() as u64, 128 << 10).await?;
            if more.is_empty() {
                return Ok(data);
            }
            data.extend_from_slice(&more);
        }
    }

    pub async fn mkdir(&self, path: &str) -> Result<Entry> {
        let (parent, name) = self.parent(path).await?;
        self.fs.mkdir(me(), parent, name, 0o755).await
    }

    pub async fn unlink(&self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path).await?;
        self.fs.unlink(parent, name).await
    }

    pub async fn rmdir(&self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path).await?;
        self.fs.rmdir(parent, name).await
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.rename_with(from, to, 0).await
    }

    pub async fn rename_with(&self, from: &str, to: &str, flags: u32) -> Result<()> {
        let (parent, name) = self.parent(from).await?;
        let (new_parent, new_name) = self.parent(to).await?;
        self.fs
            .rename(parent, name, new_parent, new_name, flags)
            .await
    }

    pub async fn set(&self, path: &str, set: SetAttr) -> Result<Attr> {
        let ino = self.walk(path).await?.attr.ino;
        Ok(self.fs.setattr(me(), ino, set, None).await?.0)
    }

    /// `getfattr -d`: every name, and then its value.
    pub async fn xattrs(&self, ino: Ino) -> Result<Vec<(String, String)>> {
        let names = self.fs.listxattr(ino).await?;
        let names = String::from_utf8(names).unwrap();
        let mut all = Vec::new();
        for name in names.split_terminator('\0') {
            let value = self.fs.getxattr(ino, OsStr::new(name)).await?;
            all.push((name.to_owned(), String::from_utf8(value).unwrap()));
        }
        Ok(all)
    }

    /// The names in a directory but for the dots, sorted, with their types.
    pub async fn list(&self, path: &str) -> Result<Vec<(String, FileKind)>> {
        let ino = if path.is_empty() {
            ROOT
        } else {
            self.walk(path).await?.attr.ino
        };
        let mut names: Vec<_> = self
            .list_items(ino, false)
            .await?
            .into_iter()
            .map(|item| (item.name.into_string().unwrap(), item.kind))
            .filter(|(name, _)| name != "." && name != "..")
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    pub async fn list_items(&self, ino: Ino, plus: bool) -> Result<Vec<DirItem>> {
        let handle = self.fs.opendir(ino).await?;
        let mut items: Vec<DirItem> = Vec::new();
        loop {
            let offset = items.last().map_or(0, |item| item.next_offset);
            // A small number, so that offsets are used.
            let more = self.fs.readdir(handle, offset, plus, 7).await?;
            if more.is_empty() {
                break;
            }
            items.extend(more);
        }
        self.fs.releasedir(handle);
        Ok(items)
    }
}

/// The errno of a failure.
pub fn errno<T>(result: Result<T>) -> i32 {
    result.err().expect("the operation must fail").errno()
}
