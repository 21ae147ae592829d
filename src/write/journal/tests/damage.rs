//! What a damaged journal reads as: a prefix of what was written, or an error.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// What a random journal holds after each of its frames.
fn written(journal: &Journal, log: &Path, steps: &[(u8, u64)]) -> Vec<u64> {
    let mut ends = vec![0];
    for (what, file) in steps {
        let data = vec![*what; usize::from(*what)];
        let commit = CommitId::random();
        let (file, meta, place) = (*file, Box::new(meta()), place("moved"));
        let _position = match what % 5 {
            0 | 1 => close(journal, file, "a/b", &data),
            2 => journal.note(vec![Event::Dropped { file }]).unwrap(),
            3 => journal
                .note(vec![Event::Meta { file, meta, commit }])
                .unwrap(),
            _ => journal
                .note(vec![Event::Moved {
                    file,
                    place,
                    commit,
                }])
                .unwrap(),
        };
        ends.push(fs::metadata(log).unwrap().len());
    }
    ends
}

type Files = BTreeMap<FileNumber, (Pending, Vec<u8>)>;

/// A journal of these steps, where each frame ends, and what each prefix holds.
fn journal_of(rig: &Rig, steps: &[(u8, u64)]) -> (PathBuf, Vec<u8>, Vec<u64>, Vec<Files>) {
    let log = log_path(&rig.root().join("m"), 1);
    let journal = rig.journal("m");
    // So that the journal is not empty at its end, and stays.
    close(&journal, 99, "first", b"data");
    let first = fs::metadata(&log).unwrap().len();
    let mut ends = written(&journal, &log, steps);
    ends[0] = first;
    drop(journal);
    let bytes = fs::read(&log).unwrap();
    let states = ends.iter().map(|end| {
        fs::write(&log, &bytes[..usize::try_from(*end).unwrap()]).unwrap();
        let dead = rig.read();
        assert!(dead.damage().is_none() && dead.torn_bytes() == 0);
        pending(&dead)
    });
    let states = states.collect();
    (log, bytes, ends, states)
}

fn steps() -> impl Strategy<Value = Vec<(u8, u64)>> {
    proptest::collection::vec((any::<u8>(), 1_u64..4), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Cut anywhere, it is the journal of what was whole.
    #[test]
    fn a_torn_end_is_as_if_it_had_never_been(steps in steps(), cut in any::<prop::sample::Index>()) {
        let rig = Rig::new();
        let (log, bytes, ends, states) = journal_of(&rig, &steps);
        let cut = cut.index(bytes.len() + 1);
        fs::write(&log, &bytes[..cut]).unwrap();
        let dead = rig.read();
        prop_assert!(dead.damage().is_none());
        let whole = ends.iter().rposition(|end| *end <= cut as u64);
        let expected = whole.map(|index| states[index].clone()).unwrap_or_default();
        let torn = cut as u64 - whole.map_or(0, |index| ends[index]);
        prop_assert_eq!(dead.torn_bytes(), torn);
        prop_assert_eq!(pending(&dead), expected);
    }

    /// A changed byte is damage, or the end; what is read before it is what was written.
    #[test]
    fn a_changed_byte_gives_a_prefix_or_an_error(
        steps in steps(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let rig = Rig::new();
        let (log, mut bytes, ends, states) = journal_of(&rig, &steps);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        fs::write(&log, &bytes).unwrap();
        let dead = rig.read();
        let whole = ends.iter().rposition(|end| *end <= at as u64);
        let expected = whole.map(|index| states[index].clone()).unwrap_or_default();
        prop_assert!(dead.damage().is_some() || dead.torn_bytes() > 0);
        prop_assert_eq!(pending(&dead), expected);
    }

    /// Frames that trade places, are repeated or left out are damage.
    #[test]
    fn frames_keep_their_order(
        steps in steps(),
        one in any::<prop::sample::Index>(),
        two in any::<prop::sample::Index>(),
        how in 0_u8..3,
    ) {
        let rig = Rig::new();
        let (log, bytes, mut ends, states) = journal_of(&rig, &steps);
        ends.insert(0, 0);
        let mut frames: Vec<_> = ends
            .windows(2)
            .map(|ends| &bytes[usize::try_from(ends[0]).unwrap()..usize::try_from(ends[1]).unwrap()])
            .collect();
        let (one, two) = (one.index(frames.len()), two.index(frames.len()));
        let (one, two) = (one.min(two), one.max(two));
        let changed = match how {
            0 => { frames.swap(one, two); if one == two { frames.len() } else { one } }
            1 => { frames.insert(two, frames[one]); if one == two { two + 1 } else { two } }
            _ => { frames.remove(one); one }
        };
        fs::write(&log, frames.concat()).unwrap();
        let dead = rig.read();
        let expected = changed.checked_sub(1).map(|index| states[index].clone());
        prop_assert_eq!(pending(&dead), expected.unwrap_or_default());
        let intact = changed >= frames.len();
        prop_assert_eq!(dead.damage().is_none() && dead.torn_bytes() == 0, intact);
    }
}
