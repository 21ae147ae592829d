//! Uploading everything, as long as something moves; in the end again and again.

use std::fmt::Display;
use std::sync::Arc;
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
        "uploading made no progress for {} s and was given up", .0.as_secs()
    )]
    Stuck(Duration),
}

/// Uploads everything, unless nothing moves for `timeout`.
pub(super) async fn flush(
    fs: &Arc<FileSystem>,
    timeout: Duration,
    on_progress: impl Fn(SyncProgress) + Send + Sync,
) -> Result<(), FlushError> {
    let files = Counter::new();
    let work = fs.sync_all(|done| {
        files.increment();
        on_progress(done);
    });
    let moves = || files.count() + progress::moves();
    match while_moving(moves, timeout, work).await {
        Some(outcome) => Ok(outcome?),
        None => Err(FlushError::Stuck(timeout)),
    }
}

/// Attempts until one succeeds, is given up or is not worth repeating, or `limit` is over; how
/// often it failed before. The error is the last.
pub(super) async fn repeated<E: Display, F>(
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
async fn while_moving<T>(
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
    use super::*;

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
