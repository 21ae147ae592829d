//! Who works at a directory rename: its owner as long as it lives, and one other mount after
//! that. Time is that of the test, so the minutes of an intent's term pass at once.

use std::sync::Arc;
use std::time::Duration;

use cloakfs::fs::FileKind;
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation, Store};
use cloakfs::volume::{Volume, VolumeOptions};

use crate::harness::{Bucket, Mount, errno};
use crate::settings::options;

/// How long an intent holds.
const TERM: Duration = Duration::from_mins(3);
/// A time to live that does not end.
const FOREVER: Duration = Duration::from_hours(1000);
const INTENTS: &str = ".cloakfs/intents/";

async fn tree(bucket: &Bucket) -> Mount {
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    for index in 0..3 {
        mount
            .write_file(&format!("d/{index}"), b"content")
            .await
            .unwrap();
    }
    mount
}

/// The owner's rename, under way.
fn renaming(owner: &Arc<Mount>) -> tokio::task::JoinHandle<crate::harness::Result<()>> {
    let owner = Arc::clone(owner);
    tokio::spawn(async move { owner.rename("d", "e").await })
}

fn is_moved(bucket: &Bucket) -> bool {
    bucket.keys() == ["e/", "e/0", "e/1", "e/2"] && bucket.private_keys().is_empty()
}

/// A mount whose rename never ends, as that of a machine that was switched off.
async fn switched_off(bucket: &Bucket) {
    let mount = tree(bucket).await;
    let rule = bucket.fault.inject(
        Rule::new(Effect::HangBefore)
            .on(Operation::CopyObject)
            .after(1),
    );
    let renaming = mount.rename("d", "e");
    let hangs = tokio::time::timeout(Duration::from_secs(1), renaming).await;
    hangs.unwrap_err();
    drop(mount);
    bucket.fault.remove(rule);
    assert_eq!(bucket.private_keys().len(), 1, "its intent");
}

#[tokio::test(start_paused = true)]
async fn a_slow_rename_is_left_to_its_owner() {
    let bucket = Bucket::new();
    let owner = Arc::new(tree(&bucket).await);
    let slow = Rule::new(Effect::Delay(5 * TERM));
    bucket
        .fault
        .inject(slow.clone().on(Operation::CopyObject).under("e/"));
    bucket
        .fault
        .inject(slow.on(Operation::DeleteObject).under("d/"));
    let before = bucket.fault.calls();
    let renaming = renaming(&owner);
    tokio::time::sleep(TERM).await;
    assert_eq!(owner.fs.status().renames[0].objects, 4);
    let others = [bucket.mount().await, bucket.mount().await];
    renaming.await.unwrap().unwrap();
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    assert_eq!(owner.fs.status().renames, []);
    // The probes of the mounts are two each.
    let calls = bucket.fault.calls().since(&before);
    assert_eq!(calls.of(Operation::CopyObject), 4 + 2 * 2, "{calls}");
    drop(others);
}

#[tokio::test(start_paused = true)]
async fn a_rename_of_a_machine_that_is_gone_is_finished_after_twice_its_term() {
    let bucket = Bucket::new();
    switched_off(&bucket).await;
    let watchers = [bucket.mount().await, bucket.mount().await];
    tokio::time::sleep(Duration::from_secs(359)).await;
    assert!(!is_moved(&bucket), "its owner may be alive");
    assert!(bucket.keys().contains(&"d/2".to_owned()));
    tokio::time::sleep(TERM).await;
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    for watcher in watchers {
        assert_eq!(watcher.read_file("e/2").await.unwrap(), b"content");
    }
}

/// Whoever else could own an intent is dead by the lease.
#[tokio::test(start_paused = true)]
async fn a_mount_that_is_alone_finishes_at_once_what_another_machine_began() {
    let bucket = Bucket::new();
    switched_off(&bucket).await;
    let alone = bucket.mount_as(FOREVER, |options| options.alone = true);
    let alone = alone.await;
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    assert_eq!(errno(alone.attr("d").await), libc::ENOENT);
    assert_eq!(alone.read_file("e/2").await.unwrap(), b"content");
}

/// An owner that another mount could not see, or that was paused: it undoes nothing.
#[tokio::test(start_paused = true)]
async fn an_owner_whose_rename_another_has_finished_takes_nothing_back() {
    let bucket = Bucket::new();
    let owner = Arc::new(tree(&bucket).await);
    let late = Rule::new(Effect::Delay(TERM / 6)).on(Operation::CopyObject);
    bucket.fault.inject(late.under("e/").after(1).times(2));
    let renaming = renaming(&owner);
    while bucket.fault.calls().of(Operation::CopyObject) < 3 {
        tokio::task::yield_now().await;
    }
    let alone = bucket.mount_as(FOREVER, |options| options.alone = true);
    drop(alone.await);
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    renaming.await.unwrap().unwrap_err();
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
}

