//! Whether changes are still taken.
//!
//! A mount that ends while programs have its files open stores what it has and goes. What it
//! acknowledged after that would be lost without a word, so it takes no more changes first. A
//! change is counted before it looks whether it is admitted: either it sees the refusal, or
//! whoever refuses waits for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::flux::{Change, Flux};
use super::{FileSystem, FsError, Result};

#[derive(Debug)]
pub(super) struct Admission {
    underway: Flux,
    is_refused: AtomicBool,
    /// Why, where it is not the end of the mount.
    why: OnceLock<String>,
    is_refusal_told: AtomicBool,
}

impl Admission {
    pub fn new() -> Self {
        Self {
            underway: Flux::new(),
            is_refused: AtomicBool::new(false),
            why: OnceLock::new(),
            is_refusal_told: AtomicBool::new(false),
        }
    }

    /// Admits one change, which is under way until the answer is dropped.
    ///
    /// # Errors
    /// EIO when the mount is ending, and EROFS when changes are refused for another reason; the
    /// log says so once.
    pub fn admit(&self) -> Result<Change<'_>> {
        let change = self.underway.begin();
        if !self.is_refused.load(Ordering::Acquire) {
            return Ok(change);
        }
        if let Some(why) = self.why.get() {
            return Err(FsError::quietly(libc::EROFS, format!("EROFS: {why}")));
        }
        if self.is_refusal_told.swap(true, Ordering::Relaxed) {
            return Err(FsError::posix(libc::EIO));
        }
        Err(FsError::refused(
            libc::EIO,
            "EIO: the mount is ending and takes no more changes, since they would be lost; \
             programs that still have files of it open are to close them and use the next mount"
                .to_owned(),
        ))
    }

    /// Refuses from the first poll; returns when no change is under way any more.
    pub async fn refuse(&self) {
        self.is_refused.store(true, Ordering::Release);
        self.underway.settled().await;
    }
}

impl FileSystem {
    /// Refuses every further change with EROFS and these words, which the log has already.
    pub fn refuse_changes_because(&self, why: String) {
        let _first_reason_stays = self.admission.why.set(why);
        self.admission.is_refused.store(true, Ordering::Release);
    }

    /// Refuses every further change with EIO, for good, and returns when none is under way any
    /// more. The refusal holds from the first poll, even when waiting is given up.
    pub async fn refuse_changes(&self) {
        self.admission.refuse().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn refusing_waits_for_what_was_admitted_and_admits_nothing_more() {
        let admission = Admission::new();
        let admitted = admission.admit().unwrap();
        let mut refusing = Box::pin(admission.refuse());
        assert!(refusing.as_mut().now_or_never().is_none());
        let first = admission.admit().unwrap_err();
        assert_eq!(first.errno(), libc::EIO);
        assert!(
            first.to_string().starts_with("EIO: the mount is ending"),
            "{first}"
        );
        assert_eq!(admission.admit().unwrap_err().errno(), libc::EIO);
        drop(admitted);
        refusing.await;
    }
}
