//! Which file is to be uploaded when. Pure: the time is given.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use crate::fs::types::Ino;

/// Each file once, at the earliest time that was asked for.
#[derive(Debug, Default)]
pub(super) struct Queue {
    by_time: BTreeMap<(Instant, u64), Ino>,
    times: HashMap<Ino, (Instant, u64)>,
    /// Tells files of the same instant apart, and keeps them in their order.
    count: u64,
}

impl Queue {
    pub(super) fn push(&mut self, ino: Ino, at: Instant) {
        if let Some(place) = self.times.get(&ino) {
            if place.0 <= at {
                return;
            }
            self.by_time.remove(place);
        }
        self.count += 1;
        let place = (at, self.count);
        self.by_time.insert(place, ino);
        self.times.insert(ino, place);
    }

    /// The file that is due at `now`; else the time when one will be, if there is one.
    pub(super) fn pop(&mut self, now: Instant) -> Result<Ino, Option<Instant>> {
        let Some(first) = self.by_time.first_entry() else {
            return Err(None);
        };
        let at = first.key().0;
        if at > now {
            return Err(Some(at));
        }
        let ino = first.remove();
        self.times.remove(&ino);
        Ok(ino)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_times_and_once() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(queue.pop(start), Err(None));
        for (ino, secs) in [(1, 3), (2, 1), (3, 1), (1, 2), (2, 9)] {
            queue.push(ino, at(secs));
        }
        assert_eq!(queue.pop(start), Err(Some(at(1))));
        assert_eq!(queue.pop(at(5)), Ok(2));
        assert_eq!(queue.pop(at(5)), Ok(3));
        assert_eq!(queue.pop(at(1)), Err(Some(at(2))));
        assert_eq!(queue.pop(at(2)), Ok(1));
        assert_eq!(queue.pop(at(9)), Err(None));
        queue.push(2, at(4));
        assert_eq!(queue.pop(at(4)), Ok(2));
    }
}
