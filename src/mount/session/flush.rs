//! Uploading everything, as long as something moves.

use std::sync::Arc;
use std::time::Duration;

use crate::base::progress;
use crate::fs::{FileSystem, FsError, SyncProgress};
use crate::telemetry::counter::Counter;

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
