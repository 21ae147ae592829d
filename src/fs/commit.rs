//! Commit: what was written to a file becomes the object, or the old object stays.

mod another;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};

pub(super) use another::{base_lost, is_conflict};

use super::inode::{Content, Inode, Place};
use super::{FileSystem, FsError, Result};
use crate::layout::path::VolumePath;
use crate::volume::{Condition, Version, VolumeError};
use crate::write::{DirtyFile, WriteError};

/// Files that sync commits at once.
pub(super) const PARALLEL_COMMITS: usize = 8;

impl FileSystem {
    /// Puts what is uncommitted of a file into the bucket.
    ///
    /// # Errors
    /// The upload's. The data stays, and a later commit can succeed; but after a conflict
    /// (ESTALE) the other version has the name and ours is beside it as a conflict copy.
    pub(super) async fn commit(self: &Arc<Self>, inode: &Arc<Inode>) -> Result<()> {
        let (_held, _operation) = self.hold_operation(inode).await;
        self.commit_held(inode).await
    }

    /// The same for a caller who holds the path and the inode's operation.
    pub(super) async fn commit_held(self: &Arc<Self>, inode: &Arc<Inode>) -> Result<()> {
        let done = self.commit_locked(inode).boxed().await;
        if let Err(error) = &done {
            inode.content().note_doubt();
            self.notices.note_failure(self.table.path(inode), error);
        } else {
            self.notices.clear_failure(self.table.path(inode));
            self.settled(inode);
            if inode.opens.load(Ordering::Acquire) == 0 {
                // The last close was before: the next change loads a small file whole again.
                inode.content().drop_clean();
            }
        }
        done
    }

    /// Commits these; every one is tried.
    ///
    /// # Errors
    /// The first failure.
    pub(super) async fn commit_all(self: &Arc<Self>, inodes: Vec<Arc<Inode>>) -> Result<()> {
        let commits = inodes.into_iter().map(|inode| async move {
            let done = self.commit(&inode).await;
            self.table.drop_unused(inode.ino);
            done
        });
        all_of(commits).await
    }

