//! Uploading closed files in the background, for as long as the mount lives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::queue::Queue;
use crate::base::jitter::Jitter;
use crate::fs::commit::all_of;
use crate::fs::inode::Inode;
use crate::fs::types::Ino;
use crate::fs::{FileSystem, FsError, Result};
use crate::layout::path::VolumePath;

/// Uploads at once.
const PARALLEL_UPLOADS: usize = 16;
/// What follows a close within this time (chmod, utimens, a rename to the final name) goes with
/// the one upload. Who syncs does not wait for it.
const SETTLE: Duration = Duration::from_millis(200);
/// Between two tries of a file: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The same where trying again soon is of no use.
const PAUSE_REFUSED: Duration = Duration::from_mins(5);

/// See the module's text.
#[derive(Debug)]
pub(super) struct Uploader {
    queue: Mutex<Queue>,
    /// How often each file failed in a row.
    failures: Mutex<HashMap<Ino, u32>>,
    changed: Notify,
    slots: Arc<Semaphore>,
    stopped: AtomicBool,
}

impl Default for Uploader {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            failures: Mutex::default(),
            changed: Notify::new(),
            slots: Arc::new(Semaphore::new(PARALLEL_UPLOADS)),
            stopped: AtomicBool::new(false),
        }
    }
}

impl Uploader {
    /// The filesystem is not kept alive by this.
    pub(super) fn start(self: &Arc<Self>, fs: &Arc<FileSystem>) {
        let (uploader, fs) = (Arc::clone(self), Arc::downgrade(fs));
        tokio::spawn(async move { uploader.run(fs).await });
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(super) fn closed(&self, ino: Ino) {
        self.push(ino, SETTLE);
    }

    fn push(&self, ino: Ino, after: Duration) {
        lock(&self.queue).push(ino, Instant::now() + after);
        self.changed.notify_one();
    }

    async fn run(self: Arc<Self>, fs: Weak<FileSystem>) {
        loop {
            let slots = Arc::clone(&self.slots);
            let slot = slots.acquire_owned().await;
            let slot = slot.expect("the semaphore is never closed");
            let Some(ino) = self.next().await else {
                return;
            };
            let Some(fs) = fs.upgrade() else {
                return;
            };
            let uploader = Arc::clone(&self);
            tokio::spawn(async move {
                uploader.upload(&fs, ino).await;
                drop(slot);
            });
        }
    }

    /// The next file that is due; `None` when the mount has ended.
    async fn next(&self) -> Option<Ino> {
        loop {
            let changed = self.changed.notified();
            if self.stopped.load(Ordering::Acquire) {
                return None;
            }
            let popped = lock(&self.queue).pop(Instant::now());
            match popped {
                Ok(ino) => return Some(ino),
                Err(None) => changed.await,
                Err(Some(at)) => {
                    let until = tokio::time::sleep_until(at);
                    tokio::select! {
                        () = until => {}
                        () = changed => {}
                    }
                }
            }
        }
    }

    async fn upload(&self, fs: &Arc<FileSystem>, ino: Ino) {
        let Some(inode) = fs.table.inode(ino) else {
            return;
        };
        if !inode.is_closed_and_journaled() {
            // Whoever writes to it closes it.
            return;
        }
        let path = fs.table.path(&inode);
        if path.is_some_and(|path| fs.tree.is_wanted(&path)) {
            // A rename of its directory has to get its turn, and other files this slot.
            self.push(ino, SETTLE);
            return;
        }
        match fs.commit(&inode).await {
            Err(error) if inode.is_uncommitted() => {
                let failed = {
                    let mut failures = lock(&self.failures);
                    let failed = failures.entry(ino).or_default();
                    *failed += 1;
                    *failed
                };
                self.push(ino, pause_after(&error, failed, &Jitter::from_os()));
            }
            // What became of a conflict was said, and no other try changes it.
            done => {
                lock(&self.failures).remove(&ino);
                if let Err(error) = done
                    && error.is_of_what_is_lost()
                {
                    // Its close was answered long ago: the next sync, or the end, tells it.
                    fs.notices.note_unheard(error);
                }
            }
        }
        fs.table.drop_unused(ino);
    }
}

impl Inode {
    /// It is as the journal knows it.
    pub(super) fn is_closed_and_journaled(&self) -> bool {
        let current = {
            let state = self.state();
            let journaled = state.journaled.as_ref();
            journaled.is_some_and(|journaled| journaled.changes == state.meta_changes)
        };
        current && self.is_uncommitted()
    }
}

impl FileSystem {
    /// Commits what the journal has of files below a directory.
    ///
    /// # Errors
    /// The first failure.
    pub(in crate::fs) async fn commit_below(
        self: &Arc<Self>,
        directory: &VolumePath,
        how: Depth,
    ) -> Result<()> {
        self.commit_all(self.journaled_below(directory, how)).await
    }

    /// The same for a caller who has the directory alone: nothing below has an entry in the
    /// journal after that, until it is let go.
    ///
    /// # Errors
    /// The first failure.
    pub(in crate::fs) async fn commit_below_alone(
        self: &Arc<Self>,
        directory: &VolumePath,
    ) -> Result<()> {
        let commits = self.journaled_below(directory, Depth::All);
        let commits = commits.into_iter().map(|inode| async move {
            let done = {
                let _operation = inode.operation.lock().await;
                self.commit_held(&inode).await
            };
            self.table.drop_unused(inode.ino);
            done
        });
        all_of(commits).await
    }

    fn journaled_below(&self, directory: &VolumePath, how: Depth) -> Vec<Arc<Inode>> {
        if self.write_back.is_none() {
            return Vec::new();
        }
        let inodes = self.table.all().into_iter().filter(|inode| {
            let below = || {
                let path = self.table.path(inode)?;
                Some(match how {
                    Depth::Children => path.parent().as_ref() == Some(directory),
                    Depth::All => path.starts_with(directory),
                })
            };
            inode.state().journaled.is_some() && below() == Some(true)
        });
        inodes.collect()
    }
}

/// What of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fs) enum Depth {
    Children,
    All,
}

/// How long to wait after the failure number `failed` of a file.
fn pause_after(error: &FsError, failed: u32, jitter: &Jitter) -> Duration {
    let longest = match error.errno() {
        libc::EIO | libc::ETIMEDOUT | libc::EAGAIN | libc::EBUSY => {
            PAUSE_MIN.saturating_mul(1 << failed.min(16)).min(PAUSE_MAX)
        }
        _ => PAUSE_REFUSED,
    };
    longest / 2 + jitter.up_to(longest / 2)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_tried_often_and_refusals_seldom() {
        let jitter = Jitter::from_os();
        let pause = |errno, failed| pause_after(&FsError::posix(errno), failed, &jitter);
        for failed in 1..100 {
            let outage = pause(libc::EIO, failed);
            assert!(outage >= PAUSE_MIN && outage <= PAUSE_MAX, "{outage:?}");
            let refused = pause(libc::EACCES, failed);
            assert!(refused >= PAUSE_REFUSED / 2 && refused <= PAUSE_REFUSED);
        }
    }
}
