//! The staging area: dirty bytes that do not fit memory, sealed, on the local disk.
//!
//! Each file that is being changed has at most one staging file, in which each stored slot is
//! one sealed message. The key is random for every [`Staging`] and never leaves memory, and
//! staging files have no name: what a crash leaves behind is free disk space.
//!
//! Invariants: no plaintext on disk; a slot gives back the bytes that were stored or an error
//! (its context is the file, the slot and a count of writes, so messages cannot trade places);
//! at most the limit is in use, and the disk keeps a reserve of 5 % or 1 GiB, whichever is
//! less; what a dropped slot took is free again, on the disk too.
//!
//! Failing: a full area or disk refuses a store and everything stored before stays ([`Full`],
//! [`DiskFull`]); changed bytes are [`NotAuthentic`].
//!
//! Everything here blocks on the disk, dropping a slot included (one call that frees its
//! room): asynchronous callers move it off their threads.
//!
//! [`Full`]: StagingError::Full
//! [`DiskFull`]: StagingError::DiskFull
//! [`NotAuthentic`]: StagingError::NotAuthentic

mod disk;
mod space;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::disk::DiskSpace;
use self::space::Space;
use crate::base::range::ByteRange;
use crate::base::size::ByteSize;
use crate::crypto::{
    CHUNK_BYTES, Context, HEADER_BYTES, InputKey, MessageLength, OpenError, Opener, Purpose,
    STORED_CHUNK_BYTES, Sealer,
};

/// Plaintext that is sealed and written at a time, so that a slot is not in memory twice.
const BATCH_CHUNKS: usize = 64;

/// The staging area of one mount. Clones share it.
#[derive(Clone, Debug)]
pub struct Staging(Arc<Area>);

/// The staged bytes of one file. Clones share it.
#[derive(Clone, Debug)]
pub struct StagingFile(Arc<Shared>);

/// Bytes in the staging area; dropping it frees their room.
#[derive(Debug)]
pub struct StagedSlot {
    extent: Extent,
    length: MessageLength,
    context: Context,
}

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// ENOSPC.
    #[error(
        "the staging area holds {in_use} of the {limit} that it may, too much for {needed} more: wait until files are uploaded, or mount with a larger --staging-size"
    )]
    Full {
        in_use: ByteSize,
        limit: ByteSize,
        needed: ByteSize,
    },
    /// ENOSPC.
    #[error(
        "the disk of the staging area {} has {free} free, of which {reserve} stay free: make room there, or set CLOAKFS_STATE_DIR to a directory on a larger disk",
        dir.display()
    )]
    DiskFull {
        dir: PathBuf,
        free: ByteSize,
        reserve: ByteSize,
    },
    /// An authentication failure: the disk or somebody changed what was staged.
    #[error(
        "the staged data of {file:?} in {} cannot be used: {source}; the disk is failing or another program wrote to it",
        dir.display()
    )]
    NotAuthentic {
        file: String,
        dir: PathBuf,
        source: OpenError,
    },
    #[error(
        "the staging area {} belongs to user {owner} with mode {mode:03o}, but has to be private to user {user}: give it to that user with chown and chmod 700, or remove it",
        dir.display()
    )]
    NotPrivate {
        dir: PathBuf,
        owner: u32,
        mode: u32,
        user: u32,
    },
    #[error("cannot {doing} the staging area {}: {source}", dir.display())]
    Io {
        doing: &'static str,
        dir: PathBuf,
        source: io::Error,
    },
}

struct Area {
    path: PathBuf,
    directory: File,
    limit: u64,
    in_use: AtomicU64,
    files: AtomicU64,
    key: InputKey,
    disk_space: fn(&File) -> io::Result<DiskSpace>,
}

#[derive(Debug)]
struct Shared {
    area: Arc<Area>,
    /// Tells this file's messages from those of others.
    id: u64,
    /// What people call it.
    name: String,
    writes: AtomicU64,
    /// Made by the first store: most files never need it.
    backing: Mutex<Option<Arc<Backing>>>,
}

#[derive(Debug)]
struct Backing {
    file: File,
    space: Mutex<Space>,
}

/// Room in a staging file, and in the area's limit.
#[derive(Debug)]
struct Extent {
    shared: Arc<Shared>,
    backing: Arc<Backing>,
    range: ByteRange,
}

impl Staging {
    /// Opens the staging area in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made or is not private to this user.
    pub fn open(dir: &Path, limit: ByteSize) -> Result<Self, StagingError> {
        Self::open_on(dir, limit, DiskSpace::of)
    }

    /// A file to stage bytes of; `name` is what errors call it.
    #[must_use]
    pub fn file(&self, name: impl Into<String>) -> StagingFile {
        StagingFile(Arc::new(Shared {
            area: Arc::clone(&self.0),
            id: self.0.files.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            writes: AtomicU64::new(0),
            backing: Mutex::new(None),
        }))
    }

    /// Disk that staged bytes take now.
    #[must_use]
    pub fn in_use(&self) -> ByteSize {
        ByteSize(self.0.in_use.load(Ordering::Relaxed))
    }

    #[must_use]
    pub fn limit(&self) -> ByteSize {
        ByteSize(self.0.limit)
    }

