//! A mount that dies in the middle of a directory rename, at every request in turn: the next one
//! finishes the rename, and nothing is lost, doubled or left over.

use std::time::Duration;

use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::harness::{Bucket, Layout, Mount, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_rename_is_finished_wherever_its_mount_died,
    a_rename_is_finished_wherever_its_last_request_was_carried_out,
    a_rename_is_finished_wherever_the_store_went_away,
    a_rename_is_finished_wherever_the_store_went_away_after_a_request,
    a_file_has_one_name_wherever_its_mount_died,
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

/// How a mount meets its end: what happens to the last request, and to all after it.
#[derive(Clone, Copy, Debug)]
struct End {
    last: Effect,
    then: Effect,
}

impl End {
    /// Killed before a request is sent.
    const BEFORE: Self = Self {
        last: Effect::HangBefore,
        then: Effect::HangBefore,
    };
    /// Killed while a request is answered.
    const AFTER: Self = Self {
        last: Effect::HangAfter,
        then: Effect::HangBefore,
    };
    /// The mount lives for a while, without its store.
    const AWAY: Self = Self {
        last: Effect::FailBefore(ErrorKind::Unavailable),
        then: Effect::FailBefore(ErrorKind::Unavailable),
    };
    const AWAY_AFTER: Self = Self {
        last: Effect::FailAfter(ErrorKind::Unavailable),
        then: Effect::FailBefore(ErrorKind::Unavailable),
    };

    /// Renames, and ends with this request. `None` when there are fewer.
    async fn rename(
        self,
        bucket: &Bucket,
        mount: &Mount,
        (from, to): (&str, &str),
        calls: u64,
    ) -> Option<bool> {
        bucket
            .fault
            .inject(Rule::new(self.last).after(calls).times(1));
        // A rule that is spent passes calls on to the next.
        let dead = bucket.fault.inject(Rule::new(self.then).after(calls));
        let renaming = mount.rename(from, to);
        // Waiting for nothing takes no time.
        let renamed = tokio::time::timeout(Duration::from_mins(1), renaming).await;
        let renamed = renamed.is_ok_and(|renamed| renamed.is_ok());
        let met = bucket.fault.remove(dead);
        bucket.fault.clear();
        (!renamed || met > Some(0)).then_some(renamed)
    }
}

/// A rename whose mount ends with this request, and what is left after the next mount. `None`
/// when it needs no more requests.
async fn crash_at(layout: Layout, calls: u64, end: End) -> Option<()> {
    let bucket = Bucket::of(layout);
    let mount = tree(&bucket).await;
    let when = format!("{end:?} at request {calls}");
    let renamed = end.rename(&bucket, &mount, ("d", "e"), calls).await?;
    let next = bucket.mount_again(mount).await;
    let at = if next.attr("e").await.is_ok() {
        "e"
    } else {
        "d"
    };
    if renamed {
        assert_eq!(at, "e", "{when}: it was acknowledged");
    }
    assert_tree(&bucket, &next, at, &when).await;
    Some(())
}

async fn crash_everywhere(layout: Layout, end: End) {
    tokio::time::pause();
    let mut calls = 0;
    while crash_at(layout, calls, end).await.is_some() {
        calls += 1;
    }
    assert!(
        calls > 25,
        "a copy and a delete for each object, but {calls}"
    );
}

async fn a_rename_is_finished_wherever_its_mount_died(layout: Layout) {
    crash_everywhere(layout, End::BEFORE).await;
}

async fn a_rename_is_finished_wherever_its_last_request_was_carried_out(layout: Layout) {
    crash_everywhere(layout, End::AFTER).await;
}

async fn a_rename_is_finished_wherever_the_store_went_away(layout: Layout) {
    crash_everywhere(layout, End::AWAY).await;
}

async fn a_rename_is_finished_wherever_the_store_went_away_after_a_request(layout: Layout) {
    crash_everywhere(layout, End::AWAY_AFTER).await;
}

async fn a_file_has_one_name_wherever_its_mount_died(layout: Layout) {
    tokio::time::pause();
    for end in [End::BEFORE, End::AFTER] {
        for replaces in [false, true] {
            let mut calls = 0;
            while file_crash_at(layout, end, replaces, calls).await.is_some() {
                calls += 1;
            }
            assert!(calls >= 4, "looks, a copy and a delete, but {calls}");
        }
    }
}

async fn file_crash_at(layout: Layout, end: End, replaces: bool, calls: u64) -> Option<()> {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("f", b"content").await.unwrap();
    if replaces {
        // Open, so that its content is kept for a while.
        mount.write_file("g", b"replaced").await.unwrap();
        mount.open("g", libc::O_RDONLY).await.unwrap();
    }
    end.rename(&bucket, &mount, ("f", "g"), calls).await?;
    let next = bucket.mount_again(mount).await;
    let when = format!("{end:?} at request {calls}");
    let names = bucket.keys();
    if names == ["g"] {
        assert_eq!(next.read_file("g").await.unwrap(), b"content", "{when}");
    } else {
        assert_eq!(
            names,
            if replaces {
                ["f", "g"].as_slice()
            } else {
                &["f"]
            },
            "{when}"
        );
        assert_eq!(next.read_file("f").await.unwrap(), b"content", "{when}");
        if replaces {
            assert_eq!(next.read_file("g").await.unwrap(), b"replaced", "{when}");
        }
    }
    assert_eq!(bucket.private_keys(), [""; 0], "{when}");
    Some(())
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
        assert!(
            !bucket.private_keys().is_empty(),
            "the intent is not another machine's"
        );
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
