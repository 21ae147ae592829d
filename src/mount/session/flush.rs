//! Uploading everything, as long as something moves; in the end again and again.

use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::progress;
use crate::fs::{FileSystem, FsError, SyncProgress};
use crate::telemetry::counter::Counter;

/// Between two attempts in the end; a failure may come at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Why not everything could be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("not everything could be uploaded: {0}")]
    Failed(#[from] FsError),
    #[error(
        "what programs wrote and the kernel still kept could not be taken over: {0}; the log says why"
    )]
    KeptBack(#[source] io::Error),
    #[error(
        "uploading made no progress for {} s and was given up", .0.as_secs()
    )]
    Stuck(Duration),
}

/// The first error of a file that no other attempt will save, for those that nobody hears of
/// before the end.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<Option<FsError>>);

impl Lost {
    fn note(&self, error: &FsError) {
        self.first().get_or_insert_with(|| error.clone());
    }

    /// What the end makes of its last attempt: a failure stands, whatever succeeded since.
    fn or(&self, outcome: Result<(), FlushError>) -> Result<(), FlushError> {
        match (self.first().take(), outcome) {
            (Some(lost), Ok(())) => Err(FlushError::Failed(lost)),
            (_, outcome) => outcome,
        }
    }

    fn first(&self) -> MutexGuard<'_, Option<FsError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uploads everything, unless nothing moves for `timeout`.
pub(super) async fn flush(
    fs: &Arc<FileSystem>,
    timeout: Duration,
    lost: &Lost,
    on_progress: impl Fn(SyncProgress) + Send + Sync,
) -> Result<(), FlushError> {
    let files = Counter::new();
    let on_progress = |done| {
        files.increment();
        on_progress(done);
    };
    let work = fs.sync_all_noting(on_progress, |error| lost.note(error));
    let moves = || files.count() + progress::moves();
    match while_moving(moves, timeout, work).await {
        Some(outcome) => Ok(outcome?),
        None => Err(FlushError::Stuck(timeout)),
    }
}

/// Uploads everything when nobody can ask for that again: as long as files are left, it is tried
/// again until the timeout. What this or an attempt before has `lost` is a failure in the end.
pub(super) async fn flush_in_the_end(
    fs: &Arc<FileSystem>,
    timeout: Duration,
    lost: &Lost,
) -> Result<(), FlushError> {
    // One that was stuck has waited already.
    let is_worth_it = |error: &FlushError| {
        matches!(error, FlushError::Failed(_)) && !fs.uncommitted_paths().is_empty()
    };
    let attempt = || flush(fs, timeout, lost, |_| {});
    let (failures, outcome) = match repeated(timeout, is_worth_it, attempt).await {
        Ok(failures) => (failures, Ok(())),
        Err(error) => (0, Err(error)),
    };
    let outcome = lost.or(outcome);
    if outcome.is_ok() && failures > 0 {
        tracing::info!("everything is stored, after {failures} failures");
    }
    outcome
}

/// Attempts until one succeeds, is given up or is not worth repeating, or `limit` is over; how
/// often it failed before. The error is the last.
async fn repeated<E: Display, F>(
    limit: Duration,
    is_worth_it: impl Fn(&E) -> bool,
    attempt: impl Fn() -> F,
) -> Result<u32, E>
where
    F: Future<Output = Result<(), E>>,
{
    let end = Instant::now() + limit;
    let mut failures = 0;
    loop {
        match attempt().await {
            Ok(()) => return Ok(failures),
            Err(error) if is_worth_it(&error) && Instant::now() + PAUSE < end => {
                if failures == 0 {
                    tracing::warn!("{error}; trying again for {} s", limit.as_secs());
                }
                failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Runs `work`, unless the count of `moves` stands still for `limit`: then `None`, after twice
/// that time at most.
pub(super) async fn while_moving<T>(
    moves: impl Fn() -> u64,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut seen = moves();
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = tokio::time::sleep(limit) => {
                let now = moves();
                if now == seen {
                    return None;
                }
                seen = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use bytes::Bytes;

    use super::*;
    use crate::fs::{Caller, Consistency, FsConfig, ROOT};
    use crate::layout::plain::Defaults;
    use crate::store::fault::{Effect, Fault, Rule};
    use crate::store::mem::MemStore;
    use crate::store::s3::encryption::ExpectedEncryption;
    use crate::store::{ErrorKind, ObjectKey, Operation, PutOptions, Store};
    use crate::volume::{Volume, VolumeOptions};

    /// A filesystem with new files that the bucket does not have yet.
    async fn with_unsaved(files: &[&str]) -> (Arc<MemStore>, Arc<Fault>, Arc<FileSystem>) {
        let mem = Arc::new(MemStore::new());
        let fault = Arc::new(Fault::new(Arc::clone(&mem) as _));
        let state = tempfile::tempdir().unwrap();
        let options = VolumeOptions {
            server: String::new(),
            read_only: false,
            alone: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0o022,
            },
            trust_listing: false,
            encryption: ExpectedEncryption::default(),
            journal_dir: state.path().join("journal"),
        };
        let volume = Volume::open(Arc::clone(&fault) as _, "", options);
        let config = FsConfig {
            read_only: false,
            memory_bytes: 64 << 20,
            staging_bytes: 1 << 20,
            staging_dir: state.path().join("staging"),
            consistency: Consistency::Shared,
            ttl: Duration::ZERO,
            timeout: Duration::from_mins(1),
            host: "testhost".to_owned(),
        };
        let fs = FileSystem::new(volume.await.unwrap(), config);
        let fs = fs.await.unwrap();
        let me = Caller {
            uid: 0,
            gid: 0,
            pid: 1,
        };
        for name in files {
            let created = fs.create(me, ROOT, OsStr::new(name), 0o644, libc::O_RDWR);
            let handle = created.await.unwrap().1.handle;
            let data = Bytes::from_static(b"ours");
            let written = fs.write(me, handle, 0, data, libc::O_RDWR, false);
            written.await.unwrap();
        }
        (mem, fault, fs)
    }

    /// Nobody is there who heard of it, and so the end tells.
    #[tokio::test(start_paused = true)]
    async fn what_one_attempt_lost_is_not_forgotten_for_the_next_that_goes_well() {
        let limit = Duration::from_mins(1);
        for unasked_before in [false, true] {
            let (mem, fault, fs) = with_unsaved(&["lost", "late"]).await;
            let theirs = Bytes::from_static(b"theirs");
            let key = ObjectKey::new("lost").unwrap();
            mem.put(&key, theirs, PutOptions::default()).await.unwrap();
            let fails = Rule::new(Effect::FailBefore(ErrorKind::Denied));
            let fails = fails.on(Operation::PutObject).exactly("late");
            fault.inject(fails.times(1));
            let lost = Lost::default();
            if unasked_before {
                assert!(flush(&fs, limit, &lost, |_| {}).await.is_err());
            }
            let outcome = flush_in_the_end(&fs, limit, &lost).await;
            let failed = outcome.unwrap_err().to_string();
            let sentence = "not everything could be uploaded: ESTALE: \"lost\" was changed by \
                            somebody else since it was opened";
            assert!(failed.starts_with(sentence), "{failed}");
            assert_eq!(fs.uncommitted_paths(), Vec::<String>::new());
            assert!(mem.keys().contains(&"late".to_owned()));
            // It was told.
            flush_in_the_end(&fs, limit, &lost).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_end_what_fails_is_tried_until_the_timeout() {
        let limit = Duration::from_mins(1);
        let attempts = Counter::new();
        let heals = |after: u64| {
            let attempts = &attempts;
            move || {
                attempts.increment();
                let outcome = if attempts.count() > after {
                    Ok(())
                } else {
                    Err("the key is disabled")
                };
                async move { outcome }
            }
        };
        assert_eq!(repeated(limit, |_| true, heals(0)).await, Ok(0));
        let before = attempts.count();
        let healed = repeated(limit, |_| true, heals(before + 30)).await;
        assert_eq!(healed, Ok(30));
        let began = Instant::now();
        let lost = repeated(limit, |_| true, heals(u64::MAX)).await;
        assert_eq!(lost, Err("the key is disabled"));
        assert!(began.elapsed() > limit / 2 && began.elapsed() <= limit);
        // With nothing left to store, as after a conflict, the failure stands.
        let before = attempts.count();
        assert!(repeated(limit, |_| false, heals(u64::MAX)).await.is_err());
        assert_eq!(attempts.count(), before + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_may_take_long_and_what_does_not_is_given_up() {
        let limit = Duration::from_mins(1);
        let steps = Counter::new();
        let slow = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                steps.increment();
            }
        };
        let moves = || steps.count();
        assert_eq!(while_moving(moves, limit, slow).await, Some(()));
        let began = tokio::time::Instant::now();
        let stuck = std::future::pending::<()>();
        assert_eq!(while_moving(moves, limit, stuck).await, None);
        assert!(began.elapsed() <= 2 * limit);
    }
}
