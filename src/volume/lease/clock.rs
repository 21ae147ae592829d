//! A clock that goes on while the machine sleeps.

use std::time::Duration;

use tokio::time::Instant;

/// Time since it was made. Not compared with anybody else's.
#[derive(Debug)]
pub(in crate::volume) struct Clock {
    origin: Instant,
    asleep: Duration,
}

impl Clock {
    pub(in crate::volume) fn new() -> Self {
        Self {
            origin: Instant::now(),
            asleep: asleep(),
        }
    }

    /// Timers and the standard library stand still while a laptop's lid is closed; a lease does
    /// not.
    pub(in crate::volume) fn now(&self) -> Duration {
        self.origin.elapsed() + asleep().saturating_sub(self.asleep)
    }
}

/// For how long the machine has slept since it was started.
fn asleep() -> Duration {
    read(libc::CLOCK_BOOTTIME).saturating_sub(read(libc::CLOCK_MONOTONIC))
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local that outlives the call. Both clocks exist since Linux
    // 2.6.39, so it cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(secs, nanos)
}
