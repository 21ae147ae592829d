//! Uploading what a mount that died had in its journal, before this one serves.
//!
//! Each file is put together over the version that it was a change of, and committed under the same
//! condition as it would have been. A file whose object carries an id of an earlier try is this
//! machine's own: it is done, or that try is what the upload replaces. A conflict is kept beside
//! the other's version, as everywhere. What cannot be replayed stays in its journal, is told by
//! status, and is brought out with `cloakfs recover`; the next mount tries again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::{Journals, Unreplayed, UnreplayedFile};
use crate::base::size::ByteSize;
use crate::fs::commit::{base_lost, is_conflict};
use crate::fs::{FileSystem, FsError, Result};
use crate::layout::path::VolumePath;
use crate::volume::{Condition, ObjectMeta, ObjectRef, Stat, Version};
use crate::write::journal::{Dead, FileNumber, Found, JournalError, Pending, Unclaimed, find};
use crate::write::{Base, DirtyFile};

/// Files at once.
const PARALLEL_FILES: usize = 16;

/// What became of the journals that were there at the mount.
#[derive(Debug, Default)]
pub(in crate::fs) struct Replays(Mutex<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    files: u64,
    bytes: u64,
    conflicts: u64,
    kept: Vec<Unreplayed>,
}

/// What became of a file.
enum Outcome {
    Stored,
    /// Beside another's version.
    Conflict,
}

impl Replays {
    pub(in crate::fs) fn kept(&self) -> Vec<Unreplayed> {
        self.inner(|inner| inner.kept.clone())
    }

    fn keep(&self, kept: Unreplayed) {
        let Unreplayed { journal, why, .. } = &kept;
        tracing::error!("the journal {journal} of an earlier mount was not replayed: {why}");
        self.inner(|inner| inner.kept.push(kept));
    }

