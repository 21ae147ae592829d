//! Repeats requests that failed for a while, inside a deadline.
//!
//! All retries of the project are here; the S3 SDK's own are off. The deadline is time
//! *without progress*: an attempt is cut off when no byte has moved for that long (see
//! [`crate::base::progress`]), and the silence at the end of each attempt and the pauses between
//! them add up against the same time. So a server that is gone costs the deadline and no more,
//! and an upload that moves for an hour is never cut off. Pauses are random between nothing
//! and a ceiling that doubles ("full jitter").
//!
//! What is repeated is decided by [`decide`], a pure function. The rule that is easy to get
//! wrong: a conditional write whose fate is open is *not* repeated, because its repetition
//! could overwrite or bring back what others did meanwhile. [`super::commit`] finds out first
//! what became of it. A delete with a condition is repeated, and its repetition taken for done
//! when the object is gone.
//!
//! A repeated CreateMultipartUpload whose first answer was lost leaves an upload that nobody
//! knows the id of: its key is in [`Retry::repeated_creates`], and `list_multipart` of the
//! key finds it.

mod attempt;
mod decision;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use decision::{Decision, Situation, decide};

use super::{ErrorKind, Store};
use crate::base::jitter::Jitter;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Time without progress after which a request fails.
    pub timeout: Duration,
    /// Ceiling of the first pause; it doubles with every attempt.
    pub first_pause_max: Duration,
    /// Highest ceiling of a pause.
    pub pause_max: Duration,
    /// Attempts at a write that conflicts with others on the same key (409).
    pub conflict_attempts_max: u32,
}

impl RetryPolicy {
    /// Pauses of up to 0.1, 0.2, ... 5 s.
    #[must_use]
    pub const fn with_timeout(timeout: Duration) -> Self {
        Self {
            timeout,
            first_pause_max: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            conflict_attempts_max: 5,
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::with_timeout(Duration::from_mins(1))
    }
}

/// What was repeated, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryCounters {
    pub throttled: u64,
    pub unavailable: u64,
    pub timed_out: u64,
    pub conflicts: u64,
    /// Requests that failed in the end because the deadline passed.
    pub gave_up: u64,
}

impl RetryCounters {
    /// Attempts that were made again.
    #[must_use]
    pub const fn retries(&self) -> u64 {
        self.throttled + self.unavailable + self.timed_out + self.conflicts
    }

    fn count(&mut self, kind: ErrorKind) {
        match kind {
            ErrorKind::Throttled => self.throttled += 1,
            ErrorKind::TimedOut => self.timed_out += 1,
            ErrorKind::Conflict => self.conflicts += 1,
            _ => self.unavailable += 1,
        }
    }
}

/// Keys of repeated creates that are remembered at most.
const REPEATED_CREATES_MAX: usize = 1000;

#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn Store>,
    policy: RetryPolicy,
    jitter: Jitter,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    counters: RetryCounters,
    repeated_creates: BTreeSet<String>,
}

impl Retry {
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, policy: RetryPolicy, jitter: Jitter) -> Self {
        Self {
            inner,
            policy,
            jitter,
            history: Mutex::default(),
        }
    }

    #[must_use]
    pub fn counters(&self) -> RetryCounters {
        self.record(|history| history.counters)
    }

    /// Keys on which an unknown multipart upload may be left, in byte order; the first 1,000.
    #[must_use]
    pub fn repeated_creates(&self) -> Vec<String> {
        self.record(|history| history.repeated_creates.iter().cloned().collect())
    }

    /// A panic elsewhere leaves counters that are still right.
    fn record<T>(&self, change: impl FnOnce(&mut History) -> T) -> T {
        change(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_repeated_create(&self, key: &str) {
        self.record(|history| {
            if history.repeated_creates.len() < REPEATED_CREATES_MAX {
                history.repeated_creates.insert(key.to_owned());
            }
        });
    }
}
