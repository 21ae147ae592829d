//! Rank 5: the filesystem. Inodes, dentries, handles and one file for each operation family,
//! over [`crate::volume`] and [`crate::write`]; no fuser types.
//!
//! What holds, and the tests check:
//! 1. **An inode is a name's life in this mount.** It is in the table while the kernel knows it
//!    (`nlookup`), a handle is open on it, or it has something uncommitted.
//! 2. **What handles see is a [`inode::Content`]**: one version of an object, and the changes
//!    that this mount makes to it. Handles of one inode share it, so a reader sees a writer's
//!    bytes at once. When somebody else replaces the object, the next open gets a new content;
//!    handles on the old one read that version or fail with ESTALE, never a mixture.
//! 3. **Local knowledge wins while it is newer**: a file that is created, written or changed
//!    here and not yet committed is answered from memory.
//! 4. **Order of locks**: names, then paths ([`tree`]), then an inode's operation lock, then
//!    a `std` mutex for a few instructions. Nothing takes an earlier one while it holds a later
//!    one, and no `std` mutex is held across an await. Reads take none of these; they look again
//!    after a change ([`flux`]). A lookup that lists a directory holds its [`absence::Watch`]
//!    inside the path, and takes nothing inside that.
//! 5. **A directory rename holds up nothing but what is below its two names**, and what lists or
//!    removes the directories that these are in ([`tree`]).

mod absence;
mod admission;
mod attr;
mod clone;
mod closed;
mod commit;
mod conflict;
mod create;
mod error;
mod exclusive;
mod flux;
mod holding;
mod inode;
mod lookup;
mod namespace;
mod open;
mod read;
mod readahead;
mod readdir;
mod rename;
mod stats;
mod status;
mod sync;
mod table;
mod tree;
mod types;
mod virtual_xattr;
mod write;
mod write_back;
mod xattr;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;

pub use clone::CopyRange;
pub use error::FsError;
pub use exclusive::Consistency;
pub use rename::RenameStatus;
pub use status::{Conflict, FsStatus, SyncProgress};
pub use types::*;
pub use write_back::{CommitMode, Journals, Unreplayed, UnreplayedFile, WriteBackStatus};

use crate::cache::BlockCache;
use crate::volume::{Stat, Volume, VolumeError};
use crate::write::{WriteConfig, WriteEngine};

use admission::Admission;
use flux::Change;
use inode::Inode;
use open::FileHandle;
use readdir::DirHandle;
use rename::Renames;
use stats::StatCache;
use status::Notices;
use table::{InodeTable, NameLocks};
use tree::Tree;
use write_back::{Replays, WriteBack};

/// What a filesystem is made with.
#[derive(Clone, Debug)]
pub struct FsConfig {
    pub read_only: bool,
    /// Bound of the decrypted block cache, and of dirty data in memory, in bytes; together.
    pub memory_bytes: u64,
    /// Bound of the encrypted staging area, in bytes.
    pub staging_bytes: u64,
    pub staging_dir: PathBuf,
    pub consistency: Consistency,
    /// How long the kernel and this process trust names and attributes that others may change.
    pub ttl: Duration,
    /// The longest wait without progress.
    pub timeout: Duration,
    /// This machine's name, for conflict copies.
    pub host: String,
}

/// See the module's text.
#[derive(Debug)]
pub struct FileSystem {
    volume: Arc<Volume>,
    config: FsConfig,
    admission: Admission,
    table: InodeTable,
    names: NameLocks,
    tree: Tree,
    renames: Renames,
    stats: StatCache,
    cache: BlockCache<Arc<VolumeError>>,
    engine: Arc<WriteEngine>,
    files: DashMap<HandleId, Arc<FileHandle>>,
    dirs: DashMap<HandleId, Arc<DirHandle>>,
    next_handle: AtomicU64,
    notices: Notices,
    /// `None` in on-close mode.
    write_back: Option<WriteBack>,
    replays: Replays,
}

/// Shorthand for the answer to an operation.
pub type Result<T> = std::result::Result<T, FsError>;

impl FileSystem {
    /// Makes the filesystem over an open volume and looks at its root; commits on close, and leaves
    /// journals alone.
    ///
    /// # Errors
    /// When the root cannot be looked at or the staging area cannot be used.
    pub async fn new(volume: Arc<Volume>, config: FsConfig) -> Result<Arc<Self>> {
        let config = config.settled();
        let (root, engine) = Self::prepare(&volume, &config).await?;
        Ok(Self::build(volume, config, root, engine, None))
    }

    /// What can fail of making one.
    async fn prepare(volume: &Arc<Volume>, config: &FsConfig) -> Result<(Stat, Arc<WriteEngine>)> {
        let root = volume
            .stat(&crate::layout::path::VolumePath::root())
            .await?
            .ok_or_else(|| FsError::posix(libc::ENOENT))?;
        let engine = WriteEngine::new(
            Arc::clone(volume),
            WriteConfig {
                memory_bytes: half_of_memory(config),
                staging_bytes: config.staging_bytes,
                staging_dir: config.staging_dir.clone(),
                ..WriteConfig::default()
            },
        )?;
        Ok((root, engine))
    }

    fn build(
        volume: Arc<Volume>,
        config: FsConfig,
        root: Stat,
        engine: Arc<WriteEngine>,
        write_back: Option<WriteBack>,
    ) -> Arc<Self> {
        let fs = Arc::new(Self {
            admission: Admission::new(),
            table: InodeTable::new(Inode::root(root)),
            names: NameLocks::default(),
            tree: Tree::default(),
            renames: Renames::default(),
            stats: StatCache::new(config.ttl),
            cache: BlockCache::new(half_of_memory(&config)),
            engine,
            files: DashMap::new(),
            dirs: DashMap::new(),
            next_handle: AtomicU64::new(1),
            notices: Notices::default(),
            write_back,
            replays: Replays::default(),
            volume,
            config,
        });
        let observer: Weak<Self> = Arc::downgrade(&fs);
        fs.volume.set_observer(observer);
        fs
    }

    fn next_handle(&self) -> HandleId {
        self.next_handle.fetch_add(1, Ordering::Relaxed)
    }

    fn inode(&self, ino: Ino) -> Result<Arc<Inode>> {
        self.table
            .inode(ino)
            .ok_or_else(|| FsError::posix(libc::ESTALE))
    }

    /// Admits a change; the answer is kept until it is made.
    fn writable(&self) -> Result<Change<'_>> {
        if self.config.read_only {
            Err(FsError::posix(libc::EROFS))
        } else {
            self.admission.admit()
        }
    }
}

/// Half of it for reading, half for what is being written.
const fn half_of_memory(config: &FsConfig) -> u64 {
    config.memory_bytes / 2
}
