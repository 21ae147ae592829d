//! Points in time as POSIX file attributes and S3 metadata hold them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since the Unix epoch (negative before it) and nanoseconds within the second
/// (`0..1_000_000_000`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    pub const EPOCH: Self = Self { secs: 0, nanos: 0 };

    /// `None` when `nanos` is a second or more.
    #[must_use]
    pub const fn new(secs: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 {
            Some(Self { secs, nanos })
        } else {
            None
        }
    }

    /// The wall clock now.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    #[must_use]
    pub const fn secs(self) -> i64 {
        self.secs
    }

    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.nanos
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self {
                secs: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self {
                        secs: -whole,
                        nanos: 0,
                    },
                    nanos => Self {
                        secs: (-whole).saturating_sub(1),
                        nanos: 1_000_000_000 - nanos,
                    },
                }
            }
        }
    }
}

impl From<Timestamp> for SystemTime {
    /// Times that `SystemTime` cannot hold become the epoch.
    fn from(time: Timestamp) -> Self {
        let nanos = Duration::from_nanos(time.nanos.into());
        let whole = Duration::from_secs(time.secs.unsigned_abs());
        let base = if time.secs >= 0 {
            UNIX_EPOCH.checked_add(whole)
        } else {
            UNIX_EPOCH.checked_sub(whole)
        };
        base.and_then(|base| base.checked_add(nanos))
            .unwrap_or(UNIX_EPOCH)
    }
}

/// Decimal `sec.nnnnnnnnn`: always nine digits, because s3fs reads the fraction as an integer.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.secs, self.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_survives_the_way_there_and_back() {
        let time = Timestamp::new(-2, 250_000_000).unwrap();
        assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        assert_eq!(time.to_string(), "-2.250000000");
    }
}
