//! One changed file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock};

use super::content::{Buffer, Evicted, Missing, Need, Shared, Supply, Table, index};
use super::engine::WriteEngine;
use super::planner::PlanError;
use super::pool::CellId;
use super::staging::{StagedSlot, StagingError, StagingFile};
use super::stream::Stream;
use super::{Base, BaseReader, Result, WriteError};
use crate::base::range::ByteRange;
use crate::store::ErrorKind;
use crate::volume::{Volume, VolumeError};

/// Gaps of clean bytes in one part that are this close are fetched in one request.
const GAP_MERGE_BYTES: u64 = 256 << 10;

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

    /// The version that the clean bytes are read from: what it was made with, what was
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
            let cell = loop {
                let mut state = self.state();
                let piece = state.table.first_piece(rest);
                match state
                    .table
                    .write(piece.start(), slice(data, offset, piece), &mut supply)
                {
                    Need::Nothing => {
                        rest = ByteRange::new(piece.end(), rest.end());
                        break state.table.cell_of(piece.start());
                    }
                    Need::Room(bytes) => {
                        drop(state);
                        supply.lease = Some(self.engine.pool.try_reserve(bytes)?);
                    }
                    Need::Load { .. } | Need::Checkpoint => return None,
                }
            };
            self.touch(cell);
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
                let gone = self.state().table.truncate(size);
                if let Some(gone) = gone {
                    self.forget(gone);
                    return Ok(());
                }
            }
            self.checkpoint_to_reuse().await?;
        }
    }

    /// Reads the bytes of `range` that the file has.
    ///
    /// # Errors
    /// When the base or staging cannot be read.
    pub async fn read(&self, range: ByteRange, reader: &dyn BaseReader) -> Result<Bytes> {
        loop {
            let Filled {
                start,
                mut out,
                missing,
                base,
            } = self.fill(range);
            if missing.iter().any(|piece| matches!(piece, Missing::Remote)) {
                self.checkpoint_to_reuse().await?;
                continue;
            }
            match fetch(missing, base.as_ref(), reader, start, &mut out).await {
                Err(error) if is_gone(&error) && self.base() != base => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(out.into()),
            }
        }
    }

    /// Reads, if all of it is in memory.
    pub fn try_read(&self, range: ByteRange) -> Option<Bytes> {
        let filled = self.fill(range);
        filled.missing.is_empty().then(|| filled.out.into())
    }

    /// Forgets all changes, and clears away what was uploaded of them.
    pub fn discard(&self) {
        let mut state = self.state();
        let gone = state.table.clear();
        let (stream, private) = (state.stream.take(), state.private.take());
        drop(state);
        self.forget(gone);
        self.clear_away(stream, private);
    }

    /// The bytes of one upload. `range` is below the size, nothing in it is remote.
    pub(super) async fn body(&self, range: ByteRange) -> Result<Bytes> {
        let whole = self.state().table.whole(range);
        if let Some(buffer) = whole {
            return Ok(Shared(buffer).into());
        }
        let permit = self.engine.reserve_body(range.len()).await;
        let Filled {
            start,
            mut out,
            missing,
            base,
        } = self.fill(range);
        let direct = Direct(&self.engine.volume);
        let fetched = fetch(missing, base.as_ref(), &direct, start, &mut out).await;
        fetched.map_err(|error| match error {
            WriteError::Volume(error) => WriteError::of_base(error),
            other => other,
        })?;
        Ok(Bytes::from_owner(Body {
            bytes: out,
            _permit: permit,
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shared(&self) -> Arc<Self> {
        self.me.upgrade().expect("a file that is used is alive")
    }

    pub(super) fn evict(&self, cell: u64) -> Evicted {
        self.state().table.evict(cell)
    }

    /// Seals a cell's bytes into staging; `false` when it has others by now. Blocks.
    pub(super) fn stage(
        &self,
        cell: u64,
        buffer: &Arc<Buffer>,
    ) -> std::result::Result<bool, StagingError> {
        let slot = self.staging.store(cell, buffer.bytes())?;
        Ok(self.state().table.spilled(cell, buffer, slot))
    }

    pub(super) fn drop_staged_copies(&self) -> usize {
        self.state().table.drop_staged_copies()
    }

    pub(super) fn local_bytes(&self) -> u64 {
        self.state().table.local_bytes()
    }

    pub(super) fn forget(&self, cells: Vec<u64>) {
        for cell in cells {
            self.engine.pool.forget(CellId {
                file: self.id,
                cell,
            });
        }
    }

    /// What memory has of `range`, cut to the size.
    fn fill(&self, range: ByteRange) -> Filled {
        let state = self.state();
        let end = range.end().min(state.table.size());
        let range = ByteRange::new(range.start().min(end), end);
        let mut out = zeros(range);
        let missing = state.table.fill(range, &mut out);
        Filled {
            start: range.start(),
            out,
            missing,
            base: state.table.base().cloned(),
        }
    }

    fn touch(&self, cell: u64) {
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
            let (need, cell) = {
                let _open = self.gate.read().await;
                let mut state = self.state();
                let need = state.table.write(piece.start(), data, &mut supply);
                (need, state.table.cell_of(piece.start()))
            };
            // A task that waits for room must not sit on some.
            supply.lease = None;
            match need {
                Need::Nothing => {
                    self.touch(cell);
                    return Ok(());
                }
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

    async fn checkpoint_to_reuse(&self) -> Result<()> {
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

/// A read half done.
struct Filled {
    start: u64,
    out: Vec<u8>,
    missing: Vec<Missing<StagedSlot>>,
    base: Option<Base>,
}

/// Reads the base past the block cache: an upload's bytes are not wanted there.
struct Direct<'a>(&'a Volume);

#[async_trait]
impl BaseReader for Direct<'_> {
    async fn read_base(
        &self,
        base: &Base,
        range: ByteRange,
    ) -> std::result::Result<Bytes, Arc<VolumeError>> {
        let read = self.0.read(&base.object, &base.version, range).await;
        read.map_err(Arc::new)
    }
}

/// A body that was put together, with the memory that it takes.
struct Body {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn is_gone(error: &WriteError) -> bool {
    matches!(
        error.kind(),
        Some(ErrorKind::Precondition | ErrorKind::NotFound)
    )
}

/// Brings what is `missing` into `out`, which begins at `start` in the file.
async fn fetch(
    missing: Vec<Missing<StagedSlot>>,
    base: Option<&Base>,
    reader: &dyn BaseReader,
    start: u64,
    out: &mut [u8],
) -> Result<()> {
    let mut gaps = Vec::new();
    for piece in missing {
        match piece {
            Missing::Staged { slot, from, to } => {
                slice_mut(out, start, to).copy_from_slice(&load(slot, from).await?);
            }
            Missing::Base(range) => gaps.push(range),
            Missing::Remote => unreachable!("remote bytes are checkpointed before"),
        }
    }
    for near in gaps.chunk_by(|a, b| b.start() - a.end() <= GAP_MERGE_BYTES) {
        let base = base.expect("only a file with a base has valid base bytes");
        let run = ByteRange::new(near[0].start(), near[near.len() - 1].end());
        let bytes = reader.read_base(base, run).await?;
        for gap in near {
            slice_mut(out, start, *gap).copy_from_slice(slice(&bytes, run.start(), *gap));
        }
    }
    Ok(())
}

async fn load(slot: Arc<StagedSlot>, range: ByteRange) -> Result<Bytes> {
    let task = tokio::task::spawn_blocking(move || slot.load_range(range));
    let loaded = task
        .await
        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()));
    Ok(loaded?.into())
}

/// The bytes `range` of what begins at `start`.
fn slice(bytes: &[u8], start: u64, range: ByteRange) -> &[u8] {
    &bytes[index(range.start() - start)..index(range.end() - start)]
}

fn slice_mut(bytes: &mut [u8], start: u64, range: ByteRange) -> &mut [u8] {
    &mut bytes[index(range.start() - start)..index(range.end() - start)]
}

fn zeros(range: ByteRange) -> Vec<u8> {
    vec![0; index(range.len())]
}
