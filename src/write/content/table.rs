//! The table of a file's cells and parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::buffer::{Buffer, Shape, index, union};
use crate::base::range::ByteRange;
use crate::store::PartReceipt;
use crate::write::Base;
use crate::write::extents::ExtentSet;
use crate::write::grid::{Grid, PartIndex};
use crate::write::pool::Lease;

/// See the module's text. `S` is a run of bytes in staging.
#[derive(Debug)]
pub(crate) struct Table<S> {
    cell_bytes: u64,
    grid: Grid,
    base: Option<Base>,
    base_valid: u64,
    size: u64,
    dirty: ExtentSet,
    cells: BTreeMap<u64, Content<S>>,
    parts: BTreeMap<PartIndex, PartState>,
    /// Parts that are wholly dirty and were never uploaded.
    ready: BTreeSet<PartIndex>,
    /// Parts that were written again after their upload began: uploading them early once more
    /// would only repeat the loss.
    rewritten: BTreeSet<PartIndex>,
    /// Where the last write ended.
    write_end: u64,
    /// Something differs from what was committed last.
    changed: bool,
    /// Uploaded cells are read again: keep them near.
    keep_uploaded: bool,
}

#[derive(Debug)]
enum Content<S> {
    Memory(Arc<Buffer>),
    Staged { slot: Arc<S>, hull: ByteRange },
    Remote,
}

#[derive(Debug)]
enum PartState {
    /// `stale`: written again since the upload began.
    Uploading { stale: bool },
    Uploaded {
        receipt: PartReceipt,
        range: ByteRange,
    },
}

/// What a write must be given before it can be done.
#[derive(Debug)]
pub(crate) enum Need<S> {
    /// It is done.
    Nothing,
    /// A lease of so many bytes.
    Room(u64),
    /// The staged bytes, and a lease.
    Load { slot: Arc<S>, room: u64 },
    /// Bytes that are remote must become readable.
    Checkpoint,
}

/// What a write was given.
#[derive(Debug)]
pub(crate) struct Supply<S> {
    pub lease: Option<Lease>,
    pub loaded: Option<(Arc<S>, Bytes)>,
}

impl<S> Default for Supply<S> {
    fn default() -> Self {
        Self {
            lease: None,
            loaded: None,
        }
    }
}

/// Bytes that a read does not find in memory.
#[derive(Debug)]
pub(crate) enum Missing<S> {
    /// The bytes `from` of a staged run, which belong at `to` in the file.
    Staged {
        slot: Arc<S>,
        from: ByteRange,
        to: ByteRange,
    },
    Base(ByteRange),
    Remote,
}

/// What became of a cell that should leave memory.
#[derive(Debug)]
pub(crate) enum Evicted {
    /// Its memory is free.
    Dropped,
    /// Its bytes have to go to staging first; then [`Table::spilled`].
    Spill(Arc<Buffer>),
    /// An upload or a spill holds it.
    Busy,
    /// It holds no memory.
    Gone,
}

impl<S> Table<S> {
    pub(crate) fn new(cell_bytes: u64, grid: Grid, base: Option<Base>) -> Self {
        let size = base.as_ref().map_or(0, |base| base.size);
        Self {
            cell_bytes,
            grid,
            base,
            base_valid: size,
            size,
            dirty: ExtentSet::new(),
            cells: BTreeMap::new(),
            parts: BTreeMap::new(),
            ready: BTreeSet::new(),
            rewritten: BTreeSet::new(),
            write_end: 0,
            changed: false,
            keep_uploaded: false,
        }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) const fn is_changed(&self) -> bool {
        self.changed
    }

    pub(crate) const fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    pub(crate) const fn base_valid(&self) -> u64 {
        self.base_valid
    }

    pub(crate) const fn dirty(&self) -> &ExtentSet {
        &self.dirty
    }

    /// Bytes that memory and staging hold.
    pub(crate) fn local_bytes(&self) -> u64 {
        let bytes = self.cells.values().map(|content| match content {
            Content::Memory(buffer) => buffer.hull().len(),
            Content::Staged { hull, .. } => hull.len(),
            Content::Remote => 0,
        });
        bytes.sum()
    }

    pub(crate) fn has_remote(&self) -> bool {
        self.cells
            .values()
            .any(|content| matches!(content, Content::Remote))
    }

    /// The same bytes are somewhere else now.
    pub(crate) fn move_base(&mut self, base: Base) {
        self.base = Some(base);
    }

