//! Dates as people and KMS write them. Pure: the clock is the caller's.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::base::time::Timestamp;

const DAY_SECS: i64 = 24 * 60 * 60;
/// How far ahead KMS lets imported material expire.
const DAYS_MAX: i64 = 365;

/// When KMS forgets imported material by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Never,
    /// A whole second.
    At(Timestamp),
}

/// Why a date is none for material to expire at. Each follows the option in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    #[error(
        "\"{0}\" is no date: write YYYY-MM-DD, which is the day's first second in UTC, or a time as in 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00"
    )]
    NoDate(String),
    #[error("{0} is over: give a date to come, or leave --expires out for material that stays")]
    Over(String),
    #[error(
        "{at} is more than {DAYS_MAX} days ahead, and KMS takes no later date than that: give {last} at the latest, or leave --expires out for material that stays"
    )]
    TooFar { at: String, last: String },
}

impl Expiry {
    /// From RFC 3339 or a day alone.
    ///
    /// # Errors
    /// When it is none, or not within a year from `now`.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, ExpiryError> {
        let at = parse(text.trim()).ok_or_else(|| ExpiryError::NoDate(text.to_owned()))?;
        let last = now.secs().saturating_add(DAYS_MAX * DAY_SECS);
        if at <= now.secs() {
            return Err(ExpiryError::Over(rfc3339_of(at)));
        }
        if at > last {
            return Err(ExpiryError::TooFar {
                at: rfc3339_of(at),
                last: rfc3339_of(last),
            });
        }
        let at = Timestamp::new(at, 0).expect("whole seconds");
        Ok(Self::At(at))
    }
}

/// Seconds since the epoch; fractions are dropped.
fn parse(text: &str) -> Option<i64> {
    let is_day = text.len() == 10 && text.is_ascii();
    let whole = if is_day {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    let date = DateTime::from_str(&whole, Format::DateTimeWithOffset).ok()?;
    Some(date.secs())
}

/// `2026-12-31T18:00:00Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    rfc3339_of(at.secs())
}

fn rfc3339_of(secs: i64) -> String {
    DateTime::from_secs(secs)
        .fmt(Format::DateTime)
        .unwrap_or_else(|_far_away| format!("{secs} s after 1970"))
}

pub(super) fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp::new(at.secs(), at.subsec_nanos()).unwrap_or_default()
}

pub(super) fn date_time(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-31T12:00:00Z
    const NOW: i64 = 1_769_860_800;

    fn at(secs: i64) -> Timestamp {
        Timestamp::new(secs, 0).unwrap()
    }

    fn expiry(text: &str) -> Result<String, String> {
        match Expiry::parse(text, at(NOW)) {
            Ok(Expiry::At(at)) => Ok(rfc3339(at)),
            Ok(Expiry::Never) => panic!("it expires"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_day_is_its_first_second_and_a_time_is_itself() {
        for (text, same) in [
            ("2026-02-01", "2026-02-01T00:00:00Z"),
            (" 2026-02-28 ", "2026-02-28T00:00:00Z"),
            ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"),
            ("2026-12-31T18:00:00+01:00", "2026-12-31T17:00:00Z"),
            ("2026-12-31T18:00:00.75Z", "2026-12-31T18:00:00Z"),
            ("2026-01-31T12:00:01Z", "2026-01-31T12:00:01Z"),
            // The last that KMS takes.
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z"),
        ] {
            assert_eq!(expiry(text).as_deref(), Ok(same), "{text}");
        }
    }

    #[test]
    fn what_kms_would_not_take_is_told() {
        for text in [
            "",
            "tomorrow",
            "2026-02-29",
            "2026-13-01",
            "2026-2-1",
            "01.02.2026",
            "2026-02-01T25:00:00Z",
            "2026-02-01 12:00",
            "2026-02-01T12:00:00",
            "9999999999",
        ] {
            assert_eq!(
                expiry(text).unwrap_err(),
                format!(
                    "\"{text}\" is no date: write YYYY-MM-DD, which is the day's first second in UTC, or a time as in 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00"
                )
            );
        }
        for text in ["2026-01-31", "2026-01-31T12:00:00Z", "1970-01-01"] {
            let sentence = expiry(text).unwrap_err();
            assert!(
                sentence.ends_with(
                    "Z is over: give a date to come, or leave --expires out for material that stays"
                ),
                "{sentence}"
            );
        }
        assert_eq!(
            expiry("2027-02-01").unwrap_err(),
            "2027-02-01T00:00:00Z is more than 365 days ahead, and KMS takes no later date than that: give 2027-01-31T12:00:00Z at the latest, or leave --expires out for material that stays"
        );
        assert_eq!(
            expiry("2027-01-31T12:00:01Z").unwrap_err(),
            "2027-01-31T12:00:01Z is more than 365 days ahead, and KMS takes no later date than that: give 2027-01-31T12:00:00Z at the latest, or leave --expires out for material that stays"
        );
    }

    proptest! {
        #[test]
        fn exactly_the_next_year_is_taken_as_it_was_written(ahead in -DAY_SECS * 400..DAY_SECS * 400) {
            let text = rfc3339(at(NOW + ahead));
            let taken = Expiry::parse(&text, at(NOW));
            let is_within = ahead > 0 && ahead <= DAYS_MAX * DAY_SECS;
            prop_assert_eq!(taken.is_ok(), is_within);
            if is_within {
                prop_assert_eq!(taken, Ok(Expiry::At(at(NOW + ahead))));
            }
        }

        #[test]
        fn any_text_is_a_date_or_refused(text in "\\PC{0,30}") {
            let _told = Expiry::parse(&text, at(NOW));
        }
    }
}
