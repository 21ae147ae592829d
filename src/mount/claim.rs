//! One daemon at most serves a mountpoint.
//!
//! The claim is an exclusive flock(2) on a file in the state directory, held until the process
//! ends however it ends; the file itself stays. It is also what tells a living daemon from a
//! dead one without touching the mount: a daemon that is stopped still holds it.
//!
//! A daemon whose mount is gone already is about to end, and whoever heard that the unmount is
//! done may mount again at once: so a claim that is held without a mount is waited for a moment.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::mountinfo::{self, MountEntry};
use super::mountpoint::Mountpoint;
use super::state::StateDir;

/// A daemon that has unmounted ends within this time, unless it still stores something.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Takes the claim. Where something of cloakfs is mounted, fails at once; where its holder is
    /// just ending or beginning, within a few seconds.
    pub fn take(state: &StateDir, mountpoint: &Mountpoint) -> Result<Self, ClaimError> {
        Self::take_within(state, mountpoint, PATIENCE)
    }

    fn take_within(
        state: &StateDir,
        mountpoint: &Mountpoint,
        patience: Duration,
    ) -> Result<Self, ClaimError> {
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
            Err(TryLockError::WouldBlock) => {
                let refused = why_held(mountpoint);
                if matches!(refused, ClaimError::Mounted { .. }) {
                    return Err(refused);
                }
                lock_within(file, patience)
                    .map_err(lock)?
                    .map(|file| Self { _locked: file })
                    .ok_or_else(|| why_held(mountpoint))
            }
            Err(TryLockError::Error(source)) => Err(lock(source)),
        }
    }
}

fn why_held(mountpoint: &Mountpoint) -> ClaimError {
    let path = mountpoint.path().to_owned();
    match mountinfo::mounted_at(&path) {
        Ok(Some(entry)) if entry.fs_type == mountinfo::FS_TYPE => ClaimError::Mounted {
            mountpoint: path,
            entry: Box::new(entry),
        },
        _ => ClaimError::Busy { mountpoint: path },
    }
}

/// Locks in a thread of its own, since flock(2) knows no deadline. A lock that comes too late is
/// given back with the channel.
fn lock_within(file: File, patience: Duration) -> io::Result<Option<File>> {
    let (send, locked) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("claim".to_owned())
        .spawn(move || {
            let outcome = file.lock().map(|()| file);
            let _too_late = send.send(outcome);
        })?;
    locked.recv_timeout(patience).ok().transpose()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn a_second_claim_fails_until_the_first_is_gone() {
        let dir = tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let mountpoint = Mountpoint::resolve(dir.path()).unwrap();
        let first = Claim::take(&state, &mountpoint).unwrap();
        let refused = Claim::take_within(&state, &mountpoint, Duration::ZERO)
            .unwrap_err()
            .to_string();
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

    #[test]
    fn a_claim_whose_holder_is_just_ending_is_waited_for() {
        let dir = tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let mountpoint = Mountpoint::resolve(dir.path()).unwrap();
        let first = Claim::take(&state, &mountpoint).unwrap();
        let inode = fs::metadata(state.lock_file(&mountpoint)).unwrap().ino();
        // proc_locks(5): an arrow marks who waits, and the inode is the last number of three.
        let waits = || {
            let locks = fs::read_to_string("/proc/locks").unwrap();
            locks
                .lines()
                .any(|line| line.contains("-> FLOCK") && line.contains(&format!(":{inode} ")))
        };
        let patience = Duration::from_mins(1);
        thread::scope(|scope| {
            let second = scope.spawn(|| Claim::take_within(&state, &mountpoint, patience));
            while !waits() && !second.is_finished() {
                thread::yield_now();
            }
            drop(first);
            assert!(second.join().unwrap().is_ok());
        });
    }
}
