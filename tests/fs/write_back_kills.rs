//! A mount that dies at each call to the bucket in turn, before the call took effect and after it:
//! what the next mount finds is what was acknowledged, or what the call that died was to make of it.

use std::collections::BTreeMap;

use cloakfs::fs::CommitMode;
use cloakfs::store::ErrorKind::Unavailable;
use cloakfs::store::fault::{Effect, Rule};

use crate::crashes::{NEW, contents, crash, journals, state};
use crate::harness::{Bucket, Layout, Mount, Result};

type Files = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(&'static str, &'static [u8]),
    Append(&'static str, &'static [u8]),
    Fsync(&'static str, &'static [u8]),
    Rename(&'static str, &'static str),
    Unlink(&'static str),
    Sync,
}

/// Each kind of step on files that wait and on files that are stored.
const SCRIPT: [Step; 21] = [
    Step::Write("a", b"first"),
    Step::Append("a", b" and more"),
    Step::Write("b", b"waits"),
    Step::Rename("b", "c"),
    Step::Sync,
    Step::Append("a", b" still"),
    Step::Append("c", b" too"),
    Step::Rename("c", "d"),
    Step::Write("draft", b"over a stored file"),
    Step::Rename("draft", "a"),
    Step::Fsync("e", b"stored at once"),
    Step::Append("e", b" and then more"),
    Step::Unlink("d"),
    Step::Sync,
    Step::Write("a", b"rewritten"),
    Step::Unlink("a"),
    Step::Write("f", b"never stored"),
    Step::Unlink("f"),
    Step::Write("g", b""),
    Step::Append("e", b" and more"),
    Step::Sync,
];

async fn perform(mount: &Mount, step: Step) -> Result<()> {
    match step {
        Step::Write(path, data) => mount.write_file(path, data).await,
        Step::Append(path, data) => {
            let (_, handle) = mount.open(path, libc::O_WRONLY | libc::O_APPEND).await?;
            let end = mount.attr(path).await?.size;
            mount.write_at(handle, end, data).await?;
            mount.close(handle).await
        }
        Step::Fsync(path, data) => {
            let (_, handle) = mount.open(path, NEW).await?;
            mount.write_at(handle, 0, data).await?;
            mount.fs.fsync(handle, false).await?;
            mount.close(handle).await
        }
        Step::Rename(from, to) => mount.rename(from, to).await,
        Step::Unlink(path) => mount.unlink(path).await,
        Step::Sync => mount.fs.sync_all(|_| {}).await,
    }
}

/// What the files are after the step.
fn apply(files: &Files, step: Step) -> Files {
    let mut files = files.clone();
    match step {
        Step::Write(path, data) | Step::Fsync(path, data) => {
            files.insert(path.to_owned(), data.to_vec());
        }
        Step::Append(path, data) => files.get_mut(path).unwrap().extend_from_slice(data),
        Step::Rename(from, to) => {
            let moved = files.remove(from).unwrap();
            files.insert(to.to_owned(), moved);
        }
        Step::Unlink(path) => {
            files.remove(path);
        }
        Step::Sync => {}
    }
    files
}

/// What a step may have made of the files when it did not return.
fn allowed(files: &Files, step: Step) -> Vec<Files> {
    let mut states = vec![files.clone(), apply(files, step)];
    match step {
        // The steps of a program that overwrites, each of which may be the last.
        Step::Write(path, _) | Step::Fsync(path, _) => {
            let mut emptied = files.clone();
            emptied.insert(path.to_owned(), Vec::new());
            states.push(emptied);
        }
        // Copied and not yet deleted.
        Step::Rename(from, to) => {
            let mut both = files.clone();
            both.insert(to.to_owned(), files[from].clone());
            states.push(both);
        }
        Step::Append(..) | Step::Unlink(_) | Step::Sync => {}
    }
    states
}

/// Runs the script until call number `at` dies; whether one did.
async fn die_at(layout: Layout, mode: CommitMode, at: u64, effect: Effect) -> bool {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = bucket.mount_in(state.path(), mode).await;
    bucket.fault.inject(Rule::new(effect).after(at).times(1));
    // Dead from then on.
    let dead = Rule::new(Effect::FailBefore(Unavailable)).after(at);
    let dead = bucket.fault.inject(dead);
    let mut files = Files::new();
    let mut died = None;
    for step in SCRIPT {
        if perform(&mount, step).await.is_err() {
            died = Some(step);
            break;
        }
        files = apply(&files, step);
    }
    crash(mount).await;
    let hit = bucket.fault.remove(dead).unwrap() > 0 || died.is_some();
    bucket.fault.clear();
    let mount = bucket.mount_in(state.path(), mode).await;
    let found = contents(&bucket).await;
    let states = died.map_or_else(|| vec![files.clone()], |step| allowed(&files, step));
    assert!(
        states.contains(&found),
        "call {at} {effect:?}, {died:?} after {files:?}: found {found:?}"
    );
    let status = mount.fs.status();
    assert_eq!(
        status.conflicts_total, 0,
        "call {at} {effect:?}: {:?}",
        status.conflicts
    );
    assert!(status.unreplayed.is_empty(), "call {at} {effect:?}");
    assert_eq!(bucket.private_keys(), [""; 0], "call {at} {effect:?}");
    let own = usize::from(mode == CommitMode::WriteBack);
    assert_eq!(journals(state.path()), own, "call {at} {effect:?}");
    hit
}

async fn die_everywhere(layout: Layout, mode: CommitMode) {
    for effect in [
        Effect::FailBefore(Unavailable),
        Effect::FailAfter(Unavailable),
    ] {
        let mut at = 0;
        while die_at(layout, mode, at, effect).await {
            at += 1;
        }
        assert!(at > 20, "the script makes more calls than {at}");
    }
}

#[tokio::test]
async fn write_back_loses_nothing_wherever_it_dies() {
    die_everywhere(Layout::Plain, CommitMode::WriteBack).await;
}

#[tokio::test]
async fn write_back_loses_nothing_wherever_it_dies_in_a_client_side_volume() {
    die_everywhere(Layout::SealedNames, CommitMode::WriteBack).await;
}

#[tokio::test]
async fn on_close_loses_nothing_wherever_it_dies() {
    die_everywhere(Layout::Plain, CommitMode::OnClose).await;
}
