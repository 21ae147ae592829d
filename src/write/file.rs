//! One changed file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use bytes::Bytes;
use tokio::sync::{Notify, RwLock};

use super::content::{Buffer, Evicted, Need, Supply, Table};
use super::engine::WriteEngine;
use super::planner::PlanError;
use super::pool::CellId;
use super::read::{load, slice};
use super::staging::{StagedSlot, StagingError, StagingFile};
use super::stream::Stream;
use super::{Base, Result};
use crate::base::range::ByteRange;
use crate::layout::path::VolumePath;

/// A file with changes that are not in the bucket yet; see [the module](super). All handles of
/// an inode share one.
#[derive(Debug)]
pub struct DirtyFile {
    pub(super) engine: Arc<WriteEngine>,
    pub(super) id: u64,
    me: Weak<Self>,
    state: Mutex<State>,
    /// Writers share it; a commit or a checkpoint has it alone.
    pub(super) gate: RwLock<()>,
    /// One append at a time.
    appending: tokio::sync::Mutex<()>,
    /// An upload of the stream ended.
    pub(super) upload_ended: Notify,
    staging: StagingFile,
}

#[derive(Debug)]
pub(super) struct State {
    pub table: Table<StagedSlot>,
    /// The private upload that full parts go to.
    pub stream: Option<Arc<Stream>>,
    /// The private object that the base is, when a checkpoint made it.
    pub private: Option<String>,
    /// What the stream's upload was to become, where the answer was lost.
    pub publication: Option<VolumePath>,
    /// Uploads of the stream under way.
    pub in_flight: usize,
    /// No new uploads of the stream: a commit runs, or one failed.
    pub paused: bool,
}

impl DirtyFile {
    /// A file that does not differ from `base` yet; `None` for a new, empty one.
    #[must_use]
    pub fn new(engine: Arc<WriteEngine>, base: Option<Base>) -> Arc<Self> {
        let table = Table::new(engine.cell_bytes, engine.limits.grid, base);
        let shared = Arc::clone(&engine);
        shared.register(|id| {
            let staging = engine.staging.file(format!("changed file {id}"));
            Arc::new_cyclic(|me| Self {
                engine,
                id,
                me: me.clone(),
                state: Mutex::new(State {
                    table,
                    stream: None,
                    private: None,
                    publication: None,
                    in_flight: 0,
                    paused: false,
                }),
                gate: RwLock::new(()),
                appending: tokio::sync::Mutex::new(()),
                upload_ended: Notify::new(),
                staging,
            })
        })
    }

