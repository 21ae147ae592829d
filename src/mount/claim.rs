//! One daemon at most serves a mountpoint.
//!
//! The claim is an exclusive flock(2) on a file in the state directory, held until the process
//! ends however it ends; the file itself stays. It is also what tells a living daemon from a
//! dead one without touching the mount: a daemon that is stopped still holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::mountinfo::{self, MountEntry};
use super::mountpoint::Mountpoint;
use super::state::StateDir;

/// Held for the life of the daemon.
#[derive(Debug)]
pub struct Claim {
    _locked: File,
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "{mountpoint} is already mounted: {entry}; see it with: cloakfs status {mountpoint}, and unmount it with: cloakfs umount {mountpoint}"
    )]
    Mounted {
        mountpoint: PathBuf,
        entry: Box<MountEntry>,
    },
    #[error(
        "another cloakfs is just mounting on {mountpoint}, or is still storing what was written to an earlier mount of it; see: cloakfs status {mountpoint}"
    )]
    Busy { mountpoint: PathBuf },
    #[error("the lock file {path} cannot be used: {source}")]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Claim {
    /// Takes the claim, or fails at once.
    pub fn take(state: &StateDir, mountpoint: &Mountpoint) -> Result<Self, ClaimError> {
        let path = state.lock_file(mountpoint);
        let lock = |source| ClaimError::Lock {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _locked: file }),
            Err(TryLockError::WouldBlock) => Err(why_held(mountpoint.path().to_owned())),
            Err(TryLockError::Error(source)) => Err(lock(source)),
        }
    }
}

fn why_held(mountpoint: PathBuf) -> ClaimError {
    match mountinfo::mounted_at(&mountpoint) {
        Ok(Some(entry)) if entry.fs_type == mountinfo::FS_TYPE => ClaimError::Mounted {
            mountpoint,
            entry: Box::new(entry),
        },
        _ => ClaimError::Busy { mountpoint },
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn a_second_claim_fails_until_the_first_is_gone() {
        let dir = tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let mountpoint = Mountpoint::resolve(dir.path()).unwrap();
        let first = Claim::take(&state, &mountpoint).unwrap();
        let refused = Claim::take(&state, &mountpoint).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "another cloakfs is just mounting on {0}, or is still storing what was written to an earlier mount of it; see: cloakfs status {0}",
                mountpoint.path().display()
            )
        );
        drop(first);
        assert!(Claim::take(&state, &mountpoint).is_ok());
    }
}