    fn inner<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FileSystem {
    /// What was done at the mount for earlier ones, a sentence each, for people.
    #[must_use]
    pub fn replayed(&self) -> Vec<String> {
        let done = self.replays.inner(|inner| inner.clone());
        let mut told = Vec::new();
        if done.files > 0 {
            let files = if done.files == 1 { "file" } else { "files" };
            let mut line = format!(
                "replayed {} {files} ({}) that an earlier mount had not uploaded",
                done.files,
                ByteSize(done.bytes)
            );
            if done.conflicts > 0 {
                let more = "of them had been changed by others and are kept beside theirs";
                line = format!("{line}; {} {more}", done.conflicts);
            }
            told.push(line);
        }
        told.extend(done.kept.iter().map(|kept| {
            format!(
                "the journal {} of an earlier mount was not replayed: {}; see cloakfs status and \
                 cloakfs recover",
                kept.journal, kept.why
            )
        }));
        told
    }

    /// Replays what dead mounts of this source left. What fails is told, and no reason not to
    /// serve.
    pub(super) async fn replay(self: &Arc<Self>, journals: &Journals) {
        let dir = journals.dir.clone();
        let found = match blocking(move || find(&dir)).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!("{error}");
                return;
            }
        };
        for found in found {
            match found {
                Found::Unreadable(error) => tracing::error!("{error}"),
                Found::Unclaimed(unclaimed) if unclaimed.header.source == self.volume.source() => {
                    self.replay_one(unclaimed, journals).await;
                }
                Found::Held(_) | Found::Unclaimed(_) => {}
            }
        }
    }

    async fn replay_one(self: &Arc<Self>, unclaimed: Unclaimed, journals: &Journals) {
        let header = unclaimed.header.clone();
        let keep = |why: String, files| {
            self.replays.keep(Unreplayed {
                journal: header.mount.clone(),
                host: header.host.clone(),
                since: header.since,
                why,
                files,
            });
        };
        if self.config.read_only {
            return keep("this mount is read-only".to_owned(), Vec::new());
        }
        let key = match self.volume.local_key(&header.key, &journals.keys).await {
            Ok(key) => key,
            Err(error) => return keep(error.to_string(), Vec::new()),
        };
        let dead = match blocking(move || unclaimed.read(key)).await {
            Ok(dead) => Arc::new(dead),
            Err(error) => return keep(error.to_string(), Vec::new()),
        };
        if let Some(damage) = dead.damage() {
            return keep(damage.to_string(), files_of(&dead, &damage.to_string()));
        }
        if dead.torn_bytes() > 0 {
            tracing::info!(
                "the last {} bytes of the journal {} are of a close that was not acknowledged",
                dead.torn_bytes(),
                header.mount
            );
        }
        let kept = self.replay_files(&dead).await;
        if kept.is_empty() {
            let removed = match Arc::into_inner(dead) {
                Some(dead) => blocking(move || dead.remove()).await,
                None => Ok(()),
            };
            if let Err(error) = removed {
                tracing::warn!("{error}");
            }
        } else {
            keep(
                format!("{} of its files cannot be stored", kept.len()),
                kept,
            );
        }
    }

    /// The files that were not stored.
    async fn replay_files(self: &Arc<Self>, dead: &Arc<Dead>) -> Vec<UnreplayedFile> {
        let files: Vec<_> = dead
            .pending()
            .map(|(file, pending)| (file, pending.clone()))
            .collect();
        let replays = files.into_iter().map(|(file, pending)| async move {
            let done = self.replay_file(dead, file, &pending).await;
            match done {
                Ok(outcome) => {
                    self.replays.inner(|inner| {
                        inner.files += 1;
                        inner.bytes += pending.bytes();
                        inner.conflicts += u64::from(matches!(outcome, Outcome::Conflict));
                    });
                    let this = Arc::clone(dead);
                    if let Err(error) = blocking(move || this.done(file)).await {
                        tracing::warn!("a file that is stored will be looked at again: {error}");
                    }
                    None
                }
                Err(error) => Some(UnreplayedFile::new(&pending, &error.to_string())),
            }
        });
        stream::iter(replays)
            .buffer_unordered(PARALLEL_FILES)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    async fn replay_file(
        self: &Arc<Self>,
        dead: &Arc<Dead>,
        file: FileNumber,
        pending: &Pending,
    ) -> Result<Outcome> {
        let closed = &pending.closed;
        let path = &closed.place.path;
        let (found, is_free) = match self.volume.stat_file(path).await {
            Ok(found) => {
                let is_free = found.is_none();
                (found, is_free)
            }
            // Somebody else's: the conditional write finds it in the way.
            Err(error) if error.object_error().is_some() => (None, false),
            Err(error) => return Err(error.into()),
        };
        if pending.deleting && is_free {
            return Ok(Outcome::Stored);
        }
        let tried = found.as_ref().and_then(|found| {
            let commit = found.commit.as_ref()?;
            pending
                .commits
                .iter()
                .position(|id| id.to_string() == *commit)
        });
        let newest = pending.commits.len().checked_sub(1);
        if let (Some(found), Some(tried)) = (&found, tried)
            && Some(tried) == newest
            && (!self.volume.is_sealed()
                || self
                    .has_closed_bytes(dead, file, pending, path, found)
                    .await?)
        {
            return Ok(Outcome::Stored);
        }
        if is_of_attributes(pending) {
            self.replay_attributes(pending, found.as_ref()).await?;
            return Ok(Outcome::Stored);
        }
        // An earlier try of this file is what this one replaces.
        let own = found.as_ref().filter(|_| tried.is_some());
        let own = own.and_then(|found| Some((found.version.clone()?, found.size)));
        let condition = match (&own, &closed.place) {
            (Some((version, _)), _) => Condition::IfVersion(version.clone()),
            (None, place) => match (&place.base, &place.replaces) {
                (Some((version, ..)), _) | (None, Some(version)) => {
                    Condition::IfVersion(version.clone())
                }
                (None, None) => Condition::IfAbsent,
            },
        };
        let mut meta = newest_meta(pending, found.as_ref());
        meta.commit = pending.commits.last().copied();
        let dirty = self.rebuild(dead, file, pending, own).await?;
        match dirty.commit(path, &meta, &condition).await {
            Ok(_) => Ok(Outcome::Stored),
            Err(error) if base_lost(&error).is_some() || !is_conflict(&error, &condition) => {
                dirty.discard();
                Err(error.into())
            }
            Err(_) => {
                let same = match &found {
                    Some(found) => {
                        self.has_closed_bytes(dead, file, pending, path, found)
                            .await
                    }
                    None => Ok(false),
                };
                if same? {
                    dirty.discard();
                    return Ok(Outcome::Stored);
                }
                self.keep_replayed(path, &meta, &dirty).await
            }
        }
    }

    async fn keep_replayed(
        &self,
        path: &VolumePath,
        meta: &ObjectMeta,
        dirty: &Arc<DirtyFile>,
    ) -> Result<Outcome> {
        match self.keep_beside(path, meta, dirty).await {
            Ok((kept, _)) => {
                let _told = FsError::conflict(path, &kept);
                self.notices.note_conflict(path, &kept);
                Ok(Outcome::Conflict)
            }
            Err(error) => {
                dirty.discard();
                Err(error.into_error(path))
            }
        }
    }

    /// Only attributes were changed. What somebody else wrote since has their attributes.
    async fn replay_attributes(&self, pending: &Pending, found: Option<&Stat>) -> Result<()> {
        let closed = &pending.closed;
        let base = closed.place.base.as_ref();
        let (Some(found), Some((known, ..))) = (found, base) else {
            return Ok(());
        };
        match &found.version {
            Some(version)
                if version.etag == known.etag
                    && found.meta.attributes != closed.meta.attributes =>
            {
                let path = &closed.place.path;
                self.volume
                    .set_attributes(path, version, found.size, &closed.meta)
                    .await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The file as it was closed, over `own` where that is an earlier try of it.
    async fn rebuild(
        &self,
        dead: &Arc<Dead>,
        file: FileNumber,
        pending: &Pending,
        own: Option<(Version, u64)>,
    ) -> Result<Arc<DirtyFile>> {
        let closed = &pending.closed;
        let known = closed.place.base.as_ref();
        let known = known.map(|(version, size, _)| (version.clone(), *size));
        let base = known.map(|known| own.unwrap_or(known));
        let base = base.map(|(version, size)| Base {
            object: ObjectRef::Path(closed.place.path.clone()),
            version,
            size,
        });
        let valid = closed.valid.min(base.as_ref().map_or(0, |base| base.size));
        let dirty = DirtyFile::thaw(&self.engine, base, valid, closed.size).await?;
        for index in 0..dead.pieces(pending) {
            for (at, bytes) in piece(dead, file, index).await? {
                if let Err(error) = dirty.write(at, bytes).await {
                    dirty.discard();
                    return Err(error.into());
                }
            }
        }
        Ok(dirty)
    }
}

/// A piece of a file's data.
pub(super) async fn piece(
    dead: &Arc<Dead>,
    file: FileNumber,
    index: usize,
) -> Result<Vec<(u64, Bytes)>> {
    let dead = Arc::clone(dead);
    let read = blocking(move || {
        let pending = dead.pending().find(|(number, _)| *number == file);
        let (_, pending) = pending.expect("it was pending when the journal was read");
        dead.piece(pending, index)
    });
    let read = read.await;
    read.map_err(|error| FsError::refused(libc::EIO, error.to_string()))
}

/// Attributes that others gave the same content since are not undone, unless they were set here.
fn newest_meta(pending: &Pending, found: Option<&Stat>) -> ObjectMeta {
    let closed = &pending.closed;
    let mut meta = closed.meta.clone();
    if let (Some(found), Some((version, _, commit))) = (found, &closed.place.base)
        && let Some(current) = &found.version
        && !closed.meta_set_here
        && current.etag == version.etag
        && found.commit != *commit
    {
        let (mtime, ctime) = (meta.attributes.mtime, meta.attributes.ctime);
        meta = found.meta.clone();
        meta.attributes.mtime = mtime;
        meta.attributes.ctime = ctime;
    }
    meta
}

fn is_of_attributes(pending: &Pending) -> bool {
    let closed = &pending.closed;
    let base = closed.place.base.as_ref();
    closed.extents.is_empty()
        && base.is_some_and(|(_, size, _)| closed.size == *size && closed.valid == *size)
}

fn files_of(dead: &Dead, why: &str) -> Vec<UnreplayedFile> {
    dead.pending()
        .map(|(_, pending)| UnreplayedFile::new(pending, why))
        .collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, JournalError> + Send + 'static,
) -> std::result::Result<T, JournalError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
}
