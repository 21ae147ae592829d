//! What the changed files of one mount share: memory, staging, the upload window.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::content::{Buffer, Evicted};
use super::file::DirtyFile;
use super::planner::PlanLimits;
use super::pool::{CellId, Lease, Pool};
use super::staging::{Staging, StagingError};
use super::{Base, Result, WriteConfig, WriteError};
use crate::base::limits;
use crate::base::size::ByteSize;
use crate::volume::{Condition, ObjectMeta, StoredSegments, Upload, UploadTarget, Volume};

/// Fewer cells in memory are too few to work with.
const CELLS_MIN: u64 = 4;
/// Bodies of one cell that can be put together at once, at the least.
const BODIES_MIN: u64 = 2;
/// How many cells are looked at first for one to evict.
const CANDIDATES: usize = 64;
/// How long a writer waits for an upload to free memory before it spills to the local disk:
/// where the network keeps up, a stream never touches the disk.
const SPILL_AFTER: Duration = Duration::from_secs(1);
/// Cells that are sealed and written to staging at once; each needs its length in memory more.
const PARALLEL_SPILLS: usize = 2;
/// Shorter pieces of one object copy no faster in parallel.
const COPY_BYTES_MIN: u64 = 64 << 20;
/// A longer part copy can be silent for longer than a request may be.
const COPY_BYTES_MAX: u64 = 1 << 30;
/// Unit in which bodies of uploads are counted: a semaphore has 32-bit permits.
const PAGE: u64 = 4096;

/// The writing side of a mount; see [the module](super).
#[derive(Debug)]
pub struct WriteEngine {
    pub(super) volume: Arc<Volume>,
    pub(super) limits: PlanLimits,
    pub(super) cell_bytes: u64,
    pub(super) pool: Pool<Weak<DirtyFile>>,
    pub(super) staging: Staging,
    /// Uploads and part copies that may run.
    pub(super) window: Arc<Semaphore>,
    pub(super) parallel: usize,
    pub(super) stream_after: u64,
    /// Uploads of streams that are queued or under way in the mount.
    pub(super) streaming: AtomicUsize,
    /// Memory for bodies that have to be put together, in pages. Apart from the pool, so that
    /// a commit never waits for what only a commit can free.
    bodies: Arc<Semaphore>,
    bodies_pages: u32,
    spills: Semaphore,
    relief: tokio::sync::Mutex<()>,
    files: Mutex<HashMap<u64, Weak<DirtyFile>>>,
    next_file: AtomicU64,
    /// Clearing away of uploads and private objects that nobody waits for.
    cleaning: Mutex<JoinSet<()>>,
}

/// What can be done for a writer that needs room.
enum Room {
    /// Some is free now.
    Freed,
    /// This cell can go to staging.
    Spill(Arc<DirtyFile>, CellId, Arc<Buffer>),
    /// All of it is in use by something that ends by itself.
    Busy,
}

impl WriteEngine {
    /// # Errors
    /// When the staging directory cannot be used.
    pub fn new(volume: Arc<Volume>, config: WriteConfig) -> Result<Arc<Self>> {
        let limits = PlanLimits {
            copy_bytes_max: COPY_BYTES_MAX,
            ..PlanLimits::of(&volume)
        };
        Self::with_grid(volume, config, limits, limits::SEGMENT_BYTES)
    }

    /// With other limits than S3's, for files small enough to compare byte by byte.
    pub(super) fn with_grid(
        volume: Arc<Volume>,
        config: WriteConfig,
        limits: PlanLimits,
        cell_bytes: u64,
    ) -> Result<Arc<Self>> {
        let WriteConfig {
            memory_bytes,
            staging_bytes,
            staging_dir,
            parallel_uploads,
            stream_after_bytes,
        } = config;
        let parallel = parallel_uploads.max(1);
        let memory = memory_bytes.max((CELLS_MIN + BODIES_MIN) * cell_bytes);
        let bodies = (memory / 4).max(BODIES_MIN * cell_bytes);
        let cells = memory - bodies;
        let bodies_pages = u32::try_from(bodies.div_ceil(PAGE)).unwrap_or(u32::MAX);
        let bodies_pages = bodies_pages.min(u32::MAX >> 3);
        Ok(Arc::new(Self {
            volume,
            limits,
            cell_bytes,
            pool: Pool::new(cells),
            staging: Staging::open(&staging_dir, ByteSize(staging_bytes))?,
            window: Arc::new(Semaphore::new(parallel)),
            parallel,
            stream_after: stream_after_bytes.min(cells / 2),
            streaming: AtomicUsize::new(0),
            bodies: Arc::new(Semaphore::new(bodies_pages as usize)),
            bodies_pages,
            spills: Semaphore::new(PARALLEL_SPILLS),
            relief: tokio::sync::Mutex::new(()),
            files: Mutex::default(),
            next_file: AtomicU64::new(1),
            cleaning: Mutex::default(),
        }))
    }

    /// Bytes of memory that dirty data uses now.
    #[must_use]
    pub fn memory_used_bytes(&self) -> u64 {
        self.pool.used()
    }

    /// Most bytes of memory that dirty data may use.
    #[must_use]
    pub fn memory_limit_bytes(&self) -> u64 {
        self.pool.limit()
    }

    /// Where dirty data is on the local disk.
    #[must_use]
    pub const fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Waits until nothing is left to clear away in the bucket; call it before unmounting.
    pub async fn settle(&self) {
        loop {
            let cleaning = std::mem::take(&mut *self.cleaning());
            if cleaning.is_empty() {
                return;
            }
            cleaning.join_all().await;
        }
    }

