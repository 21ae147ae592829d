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

impl FileKind {
    /// The kind that the type bits of `mode` name; `None` where they name none, as in a mode
    /// that is permissions only.
    #[must_use]
    pub const fn from_mode(mode: u32) -> Option<Self> {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Some(Self::File),
            libc::S_IFDIR => Some(Self::Directory),
            libc::S_IFLNK => Some(Self::Symlink),
            libc::S_IFIFO => Some(Self::Fifo),
            libc::S_IFCHR => Some(Self::CharDevice),
            libc::S_IFBLK => Some(Self::BlockDevice),
            libc::S_IFSOCK => Some(Self::Socket),
            _ => None,
        }
    }

    /// The type bits of a mode.
    #[must_use]
    pub const fn type_bits(self) -> u32 {
        match self {
            Self::File => libc::S_IFREG,
            Self::Directory => libc::S_IFDIR,
            Self::Symlink => libc::S_IFLNK,
            Self::Fifo => libc::S_IFIFO,
            Self::CharDevice => libc::S_IFCHR,
            Self::BlockDevice => libc::S_IFBLK,
            Self::Socket => libc::S_IFSOCK,
        }
    }
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

impl Attributes {
    /// Type and permission bits, as `st_mode` has them.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.kind.type_bits() | u32::from(self.perm)
    }
}
