//! What the journal is told of a closed file until the bucket has it.
//!
//! These are single short frames, written on the thread that is there: only the end of a log, once
//! in 64 MiB, waits for the disk.

use std::sync::Arc;

use super::Journaled;
use crate::base::id::CommitId;
use crate::fs::inode::Inode;
use crate::fs::{FileSystem, Result};
use crate::write::journal::{Event, Place, Position};

impl FileSystem {
    /// The id that an upload of the file as it is at `changes` is to carry, on the disk before the
    /// upload begins; `None` where no journal knows the file.
    pub(in crate::fs) async fn attempt(&self, inode: &Inode, changes: u64) -> Option<CommitId> {
        let write_back = self.write_back.as_ref()?;
        let Journaled {
            file,
            commit,
            position,
            changes: known,
            ..
        } = inode.state().journaled.clone()?;
        // An upload that may have been carried out has this id already: the next one must be told
        // from it.
        let first = !inode.state().in_doubt;
        let (commit, position) = if known == changes && first {
            (commit, Ok(position))
        } else {
            let commit = CommitId::random();
            let noted = write_back
                .journal
                .note(vec![Event::Attempt { file, commit }]);
            (commit, noted)
        };
        let synced = match position {
            Ok(position) => write_back.journal.sync(position).await,
            Err(error) => Err(error),
        };
        if let Err(error) = synced {
            // After a crash right now it would be taken for somebody else's, and both kept.
            tracing::debug!("an upload begins that the journal does not know: {error}");
        }
        Some(commit)
    }

    /// The bucket has what the journal knows of the file.
    pub(in crate::fs) fn settled(&self, inode: &Inode) {
        let journaled = inode.state().journaled.take();
        if let Some(Journaled { file, .. }) = journaled {
            self.tell(vec![Event::Done { file }]);
        }
    }

    /// The file has no name any more.
    pub(in crate::fs) fn note_dropped(&self, inode: &Inode) {
        let journaled = inode.state().journaled.take();
        if let Some(Journaled { file, .. }) = journaled {
            self.tell(vec![Event::Dropped { file }]);
        }
    }

    /// The file's object is about to be deleted.
    pub(in crate::fs) fn note_deleting(&self, inode: &Inode) {
        let journaled = inode.state().journaled.clone();
        if let Some(Journaled { file, .. }) = journaled {
            self.tell(vec![Event::Deleting { file }]);
        }
    }

    /// Attributes were changed, from the count `before` on.
    pub(in crate::fs) fn note_meta(&self, inode: &Inode, before: u64) {
        let mut state = inode.state();
        let (meta, changes) = (state.meta.clone(), state.meta_changes);
        let Some(journaled) = &mut state.journaled else {
            return;
        };
        if journaled.changes == before {
            journaled.changes = changes;
        }
        let (file, commit) = (journaled.file, CommitId::random());
        journaled.commit = commit;
        drop(state);
        let meta = Box::new(meta);
        self.tell_of(inode, vec![Event::Meta { file, meta, commit }]);
    }

    /// The file has another name, or its object another version; and with that `replaced` has none.
    pub(in crate::fs) fn note_place(&self, inode: &Inode, replaced: Option<Journaled>) {
        let mut events = Vec::new();
        if let Some(path) = self.table.path(inode) {
            let snapshot = inode.content().snapshot();
            if let Some(journaled) = &mut inode.state().journaled {
                journaled.commit = CommitId::random();
                let (size, commit) = (snapshot.size, snapshot.commit);
                events.push(Event::Moved {
                    file: journaled.file,
                    place: Place {
                        path,
                        base: snapshot.version.map(|version| (version, size, commit)),
                        replaces: snapshot.replaces,
                    },
                    commit: journaled.commit,
                });
            }
        }
        events.extend(replaced.map(|it| Event::Dropped { file: it.file }));
        if !events.is_empty() {
            self.tell_of(inode, events);
        }
    }

    /// What the bucket may have of the file, or has another version of, is settled before its name
    /// changes. The caller holds the path and the inode's operation.
    pub(in crate::fs) async fn settle_before_move(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
    ) -> Result<()> {
        let at_stake = {
            let state = inode.state();
            let stored = state.content.snapshot().version.is_some();
            state.in_doubt || (stored && state.journaled.is_some())
        };
        if at_stake && inode.is_uncommitted() {
            self.commit_held(inode).await?;
        }
        Ok(())
    }

    fn tell_of(&self, inode: &Inode, events: Vec<Event>) {
        if let Some(position) = self.tell(events)
            && let Some(journaled) = &mut inode.state().journaled
        {
            journaled.position = position;
        }
    }

    fn tell(&self, events: Vec<Event>) -> Option<Position> {
        let write_back = self.write_back.as_ref()?;
        match write_back.journal.note(events) {
            Ok(position) => Some(position),
            Err(error) => {
                tracing::warn!(
                    "after a crash now, a file would be replayed as it was before: {error}"
                );
                None
            }
        }
    }
}
