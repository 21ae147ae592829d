//! Two parties at one name: everything that one does, with everything that another does coming
//! between, at each point where it can.
//!
//! Party A is a mount. Party B is another mount, or an S3 client that knows nothing of mounts;
//! it does all of its act while A is between two phases of its own, or while a request of A's
//! that changes the bucket is on its way. Two things are checked of each combination:
//!
//! - what holds of all of them ([`check`]): nobody's acknowledged content disappears;
//! - the outcome, against the table in `expected.txt`, so that a change of it shows: the moment,
//!   A's act, B's act, what A's call answered, and what is in the bucket then. `A` is a run of
//!   what A wrote, `o` and `p` were there before; `f~` is the conflict copy of `f`.
//!
//! The outcome does not depend on the layout, but for the rows that begin with one.

mod act;
mod check;
mod exclusive;
mod run;
mod tree;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use act::{Act, Start};
use run::Moment;

use crate::harness::Layout;

const EXPECTED: &str = include_str!("expected.txt");

/// The rows of a moment, by what is combined.
type Rows = BTreeMap<String, String>;

async fn found(layout: Layout, moment: Moment) -> (Rows, Vec<String>) {
    let (mut rows, mut broken) = (Rows::new(), Vec::new());
    for ours in Act::BY_MOUNT {
        if !run::comes_to(layout, ours, moment).await {
            continue;
        }
        for theirs in Act::BY_MOUNT.into_iter().chain(Act::BY_CLIENT) {
            if theirs == Act::ChangeLarge && ours.start() != Start::Large {
                continue;
            }
            let outcome = run::combination(layout, ours, moment, theirs).await;
            let row = format!("{moment:?} {ours:?} {theirs:?}");
            for rule in check::broken(ours, moment, &outcome) {
                broken.push(format!("{row}: {rule}: {}", outcome.shown()));
            }
            // What B could not do was in nobody's way.
            if outcome.theirs.is_ok() {
                rows.insert(row, outcome.shown());
            } else if outcome.ours.is_err() {
                broken.push(format!("{row}: A failed alone: {}", outcome.words));
            }
        }
    }
    (rows, broken)
}

/// The rows of the expected table for a moment.
fn expected(layout: Layout, moment: Moment) -> Rows {
    let begin = format!("{moment:?} ");
    let own = format!("{layout:?}: {moment:?} ");
    let cells = |row: &'static str| {
        let (row, outcome) = row.split_once('|').expect("a row has two sides");
        let row: Vec<_> = row
            .split_whitespace()
            .filter(|word| !word.ends_with(':'))
            .collect();
        (row.join(" "), outcome.trim().to_owned())
    };
    let general = EXPECTED.lines().filter(|row| row.starts_with(&begin));
    let special = EXPECTED.lines().filter(|row| row.starts_with(&own));
    general.chain(special).map(cells).collect()
}

async fn is_as_expected(layout: Layout, moment: Moment) {
    let (found, broken) = Box::pin(found(layout, moment)).await;
    let expected = expected(layout, moment);
    let mut differs = String::new();
    for row in found
        .keys()
        .chain(expected.keys().filter(|row| !found.contains_key(*row)))
    {
        let (is, was) = (found.get(row), expected.get(row));
        if is != was {
            let none = "no such row".to_owned();
            let (is, was) = (is.unwrap_or(&none), was.unwrap_or(&none));
            writeln!(differs, "{row:<46} | {is:<40} was {was}").unwrap();
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(
        differs.is_empty(),
        "the outcomes are not those of tests/fs/matrix/expected.txt; where the new ones are \
         right, change the rows there:\n{differs}"
    );
}

macro_rules! at_every_moment {
    ($($layout:ident: $name:ident),+) => {
        $(mod $name {
            use super::{Layout, Moment, is_as_expected};

            #[tokio::test(start_paused = true)]
            async fn when_the_file_is_open() {
                is_as_expected(Layout::$layout, Moment::Opened).await;
            }

            #[tokio::test(start_paused = true)]
            async fn when_the_file_is_changed() {
                is_as_expected(Layout::$layout, Moment::Changed).await;
            }

            #[tokio::test(start_paused = true)]
            async fn while_it_is_put() {
                is_as_expected(Layout::$layout, Moment::PutObject).await;
            }

            #[tokio::test(start_paused = true)]
            async fn while_its_upload_is_completed() {
                is_as_expected(Layout::$layout, Moment::CompleteMultipartUpload).await;
            }

            #[tokio::test(start_paused = true)]
            async fn while_it_is_copied() {
                is_as_expected(Layout::$layout, Moment::CopyObject).await;
            }

            #[tokio::test(start_paused = true)]
            async fn while_it_is_deleted() {
                is_as_expected(Layout::$layout, Moment::DeleteObject).await;
            }
        })+
    };
}

at_every_moment!(Plain: plain, Sealed: sealed);
