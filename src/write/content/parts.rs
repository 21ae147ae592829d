//! The parts of a file that go up before its commit, and what of them is there.

use super::table::{Content, Table};
use crate::base::range::ByteRange;
use crate::volume::Part;
use crate::write::extents::ExtentSet;
use crate::write::grid::PartIndex;

#[derive(Debug)]
pub(super) enum PartState {
    /// `stale`: written again since the upload began.
    Uploading {
        stale: bool,
    },
    Uploaded {
        receipt: Part,
        range: ByteRange,
    },
}

/// The completion of the upload was asked for. Where the answer was lost the bytes may be in
/// the bucket under the upload's name and nowhere else, and the upload gone.
#[derive(Debug)]
pub(super) struct Completion {
    pub receipts: Vec<Part>,
    /// Length of the file then.
    pub size: u64,
    /// Bytes written since.
    pub dirty: ExtentSet,
    /// The smallest size that the file was cut to since.
    pub valid: u64,
}

impl Completion {
    pub(super) const fn of(receipts: Vec<Part>, size: u64) -> Self {
        Self {
            receipts,
            size,
            dirty: ExtentSet::new(),
            valid: size,
        }
    }
}

impl<S> Table<S> {
    /// The upload's completion is asked for now, with these receipts: they are for all of the
    /// content. Until it is answered nothing is uploaded early, so that every byte written
    /// meanwhile stays here.
    pub(crate) fn completing(&mut self, receipts: Vec<Part>) {
        self.completion = Some(Completion::of(receipts, self.size));
    }

    /// The answer was that nothing was done.
    pub(crate) fn not_completed(&mut self) {
        self.completion = None;
    }

    /// What has to be asked for again, because the answer was lost: receipts, and the length
    /// in bytes of what they are for.
    pub(crate) fn unanswered(&self) -> Option<(Vec<Part>, u64)> {
        let completion = self.completion.as_ref()?;
        Some((completion.receipts.clone(), completion.size))
    }

    /// A part that can be uploaded before the commit: wholly dirty, and the writer has left it.
    /// It counts as being uploaded from now on.
    pub(crate) fn next_ready(&mut self) -> Option<(PartIndex, ByteRange)> {
        if self.completion.is_some() {
            return None;
        }
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
    pub(crate) fn end_part(&mut self, part: PartIndex, range: ByteRange, receipt: Option<Part>) {
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
    pub(crate) fn receipt(&self, part: PartIndex, of: ByteRange) -> Option<Part> {
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
        self.completion = None;
    }

    /// Whether a write into a cell takes the receipt away under which another cell, or what
    /// the write does not replace of this one, is remote.
    pub(super) fn loses_remote(&self, number: u64, replaces: bool) -> bool {
        let part = self.grid.range(self.grid.part_at(number * self.cell_bytes));
        self.cells_of(part).any(|cell| {
            (cell != number || !replaces) && matches!(self.cells.get(&cell), Some(Content::Remote))
        })
    }

    pub(super) fn is_uploaded(&self, cell: u64) -> bool {
        let part = self.grid.part_at(cell * self.cell_bytes);
        self.receipt(part, self.grid.range(part)).is_some()
    }
}
