//! The local disk below the staging area: a private directory, files without a name, and how
//! much is free.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StagingError;
use crate::base::jitter::Jitter;
use crate::base::range::ByteRange;

/// Where a name is needed for a moment, it begins with this.
const TEMPORARY_PREFIX: &str = "staged-";
/// Kept free, unless 5 % of the disk is less.
const RESERVE_BYTES_MAX: u64 = 1 << 30;

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskSpace {
    pub(super) total: u64,
    /// What a user without privileges may still write.
    pub(super) free: u64,
}

impl DiskSpace {
    pub(super) fn of(directory: &File) -> io::Result<Self> {
        let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the descriptor is open for as long as `directory` lives, and `answer` is
        // writable memory of the right type.
        if unsafe { libc::fstatvfs(directory.as_raw_fd(), answer.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fstatvfs returned 0, so it filled `answer`.
        let answer = unsafe { answer.assume_init() };
        Ok(Self {
            total: answer.f_blocks.saturating_mul(answer.f_frsize),
            free: answer.f_bavail.saturating_mul(answer.f_frsize),
        })
    }

    /// What is left alone, for everyone else on this disk.
    pub(super) fn reserve(self) -> u64 {
        (self.total / 20).min(RESERVE_BYTES_MAX)
    }

    pub(super) fn has_room_for(self, bytes: u64) -> bool {
        self.free >= self.reserve().saturating_add(bytes)
    }
}

/// Makes `dir` if it is not there, and checks that it is the user's alone.
pub(super) fn private_directory(dir: &Path) -> Result<(PathBuf, File), StagingError> {
    let failed = |doing: &'static str| {
        move |source: io::Error| StagingError::Io {
            doing,
            dir: dir.to_owned(),
            source,
        }
    };
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed("make"))?;
    let path = dir.canonicalize().map_err(failed("find"))?;
    let directory = File::open(&path).map_err(failed("open"))?;
    let facts = directory.metadata().map_err(failed("inspect"))?;
    // SAFETY: geteuid takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    if facts.uid() != user || facts.mode() & 0o077 != 0 {
        return Err(StagingError::NotPrivate {
            dir: path,
            owner: facts.uid(),
            mode: facts.mode() & 0o7777,
            user,
        });
    }
    sweep(&path).map_err(failed("clean"))?;
    Ok((path, directory))
}

/// A new file below `dir` that has no name: it is gone when it is closed, by whatever end.
pub(super) fn nameless_file(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(dir) {
        // What file systems and kernels without O_TMPFILE answer.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            unnamed_after_creation(dir, options.create_new(true))
        }
        opened => opened,
    }
}

/// Frees the disk's blocks below `range`, where the file system can.
pub(super) fn punch_hole(file: &File, range: ByteRange) -> io::Result<()> {
    let offset = |at: u64| libc::off_t::try_from(at).map_err(io::Error::other);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let (start, len) = (offset(range.start())?, offset(range.len())?);
    // SAFETY: the descriptor is open for as long as `file` lives; no memory is involved.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, start, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn unnamed_after_creation(dir: &Path, options: &OpenOptions) -> io::Result<File> {
    let path = dir.join(format!(
        "{TEMPORARY_PREFIX}{:016x}",
        Jitter::from_os().next_u64()
    ));
    let file = options.open(&path)?;
    removed(&path)?;
    Ok(file)
}

/// Removes names that a crash between making and unnaming left. The files are empty.
fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(TEMPORARY_PREFIX.as_bytes())
        {
            removed(&entry.path())?;
        }
    }
    Ok(())
}

/// A name that is gone already was removed by another process that swept.
fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_reserve_is_a_twentieth_up_to_a_gib() {
        let small = DiskSpace {
            total: 2000,
            free: 150,
        };
        assert!(small.has_room_for(50) && !small.has_room_for(51));
        let large = DiskSpace {
            total: 1 << 40,
            free: 2 << 30,
        };
        assert!(large.has_room_for(1 << 30) && !large.has_room_for((1 << 30) + 1));
    }

    #[test]
    fn a_file_without_a_name_works_either_way() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        for file in [
            nameless_file(dir.path()).unwrap(),
            unnamed_after_creation(dir.path(), &options).unwrap(),
        ] {
            (&file).write_all(b"sealed").unwrap();
            assert_eq!(file.metadata().unwrap().nlink(), 0);
            assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
