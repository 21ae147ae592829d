//! Extended attributes, kept in the object's metadata as s3fs keeps them.

use std::ffi::OsStr;
use std::sync::Arc;

use super::types::Ino;
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;

/// `XATTR_SIZE_MAX` and `XATTR_NAME_MAX` of the kernel are larger than what metadata holds; the
/// real bound is the store's, and passing it is ENOSPC.
const NAMESPACES: [&str; 3] = ["user.", "trusted.", "security."];

impl FileSystem {
    /// setxattr(2); `flags` are `XATTR_CREATE` or `XATTR_REPLACE`.
    pub async fn setxattr(
        self: &Arc<Self>,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<()> {
        let _change = self.writable()?;
        let name = attribute_name(name)?.to_owned();
        let inode = self.inode(ino)?;
        self.change_meta(&inode, |meta| {
            let there = meta.attributes.xattrs.contains_key(&name);
            if there && flags & libc::XATTR_CREATE != 0 {
                return Err(FsError::posix(libc::EEXIST));
            }
            if !there && flags & libc::XATTR_REPLACE != 0 {
                return Err(FsError::posix(libc::ENODATA));
            }
            meta.attributes.xattrs.insert(name, value.to_vec());
            if self.volume.fits(meta) {
                meta.attributes.ctime = Timestamp::now();
                Ok(())
            } else {
                Err(FsError::posix(libc::ENOSPC))
            }
        })
        .await
    }

    pub async fn getxattr(self: &Arc<Self>, ino: Ino, name: &OsStr) -> Result<Vec<u8>> {
        let name = attribute_name(name)?;
        let inode = self.inode(ino)?;
        if name.starts_with("user.") {
            self.recheck(&inode).await?;
        }
        // The kernel asks for security.capability before every write: answered from memory.
        let value = inode.state().meta.attributes.xattrs.get(name).cloned();
        value.ok_or_else(|| FsError::posix(libc::ENODATA))
    }

    /// The names, each with a NUL after it.
    pub async fn listxattr(self: &Arc<Self>, ino: Ino) -> Result<Vec<u8>> {
        let inode = self.inode(ino)?;
        self.recheck(&inode).await?;
        let state = inode.state();
        let mut names = Vec::new();
        for name in state.meta.attributes.xattrs.keys() {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        Ok(names)
    }

    pub async fn removexattr(self: &Arc<Self>, ino: Ino, name: &OsStr) -> Result<()> {
        let _change = self.writable()?;
        let name = attribute_name(name)?.to_owned();
        let inode = self.inode(ino)?;
        self.change_meta(&inode, |meta| match meta.attributes.xattrs.remove(&name) {
            Some(_) => {
                meta.attributes.ctime = Timestamp::now();
                Ok(())
            }
            None => Err(FsError::posix(libc::ENODATA)),
        })
        .await
    }
}

/// Access control lists (`system.`) would change what permissions mean, and nothing here would
/// enforce them.
fn attribute_name(name: &OsStr) -> Result<&str> {
    let name = name.to_str().ok_or_else(|| FsError::posix(libc::EILSEQ))?;
    if NAMESPACES
        .iter()
        .any(|namespace| name.starts_with(namespace))
    {
        Ok(name)
    } else {
        Err(FsError::posix(libc::EOPNOTSUPP))
    }
}
