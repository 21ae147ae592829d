//! create, mknod, mkdir and symlink: new names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::inode::Inode;
use super::types::{Caller, Entry, FileKind, Ino, Opened};
use super::{FileSystem, FsError, Result};
use crate::base::limits::SYMLINK_TARGET_BYTES_MAX;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, Xattrs};
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ErrorKind;
use crate::volume::{Committed, Condition, ObjectMeta, Stat};

impl FileSystem {
    /// Creates and opens a file. With `O_EXCL` the bucket decides at once who made it; without,
    /// the file is this mount's own until it is closed or synced.
    pub async fn create(
        self: &Arc<Self>,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, Opened)> {
        let _change = self.writable()?;
        let name = self.new_name(parent, name)?;
        let _name = self.names.lock(parent, &name).await;
        let existed = self.table.child(parent, &name).is_some();
        let inode = {
            let _held = self.hold_name(parent, &name).await?;
            let path = self.child_path(parent, &name)?;
            let meta = self.new_meta(caller, parent, FileKind::File, mode, 0)?;
            if flags & libc::O_EXCL != 0 && self.write_back.is_some() {
                // Decided here; the upload makes sure that it replaces nobody's.
                if !self.is_free(&path, parent, &name) {
                    match self.find(parent, &name).await {
                        Ok(_) => return Err(FsError::posix(libc::EEXIST)),
                        Err(error) if error.errno() == libc::ENOENT => {}
                        Err(error) => return Err(error),
                    }
                }
                self.pending_file(&path, parent, &name, meta)
            } else if flags & libc::O_EXCL != 0 {
                let asked = Instant::now();
                let done = self
                    .volume
                    .put(&path, &meta, Bytes::new(), &Condition::IfAbsent)
                    .await;
                let inode = self.made(&path, parent, &name, meta, 0, done)?;
                inode.state().made = Some(asked);
                inode
            } else {
                self.table.child(parent, &name).map_or_else(
                    || Ok(self.pending_file(&path, parent, &name, meta)),
                    // It came to be since the kernel looked: this opens it.
                    |inode| {
                        if inode.kind == FileKind::File {
                            Self::refuse_closed(&inode)?;
                            Ok(inode)
                        } else {
                            Err(FsError::posix(libc::EEXIST))
                        }
                    },
                )?
            }
        };
        self.pin(&inode);
        let entry = match self.entry(&inode) {
            Ok(entry) => entry,
            Err(error) => {
                self.unpin(&inode).await;
                return Err(error);
            }
        };
        let opened = self.make_handle(&inode);
        if let Ok(file) = self.file(opened.handle) {
            // Its creator's close commits it even if nothing is ever written.
            file.note_writer(caller, false);
            file.note_may_write();
        }
        if existed && flags & libc::O_TRUNC != 0 {
            // The kernel believes it new and will not truncate it.
            self.truncate(caller, &inode, 0, Some(opened.handle))
                .await?;
        }
        Ok((entry, opened))
    }

    /// A file that only this mount knows until its commit.
    fn pending_file(
        &self,
        path: &VolumePath,
        parent: Ino,
        name: &PlainName,
        meta: ObjectMeta,
    ) -> Arc<Inode> {
        let inode = self.table.insert(path, parent, name, |ino, place| {
            Inode::pending(ino, place, meta)
        });
        if let Some(parent) = self.table.inode(parent) {
            parent.state().pending.insert(name.clone(), inode.ino);
            parent.touch_directory();
        }
        inode
    }

    /// Makes a file, fifo, socket or device.
    pub async fn mknod(
        self: &Arc<Self>,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u32,
    ) -> Result<Entry> {
        let kind = FileKind::from_mode(mode).unwrap_or(FileKind::File);
        if matches!(kind, FileKind::Directory | FileKind::Symlink) {
            return Err(FsError::posix(libc::EINVAL));
        }
        let meta = self.new_meta(caller, parent, kind, mode, rdev)?;
        self.make(parent, name, meta, Bytes::new()).await
    }

    pub async fn mkdir(
        self: &Arc<Self>,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
    ) -> Result<Entry> {
        let meta = self.new_meta(caller, parent, FileKind::Directory, mode, 0)?;
        let path = PlainName::new(name)
            .ok()
            .and_then(|name| self.child_path(parent, &name).ok());
        let making = path.and_then(|path| Some((self.stats.absence.making(&path)?, path)));
        let made = self.make(parent, name, meta, Bytes::new()).await;
        if let (Ok(_), Some((making, path))) = (&made, making) {
            self.stats.absence.made(&path, &making);
        }
        made
    }

