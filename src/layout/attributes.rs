//! POSIX attributes of a file, directory, symlink or special file.

use std::collections::BTreeMap;

use crate::base::time::Timestamp;

/// The type of a file, as `S_IFMT` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    Fifo,
    CharDevice,
    BlockDevice,
    Socket,
}

/// Extended attributes: names are UTF-8, values any bytes.
pub type Xattrs = BTreeMap<String, Vec<u8>>;

/// Everything that stat(2) and getxattr(2) tell but for the inode number and the length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub kind: FileKind,
    /// The lower 12 bits of the mode.
    pub perm: u16,
    pub uid: u32,
    pub gid: u32,
    /// Device number of a special file, else 0.
    pub rdev: u32,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub xattrs: Xattrs,
}