    pub(super) fn register(&self, make: impl FnOnce(u64) -> Arc<DirtyFile>) -> Arc<DirtyFile> {
        let id = self.next_file.fetch_add(1, Ordering::Relaxed);
        let file = make(id);
        self.files().insert(id, Arc::downgrade(&file));
        file
    }

    pub(super) fn unregister(&self, id: u64) {
        self.files().remove(&id);
    }

    /// Clears something away in the background. Outside of a runtime the next mount does it.
    pub(super) fn clean(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut cleaning = self.cleaning();
            while cleaning.try_join_next().is_some() {}
            cleaning.spawn_on(work, &runtime);
        }
    }

    /// Longest part copy for a file of `size` bytes: long enough to be worth a request, short
    /// enough that several run at once, and that the store takes it.
    pub(super) fn limits_for(&self, size: u64) -> PlanLimits {
        let spread = size / (4 * self.parallel as u64);
        let taken = self.volume.copied_part_bytes_max(size);
        let longest = self.limits.copy_bytes_max.min(taken);
        PlanLimits {
            copy_bytes_max: spread.max(COPY_BYTES_MIN).min(longest),
            ..self.limits
        }
    }

    /// Begins an upload that may copy parts of `base`.
    ///
    /// # Errors
    /// [`WriteError::BaseLost`] where it cannot, because the base is gone.
    pub(super) async fn begin_upload(
        &self,
        target: &UploadTarget,
        meta: &ObjectMeta,
        base: Option<&Base>,
        condition: &Condition,
    ) -> Result<Arc<Upload>> {
        if let Some(base) = base {
            self.stored_segments(base).await?;
        }
        let base = base.map(|base| (&base.object, &base.version));
        Ok(Arc::new(
            self.volume
                .begin_upload(target, meta, base, condition)
                .await?,
        ))
    }

    /// Which segments of the base are stored; none in the plain layout.
    pub(super) async fn stored_segments(&self, base: &Base) -> Result<StoredSegments> {
        let stored = self.volume.stored_segments(&base.object, &base.version);
        let stored = stored
            .await
            .map_err(|error| WriteError::of_base(Arc::new(error)))?;
        Ok(stored.unwrap_or_default())
    }

    /// Memory for the body of an upload. Never waits for anything but other uploads.
    pub(super) async fn reserve_body(&self, bytes: u64) -> OwnedSemaphorePermit {
        let pages = u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.bodies);
        let permit = permits
            .acquire_many_owned(pages.min(self.bodies_pages))
            .await;
        permit.expect("the semaphore is never closed")
    }

    /// Memory for a cell; waits, spills and uploads to make room. The caller holds no gate.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Lease> {
        loop {
            let changed = self.pool.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(lease) = self.pool.try_reserve(bytes) {
                return Ok(lease);
            }
            match self.room() {
                Room::Freed => {}
                Room::Busy => {
                    // Whatever ends an upload or a spill says so; looking again costs nothing.
                    let _looked = tokio::time::timeout(SPILL_AFTER, changed).await;
                }
                Room::Spill(file, id, buffer) => {
                    let uploading = self.streaming.load(Ordering::Acquire) > 0;
                    if uploading && tokio::time::timeout(SPILL_AFTER, changed).await.is_ok() {
                        continue;
                    }
                    match self.spill(file, id, buffer).await {
                        Ok(()) => {}
                        Err(full @ (StagingError::Full { .. } | StagingError::DiskFull { .. })) => {
                            self.relieve(full).await?;
                        }
                        Err(broken) => return Err(broken.into()),
                    }
                }
            }
        }
    }

    fn room(&self) -> Room {
        match self.room_among(CANDIDATES) {
            Room::Busy => self.room_among(usize::MAX),
            found => found,
        }
    }

    fn room_among(&self, count: usize) -> Room {
        let mut room = Room::Busy;
        for (id, file) in self.pool.oldest(count) {
            let Some(file) = file.upgrade() else {
                self.pool.forget(id);
                continue;
            };
            match file.evict(id.cell) {
                Evicted::Dropped => room = Room::Freed,
                Evicted::Spill(buffer) if matches!(room, Room::Busy) => {
                    room = Room::Spill(file, id, buffer);
                }
                Evicted::Spill(_) | Evicted::Gone | Evicted::Busy => {}
            }
        }
        room
    }

    async fn spill(
        &self,
        file: Arc<DirtyFile>,
        id: CellId,
        buffer: Arc<Buffer>,
    ) -> std::result::Result<(), StagingError> {
        let _turn = self.spills.acquire().await;
        let task = tokio::task::spawn_blocking(move || file.stage(id.cell, &buffer));
        let staged = task
            .await
            .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()));
        staged?;
        self.pool.notify();
        Ok(())
    }

    /// Makes room when staging is full too: by what is uploaded already, else by uploading the
    /// file that holds most.
    async fn relieve(&self, full: StagingError) -> Result<()> {
        let Ok(_turn) = self.relief.try_lock() else {
            // Somebody is at it; look again when that is done.
            drop(self.relief.lock().await);
            return Ok(());
        };
        let files: Vec<_> = self.files().values().filter_map(Weak::upgrade).collect();
        if files
            .iter()
            .map(|file| file.drop_staged_copies())
            .sum::<usize>()
            > 0
        {
            return Ok(());
        }
        let largest = files.into_iter().max_by_key(|file| file.local_bytes());
        let Some(largest) = largest.filter(|file| file.local_bytes() > 0) else {
            return Err(full.into());
        };
        largest
            .checkpoint()
            .await
            .map_err(|upload| WriteError::NoSpace {
                memory: ByteSize(self.pool.limit()),
                staging: Arc::new(full),
                upload: Box::new(upload),
            })
    }

    fn files(&self) -> MutexGuard<'_, HashMap<u64, Weak<DirtyFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cleaning(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.cleaning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
