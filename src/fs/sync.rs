//! Everything at once: sync, and the end of the mount.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::commit::PARALLEL_COMMITS;
use super::status::SyncProgress;
use super::{FileSystem, FsError, Result};

impl FileSystem {
    /// Commits everything that is uncommitted; every file is tried.
    ///
    /// # Errors
    /// The first error.
    pub async fn sync_all(
        self: &Arc<Self>,
        progress: impl Fn(SyncProgress) + Send + Sync,
    ) -> Result<()> {
        self.sync_all_noting(progress, |_| {}).await
    }

    /// The same. `lost` hears of each file that failed and that no other sync will save, as after
    /// a conflict: another sync may go well, and would not tell.
    ///
    /// # Errors
    /// The first error, of those and of others.
    pub async fn sync_all_noting(
        self: &Arc<Self>,
        progress: impl Fn(SyncProgress) + Send + Sync,
        lost: impl Fn(&FsError) + Send + Sync,
    ) -> Result<()> {
        let files: Vec<_> = self
            .table
            .all()
            .into_iter()
            .filter(|inode| inode.is_uncommitted())
            .map(|inode| {
                let bytes = inode
                    .content()
                    .dirty()
                    .map_or(0, |dirty| dirty.dirty_bytes());
                (inode, bytes)
            })
            .collect();
        let mut done = SyncProgress {
            files_done: 0,
            files: files.len() as u64,
            bytes_done: 0,
            bytes: files.iter().map(|(_, bytes)| bytes).sum(),
        };
        progress(done);
        let lost = &lost;
        let mut commits = stream::iter(files.into_iter().map(|(inode, bytes)| async move {
            // A task of its own: a defect in one file's commit must not end the others'.
            let fs = Arc::clone(self);
            let ino = inode.ino;
            let task = Arc::clone(&inode);
            let done = tokio::spawn(async move { fs.commit(&task).await }).await;
            let waits = inode.is_uncommitted();
            self.table.drop_unused(ino);
            let done = done.unwrap_or_else(|failed| {
                Err(FsError::refused(
                    libc::EIO,
                    format!("inode {ino} was not saved: {failed}"),
                ))
            });
            if let Err(error) = &done
                && !waits
            {
                lost(error);
            }
            (done, bytes)
        }))
        .buffer_unordered(PARALLEL_COMMITS);
        let mut first_error = Ok(());
        while let Some((committed, bytes)) = commits.next().await {
            match committed {
                Ok(()) => {
                    done.files_done += 1;
                    done.bytes_done += bytes;
                    progress(done);
                }
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
        // Also what an upload in the background had to give up before, or just now.
        match self.notices.take_unheard() {
            Some(error) => {
                lost(&error);
                first_error.and(Err(error))
            }
            None => first_error,
        }
    }

    /// Gives back what the mount holds in the bucket: the content of files that are open but
    /// have no name. Call it once, when the kernel asks no more.
    pub async fn shut_down(self: &Arc<Self>) {
        let handles: Vec<_> = self.files.iter().map(|file| *file.key()).collect();
        for handle in handles {
            self.release(handle).await;
        }
        self.engine.settle().await;
    }
}
