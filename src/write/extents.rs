//! A set of byte ranges: which bytes of a file are dirty.
//!
//! Ranges in the set are not empty, do not overlap and do not touch: neighbours are merged, so
//! a set has one form. Insertion and removal cost the logarithm of the number of extents, plus
//! the extents that they swallow.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::range::ByteRange;

/// A set of bytes, kept as its extents: the longest ranges that are in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtentSet {
    /// End by start.
    extents: BTreeMap<u64, u64>,
    total: u64,
}

impl ExtentSet {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            extents: BTreeMap::new(),
            total: 0,
        }
    }

    /// Adds the bytes of `range`.
    pub fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start(), range.end());
        while let Some((&s, &e)) = self.extents.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.extents.remove(&s);
            self.total -= e - s;
            (start, end) = (start.min(s), end.max(e));
        }
        self.extents.insert(start, end);
        self.total += end - start;
    }

    /// Takes the bytes of `range` out.
    pub fn remove(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        while let Some((&s, &e)) = self.extents.range(..range.end()).next_back() {
            if e <= range.start() {
                break;
            }
            self.extents.remove(&s);
            self.total -= e - s;
            self.add_apart(range.end().max(s), e);
            self.add_apart(s, range.start().min(e));
        }
    }

    /// Takes out everything from `len` on.
    pub fn truncate(&mut self, len: u64) {
        self.remove(ByteRange::new(len, u64::MAX));
    }

    /// Whether some byte of `range` is in the set.
    #[must_use]
    pub fn intersects(&self, range: ByteRange) -> bool {
        self.within(range).next().is_some()
    }

    /// Whether every byte of `range` is in the set; so it is for an empty one.
    #[must_use]
    pub fn covers(&self, range: ByteRange) -> bool {
        let before = self.extents.range(..=range.start()).next_back();
        range.is_empty() || before.is_some_and(|(_, &end)| end >= range.end())
    }

    /// The parts of `range` that are in the set, ascending.
    pub fn within(&self, range: ByteRange) -> impl Iterator<Item = ByteRange> {
        let before = self.extents.range(..range.start()).next_back();
        let inside = self.extents.range(range.start()..range.end());
        before
            .into_iter()
            .chain(inside)
            .filter_map(move |(&start, &end)| range.intersection(ByteRange::new(start, end)))
    }

    /// The parts of `range` that are not in the set, ascending.
    pub fn gaps(&self, range: ByteRange) -> impl Iterator<Item = ByteRange> {
        let ends = self
            .within(range)
            .map(|extent| (extent.start(), extent.end()))
            .chain(std::iter::once((range.end(), range.end())));
        ends.scan(range.start(), |at, (start, end)| {
            let gap = ByteRange::new(*at, start);
            *at = end;
            Some(gap)
        })
        .filter(|gap| !gap.is_empty())
    }

    /// The extents, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ByteRange> {
        self.extents
            .iter()
            .map(|(&start, &end)| ByteRange::new(start, end))
    }

    /// Number of bytes in the set.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.total
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Where the last extent ends; 0 when there is none.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.extents.last_key_value().map_or(0, |(_, &end)| end)
    }

    /// Adds a range that neither overlaps nor touches any in the set.
    fn add_apart(&mut self, start: u64, end: u64) {
        if start < end {
            self.extents.insert(start, end);
            self.total += end - start;
        }
    }
}

impl fmt::Debug for ExtentSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<ByteRange> for ExtentSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN: u64 = 64;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(ByteRange),
        Remove(ByteRange),
        Truncate(u64),
    }

    fn range() -> impl Strategy<Value = ByteRange> {
        (0..=LEN, 0..=LEN).prop_map(|(a, b)| ByteRange::new(a.min(b), a.max(b)))
    }

    fn change() -> impl Strategy<Value = Change> {
        // Short ranges, so that sets have many extents.
        let short = (0..LEN, 0_u64..6)
            .prop_map(|(start, len)| ByteRange::new(start, (start + len).min(LEN)));
        prop_oneof![
            6 => short.clone().prop_map(Change::Insert),
            3 => short.prop_map(Change::Remove),
            1 => range().prop_map(Change::Insert),
            1 => range().prop_map(Change::Remove),
            1 => (0..=LEN).prop_map(Change::Truncate),
        ]
    }

    /// The set, and the same as one flag for each byte.
    fn build(changes: Vec<Change>) -> (ExtentSet, Vec<bool>) {
        let (mut set, mut model) = (ExtentSet::new(), vec![false; 64]);
        let mut paint = |range: ByteRange, value| {
            (range.start()..range.end()).for_each(|at| model[usize::try_from(at).unwrap()] = value);
        };
        for change in changes {
            match change {
                Change::Insert(range) => {
                    set.insert(range);
                    paint(range, true);
                }
                Change::Remove(range) => {
                    set.remove(range);
                    paint(range, false);
                }
                Change::Truncate(len) => {
                    set.truncate(len);
                    paint(ByteRange::new(len, LEN), false);
                }
            }
        }
        (set, model)
    }

    /// The longest runs of `value` in `range` of the model.
    fn runs(model: &[bool], range: ByteRange, value: bool) -> Vec<ByteRange> {
        let mut runs: Vec<ByteRange> = Vec::new();
        for at in range.start()..range.end() {
            if model[usize::try_from(at).unwrap()] != value {
                continue;
            }
            match runs.last_mut() {
                Some(last) if last.end() == at => *last = ByteRange::new(last.start(), at + 1),
                _ => runs.push(ByteRange::new(at, at + 1)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_bytes(
            changes in proptest::collection::vec(change(), 0..40), query in range(),
        ) {
            let (set, model) = build(changes);
            let all = ByteRange::new(0, LEN);
            // Equality with the longest runs says that extents are merged, too.
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), runs(&model, all, true));
            let total = model.iter().filter(|&&dirty| dirty).count();
            prop_assert_eq!(set.total_bytes(), total as u64);
            prop_assert_eq!(set.is_empty(), total == 0);
            let end = model.iter().rposition(|&dirty| dirty).map_or(0, |last| last as u64 + 1);
            prop_assert_eq!(set.end(), end);

            let (inside, gaps) = (runs(&model, query, true), runs(&model, query, false));
            prop_assert_eq!(set.intersects(query), !inside.is_empty());
            prop_assert_eq!(set.covers(query), gaps.is_empty());
            prop_assert_eq!(set.within(query).collect::<Vec<_>>(), inside);
            prop_assert_eq!(set.gaps(query).collect::<Vec<_>>(), gaps);
            prop_assert_eq!(set.iter().collect::<ExtentSet>(), set);
        }
    }

    #[test]
    fn the_largest_offsets_are_bytes_like_others() {
        let mut set = ExtentSet::new();
        set.insert(ByteRange::new(u64::MAX - 4, u64::MAX));
        set.insert(ByteRange::new(0, u64::MAX - 4));
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [ByteRange::new(0, u64::MAX)]
        );
        set.truncate(10);
        assert_eq!(set.total_bytes(), 10);
    }
}
