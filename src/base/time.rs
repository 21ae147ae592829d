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

    /// `20251121T080000Z`, the basic format of ISO 8601 in UTC, for file names.
    #[must_use]
    pub fn compact_utc(self) -> String {
        let (days, second) = (self.secs.div_euclid(86_400), self.secs.rem_euclid(86_400));
        // Civil date from days, after Howard Hinnant's `civil_from_days`: eras of 400 years
        // that begin on 1 March.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
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
    fn dates_are_those_of_the_calendar() {
        let date = |secs| Timestamp::new(secs, 0).unwrap().compact_utc();
        assert_eq!(date(0), "19700101T000000Z");
        assert_eq!(date(951_782_399), "20000228T235959Z");
        assert_eq!(date(951_782_400), "20000229T000000Z");
        assert_eq!(date(-1), "19691231T235959Z");
    }

    #[test]
    fn a_time_before_the_epoch_survives_the_way_there_and_back() {
        let time = Timestamp::new(-2, 250_000_000).unwrap();
        assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        assert_eq!(time.to_string(), "-2.250000000");
    }
}