    pub async fn symlink(
        self: &Arc<Self>,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Entry> {
        let target = Bytes::copy_from_slice(target.as_bytes());
        if target.len() > SYMLINK_TARGET_BYTES_MAX {
            return Err(FsError::posix(libc::ENAMETOOLONG));
        }
        let meta = self.new_meta(caller, parent, FileKind::Symlink, 0o777, 0)?;
        self.make(parent, name, meta, target).await
    }

    /// Makes an object that is whole from the beginning; the bucket decides who made it.
    async fn make(
        self: &Arc<Self>,
        parent: Ino,
        name: &OsStr,
        meta: ObjectMeta,
        body: Bytes,
    ) -> Result<Entry> {
        let _change = self.writable()?;
        let name = self.new_name(parent, name)?;
        let _name = self.names.lock(parent, &name).await;
        let _held = self.hold_name(parent, &name).await?;
        let path = self.child_path(parent, &name)?;
        let size = body.len() as u64;
        let done = self
            .volume
            .put(&path, &meta, body, &Condition::IfAbsent)
            .await;
        let inode = self.made(&path, parent, &name, meta, size, done)?;
        self.entry(&inode)
    }

    /// The inode of an object that has just been put, or EEXIST.
    fn made(
        &self,
        path: &VolumePath,
        parent: Ino,
        name: &PlainName,
        meta: ObjectMeta,
        size: u64,
        done: std::result::Result<Committed, crate::volume::VolumeError>,
    ) -> Result<Arc<Inode>> {
        self.stats.changed(path);
        let done = match done {
            Ok(done) => done,
            Err(error) if error.kind() == ErrorKind::Precondition => {
                return Err(FsError::posix(libc::EEXIST));
            }
            Err(error) => return Err(error.into()),
        };
        let size = if meta.attributes.kind == FileKind::Directory {
            0
        } else {
            size
        };
        let stat = Stat {
            meta,
            size,
            version: Some(done.version),
            commit: Some(done.commit),
            last_modified: Timestamp::now(),
            encryption: None,
            s3ec: None,
            hides_object: false,
        };
        if let Some(inode) = self.table.child(parent, name) {
            // A name that the bucket says did not exist: what was known of it is of the past.
            self.table.unlink(&inode);
            self.table.drop_unused(inode.ino);
        }
        let inode = self.table.insert(path, parent, name, |ino, place| {
            Inode::from_stat(ino, place, stat, Instant::now())
        });
        inode.state().changed = Some(Instant::now());
        if let Some(parent) = self.table.inode(parent) {
            parent.touch_directory();
        }
        Ok(inode)
    }

    fn new_name(&self, parent: Ino, name: &OsStr) -> Result<PlainName> {
        let name = PlainName::new(name)?;
        let parent = self.inode(parent)?;
        let path = self
            .table
            .path(&parent)
            .ok_or_else(|| FsError::posix(libc::ENOENT))?;
        if self.volume.is_reserved(&path.join(&name)) {
            return Err(FsError::refused(
                libc::EPERM,
                format!(
                    "{:?} cannot be made: the name is kept for cloakfs's own objects",
                    name.as_str()
                ),
            ));
        }
        Ok(name)
    }

    /// Attributes of a new object: the caller's, the group of a set-group-ID directory.
    fn new_meta(
        &self,
        caller: Caller,
        parent: Ino,
        kind: FileKind,
        mode: u32,
        rdev: u32,
    ) -> Result<ObjectMeta> {
        let parent = self.inode(parent)?;
        let (parent_perm, parent_gid) = {
            let state = parent.state();
            (state.meta.attributes.perm, state.meta.attributes.gid)
        };
        let mut perm = u16::try_from(mode & 0o7777).unwrap_or_default();
        let mut gid = caller.gid;
        if parent_perm & 0o2000 != 0 {
            gid = parent_gid;
            if kind == FileKind::Directory {
                perm |= 0o2000;
            }
        }
        let now = Timestamp::now();
        Ok(ObjectMeta::new(Attributes {
            kind,
            perm,
            uid: caller.uid,
            gid,
            rdev,
            atime: now,
            mtime: now,
            ctime: now,
            xattrs: Xattrs::new(),
        }))
    }
}