    /// The piece of `range` that is in its first byte's cell.
    pub(crate) fn first_piece(&self, range: ByteRange) -> ByteRange {
        let cell = self.cell_range(range.start() / self.cell_bytes);
        range.intersection(cell).unwrap_or(range)
    }

    pub(crate) fn cell_of(&self, offset: u64) -> u64 {
        offset / self.cell_bytes
    }

    /// Writes `data`, which is within one cell, at `offset`; or changes nothing and says what
    /// it needs. What was given and not needed goes back.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8], supply: &mut Supply<S>) -> Need<S> {
        let piece = ByteRange::new(offset, offset + data.len() as u64);
        let number = self.cell_of(offset);
        let cell = self.cell_range(number);
        debug_assert!(cell.contains_range(piece), "a piece is within one cell");
        let replaces = !self
            .dirty
            .intersects(ByteRange::new(cell.start(), piece.start()))
            && !self
                .dirty
                .intersects(ByteRange::new(piece.end(), cell.end()));
        if self.loses_remote(number, replaces) {
            return Need::Checkpoint;
        }
        let take = |supply: &mut Supply<S>, capacity| {
            let lease = supply.lease.take()?;
            (lease.bytes() >= capacity).then(|| lease.cut(capacity))
        };
        let mut buffer = match self.cells.get_mut(&number) {
            Some(Content::Memory(held)) => {
                let reshape = held.reshape(piece, cell);
                let shape = match (Arc::get_mut(held), reshape) {
                    (Some(buffer), None) => {
                        buffer.put(offset, data);
                        self.written(piece);
                        return Need::Nothing;
                    }
                    _ if replaces => Shape::of(piece, cell),
                    (_, Some(shape)) => shape,
                    (None, None) => Shape::of(union(held.hull(), piece), cell),
                };
                let Some(lease) = take(supply, shape.capacity) else {
                    return Need::Room(shape.capacity);
                };
                if replaces {
                    Buffer::new(shape, lease)
                } else {
                    held.reshaped(shape, lease)
                }
            }
            Some(Content::Staged { slot, hull }) if !replaces => {
                let shape = Shape::of(union(*hull, piece), cell);
                let loaded = supply.loaded.take().filter(|(of, _)| Arc::ptr_eq(of, slot));
                match (loaded, take(supply, shape.capacity)) {
                    (Some((_, bytes)), Some(lease)) => {
                        let mut buffer = Buffer::new(shape, lease);
                        buffer.put(hull.start(), &bytes);
                        buffer
                    }
                    _ => {
                        return Need::Load {
                            slot: Arc::clone(slot),
                            room: shape.capacity,
                        };
                    }
                }
            }
            _ => {
                let shape = Shape::of(piece, cell);
                let Some(lease) = take(supply, shape.capacity) else {
                    return Need::Room(shape.capacity);
                };
                Buffer::new(shape, lease)
            }
        };
        buffer.put(offset, data);
        self.cells.insert(number, Content::Memory(Arc::new(buffer)));
        self.written(piece);
        Need::Nothing
    }

    /// Makes the file `size` bytes long; the cells that are gone. `None`: nothing changed, a
    /// checkpoint comes first.
    pub(crate) fn truncate(&mut self, size: u64) -> Option<Vec<u64>> {
        let mut gone = Vec::new();
        if size < self.size {
            let part = self.grid.part_at(size);
            let range = self.grid.range(part);
            if range.start() < size
                && self.cells_of(range).any(|cell| {
                    cell * self.cell_bytes < size
                        && matches!(self.cells.get(&cell), Some(Content::Remote))
                })
            {
                return None;
            }
            let cells = self.cells.split_off(&size.div_ceil(self.cell_bytes));
            gone.extend(cells.into_keys());
            self.dirty.truncate(size);
            self.base_valid = self.base_valid.min(size);
            // What is left of the last cell may be nothing.
            let last = self.cell_of(size);
            if !self.dirty.intersects(self.cell_range(last)) {
                gone.extend(self.cells.remove(&last).map(|_| last));
            }
            for (_, state) in self.parts.range_mut(part..) {
                if let PartState::Uploading { stale } = state {
                    *stale = true;
                }
            }
            self.parts.retain(|number, state| {
                *number < part || matches!(state, PartState::Uploading { .. })
            });
            self.ready.split_off(&part);
        }
        if size != self.size {
            self.size = size;
            self.changed = true;
        }
        Some(gone)
    }

    /// Copies what memory has of `range` into `out`, which is zeros and as long, and tells what
    /// is missing. `range` is below the size.
    pub(crate) fn fill(&self, range: ByteRange, out: &mut [u8]) -> Vec<Missing<S>> {
        let mut missing = Vec::new();
        let mut clean_from = range.start();
        for gap in self
            .dirty
            .gaps(range)
            .chain([ByteRange::new(range.end(), range.end())])
        {
            self.fill_dirty(
                ByteRange::new(clean_from, gap.start()),
                range,
                out,
                &mut missing,
            );
            if let Some(base) = gap.intersection(ByteRange::new(0, self.base_valid)) {
                missing.push(Missing::Base(base));
            }
            clean_from = gap.end();
        }
        missing
    }

    /// The buffer that is exactly `range`, all of it dirty.
    pub(crate) fn whole(&self, range: ByteRange) -> Option<Arc<Buffer>> {
        match self.cells.get(&self.cell_of(range.start())) {
            Some(Content::Memory(buffer)) if buffer.hull() == range && self.dirty.covers(range) => {
                Some(Arc::clone(buffer))
            }
            _ => None,
        }
    }

    /// Takes a cell out of memory.
    pub(crate) fn evict(&mut self, number: u64) -> Evicted {
        let droppable = !self.keep_uploaded && self.is_uploaded(number);
        match self.cells.get_mut(&number) {
            Some(content @ Content::Memory(_)) => {
                let Content::Memory(buffer) = content else {
                    unreachable!("matched above")
                };
                if Arc::strong_count(buffer) > 1 {
                    return Evicted::Busy;
                }
                if droppable {
                    *content = Content::Remote;
                    return Evicted::Dropped;
                }
                Evicted::Spill(Arc::clone(buffer))
            }
            _ => Evicted::Gone,
        }
    }

    /// The cell's buffer was staged; `false` when the cell has other bytes by now.
    pub(crate) fn spilled(&mut self, number: u64, buffer: &Arc<Buffer>, slot: S) -> bool {
        match self.cells.get_mut(&number) {
            Some(content @ Content::Memory(_)) => {
                let same = matches!(content, Content::Memory(held) if Arc::ptr_eq(held, buffer));
                if same {
                    *content = Content::Staged {
                        slot: Arc::new(slot),
                        hull: buffer.hull(),
                    };
                }
                same
            }
            _ => false,
        }
    }

    /// Gives up the staged copies of uploaded cells; how many there were.
    pub(crate) fn drop_staged_copies(&mut self) -> usize {
        let staged = self
            .cells
            .iter()
            .filter(|(_, cell)| matches!(cell, Content::Staged { .. }));
        let numbers: Vec<u64> = staged.map(|(number, _)| *number).collect();
        let uploaded = numbers
            .into_iter()
            .filter(|number| self.is_uploaded(*number));
        let uploaded: Vec<u64> = uploaded.collect();
        for number in &uploaded {
            self.cells.insert(*number, Content::Remote);
        }
        uploaded.len()
    }

    /// A part that can be uploaded before the commit: wholly dirty, and the writer has left it.
    /// It counts as being uploaded from now on.
    pub(crate) fn next_ready(&mut self) -> Option<(PartIndex, ByteRange)> {
        let left = |part: &&PartIndex| {
            let range = self.grid.range(**part);
            self.write_end <= range.start() || self.write_end >= range.end()
        };
        let part = self.ready.iter().find(left).copied()?;
        self.ready.remove(&part);
        self.parts
            .insert(part, PartState::Uploading { stale: false });
        Some((part, self.grid.range(part)))
    }

    /// A part that the commit uploads.
    pub(crate) fn begin_part(&mut self, part: PartIndex) {
        self.ready.remove(&part);
        self.parts
            .insert(part, PartState::Uploading { stale: false });
    }

    /// An upload of a part ended; `None` when it failed.
    pub(crate) fn end_part(
        &mut self,
        part: PartIndex,
        range: ByteRange,
        receipt: Option<PartReceipt>,
    ) {
        let Some(PartState::Uploading { stale }) = self.parts.remove(&part) else {
            return;
        };
        match receipt {
            Some(receipt) if !stale => {
                self.parts
                    .insert(part, PartState::Uploaded { receipt, range });
            }
            None if !stale && range == self.grid.range(part) && self.dirty.covers(range) => {
                self.ready.insert(part);
            }
            _ => {}
        }
    }

    /// The receipt of a part that is uploaded as it is now.
    pub(crate) fn receipt(&self, part: PartIndex, of: ByteRange) -> Option<PartReceipt> {
        match self.parts.get(&part) {
            Some(PartState::Uploaded { receipt, range }) if *range == of => Some(receipt.clone()),
            _ => None,
        }
    }

    /// The multipart upload is gone, and with it what only it held.
    pub(crate) fn forget_uploads(&mut self) {
        debug_assert!(!self.has_remote(), "remote bytes would be lost");
        self.parts.clear();
        self.rewritten.clear();
    }

    /// All of the content is in `base` now; the cells that were held. The file still differs
    /// from what its name shows.
    pub(crate) fn checkpointed(&mut self, base: Base) -> Vec<u64> {
        debug_assert_eq!(base.size, self.size, "the base is the whole file");
        self.base_valid = base.size;
        self.base = Some(base);
        self.dirty = ExtentSet::new();
        self.parts.clear();
        self.ready.clear();
        self.rewritten.clear();
        std::mem::take(&mut self.cells).into_keys().collect()
    }

    /// Like [`Table::checkpointed`], and its name shows it.
    pub(crate) fn committed(&mut self, base: Base) -> Vec<u64> {
        self.changed = false;
        self.keep_uploaded = false;
        self.checkpointed(base)
    }

    /// Uploaded bytes were needed again: from now on they go to staging, not away.
    pub(crate) const fn keep_uploaded(&mut self) {
        self.keep_uploaded = true;
    }

    /// Drops all that is dirty; the cells that were held.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        self.changed = false;
        self.dirty = ExtentSet::new();
        self.parts.clear();
        self.ready.clear();
        self.rewritten.clear();
        std::mem::take(&mut self.cells).into_keys().collect()
    }

    fn written(&mut self, piece: ByteRange) {
        self.dirty.insert(piece);
        self.size = self.size.max(piece.end());
        self.write_end = piece.end();
        self.changed = true;
        let part = self.grid.part_at(piece.start());
        match self.parts.get_mut(&part) {
            Some(PartState::Uploading { stale }) => {
                *stale = true;
                self.rewritten.insert(part);
            }
            Some(PartState::Uploaded { .. }) => {
                self.parts.remove(&part);
                self.rewritten.insert(part);
            }
            None => {}
        }
        if !self.ready.contains(&part)
            && !self.rewritten.contains(&part)
            && self.dirty.covers(self.grid.range(part))
        {
            self.ready.insert(part);
        }
    }

    /// Whether a write into a cell takes the receipt away under which another cell, or what
    /// the write does not replace of this one, is remote.
    fn loses_remote(&self, number: u64, replaces: bool) -> bool {
        let part = self.grid.range(self.grid.part_at(number * self.cell_bytes));
        self.cells_of(part).any(|cell| {
            (cell != number || !replaces) && matches!(self.cells.get(&cell), Some(Content::Remote))
        })
    }

    fn is_uploaded(&self, cell: u64) -> bool {
        let part = self.grid.part_at(cell * self.cell_bytes);
        self.receipt(part, self.grid.range(part)).is_some()
    }

    fn fill_dirty(
        &self,
        dirty: ByteRange,
        range: ByteRange,
        out: &mut [u8],
        missing: &mut Vec<Missing<S>>,
    ) {
        let mut rest = dirty;
        while !rest.is_empty() {
            let piece = self.first_piece(rest);
            match self.cells.get(&self.cell_of(piece.start())) {
                Some(Content::Memory(buffer)) => {
                    let at = index(piece.start() - range.start());
                    out[at..at + index(piece.len())].copy_from_slice(buffer.slice(piece));
                }
                Some(Content::Staged { slot, hull }) => missing.push(Missing::Staged {
                    slot: Arc::clone(slot),
                    from: ByteRange::new(piece.start() - hull.start(), piece.end() - hull.start()),
                    to: piece,
                }),
                Some(Content::Remote) => missing.push(Missing::Remote),
                None => unreachable!("dirty bytes are in a cell"),
            }
            rest = ByteRange::new(piece.end(), rest.end());
        }
    }

    fn cell_range(&self, cell: u64) -> ByteRange {
        let start = cell * self.cell_bytes;
        ByteRange::new(start, start + self.cell_bytes)
    }

    fn cells_of(&self, part: ByteRange) -> impl Iterator<Item = u64> + use<S> {
        part.start() / self.cell_bytes..part.end().div_ceil(self.cell_bytes)
    }
}
