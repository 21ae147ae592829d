//! Moves that are ended at every request, and begun again.

use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::store::fault::{Effect, Rule};

/// Ends a move at its request of this number, before or after the store has carried it out;
/// nothing is heard of the store from then on. Whether it came that far.
async fn killed(rig: &Rig, from: &Is, to: &Is, at: u64, carried_out: bool) -> bool {
    let before = rig.ground.fault.calls().total();
    if carried_out {
        let lost = Effect::FailAfter(ErrorKind::Denied);
        rig.ground.fault.inject(Rule::new(lost).after(at).times(1));
    }
    let dead = Effect::FailBefore(ErrorKind::Denied);
    rig.ground.fault.inject(Rule::new(dead).after(at));
    let ended = rig.reencrypt(from, to, false).await;
    let came = rig.ground.fault.calls().total() - before > at;
    rig.ground.fault.clear();
    if !came {
        assert!(ended.is_ok_and(|summary| summary.is_done()));
    }
    came
}

/// Whatever is there opens with the old key or the new one, and is what it was.
async fn assert_readable(rig: &Rig, from: &Is, to: &Is, was: &Tree, what: &str) {
    let (old, new) = {
        let sides = rig.sides(from, to, true).await;
        let Sides { old, new, .. } = sides.unwrap_or_else(|error| panic!("{what}: {error}"));
        let open = async |side| {
            let (store, options) = (rig.ground.store(), rig.ground.options(true));
            let opened = Volume::open_as_it_is(store, PREFIX, options, side).await;
            opened.unwrap_or_else(|error| panic!("{what}: {error}"))
        };
        (open(old).await, open(new).await)
    };
    for (path, (body, attributes)) in was {
        if attributes.kind == FileKind::Directory {
            continue;
        }
        let name: VolumePath = path.parse().unwrap();
        let mut found = None;
        for volume in [&old, &new] {
            let Ok(Some(stat)) = volume.stat_file(&name).await else {
                continue;
            };
            let object = ObjectRef::Path(name.clone());
            let range = ByteRange::new(0, stat.size);
            let read = volume.read(&object, &stat.version.unwrap(), range).await;
            found = found.or(read.ok().filter(|read| read == body));
        }
        assert!(found.is_some(), "{what}: {path} opens with neither key");
    }
}

#[tokio::test]
async fn a_move_that_is_ended_at_any_request_can_be_begun_again() {
    for (from, to) in paths() {
        for at in 0.. {
            let what = format!("{from:?} to {to:?}, ended at request {at}");
            let rig = Rig::new();
            let was = rig.fill(&from, false).await;
            let came = killed(&rig, &from, &to, at, at % 2 == 0).await;
            assert_readable(&rig, &from, &to, &was, &what).await;
            rig.whole(&from, &to).await;
            assert_same(&rig, &to, &was, &what).await;
            if !came {
                assert!(at > 20, "{what}");
                break;
            }
        }
    }
}

#[test]
fn so_can_one_of_a_long_file_that_is_ended_at_random() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let moves = [
        (NONE, sealed(1, false)),
        (sealed(1, false), NONE),
        (NONE, sealed(1, true)),
    ];
    let config = Config {
        cases: 12,
        failure_persistence: None,
        ..Config::default()
    };
    let ends = proptest::collection::vec((0_u64..90, proptest::bool::ANY), 1..4);
    for (from, to) in moves {
        let mut runner = TestRunner::new(config.clone());
        let done = runner.run(&ends, |ends| {
            runtime.block_on(async {
                let rig = Rig::new();
                let was = rig.fill(&from, true).await;
                for (at, carried_out) in &ends {
                    let what = format!("{from:?} to {to:?}, ended at {ends:?}");
                    killed(&rig, &from, &to, *at, *carried_out).await;
                    assert_readable(&rig, &from, &to, &was, &what).await;
                }
                rig.whole(&from, &to).await;
                assert_same(&rig, &to, &was, &format!("{ends:?}")).await;
            });
            Ok(())
        });
        done.unwrap_or_else(|failed| panic!("{failed}"));
    }
}