    /// Length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state().table.size()
    }

    /// Whether there is something to commit.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.state().table.is_changed()
    }

    /// Bytes written since the last commit or checkpoint.
    #[must_use]
    pub fn dirty_bytes(&self) -> u64 {
        self.state().table.dirty().total_bytes()
    }

    /// The version that clean bytes are read from and its size, which a write after the commit
    /// does not change: what it was made with, what was
    /// committed last, or a private object that a checkpoint made.
    #[must_use]
    pub fn base(&self) -> Option<Base> {
        self.state().table.base().cloned()
    }

    /// The base was moved: the same bytes are at another key or under another version now. Not
    /// while a commit runs. Where a checkpoint has taken the base's place this does nothing.
    pub fn set_base(&self, base: Base) {
        let mut state = self.state();
        if state.private.is_none() {
            state.table.move_base(base);
        }
    }

    /// Writes at once, if there is memory and no commit runs; `None` if not: then
    /// [`DirtyFile::write`] does.
    pub fn try_write(&self, offset: u64, data: &Bytes) -> Option<Result<()>> {
        let _open = self.gate.try_read().ok()?;
        let mut rest = match self.writable(offset, data) {
            Ok(range) => range,
            Err(error) => return Some(Err(error)),
        };
        while !rest.is_empty() {
            let mut supply = Supply::default();
            loop {
                let mut state = self.state();
                let piece = state.table.first_piece(rest);
                match state
                    .table
                    .write(piece.start(), slice(data, offset, piece), &mut supply)
                {
                    Need::Nothing => {
                        rest = ByteRange::new(piece.end(), rest.end());
                        self.touch(&state, piece);
                        break;
                    }
                    Need::Room(bytes) => {
                        drop(state);
                        supply.lease = Some(self.engine.pool.try_reserve(bytes)?);
                    }
                    Need::Load { .. } | Need::Checkpoint => return None,
                }
            }
        }
        self.stream_ready_parts();
        Some(Ok(()))
    }

    /// Writes; waits while a commit runs or until there is room.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`]; [`WriteError::NoSpace`]; what making room or a checkpoint met.
    /// Bytes at the front of `data` may have been written then.
    pub async fn write(&self, offset: u64, data: Bytes) -> Result<()> {
        let mut rest = self.writable(offset, &data)?;
        while !rest.is_empty() {
            let piece = self.state().table.first_piece(rest);
            self.write_piece(piece, slice(&data, offset, piece)).await?;
            rest = ByteRange::new(piece.end(), rest.end());
        }
        self.stream_ready_parts();
        Ok(())
    }

    /// Writes at the end of the file, wherever that is when it is this writer's turn.
    ///
    /// # Errors
    /// As [`DirtyFile::write`].
    pub async fn append(&self, data: Bytes) -> Result<()> {
        let _turn = self.appending.lock().await;
        self.write(self.size(), data).await
    }

    /// Makes the file `size` bytes long; what it grows by is zeros.
    ///
    /// # Errors
    /// As [`DirtyFile::write`].
    pub async fn truncate(&self, size: u64) -> Result<()> {
        self.check_size(size)?;
        loop {
            {
                let _open = self.gate.read().await;
                let mut state = self.state();
                if let Some(gone) = state.table.truncate(size) {
                    self.forget(&state, gone);
                    return Ok(());
                }
            }
            self.checkpoint_to_reuse().await?;
        }
    }

    /// Forgets all changes, and clears away what was uploaded of them. The file is not written
    /// to after that.
    pub fn discard(&self) {
        let mut state = self.state();
        let gone = state.table.clear();
        self.forget(&state, gone);
        let (stream, private) = (state.stream.take(), state.private.take());
        drop(state);
        self.clear_away(stream, private);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shared(&self) -> Arc<Self> {
        self.me.upgrade().expect("a file that is used is alive")
    }

    pub(super) fn evict(&self, cell: u64) -> Evicted {
        let mut state = self.state();
        let evicted = state.table.evict(cell);
        if matches!(evicted, Evicted::Dropped | Evicted::Gone) {
            self.forget(&state, vec![cell]);
        }
        evicted
    }

    /// Seals a cell's bytes into staging; `false` when it has others by now. Blocks.
    pub(super) fn stage(
        &self,
        cell: u64,
        buffer: &Arc<Buffer>,
    ) -> std::result::Result<bool, StagingError> {
        let slot = self.staging.store(cell, buffer.bytes())?;
        let mut state = self.state();
        let spilled = state.table.spilled(cell, buffer, slot);
        if spilled {
            self.forget(&state, vec![cell]);
        }
        Ok(spilled)
    }

    pub(super) fn drop_staged_copies(&self) -> usize {
        self.state().table.drop_staged_copies()
    }

    pub(super) fn local_bytes(&self) -> u64 {
        self.state().table.local_bytes()
    }

    /// Cells hold no memory any more. The pool is told under the lock of the state that it
    /// follows: told later, it could forget a cell that was written again meanwhile.
    pub(super) fn forget(&self, _state: &State, cells: Vec<u64>) {
        self.assert_locked();
        for cell in cells {
            self.engine.pool.forget(CellId {
                file: self.id,
                cell,
            });
        }
    }

    /// The state that the pool follows is this file's own, and locked: also where no other thread
    /// comes between, so that every test finds an order that only chance kept.
    fn assert_locked(&self) {
        debug_assert!(
            matches!(self.state.try_lock(), Err(TryLockError::WouldBlock)),
            "the pool is told without the lock of the state that it follows"
        );
    }

    /// A piece was written, so its cell holds memory; told as [`Self::forget`].
    fn touch(&self, state: &State, piece: ByteRange) {
        self.assert_locked();
        let cell = state.table.cell_of(piece.start());
        let id = CellId {
            file: self.id,
            cell,
        };
        self.engine.pool.touch(id, || self.me.clone());
    }

    fn writable(&self, offset: u64, data: &Bytes) -> Result<ByteRange> {
        let end = offset.saturating_add(data.len() as u64);
        self.check_size(end)?;
        Ok(ByteRange::new(offset, end))
    }

    fn check_size(&self, size: u64) -> Result<()> {
        let max = self.engine.limits.object_bytes_max;
        if size > max {
            return Err(PlanError::TooLarge { size, max }.into());
        }
        Ok(())
    }

    async fn write_piece(&self, piece: ByteRange, data: &[u8]) -> Result<()> {
        let mut supply = Supply::default();
        loop {
            let need = {
                let _open = self.gate.read().await;
                let mut state = self.state();
                let need = state.table.write(piece.start(), data, &mut supply);
                if matches!(need, Need::Nothing) {
                    self.touch(&state, piece);
                }
                need
            };
            // A task that waits for room must not sit on some.
            supply.lease = None;
            match need {
                Need::Nothing => return Ok(()),
                Need::Room(bytes) => supply.lease = Some(self.engine.reserve(bytes).await?),
                Need::Load { slot, room } => {
                    supply.lease = Some(self.engine.reserve(room).await?);
                    let whole = ByteRange::new(0, slot.len());
                    supply.loaded = Some((Arc::clone(&slot), load(slot, whole).await?));
                }
                Need::Checkpoint => self.checkpoint_to_reuse().await?,
            }
        }
    }

    pub(super) async fn checkpoint_to_reuse(&self) -> Result<()> {
        self.state().table.keep_uploaded();
        self.checkpoint().await
    }
}

impl Drop for DirtyFile {
    fn drop(&mut self) {
        self.engine.unregister(self.id);
        if self.is_dirty() {
            tracing::warn!("a changed file was let go before its changes were saved");
        }
        self.discard();
    }
}
