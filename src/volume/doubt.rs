//! Commits whose fate is open, because the answer was lost.
//!
//! A commit id is told by a header that anybody who writes to the bucket can set. In a
//! client-side volume an object is this mount's own only where its authenticated record has the
//! body that was sent as well: else somebody could bring back an older object under the id of a
//! commit, and what is changed here would be put together with that one's content.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{Result, Stat, Volume};
use crate::base::id::CommitId;
use crate::layout::path::VolumePath;
use crate::layout::sealed::BodyId;
use crate::store::StoreError;

/// Commits in doubt that are remembered.
const DOUBTFUL_MAX: usize = 4096;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Doubtful(Mutex<VecDeque<Doubt>>);

/// One commit.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    id: CommitId,
    /// What was sent with it; `None` in the plain layout.
    body: Option<BodyId>,
}

impl Doubtful {
    fn note(&self, doubt: Doubt) {
        let mut doubtful = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if doubtful.len() == DOUBTFUL_MAX {
            doubtful.pop_front();
        }
        doubtful.push_back(doubt);
    }

    fn find(&self, commit: &str) -> Option<Doubt> {
        let doubtful = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = doubtful.iter().filter(|it| it.id.to_string() == commit);
        found.next().copied()
    }
}

impl Volume {
    /// What was just found at a path is a write of this mount that failed without telling whether
    /// it was carried out: it is ours, and no conflict.
    ///
    /// # Errors
    /// When the path has no key.
    pub fn may_be_ours(&self, path: &VolumePath, found: &Stat) -> Result<bool> {
        let (Some(commit), Some(version)) = (&found.commit, &found.version) else {
            return Ok(false);
        };
        let Some(sent) = self.doubtful.find(commit) else {
            return Ok(false);
        };
        let Some(sealed) = &self.sealed else {
            return Ok(true);
        };
        let key = self.file_key(path)?;
        let opened = sealed.opened.get(&key, &version.etag);
        Ok(opened.is_some_and(|opened| Some(opened.record.body) == sent.body))
    }

    /// Remembers a write whose fate its error leaves open; in a client-side volume with the body
    /// that it sent.
    pub(super) fn note_doubt(&self, id: CommitId, body: Option<BodyId>, error: &StoreError) {
        if error.kind().leaves_open() {
            self.doubtful.note(Doubt { id, body });
        }
    }
}
