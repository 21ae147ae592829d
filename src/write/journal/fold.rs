//! What follows from the events of a journal: the files that are pending.

use std::collections::{BTreeMap, HashMap};

use super::event::{Closed, Event, FileNumber, Head};
use crate::base::id::CommitId;

/// A file that the bucket does not have as it was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub closed: Closed,
    /// Ids that uploads of it may carry, the newest last: that one is of the file as it is here.
    pub commits: Vec<CommitId>,
    /// Its object was being deleted.
    pub deleting: bool,
    /// The frames with its data, in order.
    pub(super) data: Vec<DataFrame>,
}

/// Where a frame with data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataFrame {
    pub log: u64,
    pub number: u64,
    /// Of the frame, in the log.
    pub at: u64,
    /// Of its data.
    pub len: usize,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub files: BTreeMap<FileNumber, Pending>,
    /// Data whose content event has not come.
    entries: HashMap<u64, Vec<DataFrame>>,
    pub last_file: FileNumber,
}

impl Pending {
    /// Bytes of data.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.closed.extents.iter().map(|extent| extent.len()).sum()
    }
}

impl Fold {
    /// Takes the next frame. `Err` says what cannot be.
    pub(super) fn frame(&mut self, head: Head, frame: DataFrame) -> Result<(), &'static str> {
        if frame.len > 0 {
            self.entries.entry(head.entry).or_default().push(frame);
        }
        for event in head.events {
            self.event(head.entry, event)?;
        }
        Ok(())
    }

    fn event(&mut self, entry: u64, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Content {
                file,
                closed,
                commit,
            } => {
                let data = self.entries.remove(&entry).unwrap_or_default();
                let bytes: usize = data.iter().map(|frame| frame.len).sum();
                let mut pending = Pending {
                    closed: *closed,
                    commits: Vec::new(),
                    deleting: false,
                    data,
                };
                if pending.bytes() != bytes as u64 {
                    return Err("a file has another length than its data");
                }
                self.last_file = self.last_file.max(file);
                // An earlier upload may be what the bucket has.
                if let Some(before) = self.files.remove(&file) {
                    pending.commits = before.commits;
                }
                pending.commits.push(commit);
                self.files.insert(file, pending);
            }
            // What ended before the first log that is left is not known any more.
            Event::Moved {
                file,
                place,
                commit,
            } => {
                if let Some(pending) = self.files.get_mut(&file) {
                    pending.closed.place = place;
                    pending.deleting = false;
                    pending.commits.push(commit);
                }
            }
            Event::Meta { file, meta, commit } => {
                if let Some(pending) = self.files.get_mut(&file) {
                    pending.closed.meta = *meta;
                    pending.closed.meta_set_here = true;
                    pending.deleting = false;
                    pending.commits.push(commit);
                }
            }
            Event::Attempt { file, commit } => {
                if let Some(pending) = self.files.get_mut(&file) {
                    // It was not deleted after all, or is to be made again.
                    pending.deleting = false;
                    pending.commits.push(commit);
                }
            }
            Event::Deleting { file } => {
                if let Some(pending) = self.files.get_mut(&file) {
                    pending.deleting = true;
                }
            }
            Event::Dropped { file } | Event::Done { file } => {
                self.files.remove(&file);
            }
        }
        Ok(())
    }
}
