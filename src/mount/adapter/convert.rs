//! Between fuser's types and ours. Pure.

use std::time::SystemTime;

use fuser::{FileAttr, FileHandle, FileType, FopenFlags, INodeNo, Request, TimeOrNow};

use crate::base::time::Timestamp;
use crate::fs::{Attr, Caller, CopyRange, FileKind, Ino, Opened, SetTime};

/// `st_blksize`. The kernel takes it for the block size of the inode too, and before 6.18 did
/// not stand one above the page size everywhere.
const BLOCK_BYTES: u32 = 4096;
/// The unit of `st_blocks`, from stat(2).
const BLOCKS_UNIT_BYTES: u64 = 512;

pub(super) fn attributes(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino),
        size: attr.size,
        blocks: attr.size.div_ceil(BLOCKS_UNIT_BYTES),
        atime: attr.atime.into(),
        mtime: attr.mtime.into(),
        ctime: attr.ctime.into(),
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: attr.perm,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// Attributes that stand for `.` and `..` in a listing, where the kernel looks only at number
/// and type.
pub(super) fn dot_attributes(ino: Ino, kind: FileKind) -> FileAttr {
    attributes(&Attr {
        ino,
        size: 0,
        kind,
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        atime: Timestamp::EPOCH,
        mtime: Timestamp::EPOCH,
        ctime: Timestamp::EPOCH,
    })
}

pub(super) const fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
        FileKind::Socket => FileType::Socket,
    }
}

pub(super) fn caller(request: &Request) -> Caller {
    Caller {
        uid: request.uid(),
        gid: request.gid(),
        pid: request.pid(),
    }
}

/// Where from, where to, and how much.
pub(super) const fn copy_range(
    (source, source_offset): (FileHandle, u64),
    (target, target_offset): (FileHandle, u64),
    bytes: u64,
) -> CopyRange {
    CopyRange {
        source: source.0,
        source_offset,
        target: target.0,
        target_offset,
        bytes,
    }
}

pub(super) fn time_to_set(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::SpecificTime(time) => SetTime::At(time.into()),
        TimeOrNow::Now => SetTime::Now,
    }
}

pub(super) const fn open_answer(opened: Opened) -> FopenFlags {
    if opened.direct_io {
        FopenFlags::FOPEN_DIRECT_IO
    } else if opened.keep_cache {
        FopenFlags::FOPEN_KEEP_CACHE
    } else {
        FopenFlags::empty()
    }
}
