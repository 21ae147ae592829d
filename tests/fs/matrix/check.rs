//! What holds of every combination.

use super::act::Act;
use super::run::{Moment, Outcome};

/// A rename that may replace what is at its new name replaces what is there at the time of the
/// copy, as rename(2) does on any filesystem: that is not held against it. With `RENAME_NOREPLACE`
/// it is.
fn replaces_all(ours: Act, moment: Moment) -> bool {
    moment == Moment::CopyObject && ours == Act::RenameOver
}

/// A's last look at the name was before B came, so neither may take away what the other did:
/// what is acknowledged is somewhere at the end, and a call that lost says so. What is broken of
/// that, in words.
pub fn broken(ours: Act, moment: Moment, outcome: &Outcome) -> Vec<&'static str> {
    let Outcome {
        before,
        between,
        after,
        ..
    } = outcome;
    let mut broken = Vec::new();
    let mut rule = |holds: bool, words| {
        if !holds {
            broken.push(words);
        }
    };
    let is_kept = |content: &str| after.values().any(|found| found == content);

    let came = between
        .iter()
        .filter(|(path, content)| before.get(*path) != Some(content));
    for (_, content) in came {
        rule(
            is_kept(content) || replaces_all(ours, moment),
            "what B stored is gone",
        );
    }
    let stored = ours.stores('A');
    match (outcome.ours, &stored) {
        (Ok(()), Some(content)) if ours != Act::DeleteChanged => {
            // Where B found it, it could do with it what it liked.
            let was_seen = before.get(ours.stores_at()) == Some(content);
            rule(
                was_seen || is_kept(content),
                "A was told that it is stored, and it is not",
            );
        }
        (Err(_), Some(content)) if ours.has_handle() && ours != Act::ChangeLarge => {
            // Where the act ended before anything was written, nothing need be kept.
            let nowhere = outcome.refused_early;
            rule(nowhere || is_kept(content), "A's version is not kept");
        }
        (Err(_), _) => {
            let gone = before.keys().filter(|path| !after.contains_key(*path));
            for path in gone {
                let by_theirs = !between.contains_key(path);
                rule(by_theirs, "a call that failed took a name away");
            }
        }
        (Ok(()), _) => {}
    }
    if outcome.ours.is_err() {
        let back = before.keys().filter(|path| !between.contains_key(*path));
        for path in back {
            rule(!after.contains_key(path), "what B removed is back");
        }
    }
    let known = |content: &str| {
        let mut known = before.values().chain(between.values());
        matches!(content, "" | "/")
            || stored.as_deref() == Some(content)
            || known.any(|it| it == content)
    };
    for content in after.values() {
        rule(known(content), "a content that nobody stored");
    }
    let copies = after.keys().filter(|path| path.ends_with('~')).count();
    rule(
        outcome.conflicts == copies as u64,
        "status tells of other copies than there are",
    );
    rule(
        outcome.uncommitted == 0,
        "something waits that nobody was told of",
    );
    broken
}
