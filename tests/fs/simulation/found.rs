//! What the simulation found, each as the few steps that matter.

use cloakfs::fs::CommitMode;
use cloakfs::store::ErrorKind;
use cloakfs::store::fault::Effect;

use super::plan::{Act, LARGE, Step, Trouble};
use super::{Row, run};
use crate::harness::Layout;
use crate::layouts::in_every_layout;

in_every_layout! {
    a_mount_that_died_before_it_heard_of_its_upload_is_followed_by_another,
    a_file_whose_old_name_a_rename_deleted_unheard_is_no_conflict,
    a_file_that_was_deleted_unheard_is_no_conflict,
    what_was_carried_out_unheard_is_renamed,
    a_handle_outlives_attributes_that_were_stored_unheard,
    a_closed_file_that_was_deleted_unheard_leaves_no_journal,
}

/// Runs what one mount does.
fn alone(layout: Layout, steps: impl IntoIterator<Item = (Act, Option<Trouble>)>) {
    alone_in(CommitMode::OnClose, layout, steps);
}

fn alone_in(
    mode: CommitMode,
    layout: Layout,
    steps: impl IntoIterator<Item = (Act, Option<Trouble>)>,
) {
    let steps = steps.into_iter().enumerate();
    let steps = steps.map(|(number, (act, trouble))| Step {
        number,
        mount: 0,
        act,
        trouble,
    });
    let steps: Vec<_> = steps.collect();
    // The machines have runtimes of their own.
    let done = std::thread::scope(|scope| {
        let row = Row {
            layout,
            mounts: 1,
            mode,
            retries: false,
        };
        scope.spawn(move || run(row, &steps)).join()
    });
    done.expect("it does not panic").unwrap();
}

fn path(path: &str) -> String {
    path.to_owned()
}

async fn a_mount_that_died_before_it_heard_of_its_upload_is_followed_by_another(layout: Layout) {
    for after in 0..6 {
        let write = Act::Write {
            path: path("a/x"),
            len: LARGE,
        };
        let carried_out = true;
        alone(
            layout,
            [(write, Some(Trouble::Dies { after, carried_out }))],
        );
    }
}

/// With one lost answer at each of the requests of `act`, on a file that is open and changed.
fn unheard(layout: Layout, act: &Act) {
    for after in 0..12 {
        let trouble = Trouble::Fails {
            after,
            effect: Effect::FailAfter(ErrorKind::TimedOut),
            times: Some(1),
        };
        let open = Act::Open { path: path("b/z") };
        let write = Act::WriteOpen { len: 70 };
        let steps = [(open, None), (Act::Fsync, None), (write, None)];
        alone(
            layout,
            steps.into_iter().chain([(act.clone(), Some(trouble))]),
        );
    }
}

async fn a_file_whose_old_name_a_rename_deleted_unheard_is_no_conflict(layout: Layout) {
    let (from, to) = (path("b/z"), path("a/w"));
    unheard(layout, &Act::Rename { from, to });
}

async fn a_file_that_was_deleted_unheard_is_no_conflict(layout: Layout) {
    unheard(layout, &Act::Unlink { path: path("b/z") });
}

/// A change whose answers are lost, and then a rename, which hears all.
async fn what_was_carried_out_unheard_is_renamed(layout: Layout) {
    let file = || path("b/z");
    let changes = [
        Act::Append {
            path: file(),
            len: 70,
        },
        Act::Chmod {
            path: file(),
            mode: 0o600,
        },
        Act::Fsync,
    ];
    let plans = changes
        .iter()
        .flat_map(|change| (0..6).map(move |after| (change, after)));
    for (change, after) in plans {
        let trouble = Trouble::Fails {
            after,
            effect: Effect::FailAfter(ErrorKind::TimedOut),
            times: None,
        };
        let (from, to) = (file(), path("a/w"));
        let len = 5;
        let steps = [
            (Act::Write { path: file(), len }, None),
            (Act::Open { path: file() }, None),
            (Act::WriteOpen { len }, None),
            (change.clone(), Some(trouble)),
            (Act::Rename { from, to }, None),
        ];
        alone(layout, steps);
    }
}

/// The bytes are the same under another version: nobody else replaced them.
async fn a_handle_outlives_attributes_that_were_stored_unheard(layout: Layout) {
    let file = || path("b/z");
    let (len, mode) = (5000, 0o600);
    for looks in [false, true] {
        for after in 0..6 {
            let trouble = Trouble::Fails {
                after,
                effect: Effect::FailAfter(ErrorKind::TimedOut),
                times: None,
            };
            let look = looks.then(|| (Act::Read { path: file() }, None));
            let steps = [
                (Act::Write { path: file(), len }, None),
                (Act::Open { path: file() }, None),
                (Act::Chmod { path: file(), mode }, Some(trouble)),
            ];
            let last = [(Act::WriteOpen { len: 3 }, None), (Act::Fsync, None)];
            alone(layout, steps.into_iter().chain(look).chain(last));
        }
    }
}

/// What was not changed of it is gone by this mount's own hand, and the next one knows that.
async fn a_closed_file_that_was_deleted_unheard_leaves_no_journal(layout: Layout) {
    let file = || path("b/z");
    for after in 0..6 {
        let unheard = Trouble::Fails {
            after,
            effect: Effect::FailAfter(ErrorKind::TimedOut),
            times: None,
        };
        let death = Trouble::Dies {
            after: 0,
            carried_out: false,
        };
        let (len, at) = (70, 500);
        let steps = [
            (Act::Write { path: file(), len }, None),
            (Act::SyncAll, None),
            (Act::Truncate { path: file(), at }, None),
            (Act::Unlink { path: file() }, Some(unheard)),
            (Act::Read { path: file() }, Some(death)),
        ];
        alone_in(CommitMode::WriteBack, layout, steps);
    }
}
