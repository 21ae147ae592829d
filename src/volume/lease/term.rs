//! How long a lease lasts.

use std::time::Duration;

/// The times that a holder and its claimants keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// A lease that is not renewed for twice this long is dead.
    pub term: Duration,
    /// The longest that a request is on its way.
    pub timeout: Duration,
}

/// A term that leaves a holder no time to change anything.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--lease-term {} is too short for --timeout {}: a mount sends nothing for the last {} s of a term; give a term of at least {} s",
    .term.as_secs(), .timeout.as_secs(), .timeout.as_secs(), .timeout.as_secs() * 2
)]
pub struct TermTooShort {
    term: Duration,
    timeout: Duration,
}

impl Term {
    /// Where nobody says how long: three timeouts are left for changes of every four.
    pub const DEFAULT: Duration = Duration::from_mins(3);

    /// `None` is as long as is usual, and longer where the timeout is.
    ///
    /// # Errors
    /// When the term is less than twice the timeout.
    pub fn new(term: Option<Duration>, timeout: Duration) -> Result<Self, TermTooShort> {
        let term = term.unwrap_or_else(|| Self::DEFAULT.max(timeout * 3));
        if term < timeout * 2 {
            return Err(TermTooShort { term, timeout });
        }
        Ok(Self { term, timeout })
    }

    /// How long a lease of a `term` must have stood still before it is taken over.
    #[must_use]
    pub const fn patience(term: Duration) -> Duration {
        term.saturating_mul(2)
    }

    /// Between two renewals, where all is well.
    #[must_use]
    pub fn renewal(self) -> Duration {
        self.term / 3
    }

    /// After the start of a renewal, so long changes may begin.
    #[must_use]
    pub const fn open(self) -> Duration {
        self.term.saturating_sub(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_leaves_time_for_changes() {
        let (ten, second) = (Duration::from_secs(10), Duration::from_secs(1));
        assert_eq!(
            Term::new(Some(ten), ten).unwrap_err().to_string(),
            "--lease-term 10 is too short for --timeout 10: a mount sends nothing for the last 10 s of a term; give a term of at least 20 s"
        );
        assert_eq!(Term::new(None, ten).unwrap().term, Term::DEFAULT);
        assert_eq!(
            Term::new(None, Duration::from_mins(2)).unwrap().term,
            Duration::from_mins(6)
        );
        let term = Term::new(Some(ten), second).unwrap();
        assert!(term.renewal() < term.open());
    }
}
