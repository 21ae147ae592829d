//! A mounted filesystem, and calls as a process would make them.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cloakfs::fs::{
    Attr, Caller, DirItem, Entry, FileKind, FileSystem, FsError, HandleId, Ino, ROOT, SetAttr,
};
use tempfile::TempDir;

pub use crate::bucket::Bucket;
pub use crate::layouts::Layout;

pub type Result<T> = std::result::Result<T, FsError>;

/// The process that makes the calls.
pub fn me() -> Caller {
    Caller {
        uid: 1000,
        gid: 1000,
        pid: std::process::id(),
    }
}

pub struct Mount {
    pub fs: Arc<FileSystem>,
    pub(crate) state: TempDir,
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
