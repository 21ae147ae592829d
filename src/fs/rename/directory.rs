//! Renaming a directory: everything below it is copied on the server, then deleted at its old
//! keys. Not atomic for others; what fails before the first delete is undone.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{self, StreamExt};

use super::Move;
use crate::base::time::Timestamp;
use crate::fs::inode::Inode;
use crate::fs::types::FileKind;
use crate::fs::{FileSystem, Result};
use crate::layout::path::VolumePath;
use crate::store::{ErrorKind, ListedObject};
use crate::volume::{Condition, Moved, ObjectRef, VolumeError};

/// Objects of a directory that are copied or deleted at once.
const PARALLEL_OBJECTS: usize = 32;

impl FileSystem {
    /// Copies everything below, then deletes the sources. What fails before the first delete is
    /// undone: the old tree is whole and the new one is gone. The caller holds the gate alone.
    pub(super) async fn rename_directory(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        target: Option<&Inode>,
        names: &Move<'_>,
    ) -> Result<()> {
        let (from, to) = (names.from, names.to);
        let _moving = self.moving.begin();
        let objects = self.everything_below(from, to).await?;
        // All of them are waited for, also after a failure: a copy that came later would stay.
        let copies = stream::iter(objects.into_iter().map(|(rest, listed)| async move {
            let copied = self.volume.copy_below(from, to, &rest, &listed).await;
            copied.map(|copied| (rest, copied))
        }))
        .buffer_unordered(PARALLEL_OBJECTS)
        .collect::<Vec<_>>()
        .await;
        let mut done = HashMap::new();
        let mut failed = None;
        for copied in copies {
            match copied {
                Ok((rest, copied)) => {
                    done.insert(rest, copied);
                }
                Err(error) => failed = Some(error),
            }
        }
        let mut meta = inode.state().meta.clone();
        meta.attributes.ctime = Timestamp::now();
        if failed.is_none() {
            // Last, and with its new time: where the old one was implicit it gets a marker now.
            failed = self
                .volume
                .put_marker(to, &meta, &Condition::None)
                .await
                .err();
        }
        if let Some(error) = failed {
            self.undo_copies(to, done, target.is_none()).await;
            self.stats.all_changed();
            return Err(error.into());
        }
        let kept = self.delete_sources(from, &done).await;
        if let Some(target) = target {
            self.gone(target, names.to_parent, to);
            self.table.drop_unused(target.ino);
        }
        self.moved(inode, names);
        self.follow_rename(to, &done);
        self.stats.all_changed();
        match kept {
            None => Ok(()),
            Some(error) => {
                tracing::error!(
                    "{from:?} was renamed to {to:?}, but some of its objects could not be \
                     deleted at the old name and are there still: delete them there"
                );
                Err(error.into())
            }
        }
    }

    /// Deletes what was copied, as far as it is still what was copied. The first failure, if any;
    /// that somebody else changed an object meanwhile is none, their version stays.
    async fn delete_sources(
        &self,
        from: &VolumePath,
        copies: &HashMap<String, Moved>,
    ) -> Option<VolumeError> {
        let sources: Vec<_> = copies
            .iter()
            .map(|(rest, copied)| (rest.clone(), copied.source.clone()))
            .collect();
        let kept = stream::iter(sources.into_iter().map(|(rest, source)| async move {
            self.volume.delete_below(from, &rest, Some(&source)).await
        }))
        .buffer_unordered(PARALLEL_OBJECTS)
        .filter_map(|done| ready(done.err()))
        .collect::<Vec<_>>()
        .await;
        kept.into_iter().find(|error| {
            let changed = error.kind() == ErrorKind::Precondition;
            if changed {
                tracing::warn!(
                    "was changed while its directory was renamed, so both stay: {error}"
                );
            }
            !changed
        })
    }

    /// The objects below a directory, each with a key that fits at the new place.
    async fn everything_below(
        &self,
        from: &VolumePath,
        to: &VolumePath,
    ) -> Result<Vec<(String, ListedObject)>> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.volume.walk(from, token).await?;
            for (rest, _) in &page {
                self.volume.check_below(to, rest)?;
            }
            objects.extend(page);
            token = next;
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes the copies that a failed rename made, as far as they are still those.
    async fn undo_copies(&self, to: &VolumePath, copies: HashMap<String, Moved>, marker_too: bool) {
        let copies = copies
            .into_iter()
            .filter(|(rest, _)| marker_too || !rest.is_empty());
        let undone = stream::iter(copies.map(|(rest, copied)| async move {
            self.volume
                .delete_below(to, &rest, Some(&copied.copy.etag))
                .await
        }))
        .buffer_unordered(PARALLEL_OBJECTS)
        .filter_map(|done| ready(done.err()))
        .collect::<Vec<_>>()
        .await;
        if let Some(error) = undone.into_iter().next() {
            tracing::error!("a failed rename left copies below {to:?}: {error}");
        }
    }

    /// Inodes below a directory that has moved: their objects have new keys and versions.
    fn follow_rename(&self, to: &VolumePath, copies: &HashMap<String, Moved>) {
        for inode in self.table.all() {
            let Some(path) = self.table.path(&inode) else {
                continue;
            };
            let Some(rest) = path.as_str().strip_prefix(&format!("{}/", to.as_str())) else {
                continue;
            };
            let snapshot = inode.content().snapshot();
            // What somebody else put there before it was copied is not what is open here.
            if let Some(copied) = copies.get(rest)
                && inode.kind != FileKind::Directory
                && snapshot.elsewhere.is_none()
                && snapshot
                    .version
                    .is_some_and(|version| version.etag == copied.source)
            {
                self.move_content(&inode, ObjectRef::Path(path), copied.copy.clone());
                if let Some(commit) = &copied.commit {
                    let commit = Some(commit.clone());
                    inode.content().update(|snapshot| snapshot.commit = commit);
                }
            }
            inode.state().changed = Some(Instant::now());
        }
    }
}
