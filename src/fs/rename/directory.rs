//! Renaming a directory: everything below it is copied on the server, then deleted at its old
//! keys, under an intent that the next mount finishes if this one dies (see
//! [`crate::volume::RenameIntent`] and docs/decisions/0003-directory-renames.md). Not atomic for
//! others. What fails before the first delete is undone, as long as this process lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::stream::{self, StreamExt};

use super::Move;
use crate::base::time::Timestamp;
use crate::fs::inode::Inode;
use crate::fs::tree::Alone;
use crate::fs::types::FileKind;
use crate::fs::{FileSystem, Result};
use crate::layout::path::VolumePath;
use crate::store::{ErrorKind, ListedObject};
use crate::volume::{
    Condition, Moved, ObjectMeta, ObjectRef, PARALLEL_OBJECTS, RenameIntent, VolumeError,
};

/// What the first half of a rename made.
#[derive(Default)]
struct Copies {
    done: HashMap<String, Moved>,
    /// Of these nobody knows whether they were made.
    doubtful: Vec<String>,
    failed: Option<VolumeError>,
}

impl FileSystem {
    /// Copies everything below, then deletes the sources. What fails before the first delete is
    /// undone: the old tree is whole and the new one is gone. The caller has both names alone.
    pub(super) async fn rename_directory(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        target: Option<&Inode>,
        names: &Move<'_>,
        alone: &Alone<'_>,
    ) -> Result<()> {
        let (from, to) = (names.from, names.to);
        alone.begin_moving();
        self.volume.check_may_rename(from)?;
        // The marker says that the directory is there until all of it has moved.
        self.keep_directory(inode.ino).await?;
        let objects = self.everything_below(from, to).await?;
        let shown = self.renames.show(from, to, objects.len());
        let progress = &shown.progress;
        let intent = self.volume.intend_rename(from, to).await?;
        let mut meta = inode.state().meta.clone();
        meta.attributes.ctime = Timestamp::now();
        let copies = self
            .copy_all(&intent, names, &meta, objects, &progress.copied)
            .await;
        if let Some(error) = copies.failed {
            let undone = self
                .undo_copies(&intent, names, copies.done, copies.doubtful, target)
                .await;
            self.stats.all_changed();
            end(intent, undone, names).await;
            return Err(error.into());
        }
        let done = copies.done;
        let deleted = self
            .delete_sources(&intent, from, &done, &progress.deleted)
            .await;
        if let Some(target) = target {
            self.gone(target, names.to_parent, to);
            self.table.drop_unused(target.ino);
        }
        self.moved(inode, names);
        self.follow_rename(to, &done);
        self.stats.all_changed();
        let failed = deleted.err();
        end(intent, failed.is_none(), names).await;
        match failed {
            None => Ok(()),
            Some(error) => {
                tracing::error!(
                    "{from:?} was renamed to {to:?}, but some of its objects could not be \
                     deleted at the old name: the next mount does that"
                );
                Err(error.into())
            }
        }
    }

    /// Copies everything, and the directory's own marker last and with its new time.
    async fn copy_all(
        self: &Arc<Self>,
        intent: &RenameIntent,
        names: &Move<'_>,
        meta: &ObjectMeta,
        objects: Vec<(String, ListedObject)>,
        copied: &AtomicU64,
    ) -> Copies {
        let (from, to) = (names.from, names.to);
        // All of them are waited for, also after a failure: a copy that came later would stay.
        let mut made = stream::iter(objects.into_iter().map(|(rest, listed)| async move {
            let made = match intent.check() {
                Ok(()) => self.volume.copy_below(from, to, &rest, &listed).await,
                Err(error) => Err(error),
            };
            (rest, made)
        }))
        .buffer_unordered(PARALLEL_OBJECTS);
        let mut copies = Copies::default();
        while let Some((rest, made)) = made.next().await {
            match made {
                Ok(moved) => {
                    copied.fetch_add(1, Ordering::Relaxed);
                    copies.done.insert(rest, moved);
                }
                Err(error) => {
                    if error.kind().leaves_open() {
                        copies.doubtful.push(rest);
                    }
                    copies.failed = Some(error);
                }
            }
        }
        if copies.failed.is_none() {
            let marker = match intent.check() {
                Ok(()) => self.volume.put_marker(to, meta, &Condition::None).await,
                Err(error) => Err(error),
            };
            if let Err(error) = marker {
                if error.kind().leaves_open() {
                    copies.done.remove("");
                    copies.doubtful.push(String::new());
                }
                copies.failed = Some(error);
            }
        }
        copies
    }

