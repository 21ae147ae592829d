//! What the server has said so far of the uploads that were begun here.
//!
//! The answer to a completion has no field for a customer's key. Where the beginning and every
//! part were answered with the key's MD5, nothing is open, and no HEAD is due. Bounded; of an
//! upload that has been forgotten, or that an earlier mount began, nothing is known.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use lru::LruCache;

use super::encryption::Verdict;
use crate::store::UploadId;

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// The commit id in the metadata of what it becomes.
    pub commit: Option<String>,
    /// Of the beginning and all parts so far.
    pub verdict: Verdict,
}

#[derive(Debug)]
pub(super) struct Uploads(Mutex<LruCache<UploadId, Begun>>);

impl Uploads {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }

    pub(super) fn begun(&self, upload: &UploadId, begun: Begun) {
        self.lock().put(upload.clone(), begun);
    }

    pub(super) fn part(&self, upload: &UploadId, verdict: Verdict) {
        if verdict == Verdict::Open
            && let Some(begun) = self.lock().get_mut(upload)
        {
            begun.verdict = Verdict::Open;
        }
    }

    pub(super) fn of(&self, upload: &UploadId) -> Begun {
        self.lock().get(upload).cloned().unwrap_or(Begun {
            commit: None,
            verdict: Verdict::Open,
        })
    }

    pub(super) fn ended(&self, upload: &UploadId) {
        self.lock().pop(upload);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<UploadId, Begun>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_open_answer_leaves_the_upload_open() {
        let (uploads, id) = (Uploads::new(), UploadId::new("u"));
        assert_eq!(uploads.of(&id).verdict, Verdict::Open, "not begun here");
        let begun = Begun {
            commit: Some("c".to_owned()),
            verdict: Verdict::Right,
        };
        uploads.begun(&id, begun.clone());
        uploads.part(&id, Verdict::Right);
        assert_eq!(uploads.of(&id), begun);
        uploads.part(&id, Verdict::Open);
        uploads.part(&id, Verdict::Right);
        assert_eq!(uploads.of(&id).verdict, Verdict::Open);
        uploads.ended(&id);
        assert_eq!(uploads.of(&id).commit, None);
    }
}
