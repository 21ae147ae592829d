//! What the holder of a lease may do: pure. Times are of its own clock, since any moment.
//!
//! Changes may begin for [`Term::open`] after the *start* of the last renewal that succeeded,
//! and none is under way after the term: whatever was sent before has taken effect, or never
//! will, once a claimant that saw that renewal has waited two terms.

use std::time::Duration;

use super::Term;

/// A lease that is held, or was.
#[derive(Clone, Debug)]
pub struct Holder {
    term: Term,
    /// When the last renewal that succeeded was begun.
    renewed: Duration,
    /// In the object since then.
    counter: u64,
    /// The highest that was ever sent.
    sent: u64,
    /// Sent since, fate unknown: counter, and when.
    open: Vec<(u64, Duration)>,
    lost: bool,
}

/// Whether a change may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It may begin, and must not be under way after this moment.
    Until(Duration),
    /// The last renewal is too long ago; another may come.
    Late,
    /// Somebody else has the lease, or nobody.
    Lost,
}

impl Holder {
    /// The lease was taken by a request that was begun at `begun` and wrote `counter`.
    #[must_use]
    pub const fn new(term: Term, counter: u64, begun: Duration) -> Self {
        Self {
            term,
            renewed: begun,
            counter,
            sent: counter,
            open: Vec::new(),
            lost: false,
        }
    }

    #[must_use]
    pub fn leave(&self, now: Duration) -> Leave {
        if self.lost {
            Leave::Lost
        } else if now >= self.renewed + self.term.open() {
            Leave::Late
        } else {
            Leave::Until(self.end())
        }
    }

    /// When the next renewal is due.
    #[must_use]
    pub fn due(&self) -> Duration {
        self.renewed + self.term.renewal()
    }

    /// When the last renewal that succeeded was begun.
    #[must_use]
    pub const fn renewed(&self) -> Duration {
        self.renewed
    }

    /// When the lease ends unless it is renewed: nothing is under way after that.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.renewed + self.term.term
    }

    /// The counter of a renewal that is sent at `now`: another for each, so that the object tells
    /// which of them it was that arrived.
    pub fn send(&mut self, now: Duration) -> u64 {
        self.sent += 1;
        self.open.push((self.sent, now));
        self.sent
    }

    /// The object has this counter of ours.
    pub fn found(&mut self, counter: u64) {
        if let Some((_, begun)) = self.open.iter().find(|(sent, _)| *sent == counter) {
            self.renewed = *begun;
            self.counter = counter;
            self.open.retain(|(sent, _)| *sent > counter);
        }
    }

    /// The object is not ours any more.
    pub fn lose(&mut self) {
        self.lost = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Term = Term {
        term: secs(180),
        timeout: secs(60),
    };

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_renewal_counts_from_when_it_was_sent() {
        let mut holder = Holder::new(TERM, 1, secs(10));
        assert_eq!(holder.leave(secs(129)), Leave::Until(secs(190)));
        assert_eq!(holder.leave(secs(130)), Leave::Late);
        assert_eq!(holder.due(), secs(70));
        let first = holder.send(secs(70));
        let second = holder.send(secs(100));
        assert_ne!(first, second);
        holder.found(first);
        assert_eq!(holder.leave(secs(189)), Leave::Until(secs(250)));
        assert_eq!(holder.leave(secs(190)), Leave::Late);
        holder.found(second);
        assert_eq!(holder.renewed(), secs(100));
    }

    #[test]
    fn what_is_lost_stays_lost() {
        let mut holder = Holder::new(TERM, 1, secs(0));
        let counter = holder.send(secs(60));
        holder.lose();
        holder.found(counter);
        assert_eq!(holder.leave(secs(61)), Leave::Lost);
    }

    #[test]
    fn a_counter_that_was_never_sent_renews_nothing() {
        let mut holder = Holder::new(TERM, 5, secs(0));
        holder.found(5);
        holder.found(6);
        assert_eq!(holder.renewed(), secs(0));
    }
}
