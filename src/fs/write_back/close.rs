//! Closing a file into the journal.

use std::sync::Arc;
use std::time::Instant;

use super::{JOURNALED_BYTES_MAX, Journaled, WriteBack};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::fs::inode::{Inode, Snapshot};
use crate::fs::{FileSystem, Result};
use crate::layout::path::VolumePath;
use crate::volume::ObjectRef;
use crate::write::journal::{
    Closed, Event, FRAME_DATA_BYTES_MAX, Journal, JournalError, Place, Position,
};
use crate::write::{Base, Frozen, WriteError};

/// Why a file was not written down.
enum NotWritten {
    /// It is none for the journal.
    Unsuitable,
    Journal(JournalError),
    Read(WriteError),
}

impl FileSystem {
    /// What close promises: the changes are in the journal, or in the bucket.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub(in crate::fs) async fn save(self: &Arc<Self>, inode: &Arc<Inode>) -> Result<()> {
        if let Some(write_back) = &self.write_back
            && self.write_down(write_back, inode).await
        {
            return Ok(());
        }
        self.commit(inode).await
    }

    /// Whether the journal has the file as it is now.
    async fn write_down(self: &Arc<Self>, write_back: &WriteBack, inode: &Arc<Inode>) -> bool {
        let written = {
            let (_held, _operation) = self.hold_operation(inode).await;
            if !inode.is_uncommitted() {
                return true;
            }
            self.write_down_locked(write_back, inode).await
        };
        let synced = match written {
            Ok(position) => write_back.journal.sync(position).await,
            Err(NotWritten::Unsuitable) => return false,
            Err(NotWritten::Journal(error)) => Err(error),
            Err(NotWritten::Read(error)) => {
                tracing::warn!(
                    "a file is uploaded at its close, not written to the journal: {error}"
                );
                return false;
            }
        };
        match synced {
            Ok(()) => {
                write_back.uploader.closed(inode.ino);
                true
            }
            // As designed: it waits for its upload.
            Err(error @ (JournalError::Full(_) | JournalError::Broken(_))) => {
                tracing::debug!("a file is uploaded at its close: {error}");
                false
            }
            Err(error) => {
                tracing::warn!("a file is uploaded at its close: {error}");
                false
            }
        }
    }

    /// The caller holds the path and the inode's operation.
    async fn write_down_locked(
        &self,
        write_back: &WriteBack,
        inode: &Arc<Inode>,
    ) -> std::result::Result<Position, NotWritten> {
        let content = inode.content();
        // Before the file is frozen: what is written after this, frozen or not, is counted later.
        let (before, changes, meta, meta_set_here) = {
            let state = inode.state();
            (
                state.journaled.clone(),
                state.meta_changes,
                state.meta.clone(),
                state.meta_set_here,
            )
        };
        if let Some(before) = before.as_ref().filter(|before| before.changes == changes) {
            return Ok(before.position);
        }
        let path = self.table.path(inode).ok_or(NotWritten::Unsuitable)?;
        if content.is_stale() {
            return Err(NotWritten::Unsuitable);
        }
        let snapshot = content.snapshot();
        let dirty = content.dirty();
        let frozen = match &dirty {
            Some(dirty) => {
                let frozen = dirty.freeze(JOURNALED_BYTES_MAX).await;
                Some(frozen.ok_or(NotWritten::Unsuitable)?)
            }
            None => None,
        };
        let place = place_of(&path, &snapshot, frozen.as_ref())?;
        let closed = Closed {
            place,
            valid: frozen.as_ref().map_or(snapshot.size, |it| it.valid),
            size: frozen.as_ref().map_or(snapshot.size, |it| it.size),
            meta,
            meta_set_here,
            extents: frozen
                .as_ref()
                .map_or_else(Vec::new, |it| it.extents.clone()),
        };
        let journal = &write_back.journal;
        let file = before
            .as_ref()
            .map_or_else(|| journal.next_file(), |before| before.file);
        let bytes = closed.extents.iter().map(|extent| extent.len()).sum();
        let commit = CommitId::random();
        let content = Event::Content {
            file,
            closed: Box::new(closed),
            commit,
        };
        let entry = journal.next_entry();
        let written = write_entry(journal, entry, content, frozen.as_ref()).await;
        if written.is_err() {
            journal.give_up(entry);
        }
        let position = written?;
        inode.state().journaled = Some(Journaled {
            file,
            changes,
            commit,
            position,
            since: before.map_or_else(Instant::now, |before| before.since),
            bytes,
        });
        Ok(position)
    }
}

/// Where a file is and what it changes, if that is still there when the mount is not.
fn place_of(
    path: &VolumePath,
    snapshot: &Snapshot,
    frozen: Option<&Frozen<'_>>,
) -> std::result::Result<Place, NotWritten> {
    let at_its_path = |base: &Base| {
        base.object == ObjectRef::Path(path.clone())
            && snapshot.version.as_ref() == Some(&base.version)
    };
    let known = match frozen.map(|frozen| &frozen.base) {
        Some(Some(base)) => at_its_path(base),
        Some(None) => snapshot.version.is_none(),
        None => true,
    };
    if !known || snapshot.elsewhere.is_some() {
        return Err(NotWritten::Unsuitable);
    }
    let size = frozen
        .and_then(|frozen| frozen.base.as_ref())
        .map_or(snapshot.size, |base| base.size);
    let version = snapshot.version.clone();
    Ok(Place {
        path: path.clone(),
        base: version.map(|version| (version, size, snapshot.commit.clone())),
        replaces: snapshot.replaces.clone(),
    })
}

/// Writes an entry, piece by piece.
async fn write_entry(
    journal: &Arc<Journal>,
    entry: u64,
    content: Event,
    frozen: Option<&Frozen<'_>>,
) -> std::result::Result<Position, NotWritten> {
    let mut data = Vec::new();
    if let Some(frozen) = frozen {
        for extent in &frozen.extents {
            let mut rest = *extent;
            while !rest.is_empty() {
                let room = FRAME_DATA_BYTES_MAX - data.len();
                let end = rest.end().min(rest.start() + room as u64);
                let read = frozen.read(ByteRange::new(rest.start(), end)).await;
                let bytes = read
                    .map_err(NotWritten::Read)?
                    .ok_or(NotWritten::Unsuitable)?;
                data.extend_from_slice(&bytes);
                rest = ByteRange::new(end, rest.end());
                if data.len() == FRAME_DATA_BYTES_MAX {
                    append(journal, entry, Vec::new(), std::mem::take(&mut data)).await?;
                }
            }
        }
    }
    append(journal, entry, vec![content], data).await
}

async fn append(
    journal: &Arc<Journal>,
    entry: u64,
    events: Vec<Event>,
    data: Vec<u8>,
) -> std::result::Result<Position, NotWritten> {
    let journal = Arc::clone(journal);
    let task = tokio::task::spawn_blocking(move || journal.append(entry, events, &data));
    let appended = task
        .await
        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()));
    appended.map_err(NotWritten::Journal)
}