    fn open_on(
        dir: &Path,
        limit: ByteSize,
        disk_space: fn(&File) -> io::Result<DiskSpace>,
    ) -> Result<Self, StagingError> {
        let (path, directory) = disk::private_directory(dir)?;
        Ok(Self(Arc::new(Area {
            path,
            directory,
            limit: limit.0,
            in_use: AtomicU64::new(0),
            files: AtomicU64::new(0),
            key: InputKey::random(),
            disk_space,
        })))
    }
}

impl StagingFile {
    /// Seals `plaintext` into the area. `slot` is any number of the caller's; storing a slot
    /// again leaves what was stored before as it is.
    ///
    /// # Errors
    /// [`StagingError::Full`] and [`StagingError::DiskFull`] when there is no room, and what
    /// the disk says. Nothing is in use then.
    pub fn store(&self, slot: u64, plaintext: &[u8]) -> Result<StagedSlot, StagingError> {
        let length = MessageLength::of_plain(plaintext.len() as u64)
            .expect("what is in memory is below 4 PiB");
        let extent = Extent::take(&self.0, space::room_for(length.stored()))?;
        // Never twice the same, so that no earlier message passes for this one.
        let write = self.0.writes.fetch_add(1, Ordering::Relaxed);
        let context = Context::new(Purpose::Staging)
            .number(self.0.id)
            .number(slot)
            .number(write);
        let staged = StagedSlot {
            extent,
            length,
            context,
        };
        staged.write(plaintext)?;
        Ok(staged)
    }
}

impl StagedSlot {
    /// Number of bytes that were stored.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length.plain()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that were stored.
    ///
    /// # Errors
    /// [`StagingError::NotAuthentic`] when they were changed, and what the disk says.
    pub fn load(&self) -> Result<Vec<u8>, StagingError> {
        self.load_range(ByteRange::new(0, self.len()))
    }

    /// Some of the bytes that were stored, without reading all.
    ///
    /// # Errors
    /// As [`Self::load`].
    ///
    /// # Panics
    /// When `range` ends after what was stored.
    pub fn load_range(&self, range: ByteRange) -> Result<Vec<u8>, StagingError> {
        let span = self.length.span(range).stored();
        let mut header = [0; HEADER_BYTES];
        self.extent.read(&mut header, 0)?;
        let len = usize::try_from(span.len()).expect("it was in memory when it was stored");
        let mut stored = vec![0; len];
        self.extent.read(&mut stored, span.start())?;
        let area = self.area();
        Opener::new(&area.key, &self.context, &header, self.length.stored())
            .and_then(|opener| opener.open_range(range, &stored))
            .map_err(|source| StagingError::NotAuthentic {
                file: self.extent.shared.name.clone(),
                dir: area.path.clone(),
                source,
            })
    }

    fn write(&self, plaintext: &[u8]) -> Result<(), StagingError> {
        let (mut sealer, header) = Sealer::new(&self.area().key, &self.context);
        let mut sealed = Vec::with_capacity(HEADER_BYTES + BATCH_CHUNKS * STORED_CHUNK_BYTES);
        sealed.extend_from_slice(&header);
        let (mut rest, mut at) = (plaintext, 0);
        while let Some((batch, after)) = rest.split_at_checked(BATCH_CHUNKS * CHUNK_BYTES) {
            sealer.chunks(batch, &mut sealed);
            self.extent.write(&sealed, at)?;
            at += sealed.len() as u64;
            sealed.clear();
            rest = after;
        }
        sealer.finish(rest, &mut sealed);
        self.extent.write(&sealed, at)
    }

    fn area(&self) -> &Area {
        &self.extent.shared.area
    }
}

impl Shared {
    fn backing(&self) -> Result<Arc<Backing>, StagingError> {
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
    /// Counts `room` as in use, if limit and disk allow.
    fn reserve(&self, room: u64) -> Result<(), StagingError> {
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

    fn disk_full(&self, disk: DiskSpace) -> StagingError {
        StagingError::DiskFull {
            dir: self.path.clone(),
            free: ByteSize(disk.free),
            reserve: ByteSize(disk.reserve()),
        }
    }

    /// Running out of disk or quota all the same is the same to callers.
    fn failed(&self, doing: &'static str, source: io::Error) -> StagingError {
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
    fn take(shared: &Arc<Shared>, room: u64) -> Result<Self, StagingError> {
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
    fn write(&self, bytes: &[u8], at: u64) -> Result<(), StagingError> {
        self.assert_within(bytes, at);
        self.backing
            .file
            .write_all_at(bytes, self.range.start() + at)
            .map_err(|source| self.shared.area.failed("write to", source))
    }

    /// Reads at `at` within the room.
    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), StagingError> {
        self.assert_within(bytes, at);
        self.backing
            .file
            .read_exact_at(bytes, self.range.start() + at)
            .map_err(|source| self.shared.area.failed("read from", source))
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
        self.shared
            .area
            .in_use
            .fetch_sub(self.range.len(), Ordering::Relaxed);
    }
}

impl Backing {
    fn space(&self) -> std::sync::MutexGuard<'_, Space> {
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

#[cfg(test)]
mod tests;
