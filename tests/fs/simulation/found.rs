//! What the simulation found, each as the few steps that matter.

use super::plan::{Act, LARGE, Step, Trouble};
use super::{Row, run};
use crate::harness::Layout;
use crate::layouts::in_every_layout;

in_every_layout! {
    a_mount_that_died_before_it_heard_of_its_upload_is_followed_by_another,
}

/// Runs what one mount does.
fn alone(layout: Layout, steps: impl IntoIterator<Item = (Act, Option<Trouble>)>) {
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
        let row = Row { layout, mounts: 1 };
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