    /// Deletes what was copied, as far as it is still what was copied, and the old marker last,
    /// when nothing else is there. That somebody else changed an object meanwhile is no failure:
    /// their version stays.
    async fn delete_sources(
        &self,
        intent: &RenameIntent,
        from: &VolumePath,
        copies: &HashMap<String, Moved>,
        deleted: &AtomicU64,
    ) -> std::result::Result<(), VolumeError> {
        let delete = async |rest: String, source| {
            intent.check()?;
            let gone = self.volume.delete_below(from, &rest, Some(&source)).await;
            if gone.is_ok() {
                deleted.fetch_add(1, Ordering::Relaxed);
            }
            gone
        };
        let sources: Vec<_> = copies
            .iter()
            .filter(|(rest, _)| !rest.is_empty())
            .map(|(rest, copied)| (rest.clone(), copied.source.clone()))
            .collect();
        let mut gone = stream::iter(
            sources
                .into_iter()
                .map(|(rest, source)| delete(rest, source)),
        )
        .buffer_unordered(PARALLEL_OBJECTS);
        let (mut failed, mut kept) = (None, false);
        while let Some(gone) = gone.next().await {
            match gone {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Precondition => {
                    tracing::warn!(
                        "was changed while its directory was renamed, so both stay: {error}"
                    );
                    kept = true;
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        match copies.get("") {
            Some(marker) if !kept => match delete(String::new(), marker.source.clone()).await {
                Err(error) if error.kind() != ErrorKind::Precondition => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
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

    /// Deletes the copies that a failed rename made, as far as they are still those. Whether
    /// none is left; one that is somebody else's by now is none.
    async fn undo_copies(
        self: &Arc<Self>,
        intent: &RenameIntent,
        names: &Move<'_>,
        done: HashMap<String, Moved>,
        doubtful: Vec<String>,
        target: Option<&Inode>,
    ) -> bool {
        let (from, to) = (names.from, names.to);
        if let Err(error) = intent.confirm().await {
            tracing::error!("what was copied of {from:?} to {to:?} stays: {error}");
            return false;
        }
        let copies = done
            .into_iter()
            .map(|(rest, copied)| (rest, Some(copied.copy.etag)));
        let doubtful = doubtful.into_iter().map(|rest| (rest, None));
        let ours = copies
            .chain(doubtful)
            // An empty directory was there before, and stays.
            .filter(|(rest, _)| target.is_none() || !rest.is_empty());
        let mut undone = stream::iter(ours.map(|(rest, etag)| async move {
            intent.check()?;
            match etag {
                Some(etag) => self.volume.delete_below(to, &rest, Some(&etag)).await,
                None => self.volume.drop_copy_below(from, to, &rest).await,
            }
        }))
        .buffer_unordered(PARALLEL_OBJECTS);
        let mut all = true;
        while let Some(undone) = undone.next().await {
            if let Err(error) = undone {
                tracing::error!("a failed rename left a copy below {to:?}: {error}");
                all &= error.kind() == ErrorKind::Precondition;
            }
        }
        all
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

/// Takes the intent away where nothing is left to do, and leaves it to the next mount where
/// something is.
async fn end(intent: RenameIntent, nothing_left: bool, names: &Move<'_>) {
    let (from, to) = (names.from, names.to);
    if !nothing_left {
        tracing::error!("the rename of {from:?} to {to:?} is finished by the next mount");
        return;
    }
    if let Err(error) = intent.ended().await {
        tracing::warn!("the next mount looks at the rename of {from:?} to {to:?} again: {error}");
    }
}
