//! Where a file's bytes are: reading them, and taking cells out of memory.

use std::sync::Arc;

use super::buffer::{Buffer, index};
use super::table::{Content, Table};
use crate::base::range::ByteRange;

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
}
