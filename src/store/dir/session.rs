//! What one process has under way in the store.
//!
//! `sessions/` in the private directory holds one directory for each process that has the
//! store open, with everything of it that is unfinished. A session's `alive` file is locked as
//! long as its process lives; whoever opens the store removes the sessions of the dead.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::{Draft, is_missing, lock_file, make_directories};
use super::io as bytes;
use crate::base::id::CommitId;

#[derive(Debug)]
pub(super) struct Session {
    path: PathBuf,
    /// Locked while this session lives.
    _alive: File,
    next_file: AtomicU64,
}

impl Session {
    /// Removes the sessions of the dead below the private directory and begins a new one.
    pub(super) fn begin(private: &Path) -> io::Result<Self> {
        let sessions = private.join("sessions");
        make_directories(&sessions)?;
        let opening = lock_file(&private.join("opening"))?;
        remove_dead(&sessions)?;
        let path = sessions.join(CommitId::random().to_string());
        make_directories(&path.join("uploads"))?;
        let alive = lock_file(&path.join("alive"))?;
        drop(opening);
        Ok(Self {
            path,
            _alive: alive,
            next_file: AtomicU64::new(0),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The uploads of this process.
    pub(super) fn uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// The uploads of every process that has the store open.
    pub(super) fn all_uploads(&self) -> io::Result<Vec<PathBuf>> {
        let sessions = fs::read_dir(self.path.with_file_name(""))?;
        sessions
            .map(|session| Ok(session?.path().join("uploads")))
            .collect()
    }

    /// A new file to prepare an object in.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        Draft::new(self.path.join(format!("draft-{number}")))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed is removed by whoever opens the store next.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Removes the sessions whose process is gone. The caller holds the `opening` lock, so that
/// no session is between its making and its lock.
fn remove_dead(sessions: &Path) -> io::Result<()> {
    for session in fs::read_dir(sessions)? {
        let session = session?.path();
        let dead = match File::open(session.join("alive")) {
            Ok(alive) => bytes::lock(&alive, false).is_ok(),
            Err(error) => is_missing(&error),
        };
        if dead {
            tracing::debug!("removing what a dead process left in {session:?}");
            match fs::remove_dir_all(&session) {
                Err(error) if !is_missing(&error) => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
