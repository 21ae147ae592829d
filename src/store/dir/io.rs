//! Moving bytes between files, with progress told and dirty pages bounded.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use crate::base::progress::Progress;

/// Bytes moved between two reports of progress.
const STEP_BYTES: u64 = 32 << 20;

/// Writes all of `bytes` at `offset`.
pub(super) fn write_at(
    file: &File,
    bytes: &[u8],
    offset: u64,
    progress: Option<&Progress>,
) -> io::Result<()> {
    let mut offset = offset;
    for step in bytes.chunks(usize::try_from(STEP_BYTES).unwrap_or(usize::MAX)) {
        file.write_all_at(step, offset)?;
        touch(progress);
        offset += step.len() as u64;
    }
    Ok(())
}

/// Reads `len` bytes at `offset`; fewer only at the end of the file.
pub(super) fn read_at(
    file: &File,
    offset: u64,
    len: u64,
    progress: Option<&Progress>,
) -> io::Result<Vec<u8>> {
    use io::{Read, Seek, SeekFrom};
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    while (bytes.len() as u64) < len {
        let step = STEP_BYTES.min(len - bytes.len() as u64);
        let read = file.take(step).read_to_end(&mut bytes)?;
        touch(progress);
        if read == 0 {
            break;
        }
    }
    Ok(bytes)
}

/// A place in a file, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub file: &'a File,
    pub offset: u64,
}

/// Copies `len` bytes from file to file in the kernel, sharing blocks where the filesystem
/// can. What is copied is written back meanwhile, so that the fsync at the end is short.
pub(super) fn copy(
    from: At<'_>,
    to: At<'_>,
    len: u64,
    progress: Option<&Progress>,
) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let step = STEP_BYTES.min(len - done);
        let moved = copy_step(from, to, done, step)?;
        if moved == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_back(to.file, to.offset + done, moved)?;
        touch(progress);
        done += moved;
    }
    Ok(())
}

fn copy_step(from: At<'_>, to: At<'_>, done: u64, step: u64) -> io::Result<u64> {
    let mut from_offset = offset(from.offset + done)?;
    let mut to_offset = offset(to.offset + done)?;
    // SAFETY: both descriptors are open, and the offsets are live local variables.
    let moved = unsafe {
        libc::copy_file_range(
            from.file.as_raw_fd(),
            &raw mut from_offset,
            to.file.as_raw_fd(),
            &raw mut to_offset,
            usize::try_from(step).unwrap_or(usize::MAX),
            0,
        )
    };
    if let Ok(moved) = u64::try_from(moved) {
        return Ok(moved);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINTR) => copy_step(from, to, done, step),
        // Filesystems that cannot copy in the kernel.
        Some(libc::EXDEV | libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP) => {
            let bytes = read_at(from.file, from.offset + done, step, None)?;
            to.file.write_all_at(&bytes, to.offset + done)?;
            Ok(bytes.len() as u64)
        }
        _ => Err(error),
    }
}

/// Writes a range's dirty pages to the disk and waits for it. Durable only after an fsync.
pub(super) fn write_back(file: &File, start: u64, len: u64) -> io::Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the descriptor is open; nothing else is passed but numbers.
    let answer =
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset(start)?, offset(len)?, flags) };
    if answer == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // The fsync that follows does it all.
        Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE) => Ok(()),
        _ => Err(error),
    }
}

/// Waits for, or tries, an exclusive lock on an open file; it ends with the file.
pub(super) fn lock(file: &File, wait: bool) -> io::Result<()> {
    let operation = libc::LOCK_EX | if wait { 0 } else { libc::LOCK_NB };
    loop {
        // SAFETY: the descriptor is open.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn offset(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

fn touch(progress: Option<&Progress>) {
    if let Some(progress) = progress {
        progress.touch();
    }
}
