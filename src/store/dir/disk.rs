//! The store's directory: its private part, atomic replacement, locks and durability.
//!
//! The private directory `.%cloakfs-dir` (no key has such a path) holds `locks/`, one lock
//! file for each of [`SHARDS`] shares of the keys, and everything that is unfinished (see
//! [`super::session`]).
//!
//! A write prepares a file in its session, saves it with fsync, and then, holding the lock of
//! the key's share, checks the condition and renames it to its place. Readers take no lock:
//! a file once in place is never changed, only replaced. The directory is saved with fsync
//! before the write is acknowledged, and so are directories above that may be new.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::error::{DirError, Request};
use super::file::{Draft, ObjectFile, is_missing, lock_file, make_directories, open_object};
use super::header::CONTENT_OFFSET;
use super::session::Session;
use super::{io as bytes, names};
use crate::base::progress::Progress;
use crate::store::{ObjectKey, Result, WriteCondition, rules};

pub(super) const PRIVATE: &str = ".%cloakfs-dir";
/// Shares of the keys, by hash; requests that change keys of different shares run at once.
const SHARDS: u64 = 64;
/// Saved directories and foreign files that are remembered, at most.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Rounds of a race with others before it is given up.
pub(super) const ROUNDS_MAX: u32 = 100;

#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    session: Session,
    /// Directories, by their path and inode number, that were saved with all those above.
    saved: Mutex<LruCache<PathBuf, u64>>,
    /// Files of others that were reported.
    foreign: Mutex<LruCache<PathBuf, ()>>,
}

impl Disk {
    pub(super) fn open(path: &Path) -> std::result::Result<Self, DirError> {
        let fail = |error| DirError::new(path, error);
        let root = fs::canonicalize(path).map_err(fail)?;
        if !fs::metadata(&root).map_err(fail)?.is_dir() {
            return Err(DirError::NotADirectory(path.to_owned()));
        }
        let private = root.join(PRIVATE);
        make_directories(&private.join("locks")).map_err(fail)?;
        let session = Session::begin(&private).map_err(fail)?;
        Ok(Self {
            root,
            session,
            saved: Mutex::new(LruCache::new(REMEMBERED_MAX)),
            foreign: Mutex::new(LruCache::new(REMEMBERED_MAX)),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// Says once that a file has no place in the store.
    pub(super) fn report_foreign(&self, path: &Path, why: &str) {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.ends_with(PRIVATE) && foreign.put(path.to_owned(), ()).is_none() {
            tracing::warn!("{} is not listed: {why}", path.display());
        }
    }

    pub(super) fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(names::file_path(key.as_str()))
    }

    /// Opens an object; `None` when there is none.
    pub(super) fn open_object(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
    ) -> Result<Option<ObjectFile>> {
        let path = self.path(key);
        match open_object(&path) {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(damage)) => Err(request.damaged(&path, damage)),
            Err(error) if is_missing(&error) => {
                self.check_present(request)?;
                Ok(None)
            }
            Err(error) => Err(request.io(&self.root, error)),
        }
    }

    /// A store whose disk is gone is not an empty one.
    pub(super) fn check_present(&self, request: Request<'_>) -> Result<()> {
        fs::metadata(self.session.path())
            .map(drop)
            .map_err(|error| request.io(&self.root, error))
    }

    /// A new object's file with this content, not yet saved.
    pub(super) fn draft_of(
        &self,
        content: &[u8],
        progress: Option<&Progress>,
    ) -> io::Result<Draft> {
        let draft = self.session.draft()?;
        bytes::write_at(&draft.file, content, CONTENT_OFFSET, progress)?;
        Ok(draft)
    }

    /// Puts a sealed draft in the key's place, if the condition holds.
    pub(super) fn publish(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
        draft: &Draft,
        condition: &WriteCondition,
    ) -> Result<()> {
        self.publish_file(request, key, draft.path(), condition)
    }

    /// The same with any sealed file of this session.
    pub(super) fn publish_file(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
        file: &Path,
        condition: &WriteCondition,
    ) -> Result<()> {
        let path = self.path(key);
        let lock = self.lock(request, key)?;
        self.check(request, key, condition)?;
        self.rename_into_place(request, file, &path)?;
        drop(lock);
        self.save_above(&path)
            .map_err(|error| request.unsaved(&self.root, error))
    }

    /// The condition against the object that is there; the caller holds the key's lock.
    pub(super) fn check(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
        condition: &WriteCondition,
    ) -> Result<()> {
        if *condition == WriteCondition::None {
            return Ok(());
        }
        let found = self.open_object(request, key)?;
        let etag = found.as_ref().map(|found| &found.header.etag);
        rules::check_condition(request.operation, key, condition, etag)
    }

    /// Others may remove the directory at any moment while it is empty.
    fn rename_into_place(&self, request: Request<'_>, file: &Path, path: &Path) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            match fs::rename(file, path) {
                Ok(()) => return Ok(()),
                Err(error) if is_missing(&error) && file.exists() => {}
                Err(error) => return Err(request.io(&self.root, error)),
            }
            match make_directories(parent(path)) {
                Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                    return Err(request.io(&self.root, error));
                }
                _ => {}
            }
        }
        Err(request.contended())
    }

    /// Removes an object's file if the condition holds, and directories that are empty then.
    pub(super) fn remove(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
        condition: &WriteCondition,
    ) -> Result<()> {
        let fail = |error| request.io(&self.root, error);
        let path = self.path(key);
        let lock = self.lock(request, key)?;
        self.check(request, key, condition)?;
        let directory = match File::open(parent(&path)) {
            Ok(directory) => directory,
            Err(error) if is_missing(&error) => return self.check_present(request),
            Err(error) => return Err(fail(error)),
        };
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if is_missing(&error) => return self.check_present(request),
            Err(error) => return Err(fail(error)),
        }
        drop(lock);
        directory
            .sync_all()
            .map_err(|error| request.unsaved(&self.root, error))?;
        let mut empty = parent(&path);
        while empty != self.root && fs::remove_dir(empty).is_ok() {
            empty = parent(empty);
        }
        Ok(())
    }

    fn lock(&self, request: Request<'_>, key: &ObjectKey) -> Result<File> {
        let shard = fnv1a(key.as_str().as_bytes()) % SHARDS;
        let locks = self.root.join(PRIVATE).join("locks");
        lock_file(&locks.join(format!("{shard:02}"))).map_err(|error| request.io(&self.root, error))
    }

    /// Saves the directory of `path`, and those above as far as they may be new.
    fn save_above(&self, path: &Path) -> io::Result<()> {
        let mut saved_now = vec![];
        let mut directory = parent(path);
        loop {
            let open = match File::open(directory) {
                Ok(open) => open,
                // Removed again because what was written is removed again: nothing to save.
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            open.sync_all()?;
            if directory == self.root {
                break;
            }
            let inode = open.metadata()?.ino();
            if self.is_saved(directory, inode) {
                break;
            }
            saved_now.push((directory.to_owned(), inode));
            directory = parent(directory);
        }
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        for (directory, inode) in saved_now {
            saved.put(directory, inode);
        }
        Ok(())
    }

    fn is_saved(&self, directory: &Path, inode: u64) -> bool {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.get(directory) == Some(&inode)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The same in every process, unlike the standard library's hashes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
