//! Room: the limit of the area, the files on the disk, and the extents in them.
//!
//! An [`Extent`] is room that is counted and taken for as long as it lives; nothing else
//! changes the counts.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StagingError;
use super::disk::{self, DiskSpace};
use super::space::Space;
use crate::base::range::ByteRange;
use crate::base::size::ByteSize;
use crate::crypto::{InputKey, OpenError};

/// What the files of one staging area share.
pub(super) struct Area {
    path: PathBuf,
    directory: File,
    limit: u64,
    in_use: AtomicU64,
    files: AtomicU64,
    key: InputKey,
    disk_space: fn(&File) -> io::Result<DiskSpace>,
}

/// What the slots of one file share.
#[derive(Debug)]
pub(super) struct Shared {
    area: Arc<Area>,
    /// Tells this file's messages from those of others.
    id: u64,
    /// What people call it.
    name: String,
    writes: AtomicU64,
    /// Made by the first store: most files never need it.
    backing: Mutex<Option<Arc<Backing>>>,
}

/// The file on the disk.
#[derive(Debug)]
pub(super) struct Backing {
    pub(super) file: File,
    space: Mutex<Space>,
}

/// Room in a staging file, and in the area's limit.
#[derive(Debug)]
pub(super) struct Extent {
    shared: Arc<Shared>,
    backing: Arc<Backing>,
    range: ByteRange,
}

impl Shared {
    pub(super) fn new(area: &Arc<Area>, name: String) -> Self {
        Self {
            area: Arc::clone(area),
            id: area.files.fetch_add(1, Ordering::Relaxed),
            name,
            writes: AtomicU64::new(0),
            backing: Mutex::new(None),
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Never twice the same, so that no earlier message passes for a later one.
    pub(super) fn next_write(&self) -> u64 {
        self.writes.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn backing(&self) -> Result<Arc<Backing>, StagingError> {
        let mut backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backing) = &*backing {
            return Ok(Arc::clone(backing));
        }
        let file = disk::nameless_file(&self.area.path)
            .map_err(|source| self.area.failed("make a file in", source))?;
        let made = Arc::new(Backing {
            file,
            space: Mutex::default(),
        });
        Ok(Arc::clone(backing.insert(made)))
    }
}

impl Area {
    pub(super) fn open(
        dir: &Path,
        limit: u64,
        disk_space: fn(&File) -> io::Result<DiskSpace>,
    ) -> Result<Self, StagingError> {
        let (path, directory) = disk::private_directory(dir)?;
        Ok(Self {
            path,
            directory,
            limit,
            in_use: AtomicU64::new(0),
            files: AtomicU64::new(0),
            key: InputKey::random(),
            disk_space,
        })
    }

    pub(super) fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Counts `room` as in use, if limit and disk allow.
    pub(super) fn reserve(&self, room: u64) -> Result<(), StagingError> {
        let disk = (self.disk_space)(&self.directory)
            .map_err(|source| self.failed("inspect the disk of", source))?;
        if !disk.has_room_for(room) {
            return Err(self.disk_full(disk));
        }
        let within_limit = |in_use: u64| in_use.checked_add(room).filter(|sum| *sum <= self.limit);
        let reserved = self
            .in_use
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within_limit);
        reserved.map(|_| ()).map_err(|in_use| StagingError::Full {
            in_use: ByteSize(in_use),
            limit: ByteSize(self.limit),
            needed: ByteSize(room),
        })
    }

    pub(super) fn give_back(&self, room: u64) {
        self.in_use.fetch_sub(room, Ordering::Relaxed);
    }

    fn disk_full(&self, disk: DiskSpace) -> StagingError {
        StagingError::DiskFull {
            dir: self.path.clone(),
            free: ByteSize(disk.free),
            reserve: ByteSize(disk.reserve()),
        }
    }

    /// Running out of disk or quota all the same is the same to callers.
    pub(super) fn failed(&self, doing: &'static str, source: io::Error) -> StagingError {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match (self.disk_space)(&self.directory) {
            Ok(disk) if full.contains(&source.kind()) => self.disk_full(disk),
            _ => StagingError::Io {
                doing,
                dir: self.path.clone(),
                source,
            },
        }
    }
}

impl Extent {
    pub(super) fn take(shared: &Arc<Shared>, room: u64) -> Result<Self, StagingError> {
        let backing = shared.backing()?;
        shared.area.reserve(room)?;
        let range = backing.space().take(room);
        Ok(Self {
            shared: Arc::clone(shared),
            backing,
            range,
        })
    }

    /// Writes at `at` within the room.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), StagingError> {
        self.assert_within(bytes, at);
        self.backing
            .file
            .write_all_at(bytes, self.range.start() + at)
            .map_err(|source| self.shared.area.failed("write to", source))
    }

    /// Reads at `at` within the room.
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), StagingError> {
        self.assert_within(bytes, at);
        self.backing
            .file
            .read_exact_at(bytes, self.range.start() + at)
            .map_err(|source| self.shared.area.failed("read from", source))
    }

    pub(super) fn key(&self) -> &InputKey {
        &self.shared.area.key
    }

    pub(super) fn not_authentic(&self, source: OpenError) -> StagingError {
        StagingError::NotAuthentic {
            file: self.shared.name.clone(),
            dir: self.shared.area.path.clone(),
            source,
        }
    }

    fn assert_within(&self, bytes: &[u8], at: u64) {
        let fits = at + bytes.len() as u64 <= self.range.len();
        assert!(
            fits,
            "{} bytes at {at} of a room of {}",
            bytes.len(),
            self.range.len()
        );
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        // A file system that cannot do it keeps the blocks until they are written again or the
        // file is closed; nothing is lost, and there is nobody to tell.
        let _kept_by_the_file_system = disk::punch_hole(&self.backing.file, self.range);
        self.backing.space().give_back(self.range);
        self.shared.area.give_back(self.range.len());
    }
}

impl Backing {
    fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Area")
            .field("path", &self.path)
            .field("limit", &self.limit)
            .field("in_use", &self.in_use)
            .finish_non_exhaustive()
    }
}
