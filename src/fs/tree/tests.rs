use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::task::{JoinSet, yield_now};

use super::*;

fn path(text: &str) -> VolumePath {
    text.parse().unwrap()
}

fn span(from: &str, to: &str) -> Span {
    Span {
        from: path(from),
        to: path(to),
    }
}

fn at(text: &str) -> Use {
    Use::At(path(text))
}

fn names(text: &str) -> Use {
    Use::Names(path(text))
}

async fn hold(tree: &Tree, used: Use) -> Held<'_> {
    let Ok(held) = tree.hold(|| Ok::<_, Infallible>(vec![used.clone()])).await;
    held
}

async fn take(tree: &Tree, span: Span) -> Alone<'_> {
    let Ok(alone) = tree.take(|| Ok::<_, Infallible>(span.clone())).await;
    alone
}

#[test]
fn a_take_covers_what_is_below_and_the_lists_of_names_around_it() {
    let tree = Tree::default();
    let alone = take(&tree, span("d/from", "e/to")).now_or_never().unwrap();
    let is_free = |used| hold(&tree, used).now_or_never().is_some();
    for used in ["d/from", "d/from/x/y", "e/to", "e/to/x"].map(at) {
        assert!(!is_free(used.clone()), "{used:?}");
    }
    for used in ["d", "e", "d/from/x"].map(names) {
        assert!(!is_free(used.clone()), "{used:?}");
    }
    for used in ["", "d", "e", "d/fro", "d/from2", "e/t/to", "f"].map(at) {
        assert!(is_free(used.clone()), "{used:?}");
    }
    for used in ["", "f", "d/other"].map(names) {
        assert!(is_free(used.clone()), "{used:?}");
    }
    for (from, to) in [
        ("d", "x"),
        ("x", "d/from/y"),
        ("e/to/x", "y"),
        ("d/from", "z"),
    ] {
        assert!(
            take(&tree, span(from, to)).now_or_never().is_none(),
            "{from}"
        );
    }
    assert!(take(&tree, span("d/x", "e/y")).now_or_never().is_some());
    let has_below = |used: &str| tree.has_taken_below(&path(used));
    assert!(has_below("d") && has_below("e/to") && has_below(""));
    assert!(!has_below("d/from/x") && !has_below("d/fro") && !has_below("f"));
    drop(alone);
    assert!(is_free(at("d/from/x")) && !has_below("d"));
    let state = tree.state();
    assert_eq!(state.held.len() + state.wanted.len(), 0);
}

#[tokio::test]
async fn a_take_waits_for_who_is_below_and_keeps_nobody_out_meanwhile() {
    let tree = Tree::default();
    let below = hold(&tree, at("from/x")).await;
    let mut taking = Box::pin(take(&tree, span("from", "to")));
    assert!((&mut taking).now_or_never().is_none());
    assert!(tree.is_wanted(&path("from/y")) && !tree.is_wanted(&path("other")));
    let later = hold(&tree, at("from/y")).now_or_never().expect("free");
    drop(below);
    assert!((&mut taking).now_or_never().is_none());
    drop(later);
    let alone = taking.now_or_never().expect("nobody is below any more");
    assert!(tree.is_wanted(&path("to/y")));
    drop(alone);
    assert!(!tree.is_wanted(&path("to/y")));
}

#[tokio::test]
async fn who_gives_up_waiting_is_not_made_way_for() {
    let tree = Tree::default();
    let _below = hold(&tree, at("from/x")).await;
    {
        let mut taking = Box::pin(take(&tree, span("from", "to")));
        assert!((&mut taking).now_or_never().is_none());
    }
    assert!(!tree.is_wanted(&path("from/y")));
}

/// A directory on the way was renamed between finding the path and holding it.
#[tokio::test]
async fn what_is_held_is_where_it_was_found() {
    let (tree, looks) = (Tree::default(), AtomicUsize::new(0));
    let found = || {
        let look = looks.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(vec![at(if look == 0 { "old/f" } else { "new/f" })])
    };
    let Ok(held) = tree.hold(found).await;
    assert!(held.is_at(&path("new/f")) && !held.is_at(&path("old/f")));
    assert_eq!(tree.state().held.len(), 1);
}

#[tokio::test]
async fn readers_wait_for_what_moves_and_for_nothing_else() {
    let tree = Tree::default();
    let alone = take(&tree, span("from", "to")).await;
    // Who has it may still wait for a reader.
    assert_eq!(tree.settled(&path("from/x")).now_or_never(), Some(false));
    alone.begin_moving();
    assert_eq!(tree.settled(&path("other")).now_or_never(), Some(false));
    let below = path("from/x");
    let mut settling = Box::pin(tree.settled(&below));
    assert_eq!((&mut settling).now_or_never(), None);
    drop(alone);
    assert_eq!(settling.now_or_never(), Some(true));
}

#[derive(Clone, Debug)]
enum Step {
    Hold(Use),
    Take(Span),
}

fn paths() -> impl Strategy<Value = VolumePath> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|names| path(&names.join("/")))
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize)>> {
    let step = prop_oneof![
        3 => paths().prop_map(|path| Step::Hold(Use::At(path))),
        1 => paths().prop_map(|path| Step::Hold(Use::Names(path))),
        1 => (paths(), paths()).prop_map(|(from, to)| Step::Take(Span { from, to })),
    ];
    prop::collection::vec((step, 0..4_usize), 1..30)
}

/// What somebody has at the moment.
type Owned = Arc<Mutex<Vec<(usize, Step)>>>;

fn enter(owned: &Owned, index: usize, step: &Step) {
    let mut owned = owned.lock().unwrap();
    for (_, other) in owned.iter() {
        let disjoint = match (step, other) {
            (Step::Hold(_), Step::Hold(_)) => true,
            (Step::Hold(used), Step::Take(span)) | (Step::Take(span), Step::Hold(used)) => {
                !span.overlaps_use(used)
            }
            (Step::Take(mine), Step::Take(theirs)) => !mine.overlaps(theirs),
        };
        assert!(disjoint, "{step:?} beside {other:?}");
    }
    owned.push((index, step.clone()));
}

fn leave(owned: &Owned, index: usize) {
    owned.lock().unwrap().retain(|(other, _)| *other != index);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Nobody has what somebody else took, and everybody gets a turn.
    #[test]
    fn takes_overlap_nothing_and_all_of_it_ends(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (tree, owned) = (Arc::new(Tree::default()), Owned::default());
            let mut tasks = JoinSet::new();
            for (index, (step, turns)) in steps.into_iter().enumerate() {
                let (tree, owned) = (Arc::clone(&tree), Arc::clone(&owned));
                tasks.spawn(async move {
                    let (_held, _alone) = match step.clone() {
                        Step::Hold(used) => (Some(hold(&tree, used).await), None),
                        Step::Take(span) => (None, Some(take(&tree, span).await)),
                    };
                    enter(&owned, index, &step);
                    for _ in 0..turns {
                        yield_now().await;
                    }
                    leave(&owned, index);
                });
            }
            tasks.join_all().await;
            let state = tree.state();
            assert_eq!(state.held.len() + state.wanted.len() + state.taken.len(), 0);
        });
    }
}