    async fn commit_locked(self: &Arc<Self>, inode: &Arc<Inode>) -> Result<()> {
        let content = inode.content();
        if !inode.is_uncommitted() {
            return Ok(());
        }
        let Some(path) = self.table.path(inode) else {
            return Err(FsError::refused(
                libc::ESTALE,
                format!(
                    "ESTALE: the directory of inode {} was removed by somebody else before the \
                     file was saved: its data stays with the mount until it ends",
                    inode.ino
                ),
            ));
        };
        if content.is_stale() {
            return match content.dirty() {
                // The conflict copy could not be made last time.
                Some(dirty) if dirty.is_dirty() => {
                    self.resolve_conflict(inode, &content, &path, &dirty).await
                }
                _ => {
                    inode.state().meta_dirty = false;
                    Err(FsError::posix(libc::ESTALE))
                }
            };
        }
        match self.commit_once(inode, &content, &path).await {
            Err(Failed::Replaced(error)) => {
                if self.adopt_own_write(&content, &path).await? {
                    return match self.commit_once(inode, &content, &path).await {
                        Err(failed) => self.lost(inode, &content, &path, failed).await,
                        Ok(()) => Ok(()),
                    };
                }
                self.lost(inode, &content, &path, Failed::Replaced(error))
                    .await
            }
            Err(Failed::Other(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// Somebody else's version has the name: ours is kept beside it, if it can be put together.
    async fn lost(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        path: &VolumePath,
        failed: Failed,
    ) -> Result<()> {
        let error = match failed {
            Failed::Replaced(error) => error,
            Failed::Other(error) => return Err(error),
        };
        match (content.dirty(), base_lost(&error)) {
            (Some(dirty), Some(error)) => Err(self.give_up(inode, content, path, &dirty, error)),
            (Some(dirty), None) => self.resolve_conflict(inode, content, path, &dirty).await,
            (None, _) => Err(error.into()),
        }
    }

    async fn commit_once(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        path: &VolumePath,
    ) -> std::result::Result<(), Failed> {
        let snapshot = content.snapshot();
        if snapshot.version.is_some() && !content.is_dirty() {
            // Only attributes are left.
            self.commit_attributes(inode, content, path).boxed().await?;
            return Ok(());
        }
        if let Some(version) = &snapshot.version {
            let commit = snapshot.commit.as_deref();
            self.take_over_attributes(inode, content, path, version, commit)
                .await?;
        }
        let condition = match snapshot.replaced() {
            Some(version) => Condition::IfVersion(version.clone()),
            None => Condition::IfAbsent,
        };
        let dirty = self.dirty_unloaded(inode, content)?;
        let (mut meta, changes) = current_meta(inode);
        meta.commit = self.attempt(inode, changes).await;
        let doubted = std::mem::replace(&mut inode.state().in_doubt, true);
        let committed = dirty.commit(path, &meta, &condition).await;
        inode.state().in_doubt = match &committed {
            Ok(_) => false,
            Err(error) => doubted || error.is_in_doubt(),
        };
        match committed {
            Ok(done) => {
                // Not its size now: a write may have come since.
                let size = dirty.base().map_or(0, |base| base.size);
                let before = snapshot.tag;
                content.update(|snapshot| {
                    snapshot.committed(done.version, done.commit, size);
                });
                content.delete_is_over();
                self.cache.forget(before);
                // Before it may be forgotten: what was known of the name is of the past.
                self.stats.changed(path);
                finish_meta(inode, changes);
                {
                    let mut state = inode.state();
                    state.changed = Some(Instant::now());
                    if self.is_exclusive() {
                        state.checked = state.changed;
                    }
                }
                self.forget_pending(inode);
                if inode.is_uncommitted() && !content.is_dirty() {
                    // Attributes changed while the content was on its way.
                    self.commit_attributes(inode, content, path).boxed().await?;
                }
                Ok(())
            }
            Err(error @ WriteError::BaseLost(_)) => Err(Failed::Replaced(error)),
            Err(error) if is_conflict(&error, &condition) => Err(Failed::Replaced(error)),
            Err(error) if self.is_refused_for_another(content, path, &error).await => {
                Err(Failed::Replaced(error))
            }
            Err(error) => Err(Failed::Other(error.into())),
        }
    }

    /// Stores the attributes of a file whose content is stored. Where the bucket has another
    /// version there is nothing of ours to keep: it is looked at anew.
    async fn commit_attributes(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        path: &VolumePath,
    ) -> Result<()> {
        let mut adopted = false;
        loop {
            let (meta, changes) = current_meta(inode);
            match self.store_meta(inode, path, &meta).await {
                Err(error) if [libc::ESTALE, libc::ENOENT].contains(&error.errno()) => {
                    if !adopted && self.adopt_own_copy(content, path).await? {
                        adopted = true;
                        continue;
                    }
                    if self.is_what_was_known(content, path).await? {
                        // Others wrote at that moment, and it failed.
                        return Err(error);
                    }
                    {
                        let mut state = inode.state();
                        state.meta_dirty = false;
                        state.meta_set_here = false;
                        state.in_doubt = false;
                        state.checked = None;
                        state.changed = None;
                    }
                    self.settled(inode);
                    self.stats.changed(path);
                    return Err(error);
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    finish_meta(inode, changes);
                    return Ok(());
                }
            }
        }
    }

    /// Somebody else replaced a large file while parts of it were changed here: nobody can put
    /// it together any more. The changes are not kept, and everybody is told: this call, the
    /// log and status.
    pub(super) fn give_up(
        &self,
        inode: &Inode,
        content: &Content,
        path: &VolumePath,
        dirty: &DirtyFile,
        error: &VolumeError,
    ) -> FsError {
        content.mark_stale();
        dirty.discard();
        let journaled = {
            let mut state = inode.state();
            state.in_doubt = false;
            state.meta_dirty = false;
            state.meta_set_here = false;
            state.checked = None;
            // The journal keeps it, for people.
            state.journaled.take()
        };
        self.stats.changed(path);
        let kept = match journaled {
            Some(_) => {
                "; what was changed is in the journal: cloakfs recover brings it out when \
                        the mount has ended"
            }
            None => "",
        };
        FsError::refused(
            libc::ESTALE,
            format!(
                "ESTALE: {:?} was replaced or deleted by somebody else while parts of it were \
                 changed here. What was not changed is gone with the old object, so your version \
                 cannot be kept; theirs stays ({error}){kept}",
                path.as_str()
            ),
        )
        .of_what_is_lost()
    }

    /// Attributes that somebody else set since this file was opened are not undone by a commit
    /// of its content, unless they were set here too. Those of a file that this mount made are
    /// known for the time to live.
    pub(super) async fn take_over_attributes(
        &self,
        inode: &Inode,
        content: &Content,
        path: &VolumePath,
        version: &Version,
        commit: Option<&str>,
    ) -> Result<()> {
        let is_new = |made: Instant| made.elapsed() < self.config.ttl;
        let known = inode.state().meta_set_here || inode.state().made.is_some_and(is_new);
        if known || self.is_exclusive() {
            return Ok(());
        }
        let Some(stat) = self.look_at_own(content, path).await? else {
            return Ok(());
        };
        let same_content = stat
            .version
            .as_ref()
            .is_some_and(|current| current.etag == version.etag);
        if same_content && stat.commit.as_deref() != commit {
            let mut state = inode.state();
            let (mtime, ctime) = (state.meta.attributes.mtime, state.meta.attributes.ctime);
            state.meta = stat.meta;
            state.meta.attributes.mtime = mtime;
            state.meta.attributes.ctime = ctime;
            state.meta_changes += 1;
        }
        Ok(())
    }

    /// The bucket has the file now: its directory's listing shows it.
    pub(super) fn forget_pending(&self, inode: &Inode) {
        let place = inode.state().place.clone();
        if let Place::At { parent, name } = place
            && let Some(parent) = self.table.inode(parent)
        {
            parent.state().pending.remove(&name);
        }
    }
}

/// Makes these commits, [`PARALLEL_COMMITS`] at once; every one is tried.
///
/// # Errors
/// The first failure.
pub(super) async fn all_of(
    commits: impl Iterator<Item = impl Future<Output = Result<()>>>,
) -> Result<()> {
    let commits = stream::iter(commits).buffer_unordered(PARALLEL_COMMITS);
    commits
        .fold(Ok(()), |first, done| std::future::ready(first.and(done)))
        .await
}

pub(super) fn current_meta(inode: &Inode) -> (crate::volume::ObjectMeta, u64) {
    let state = inode.state();
    (state.meta.clone(), state.meta_changes)
}

/// The bucket has the attributes as they were at `changes`.
pub(super) fn finish_meta(inode: &Inode, changes: u64) {
    let mut state = inode.state();
    if state.meta_changes == changes {
        state.meta_dirty = false;
        state.meta_set_here = false;
    }
}

/// Why one try of a commit failed.
enum Failed {
    /// The name has another version than the one that was written to; or, where there was one,
    /// none.
    Replaced(WriteError),
    Other(FsError),
}

impl From<FsError> for Failed {
    fn from(error: FsError) -> Self {
        Self::Other(error)
    }
}

impl FsError {
    pub(super) fn conflict(path: &VolumePath, kept: &VolumePath) -> Self {
        Self::refused(
            libc::ESTALE,
            format!(
                "ESTALE: {:?} was changed by somebody else since it was opened: their version \
                 stays, yours is kept as {:?}",
                path.as_str(),
                kept.as_str()
            ),
        )
    }
}
