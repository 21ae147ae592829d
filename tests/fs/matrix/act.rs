//! What a party of the matrix does to the name `f`, in three phases that another can come
//! between: it opens, it changes, it stores.

use bytes::Bytes;
use cloakfs::fs::{HandleId, Ino, SetAttr};

use crate::harness::{Mount, Result, me};

/// An open file.
pub type Open = (Ino, HandleId);

/// Bytes that a party writes at once.
const WRITTEN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `O_CREAT` without `O_EXCL` or `O_TRUNC`, and a write at the beginning.
    Create,
    CreateExclusive,
    /// `O_TRUNC`.
    Overwrite,
    Change,
    /// A change in the middle of a file of several parts.
    ChangeLarge,
    Append,
    Truncate,
    Delete,
    /// Deletes `f` while it has it open and changed.
    DeleteChanged,
    /// `f` to `h`, which is free.
    RenameAway,
    /// The same while it has `f` open and changed.
    RenameChanged,
    /// `g` to `f`.
    RenameOver,
    /// The same with `RENAME_NOREPLACE`.
    RenameUnlessThere,
    Chmod,
    Mkdir,
    Rmdir,
    /// Makes the file `f/x`.
    CreateInside,
    /// What another S3 client does, that knows nothing of mounts.
    ClientPut,
    ClientDelete,
    ClientMarker,
}

/// What is at `f` before anybody does anything. At `g` is always a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Nothing,
    Small,
    Large,
    Directory,
}

impl Start {
    /// The content: a run of `o`, then one of `p`.
    pub fn content(self) -> Option<Vec<u8>> {
        let run = match self {
            Self::Nothing | Self::Directory => return None,
            Self::Small => 16,
            Self::Large => 5 << 20,
        };
        Some([vec![b'o'; run], vec![b'p'; run]].concat())
    }
}

impl Act {
    /// What a mount does.
    pub const BY_MOUNT: [Self; 17] = [
        Self::Create,
        Self::CreateExclusive,
        Self::Overwrite,
        Self::Change,
        Self::ChangeLarge,
        Self::Append,
        Self::Truncate,
        Self::Delete,
        Self::DeleteChanged,
        Self::RenameAway,
        Self::RenameChanged,
        Self::RenameOver,
        Self::RenameUnlessThere,
        Self::Chmod,
        Self::Mkdir,
        Self::Rmdir,
        Self::CreateInside,
    ];
    pub const BY_CLIENT: [Self; 3] = [Self::ClientPut, Self::ClientDelete, Self::ClientMarker];

    /// What it is done to.
    pub const fn start(self) -> Start {
        match self {
            Self::Create | Self::CreateExclusive | Self::RenameUnlessThere | Self::Mkdir => {
                Start::Nothing
            }
            Self::ChangeLarge => Start::Large,
            Self::Rmdir | Self::CreateInside => Start::Directory,
            _ => Start::Small,
        }
    }

    /// It goes through an open file, which others can come before the close of.
    pub const fn has_handle(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::CreateExclusive
                | Self::Overwrite
                | Self::Change
                | Self::ChangeLarge
                | Self::Append
                | Self::Truncate
                | Self::DeleteChanged
                | Self::RenameChanged
                | Self::CreateInside
        )
    }

    /// The content, in the words of [`super::tree::label`], that comes of this where nobody else
    /// does anything.
    pub fn stores(self, by: char) -> Option<String> {
        match self {
            Self::Create | Self::CreateExclusive | Self::Overwrite | Self::CreateInside => {
                Some(by.to_string())
            }
            Self::Change | Self::ChangeLarge | Self::DeleteChanged | Self::RenameChanged => {
                Some(format!("o{by}p"))
            }
            Self::Append => Some(format!("op{by}")),
            Self::Truncate => Some("o".to_owned()),
            Self::RenameOver | Self::RenameUnlessThere => Some("g".to_owned()),
            Self::RenameAway | Self::Chmod => Some("op".to_owned()),
            _ => None,
        }
    }

    /// Where that is.
    pub const fn stores_at(self) -> &'static str {
        match self {
            Self::RenameAway | Self::RenameChanged => "h",
            Self::CreateInside => "f/x",
            _ => "f",
        }
    }

    pub async fn open(self, mount: &Mount) -> Result<Option<Open>> {
        let (path, flags) = match self {
            Self::Create => ("f", libc::O_WRONLY | libc::O_CREAT),
            Self::CreateExclusive => ("f", libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL),
            Self::CreateInside => ("f/x", libc::O_WRONLY | libc::O_CREAT),
            Self::Overwrite => ("f", libc::O_WRONLY | libc::O_TRUNC),
            _ if self.has_handle() => ("f", libc::O_RDWR),
            _ => return Ok(None),
        };
        mount.open(path, flags).await.map(Some)
    }

    pub async fn change(self, mount: &Mount, open: Option<Open>, by: char) -> Result<()> {
        let Some((ino, handle)) = open else {
            return Ok(());
        };
        let data = vec![by as u8; WRITTEN];
        match self {
            Self::Change | Self::ChangeLarge | Self::DeleteChanged | Self::RenameChanged => {
                let middle = self
                    .start()
                    .content()
                    .map_or(0, |content| content.len() / 2);
                let at = (middle - WRITTEN / 2) as u64;
                mount.write_at(handle, at, &data).await
            }
            Self::Append => {
                let flags = libc::O_WRONLY | libc::O_APPEND;
                let appended = mount
                    .fs
                    .write(me(), handle, 0, Bytes::from(data), flags, false);
                appended.await.map(drop)
            }
            Self::Truncate => {
                let set = SetAttr {
                    size: Some(16),
                    ..SetAttr::default()
                };
                mount
                    .fs
                    .setattr(me(), ino, set, Some(handle))
                    .await
                    .map(drop)
            }
            _ => mount.write_at(handle, 0, &data).await,
        }
    }

    /// What makes the change everybody's. The first error counts, as it does for a program that
    /// looks at each.
    pub async fn store(self, mount: &Mount, open: Option<Open>) -> Result<()> {
        let named = match self {
            Self::Delete | Self::DeleteChanged => mount.unlink("f").await,
            Self::RenameAway | Self::RenameChanged => mount.rename("f", "h").await,
            Self::RenameOver => mount.rename("g", "f").await,
            Self::RenameUnlessThere => mount.rename_with("g", "f", libc::RENAME_NOREPLACE).await,
            Self::Mkdir => mount.mkdir("f").await.map(drop),
            Self::Rmdir => mount.rmdir("f").await,
            Self::Chmod => {
                let set = SetAttr {
                    mode: Some(0o600),
                    ..SetAttr::default()
                };
                mount.set("f", set).await.map(drop)
            }
            _ => Ok(()),
        };
        match open {
            Some((_, handle)) => named.and(mount.close(handle).await),
            None => named,
        }
    }
}
