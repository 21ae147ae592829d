//! A mount that dies in the middle of a directory rename, at every request in turn: the next one
//! finishes the rename, and nothing is lost, doubled or left over.

use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::harness::{Bucket, Layout, Mount, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_rename_is_finished_wherever_its_mount_died,
    a_rename_is_finished_wherever_its_last_request_was_carried_out,
    a_rename_that_is_finished_by_half_is_finished_by_the_mount_after,
    what_others_changed_since_stays_at_both_names,
    a_refused_request_undoes_the_rename,
}

const FILES: [&str; 6] = ["1", "2", "3", "sub/4", "sub/5", "sub/deep/6"];

/// A tree at `d` with files, directories and a link.
async fn tree(bucket: &Bucket) -> Mount {
    let mount = bucket.mount().await;
    for directory in ["d", "d/sub", "d/sub/deep", "d/empty"] {
        mount.mkdir(directory).await.unwrap();
    }
    for file in FILES {
        let path = format!("d/{file}");
        mount.write_file(&path, file.as_bytes()).await.unwrap();
    }
    // Of another program, in the plain layout: no commit id tells what it is.
    bucket.put("d/foreign", b"foreign").await;
    mount
}

/// The whole tree is there and nothing else.
async fn assert_tree(bucket: &Bucket, mount: &Mount, at: &str, when: &str) {
    let mut expected: Vec<_> = ["", "sub/", "sub/deep/", "empty/", "foreign"]
        .iter()
        .chain(&FILES)
        .map(|rest| format!("{at}/{rest}"))
        .collect();
    expected.sort();
    assert_eq!(bucket.keys(), expected, "{when}");
    assert_eq!(bucket.private_keys(), [""; 0], "{when}");
    for file in FILES.iter().chain(&["foreign"]) {
        let read = mount.read_file(&format!("{at}/{file}")).await;
        assert_eq!(read.unwrap(), file.as_bytes(), "{file} {when}");
    }
}

/// Where the rename is, with every request from `calls` on failing so, and what is left after
/// the next mount. `None` when the rename needs no more requests.
async fn crash_at(layout: Layout, calls: u64, last: Effect) -> Option<()> {
    let bucket = Bucket::of(layout);
    let mount = tree(&bucket).await;
    let when = format!("after {last:?} at request {calls}");
    bucket.fault.inject(Rule::new(last).after(calls).times(1));
    // Spent rules pass a call on to the next: from here on the process is dead.
    let dead = Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).after(calls);
    let dead = bucket.fault.inject(dead);
    let renamed = mount.rename("d", "e").await;
    if renamed.is_ok() && bucket.fault.remove(dead) == Some(0) {
        return None;
    }
    bucket.fault.clear();
    let next = bucket.mount_again(mount).await;
    let at = if next.attr("e").await.is_ok() { "e" } else { "d" };
    if renamed.is_ok() {
        assert_eq!(at, "e", "{when}: it was acknowledged");
    }
    assert_tree(&bucket, &next, at, &when).await;
    Some(())
}

async fn crash_everywhere(layout: Layout, last: Effect) {
    let mut calls = 0;
    while crash_at(layout, calls, last).await.is_some() {
        calls += 1;
    }
    assert!(calls > 25, "a copy and a delete for each object, but {calls}");
}

async fn a_rename_is_finished_wherever_its_mount_died(layout: Layout) {
    crash_everywhere(layout, Effect::FailBefore(ErrorKind::Unavailable)).await;
}

async fn a_rename_is_finished_wherever_its_last_request_was_carried_out(layout: Layout) {
    crash_everywhere(layout, Effect::FailAfter(ErrorKind::Unavailable)).await;
}

async fn a_rename_that_is_finished_by_half_is_finished_by_the_mount_after(layout: Layout) {
    let mut stopped = 0;
    for (operation, calls) in [Operation::CopyObject, Operation::DeleteObject]
        .into_iter()
        .flat_map(|operation| (0..12).map(move |calls| (operation, calls)))
    {
        let bucket = Bucket::of(layout);
        let mount = half_renamed(&bucket).await;
        // The mount itself looks what the server can do, and clears that away.
        let (_, own) = bucket.calls(bucket.mount()).await;
        assert!(!bucket.private_keys().is_empty(), "the intent is not another machine's");
        let dead = Rule::new(Effect::FailBefore(ErrorKind::Denied));
        let dead = dead.on(operation).after(own.of(operation) + calls);
        let dead = bucket.fault.inject(dead);
        let second = bucket.mount_again(mount).await;
        stopped += u32::from(bucket.fault.remove(dead) > Some(0));
        let third = bucket.mount_again(second).await;
        let when = format!("{operation} {calls}");
        assert_tree(&bucket, &third, "e", &when).await;
    }
    assert!(stopped > 10, "the second mount finished it {stopped} times");
}

/// A mount that died when half of the objects were copied.
async fn half_renamed(bucket: &Bucket) -> Mount {
    let mount = tree(bucket).await;
    // Denied, as that is not tried again.
    let dead = || Rule::new(Effect::FailBefore(ErrorKind::Denied));
    let copies = dead().on(Operation::CopyObject).after(5);
    bucket.fault.inject(copies);
    bucket.fault.inject(dead().on(Operation::DeleteObject));
    mount.rename("d", "e").await.unwrap_err();
    bucket.fault.clear();
    mount
}

async fn what_others_changed_since_stays_at_both_names(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = tree(&bucket).await;
    let dead = Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::DeleteObject);
    bucket.fault.inject(dead);
    mount.rename("d", "e").await.unwrap_err();
    bucket.fault.clear();
    bucket.put("d/1", b"changed at the old name").await;
    bucket.put("e/2", b"changed at the new name").await;
    let next = bucket.mount_again(mount).await;
    for (path, content) in [
        ("d/1", "changed at the old name"),
        ("e/1", "1"),
        ("d/2", "2"),
        ("e/2", "changed at the new name"),
        ("e/sub/4", "sub/4"),
    ] {
        assert_eq!(next.read_file(path).await.unwrap(), content.as_bytes());
    }
    assert_eq!(errno(next.attr("d/3").await), libc::ENOENT);
    assert_eq!(bucket.private_keys(), [""; 0]);
}

async fn a_refused_request_undoes_the_rename(layout: Layout) {
    for (operation, lost) in [
        (Operation::CopyObject, Effect::FailBefore(ErrorKind::Denied)),
        (Operation::CopyObject, Effect::FailAfter(ErrorKind::Corrupt)),
    ] {
        let bucket = Bucket::of(layout);
        let mount = tree(&bucket).await;
        let refused = Rule::new(lost).on(operation).after(7).times(1);
        bucket.fault.inject(refused);
        mount.rename("d", "e").await.unwrap_err();
        assert_tree(&bucket, &mount, "d", &format!("{lost:?}")).await;
        mount.rename("d", "e").await.unwrap();
        assert_tree(&bucket, &mount, "e", "in the end").await;
    }
}
