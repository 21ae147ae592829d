//! What a claimant concludes from looking at a lease: pure. Times are of its own clock.

use std::time::Duration;

/// A lease, or a registration, that somebody looks at again and again.
#[derive(Clone, Debug, Default)]
pub struct Watch<V> {
    seen: Option<Seen<V>>,
}

#[derive(Clone, Debug)]
struct Seen<V> {
    version: V,
    /// When the answer that first showed it was there.
    since: Duration,
}

/// What a look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be alive, for so long at least.
    Alive(Duration),
    /// It stood still for as long as it takes.
    Dead,
}

impl<V: PartialEq> Watch<V> {
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: None }
    }

    /// A look that was begun at `asked` and answered at `answered` showed `version`. It has stood
    /// still for the time from the first answer that showed it to the beginning of this look.
    pub fn look(
        &mut self,
        version: V,
        asked: Duration,
        answered: Duration,
        patience: Duration,
    ) -> Verdict {
        match &self.seen {
            Some(seen) if seen.version == version => {
                let still = asked.saturating_sub(seen.since);
                if still >= patience {
                    Verdict::Dead
                } else {
                    Verdict::Alive(patience.saturating_sub(still))
                }
            }
            _ => {
                let since = answered;
                self.seen = Some(Seen { version, since });
                Verdict::Alive(patience)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_still_for_the_whole_time_is_dead() {
        let secs = Duration::from_secs;
        let mut watch = Watch::new();
        let mut look =
            |version, asked| watch.look(version, secs(asked), secs(asked + 5), secs(360));
        assert_eq!(look("a", 0), Verdict::Alive(secs(360)));
        assert_eq!(look("a", 364), Verdict::Alive(secs(1)));
        assert_eq!(look("b", 365), Verdict::Alive(secs(360)));
        assert_eq!(look("b", 729), Verdict::Alive(secs(1)));
        assert_eq!(look("b", 730), Verdict::Dead);
    }
}