#[tokio::test(start_paused = true)]
async fn a_rename_that_a_mount_alone_cannot_finish_is_told_and_left_as_it_is() {
    let bucket = Bucket::new();
    switched_off(&bucket).await;
    let before = bucket.keys();
    let denied = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::CopyObject);
    bucket.fault.inject(denied.under("e/"));
    let state = bucket.new_state();
    let open = || {
        let options = VolumeOptions {
            alone: true,
            ..options(&state)
        };
        Volume::open(Arc::clone(&bucket.fault) as Arc<dyn Store>, "", options)
    };
    let volume = open().await.unwrap();
    let [told] = volume.half_renamed() else {
        panic!("{:?}", volume.half_renamed());
    };
    let sentence = "an earlier mount died while it renamed \"d\" to \"e\", and this could not be \
                    finished, so its files are at either name or at both until the next mount \
                    tries again: ";
    assert!(told.starts_with(sentence), "{told}");
    tokio::time::sleep(10 * TERM).await;
    assert_eq!(
        bucket.keys(),
        before,
        "names that were seen stay as they are"
    );
    drop(volume);
    bucket.fault.clear();
    let volume = open().await.unwrap();
    assert_eq!(volume.half_renamed(), [""; 0]);
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
}

/// Its caches hear of it, which would be wrong for the time to live.
#[tokio::test(start_paused = true)]
async fn a_mount_that_finishes_a_rename_while_it_serves_shows_the_new_names_at_once() {
    let bucket = Bucket::new();
    switched_off(&bucket).await;
    let watcher = bucket.mount_with(FOREVER).await;
    for index in 0..3 {
        watcher.attr(&format!("d/{index}")).await.unwrap();
    }
    let missing: Vec<_> = (0..3)
        .map(|index| format!("e/{index}"))
        .filter(|path| !bucket.keys().contains(path))
        .collect();
    assert!(!missing.is_empty());
    for path in &missing {
        assert_eq!(errno(watcher.attr(path).await), libc::ENOENT);
    }
    let names = watcher.list("").await.unwrap();
    assert!(names.iter().any(|(name, _)| name == "d"), "{names:?}");
    tokio::time::sleep(3 * TERM).await;
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    for path in &missing {
        assert_eq!(watcher.read_file(path).await.unwrap(), b"content");
    }
    assert_eq!(errno(watcher.attr("d/2").await), libc::ENOENT);
    assert_eq!(errno(watcher.attr("d").await), libc::ENOENT);
    let names = watcher.list("").await.unwrap();
    assert_eq!(names, [("e".to_owned(), FileKind::Directory)]);
}

#[tokio::test(start_paused = true)]
async fn a_mount_of_the_same_machine_finishes_at_once_what_a_dead_one_began() {
    let bucket = Bucket::new();
    let mount = tree(&bucket).await;
    let hang = Rule::new(Effect::HangBefore).on(Operation::CopyObject);
    let hang = bucket.fault.inject(hang.after(1));
    let renaming = mount.rename("d", "e");
    let hangs = tokio::time::timeout(Duration::from_secs(1), renaming).await;
    hangs.unwrap_err();
    bucket.fault.remove(hang);
    let next = bucket.mount_again(mount).await;
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    assert_eq!(next.read_file("e/0").await.unwrap(), b"content");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_cannot_renew_its_intent_stops() {
    let bucket = Bucket::new();
    let owner = tree(&bucket).await;
    let slow = Rule::new(Effect::Delay(2 * TERM));
    bucket
        .fault
        .inject(slow.on(Operation::CopyObject).under("e/"));
    let cut_off = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
    let cut_off = cut_off.on(Operation::PutObject).under(INTENTS).after(1);
    let cut_off = bucket.fault.inject(cut_off);
    let before = bucket.fault.calls();
    let renamed = owner.rename("d", "e").await;
    assert_eq!(errno(renamed), libc::EIO);
    let calls = bucket.fault.calls().since(&before);
    assert_eq!(calls.of(Operation::DeleteObject), 0, "{calls}");
    assert_eq!(bucket.private_keys().len(), 1, "its intent");
    bucket.fault.remove(cut_off);
    bucket.fault.clear();
    let next = bucket.mount_again(owner).await;
    assert!(is_moved(&bucket), "{:?}", bucket.keys());
    assert_eq!(next.read_file("e/0").await.unwrap(), b"content");
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_rename_was_taken_over_stops() {
    let bucket = Bucket::new();
    let owner = tree(&bucket).await;
    let slow = Rule::new(Effect::Delay(2 * TERM));
    bucket
        .fault
        .inject(slow.on(Operation::CopyObject).under("e/"));
    let renaming = owner.rename("d", "e");
    let taking_over = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let intent = bucket.private_keys().remove(0);
        bucket.put(&intent, b"another's").await;
    };
    let (renamed, ()) = tokio::join!(renaming, taking_over);
    let error = renamed.unwrap_err();
    assert_eq!(error.errno(), libc::EIO);
    assert!(
        error.to_string().contains("taken over by another mount"),
        "{error}"
    );
    // Nothing is undone, and nothing deleted: the other one goes on.
    assert!(bucket.keys().contains(&"d/0".to_owned()));
    assert!(bucket.keys().contains(&"e/0".to_owned()));
}
