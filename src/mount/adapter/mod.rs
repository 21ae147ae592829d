//! fuser's callbacks, each handed to the filesystem.
//!
//! A callback only turns its arguments into owned values, because the buffer they are borrowed
//! from is reused for the next request, and gives the rest to [`dispatch::run`]. It never
//! blocks. References (`nlookup`) are counted by the filesystem before it answers; those of
//! directory entries that no longer fit into the reply are given back here.

mod answer;
mod capabilities;
mod convert;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, Generation,
    INodeNo, IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use tokio::runtime::Handle;

pub(super) use capabilities::REQUEST_BYTES_MAX;

use super::dispatch::{self, Operation, OperationCounts};
use crate::fs::{FileSystem, FsError, SetAttr};

use answer::{
    Listed, add_entry, answer_empty, answer_entry, answer_lookup, answer_opendir, answer_written,
    answer_xattr, fill,
};
use convert::{attributes, caller, copy_range, file_type, open_answer, time_to_set};

/// The kernel's view of a [`FileSystem`].
#[derive(Debug)]
pub struct Adapter {
    fs: Arc<FileSystem>,
    runtime: Handle,
    counts: Arc<OperationCounts>,
}

impl Adapter {
    /// Operations that have to wait do so on `runtime`.
    #[must_use]
    pub fn new(fs: Arc<FileSystem>, runtime: Handle, counts: Arc<OperationCounts>) -> Self {
        Self {
            fs,
            runtime,
            counts,
        }
    }

    fn run<T, F, A>(&self, operation: Operation, work: impl FnOnce(Arc<FileSystem>) -> F, answer: A)
    where
        T: Send + 'static,
        F: Future<Output = Result<T, FsError>> + Send + 'static,
        A: FnOnce(Result<T, Errno>) + Send + 'static,
    {
        let future = work(Arc::clone(&self.fs));
        dispatch::run(&self.runtime, &self.counts, operation, future, answer);
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        capabilities::choose(config, self.fs.is_exclusive());
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.run(
            Operation::Lookup,
            |fs| async move { fs.lookup(parent.0, &name).await },
            answer_lookup(reply, self.fs.absence_ttl()),
        );
    }

    fn forget(&self, _request: &Request, ino: INodeNo, nlookup: u64) {
        self.fs.forget(ino.0, nlookup);
    }

