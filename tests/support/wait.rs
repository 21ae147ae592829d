//! Waiting for something that a test cannot be told about: asking again until a deadline.
//!
//! The one place of the tests that sleeps, and only between two looks at a condition.

use std::time::{Duration, Instant};

/// Between two looks.
const PACE: Duration = Duration::from_millis(10);

/// The first answer that `look` gives, or nothing at the deadline.
pub fn until<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() >= deadline {
            return None;
        }
        std::thread::sleep(PACE);
    }
}
