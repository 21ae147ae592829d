//! Pages that the kernel keeps back.
//!
//! Where nobody else changes the volume, the kernel gives what was written to the daemon when it
//! sees fit: at a close or fsync(2) at the latest, and so perhaps never for a file that stays
//! open. Whoever wants everything stored calls it in first.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::flush::{FlushError, while_moving};
use crate::base::progress;

/// statfs(2)'s number for any FUSE filesystem.
const FUSE_MAGIC: u64 = 0x6573_5546;

/// Returns when the kernel keeps nothing back any more, unless nothing moves for `timeout`.
pub(super) async fn call_in(mountpoint: PathBuf, timeout: Duration) -> Result<(), FlushError> {
    // This very process answers the kernel meanwhile, on other threads.
    let calling = tokio::task::spawn_blocking(move || sync(&mountpoint));
    match while_moving(progress::moves, timeout, calling).await {
        Some(Ok(called)) => called.map_err(FlushError::KeptBack),
        Some(Err(failed)) => Err(FlushError::KeptBack(io::Error::other(failed))),
        None => Err(FlushError::Stuck(timeout)),
    }
}

fn sync(mountpoint: &std::path::Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_DIRECTORY);
    let directory = match options.open(mountpoint) {
        Ok(directory) => directory,
        // It is unmounted, and its directory gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // SAFETY: all zeros is a valid statfs, and the descriptor is open; the pointer is to a local.
    let kind = unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        if libc::fstatfs(directory.as_raw_fd(), &raw mut stat) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat.f_type
    };
    if u64::try_from(kind) != Ok(FUSE_MAGIC) {
        // It is unmounted, and what is below is none of ours.
        return Ok(());
    }
    // SAFETY: the descriptor is open.
    match unsafe { libc::syncfs(directory.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_mounted_keeps_nothing_back() {
        let place = tempfile::tempdir().unwrap();
        let patience = Duration::from_mins(1);
        call_in(place.path().to_owned(), patience).await.unwrap();
        call_in(place.path().join("gone"), patience).await.unwrap();
    }
}
