//! Extended attributes: kept in the object's metadata as s3fs keeps them, but for those of
//! [`virtual_xattr`](super::virtual_xattr).

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::inode::{Inode, Place};
use super::types::{FileKind, Ino};
use super::virtual_xattr::{ObjectFacts, Told, is_virtual};
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;
use crate::layout::path::VolumePath;

/// `XATTR_SIZE_MAX` and `XATTR_NAME_MAX` of the kernel are larger than what metadata holds; the
/// real bound is the store's, and passing it is ENOSPC.
const NAMESPACES: [&str; 3] = ["user.", "trusted.", "security."];

/// An answer that this mount's own change of the object overtook is asked for again.
const QUESTIONS_MAX: u32 = 3;

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
        if is_virtual(&name) {
            return Err(self.notices.refuse_virtual_xattr(&name));
        }
        let inode = self.inode(ino)?;
        let path = self.table.path(&inode);
        let name_of_file = path.as_ref().map_or("", VolumePath::as_str);
        self.change_meta(&inode, |meta| {
            let there = meta.attributes.xattrs.contains_key(&name);
            if there && flags & libc::XATTR_CREATE != 0 {
                return Err(FsError::posix(libc::EEXIST));
            }
            if !there && flags & libc::XATTR_REPLACE != 0 {
                return Err(FsError::posix(libc::ENODATA));
            }
            meta.attributes.xattrs.insert(name, value.to_vec());
            self.volume.check_fits(name_of_file, meta)?;
            meta.attributes.ctime = Timestamp::now();
            Ok(())
        })
        .await
    }

    pub async fn getxattr(self: &Arc<Self>, ino: Ino, name: &OsStr) -> Result<Vec<u8>> {
        let name = attribute_name(name)?;
        let inode = self.inode(ino)?;
        if is_virtual(name) {
            let facts = self.object_facts(&inode).await?;
            let sealed = self.volume.sealed_as();
            let attributes = facts.map(|facts| facts.attributes(sealed.as_ref()));
            return attributes
                .into_iter()
                .flatten()
                .find(|(there, _)| *there == name)
                .map(|(_, value)| value.into_bytes())
                .ok_or_else(|| FsError::posix(libc::ENODATA));
        }
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
        let facts = self.object_facts(&inode).await?;
        let sealed = self.volume.sealed_as();
        let shown = facts.map(|facts| facts.attributes(sealed.as_ref()));
        let mut names = Vec::new();
        let mut add = |name: &str| {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        };
        shown.into_iter().flatten().for_each(|(name, _)| add(name));
        let state = inode.state();
        let stored = state.meta.attributes.xattrs.keys();
        stored
            .filter(|name| !is_virtual(name))
            .for_each(|name| add(name));
        Ok(names)
    }

    /// What the server said of the object at an inode's name within the time to live, with the
    /// inode's own attributes rechecked: at most one question, unless this mount changes the object
    /// while it is asked. `None` where there is no object, or
    /// none that has to do with the inode, and for kinds that the kernel shows no `user.`
    /// attributes of: links, fifos, sockets and devices.
    async fn object_facts(&self, inode: &Arc<Inode>) -> Result<Option<ObjectFacts>> {
        let has_object = {
            let state = inode.state();
            match inode.kind {
                // Whatever else has the name by now.
                FileKind::File => state.content.snapshot().version.is_some(),
                FileKind::Directory => true,
                _ => false,
            }
        };
        if !has_object || inode.state().place == Place::Unlinked {
            self.recheck(inode).await?;
            return Ok(None);
        }
        if let Some(told) = self.told_lately(inode) {
            return Ok(told.object);
        }
        let mut told = None;
        for _ in 0..QUESTIONS_MAX {
            let asked = Instant::now();
            self.ask(inode).await?;
            let state = inode.state();
            let answer = state.told.as_ref().filter(|told| told.asked >= asked);
            told = answer.map(|told| told.object.clone());
            if told.is_some() && state.changed.is_none_or(|changed| changed < asked) {
                break;
            }
        }
        // Where this mount changes it faster than it can be asked: as it was a moment ago.
        Ok(told.flatten())
    }

    /// What a HEAD told within the time to live, if this mount has not changed the object since.
    fn told_lately(&self, inode: &Inode) -> Option<Told> {
        let state = inode.state();
        let told = state.told.as_ref()?;
        let changed_since = state.changed.is_some_and(|changed| changed >= told.asked);
        let fresh = told.asked.elapsed() < self.config.ttl && !changed_since;
        fresh.then(|| told.clone())
    }

    pub async fn removexattr(self: &Arc<Self>, ino: Ino, name: &OsStr) -> Result<()> {
        let _change = self.writable()?;
        let name = attribute_name(name)?.to_owned();
        let inode = self.inode(ino)?;
        if is_virtual(&name) {
            // Why this is no error: see `virtual_xattr`.
            return Ok(());
        }
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
