//! Single files of the store: opened, prepared, saved, locked.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::header::{CONTENT_OFFSET, Header, HeaderError};
use super::io as bytes;

/// An object's file, open: a version that does not change while it is read.
#[derive(Debug)]
pub(super) struct ObjectFile {
    pub file: File,
    pub header: Header,
}

/// A file that is being prepared; removed unless it is put in place.
#[derive(Debug)]
pub(super) struct Draft {
    pub file: File,
    path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone when it was put in place; what cannot be removed goes with the session.
        drop(fs::remove_file(&self.path));
    }
}

impl Draft {
    pub(super) fn new(path: PathBuf) -> io::Result<Self> {
        let file = new_file(&path)?;
        Ok(Self { file, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the head and saves the file.
    pub(super) fn seal(&self, header: &Header) -> io::Result<()> {
        seal(&self.file, header)
    }
}

/// Writes the head of an object's file, whose content is there already, and saves all of it.
pub(super) fn seal(file: &File, header: &Header) -> io::Result<()> {
    let head = header.encode().ok_or(io::ErrorKind::InvalidInput)?;
    bytes::write_at(file, &head, 0, None)?;
    if header.size == 0 {
        file.set_len(CONTENT_OFFSET)?;
    }
    file.sync_all()
}

/// Opens an object's file and reads its head.
pub(super) fn open_object(path: &Path) -> io::Result<std::result::Result<ObjectFile, HeaderError>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let head = bytes::read_at(&file, 0, CONTENT_OFFSET, None)?;
    Ok(Header::decode(&head, len).map(|header| ObjectFile { file, header }))
}

/// Only the owner may read it: an object's own permissions are in its metadata, and would not
/// be asked.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

pub(super) fn make_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file and waits for an exclusive lock on it, which ends with the file.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    bytes::lock(&file, true)?;
    Ok(file)
}

/// Nothing is there, or something on the way is not a directory.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}