    fn getattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        self.run(
            Operation::GetAttr,
            |fs| async move { fs.getattr(ino.0, handle.map(|handle| handle.0)).await },
            |outcome| match outcome {
                Ok((attr, ttl)) => reply.attr(&ttl, &attributes(&attr)),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let caller = caller(request);
        let set = SetAttr {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(time_to_set),
            mtime: mtime.map(time_to_set),
        };
        self.run(
            Operation::SetAttr,
            |fs| async move {
                fs.setattr(caller, ino.0, set, handle.map(|handle| handle.0))
                    .await
            },
            |outcome| match outcome {
                Ok((attr, ttl)) => reply.attr(&ttl, &attributes(&attr)),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        self.run(
            Operation::ReadLink,
            |fs| async move { fs.readlink(ino.0).await },
            |outcome| match outcome {
                Ok(target) => reply.data(&target),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (caller, name) = (caller(request), name.to_owned());
        self.run(
            Operation::MkNod,
            |fs| async move { fs.mknod(caller, parent.0, &name, mode, rdev).await },
            answer_entry(reply),
        );
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let (caller, name) = (caller(request), name.to_owned());
        self.run(
            Operation::MkDir,
            |fs| async move { fs.mkdir(caller, parent.0, &name, mode).await },
            answer_entry(reply),
        );
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.run(
            Operation::Unlink,
            |fs| async move { fs.unlink(parent.0, &name).await },
            answer_empty(reply),
        );
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.run(
            Operation::RmDir,
            |fs| async move { fs.rmdir(parent.0, &name).await },
            answer_empty(reply),
        );
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let caller = caller(request);
        let (name, target) = (link_name.to_owned(), target.as_os_str().to_owned());
        self.run(
            Operation::Symlink,
            |fs| async move { fs.symlink(caller, parent.0, &name, &target).await },
            answer_entry(reply),
        );
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, new_name) = (name.to_owned(), new_name.to_owned());
        self.run(
            Operation::Rename,
            |fs| async move {
                fs.rename(parent.0, &name, new_parent.0, &new_name, flags.bits())
                    .await
            },
            answer_empty(reply),
        );
    }

    /// EPERM, as link(2) has it for filesystems without hard links: git, tar and dpkg copy then.
    fn link(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let caller = caller(request);
        self.run(
            Operation::Open,
            |fs| async move { fs.open(caller, ino.0, flags.0).await },
            |outcome| match outcome {
                Ok(opened) => reply.opened(FileHandle(opened.handle), open_answer(opened)),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.run(
            Operation::Read,
            |fs| async move { fs.read(handle.0, offset, size).await },
            |outcome| match outcome {
                Ok(data) => reply.data(&data),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn write(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let caller = caller(request);
        let data = Bytes::copy_from_slice(data);
        let from_page_cache = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        self.run(
            Operation::Write,
            |fs| async move {
                fs.write(caller, handle.0, offset, data, flags.0, from_page_cache)
                    .await
            },
            answer_written(reply),
        );
    }

    fn flush(
        &self,
        request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let caller = caller(request);
        self.run(
            Operation::Flush,
            |fs| async move { fs.flush(caller, handle.0).await },
            answer_empty(reply),
        );
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.run(
            Operation::Release,
            |fs| async move {
                fs.release(handle.0).await;
                Ok(())
            },
            answer_empty(reply),
        );
    }

    fn fsync(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.run(
            Operation::Fsync,
            |fs| async move { fs.fsync(handle.0, data_only).await },
            answer_empty(reply),
        );
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.run(
            Operation::OpenDir,
            |fs| async move { fs.opendir(ino.0).await },
            answer_opendir(reply, self.fs.keeps_listings()),
        );
    }

    fn readdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.run(
            Operation::ReadDir,
            |fs| async move {
                let filled = fill(&fs, handle.0, offset, Listed::Names, |item| {
                    reply.add(
                        INodeNo(item.ino),
                        item.next_offset,
                        file_type(item.kind),
                        &item.name,
                    )
                })
                .await;
                Ok((reply, filled))
            },
            |outcome| match outcome {
                Ok((reply, Ok(()))) => reply.ok(),
                Ok((reply, Err(error))) => reply.error(Errno::from_i32(error.errno())),
                // The panic took the reply with it, and fuser answered EIO.
                Err(_) => {}
            },
        );
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.run(
            Operation::ReadDirPlus,
            |fs| async move {
                let filled = fill(&fs, handle.0, offset, Listed::WithEntries, |item| {
                    add_entry(&mut reply, item)
                })
                .await;
                Ok((reply, filled))
            },
            |outcome| match outcome {
                Ok((reply, Ok(()))) => reply.ok(),
                Ok((reply, Err(error))) => reply.error(Errno::from_i32(error.errno())),
                // The panic took the reply with it, and fuser answered EIO.
                Err(_) => {}
            },
        );
    }

    fn releasedir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.fs.releasedir(handle.0);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.run(
            Operation::FsyncDir,
            |fs| async move { fs.fsyncdir(handle.0).await },
            answer_empty(reply),
        );
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        self.run(
            Operation::StatFs,
            |fs| async move { Ok(fs.statfs()) },
            |outcome| match outcome {
                Ok(stat) => reply.statfs(
                    stat.blocks,
                    stat.blocks_free,
                    stat.blocks_free,
                    stat.files,
                    stat.files_free,
                    stat.block_bytes,
                    stat.name_bytes_max,
                    stat.block_bytes,
                ),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn setxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.run(
            Operation::SetXattr,
            |fs| async move { fs.setxattr(ino.0, &name, &value, flags).await },
            answer_empty(reply),
        );
    }

    fn getxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let name = name.to_owned();
        self.run(
            Operation::GetXattr,
            |fs| async move { fs.getxattr(ino.0, &name).await },
            answer_xattr(reply, size),
        );
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.run(
            Operation::ListXattr,
            |fs| async move { fs.listxattr(ino.0).await },
            answer_xattr(reply, size),
        );
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.run(
            Operation::RemoveXattr,
            |fs| async move { fs.removexattr(ino.0, &name).await },
            answer_empty(reply),
        );
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (caller, name) = (caller(request), name.to_owned());
        self.run(
            Operation::Create,
            |fs| async move { fs.create(caller, parent.0, &name, mode, flags).await },
            |outcome| match outcome {
                // fuser has one time to live for both here; the shorter is right for each.
                Ok((entry, opened)) => reply.created(
                    &entry.attr_ttl.min(entry.entry_ttl),
                    &attributes(&entry.attr),
                    Generation(entry.generation),
                    FileHandle(opened.handle),
                    open_answer(opened),
                ),
                Err(errno) => reply.error(errno),
            },
        );
    }

    /// Not sent: `default_permissions` lets the kernel decide.
    fn access(&self, _request: &Request, _ino: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Not sent: without `FUSE_POSIX_LOCKS` the kernel keeps locks itself.
    fn getlk(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        reply: ReplyLock,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Not sent, as [`Self::getlk`].
    fn setlk(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        _sleep: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// ENOSYS: asked once, and then the kernel says EINVAL to FIBMAP itself.
    fn bmap(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _block_bytes: u32,
        _index: u64,
        reply: ReplyBmap,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// ENOTTY: "not an ioctl of this file", which lsattr, cp --reflink and terminals' probes
    /// expect.
    fn ioctl(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    /// ENOSYS: asked once, and then the kernel answers "always ready", as for any file.
    fn poll(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// ENOSYS: asked once, and then the kernel says EOPNOTSUPP itself, on which
    /// `posix_fallocate` writes zeros. There is nothing to reserve in a bucket.
    fn fallocate(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// ENOSYS: asked once, and then the kernel answers `SEEK_DATA` and `SEEK_HOLE` itself, as
    /// for a file without holes.
    fn lseek(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        request: &Request,
        _ino_in: INodeNo,
        handle_in: FileHandle,
        offset_in: u64,
        _ino_out: INodeNo,
        handle_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let caller = caller(request);
        let copy = copy_range((handle_in, offset_in), (handle_out, offset_out), len);
        let copied = |fs: Arc<FileSystem>| async move { fs.copy_range(caller, copy).await };
        self.run(Operation::CopyFileRange, copied, answer_written(reply));
    }
}
