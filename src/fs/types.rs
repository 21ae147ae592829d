//! What the kernel side and the filesystem say to each other, free of fuser's types.

use std::ffi::OsString;
use std::time::Duration;

use crate::base::time::Timestamp;

/// An inode number; 1 is the root.
pub type Ino = u64;
/// An open file or directory.
pub type HandleId = u64;

/// The root directory's inode number, as FUSE fixes it.
pub const ROOT: Ino = 1;

pub use crate::layout::attributes::FileKind;

/// Who asks, from the request's header.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// The kernel's number of the *thread*; 0 when the kernel itself writes back pages.
    pub pid: u32,
}

/// stat(2)'s answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    pub ino: Ino,
    /// Bytes.
    pub size: u64,
    pub kind: FileKind,
    /// The lower 12 bits of the mode.
    pub perm: u16,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
}

/// The answer to a lookup: counts as one kernel reference (`nlookup`) to the inode.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub attr: Attr,
    pub generation: u64,
    /// How long the kernel may trust the name.
    pub entry_ttl: Duration,
    /// How long the kernel may trust the attributes.
    pub attr_ttl: Duration,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    Now,
    At(Timestamp),
}

/// What setattr changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    /// Permission bits (the lower 12); a type in it is ignored.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<SetTime>,
    pub mtime: Option<SetTime>,
}

/// The answer to open and create.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    pub handle: HandleId,
    /// The kernel's cached pages of this inode are still right.
    pub keep_cache: bool,
    /// Pages must not be shared: a handle on another version of the file is open.
    pub direct_io: bool,
}

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct DirItem {
    pub ino: Ino,
    /// Where the listing goes on after this name.
    pub next_offset: u64,
    pub kind: FileKind,
    pub name: OsString,
    /// For readdirplus, and never for `.` and `..`: one kernel reference, which the adapter
    /// gives back with `forget` when the item no longer fits into the reply.
    pub entry: Option<Entry>,
}

/// statfs(2)'s answer; counts are of `block_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct StatFs {
    pub block_bytes: u32,
    pub blocks: u64,
    pub blocks_free: u64,
    pub files: u64,
    pub files_free: u64,
    pub name_bytes_max: u32,
}
