//! The table of a file's cells and parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::buffer::{Buffer, Shape, union};
use super::parts::{Completion, PartState};
use crate::base::range::ByteRange;
use crate::write::Base;
use crate::write::extents::ExtentSet;
use crate::write::grid::{Grid, PartIndex};
use crate::write::planner;
use crate::write::pool::Lease;

/// See the module's text. `S` is a run of bytes in staging.
#[derive(Debug)]
pub(crate) struct Table<S> {
    pub(super) cell_bytes: u64,
    pub(super) grid: Grid,
    pub(super) base: Option<Base>,
    pub(super) base_valid: u64,
    pub(super) size: u64,
    pub(super) dirty: ExtentSet,
    pub(super) cells: BTreeMap<u64, Content<S>>,
    pub(super) parts: BTreeMap<PartIndex, PartState>,
    /// Parts that are wholly dirty and were never uploaded.
    pub(super) ready: BTreeSet<PartIndex>,
    /// Parts that were written again after their upload began: uploading them early once more
    /// would only repeat the loss.
    pub(super) rewritten: BTreeSet<PartIndex>,
    /// A checkpoint that was asked for and not answered yet.
    pub(super) completion: Option<Completion>,
    /// Where the last write ended.
    pub(super) write_end: u64,
    /// Something differs from what was committed last.
    pub(super) changed: bool,
    /// Uploaded cells are read again: keep them near.
    pub(super) keep_uploaded: bool,
}

#[derive(Debug)]
pub(super) enum Content<S> {
    Memory(Arc<Buffer>),
    Staged { slot: Arc<S>, hull: ByteRange },
    Remote,
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
            completion: None,
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

    /// Below this, what is not dirty is the base's; above it, zero.
    pub(crate) const fn base_valid(&self) -> u64 {
        self.base_valid
    }

    /// The base as a plan sees it.
    pub(crate) fn planner_base(&self) -> Option<planner::Base> {
        let base = self.base.as_ref()?;
        Some(planner::Base::whole(base.size).truncated(self.base_valid))
    }

    /// The base, if bytes of it are the file's.
    pub(crate) fn needed_base(&self) -> Option<&Base> {
        let valid = ByteRange::new(0, self.base_valid);
        self.base.as_ref().filter(|_| !self.dirty.covers(valid))
    }

    pub(crate) const fn dirty(&self) -> &ExtentSet {
        &self.dirty
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
            if let Some(completion) = &mut self.completion {
                completion.dirty.truncate(size);
                completion.valid = completion.valid.min(size);
            }
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

    /// All of the content, as it was when the completion was asked for, is in `base` now; the
    /// cells that are held no more. The file still differs from what its name shows.
    pub(crate) fn checkpointed(&mut self, base: Base) -> Vec<u64> {
        let since = self.completion.take();
        let since = since.unwrap_or_else(|| Completion::of(Vec::new(), self.size));
        debug_assert_eq!(base.size, since.size, "the base is the whole file");
        self.base_valid = since.valid;
        self.base = Some(base);
        self.dirty = since.dirty;
        self.parts.clear();
        self.rewritten.clear();
        let (grid, dirty) = (self.grid, &self.dirty);
        self.ready.retain(|part| dirty.covers(grid.range(*part)));
        let cells = std::mem::take(&mut self.cells);
        let (kept, gone): (BTreeMap<_, _>, _) = cells
            .into_iter()
            .partition(|(cell, _)| self.dirty.intersects(self.cell_range(*cell)));
        self.cells = kept;
        gone.into_keys().collect()
    }

    /// All of the content is in `base` now, and its name shows it; the cells that were held.
    pub(crate) fn committed(&mut self, base: Base) -> Vec<u64> {
        self.changed = false;
        self.keep_uploaded = false;
        self.completion = None;
        self.checkpointed(base)
    }

    /// `base` is all of the content, whatever it was before, and its name shows it; the cells
    /// that were held.
    pub(crate) fn replaced(&mut self, base: Base) -> Vec<u64> {
        let gone = self.clear();
        self.keep_uploaded = false;
        self.size = base.size;
        self.base_valid = base.size;
        self.base = Some(base);
        gone
    }

    /// Takes back some of a cut, after which nothing was written: so much of the base is the
    /// file's again. `false` where that is not what the file is.
    pub(crate) fn uncut(&mut self, size: u64) -> bool {
        let whole = self.base.as_ref().map_or(0, |base| base.size);
        let is_cut = self.dirty.is_empty() && self.completion.is_none();
        if !is_cut || self.size != self.base_valid || size < self.size || size > whole {
            return false;
        }
        self.size = size;
        self.base_valid = size;
        self.changed = size < whole;
        true
    }

    /// Uploaded bytes were needed again: from now on they go to staging, not away.
    pub(crate) const fn keep_uploaded(&mut self) {
        self.keep_uploaded = true;
    }

    /// Drops all that is dirty; the cells that were held.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        self.changed = false;
        self.completion = None;
        self.dirty = ExtentSet::new();
        self.parts.clear();
        self.ready.clear();
        self.rewritten.clear();
        std::mem::take(&mut self.cells).into_keys().collect()
    }

    fn written(&mut self, piece: ByteRange) {
        self.dirty.insert(piece);
        if let Some(completion) = &mut self.completion {
            completion.dirty.insert(piece);
        }
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

    pub(super) fn cell_range(&self, cell: u64) -> ByteRange {
        let start = cell * self.cell_bytes;
        ByteRange::new(start, start + self.cell_bytes)
    }

    pub(super) fn cells_of(&self, part: ByteRange) -> impl Iterator<Item = u64> + use<S> {
        part.start() / self.cell_bytes..part.end().div_ceil(self.cell_bytes)
    }
}
