//! What a daemon answers, as far as it is to be believed: root asks the daemons of others, and who
//! runs one may send what he likes.

use std::io::{self, BufRead};
use std::time::{Duration, Instant};

use super::protocol::{EVENT_BYTES_MAX, Progress};

/// A daemon whose figures are the same for so long has no deadline, or is none. Longer than any
/// request that its own `--timeout` would let wait.
pub(super) const STANDING_MAX: Duration = Duration::from_mins(10);

/// Reads a line, of [`EVENT_BYTES_MAX`] at most and within `limit`, however little comes at a time.
/// Nothing at the end.
pub(super) fn read_line(reader: &mut impl BufRead, limit: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let mut line = Vec::new();
    loop {
        let more = match reader.fill_buf() {
            Ok(more) => more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = more.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(more.len(), |end| end + 1);
        line.extend_from_slice(&more[..taken]);
        reader.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(line);
        }
        if line.len() > EVENT_BYTES_MAX {
            return Err(io::Error::other("its answer is too long to be one"));
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Whether figures that should move stand still.
#[derive(Debug)]
pub(super) struct Standstill {
    last: Progress,
    since: Instant,
}

impl Standstill {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: Progress::default(),
            since: now,
        }
    }

    /// Takes note of the figures at `now`, and tells whether they have not moved for
    /// [`STANDING_MAX`].
    pub(super) fn lasts(&mut self, figures: Progress, now: Instant) -> bool {
        if figures != self.last {
            *self = Self {
                last: figures,
                since: now,
            };
        }
        now.duration_since(self.since) >= STANDING_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read, repeat};

    use super::*;

    #[test]
    fn a_line_without_an_end_is_no_answer() {
        let limit = Duration::from_mins(1);
        let mut endless = BufReader::new(repeat(b'x'));
        let refused = read_line(&mut endless, limit).unwrap_err();
        assert_eq!(refused.to_string(), "its answer is too long to be one");
        let slow = read_line(&mut endless, Duration::ZERO).unwrap_err();
        assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
        let mut lines = BufReader::with_capacity(2, b"one\ntwo".chain(&b"\nthree"[..]));
        for line in ["one\n", "two\n", "three", ""] {
            assert_eq!(read_line(&mut lines, limit).unwrap(), line.as_bytes());
        }
    }

    #[test]
    fn figures_that_stand_still_are_given_up_and_those_that_move_are_not() {
        let began = Instant::now();
        let mut standstill = Standstill::new(began);
        let at = |moves| Progress {
            moves,
            ..Progress::default()
        };
        let almost = STANDING_MAX - Duration::from_secs(1);
        for step in 1..100 {
            let now = began + almost * step;
            assert!(!standstill.lasts(at(step.into()), now), "{step}");
        }
        let now = began + almost * 99;
        assert!(!standstill.lasts(at(99), now + almost));
        assert!(standstill.lasts(at(99), now + STANDING_MAX));
    }
}
