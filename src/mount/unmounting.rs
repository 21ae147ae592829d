//! Taking a mount away without its daemon's help: because it is to go at once, or because the
//! daemon cannot be asked from here.
//!
//! The daemon notices that the kernel ended the session, uploads what it still has, and ends.
//! Nobody waits for that here.

use std::io;
use std::path::PathBuf;

use super::mountinfo::{self, MountEntry};
use super::mounting::{self, UnmountError, Way};
use super::mountpoint::Mountpoint;

#[derive(Debug, thiserror::Error)]
pub enum TakeAwayError {
    #[error("{mountpoint} is not a cloakfs mount; `findmnt -t fuse.cloakfs` lists those there are")]
    NotOurs { mountpoint: PathBuf },
    #[error("the table of mounts cannot be read: {0}")]
    Table(#[source] io::Error),
    #[error(transparent)]
    Unmount(#[from] UnmountError),
}

/// Unmounts what is uppermost at `mountpoint`, if it is of our type. Touches no mount before
/// that: a daemon that is stuck would let this wait for it.
pub fn take_away(mountpoint: &Mountpoint, way: Way) -> Result<(), TakeAwayError> {
    let top = mountinfo::mounted_at(mountpoint.path()).map_err(TakeAwayError::Table)?;
    if !top.as_ref().is_some_and(is_ours) {
        return Err(TakeAwayError::NotOurs {
            mountpoint: mountpoint.path().to_owned(),
        });
    }
    Ok(mounting::unmount(mountpoint.path(), way)?)
}

fn is_ours(entry: &MountEntry) -> bool {
    entry.fs_type == mountinfo::FS_TYPE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let proc = Mountpoint::resolve("/proc".as_ref()).unwrap();
        assert_eq!(
            take_away(&proc, Way::Lazily).unwrap_err().to_string(),
            "/proc is not a cloakfs mount; `findmnt -t fuse.cloakfs` lists those there are"
        );
    }
}
