//! Write-back and names: what is renamed and removed before its upload, and dies then.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use cloakfs::fs::{CommitMode, ROOT};
use cloakfs::store::ErrorKind::{Denied, Unavailable};
use cloakfs::store::Operation::{CopyObject, GetObject, HeadObject, PutObject};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::mem::MemStore;

use crate::crashes::{
    NEW, all_unavailable_but_lookups, contents, contents_now, crash, eventually, expected,
    journals, state, write_back,
};
use crate::harness::{Bucket, Layout, Mount, Result, errno};
use crate::layouts::in_every_layout;

in_every_layout!(
    names_are_replayed_as_they_were_left,
    a_directory_takes_what_waits_below_it_along,
    what_is_closed_while_a_rename_waits_for_its_turn_is_replayed,
    what_cannot_be_stored_then_fails_the_rename,
    a_removed_file_does_not_come_back,
    what_cannot_be_put_together_is_kept_and_listed,
    what_was_given_up_in_the_background_is_told_by_the_next_sync_once,
);

/// Editors write a draft and rename it over the file; some files have no upload yet.
async fn names_are_replayed_as_they_were_left(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    bucket.put("stored", b"before").await;
    bucket.put("removed", b"before").await;
    let mount = write_back(&bucket, &state).await;
    for (path, data) in [
        ("draft", &b"over an object"[..]),
        ("draft2", b"over a file that waits"),
        ("waits", b"replaced"),
        ("moved", b"twice"),
    ] {
        mount.write_file(path, data).await.unwrap();
    }
    mount.rename("draft", "stored").await.unwrap();
    mount.rename("draft2", "waits").await.unwrap();
    mount.rename("moved", "moved2").await.unwrap();
    mount.rename("moved2", "moved3").await.unwrap();
    // It is changed, which waits, and then removed from the bucket.
    mount.write_file("removed", b"changed").await.unwrap();
    mount.unlink("removed").await.unwrap();
    all_unavailable_but_lookups(&bucket);
    crash(mount).await;
    bucket.fault.clear();

    let mount = write_back(&bucket, &state).await;
    let files = expected(&[
        ("moved3", b"twice"),
        ("stored", b"over an object"),
        ("waits", b"over a file that waits"),
    ]);
    assert_eq!(contents(&bucket).await, files);
    assert_eq!(mount.fs.status().conflicts_total, 0);
    assert_eq!(journals(state.path()), 1);
}

async fn a_directory_takes_what_waits_below_it_along(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    mount.mkdir("a").await.unwrap();
    mount.mkdir("a/b").await.unwrap();
    mount.write_file("a/b/f", b"waits").await.unwrap();
    assert_eq!(errno(mount.rmdir("a/b").await), libc::ENOTEMPTY);
    mount.rename("a", "c").await.unwrap();
    let (_, handle) = mount.open("c/b/g", NEW).await.unwrap();
    mount.write_at(handle, 0, b"later").await.unwrap();
    all_unavailable_but_lookups(&bucket);
    mount.close(handle).await.unwrap();
    crash(mount).await;
    bucket.fault.clear();
    let mount = write_back(&bucket, &state).await;
    let files = expected(&[("c/b/f", b"waits"), ("c/b/g", b"later")]);
    assert_eq!(contents(&bucket).await, files);
    assert_eq!(mount.fs.status().conflicts_total, 0);
}

/// Closes `a/g` when a rename of `a` has flushed what is below it, and waits for the directory,
/// which a slow lookup holds; the rename's answer.
async fn closed_before_the_rename(bucket: &Bucket, mount: &Mount) -> Result<()> {
    mount.mkdir("a").await.unwrap();
    mount.write_file("a/f", b"stored").await.unwrap();
    mount.fs.sync_all(|_| {}).await.unwrap();
    let (_, handle) = mount.open("a/g", NEW).await.unwrap();
    mount.write_at(handle, 0, b"closed late").await.unwrap();
    let (from, to) = (OsStr::new("a"), OsStr::new("c"));
    mount.attr("a").await.unwrap();
    let slow = Rule::new(Effect::Delay(Duration::from_secs(1))).times(1);
    bucket.fault.inject(slow);
    let holds = mount.attr("a/missing");
    let renames = mount.fs.rename(ROOT, from, ROOT, to, 0);
    let closes = async {
        mount.close(handle).await.unwrap();
        assert!(!has_intent(&bucket.mem), "the rename has not begun");
    };
    let (missing, renamed, ()) = tokio::join!(holds, renames, closes);
    assert_eq!(errno(missing), libc::ENOENT);
    renamed
}

fn has_intent(mem: &MemStore) -> bool {
    mem.keys().iter().any(|key| key.contains("/intents/"))
}

/// The daemon is killed during that very rename.
async fn what_is_closed_while_a_rename_waits_for_its_turn_is_replayed(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    let killed = Rule::new(Effect::HangBefore).on(CopyObject);
    bucket.fault.inject(killed);
    let mem = Arc::clone(&bucket.mem);
    tokio::select! {
        renamed = closed_before_the_rename(&bucket, &mount) => panic!("{renamed:?}"),
        () = eventually(move || has_intent(&mem)) => {}
    }
    crash(mount).await;
    bucket.fault.clear();
    let mount = write_back(&bucket, &state).await;
    let files = expected(&[("c/f", b"stored"), ("c/g", b"closed late")]);
    assert_eq!(contents(&bucket).await, files);
    assert_eq!(mount.fs.status().unreplayed.len(), 0);
    assert_eq!(journals(state.path()), 1);
}

async fn what_cannot_be_stored_then_fails_the_rename(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    let denied = Rule::new(Effect::FailBefore(Denied)).on(PutObject);
    bucket
        .fault
        .inject(denied.exactly(bucket.key("a/g").as_str()));
    let renamed = closed_before_the_rename(&bucket, &mount).await;
    assert_eq!(errno(renamed), libc::EACCES);
    assert_eq!(bucket.keys(), ["a/", "a/f"]);
    assert_eq!(mount.read_file("a/g").await.unwrap(), b"closed late");
    bucket.fault.clear();
    mount.rename("a", "c").await.unwrap();
    let files = expected(&[("c/f", b"stored"), ("c/g", b"closed late")]);
    assert_eq!(contents(&bucket).await, files);
}

/// Its upload got through and nobody heard: removing it must find that out.
async fn a_removed_file_does_not_come_back(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    for path in ["f", "g"] {
        mount.write_file(path, b"data").await.unwrap();
    }
    for (effect, operation) in [
        (Effect::FailAfter(Unavailable), PutObject),
        (Effect::FailBefore(Unavailable), HeadObject),
        (Effect::FailBefore(Unavailable), GetObject),
    ] {
        bucket.fault.inject(Rule::new(effect).on(operation));
    }
    mount.fs.sync_all(|_| {}).await.unwrap_err();
    assert_eq!(bucket.keys(), ["f", "g"]);
    bucket.fault.clear();
    mount.unlink("f").await.unwrap();
    mount.rename("g", "h").await.unwrap();
    assert_eq!(bucket.keys(), ["h"]);
    crash(mount).await;
    assert_eq!(journals(state.path()), 0);
}

/// Only what was changed of a large file is here, and the rest was replaced.
async fn what_cannot_be_put_together_is_kept_and_listed(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    mount.write_file("large", &vec![1; 20 << 20]).await.unwrap();
    mount.fs.sync_all(|_| {}).await.unwrap();
    all_unavailable_but_lookups(&bucket);
    let (_, handle) = mount.open("large", libc::O_WRONLY).await.unwrap();
    mount.write_at(handle, 9 << 20, b"changed").await.unwrap();
    mount.close(handle).await.unwrap();
    mount.write_file("small", b"whole").await.unwrap();
    crash(mount).await;
    bucket.fault.clear();
    bucket.put("large", b"theirs").await;

    for files in [1, 0] {
        let mount = write_back(&bucket, &state).await;
        let told = mount.fs.replayed();
        let line = told.last().unwrap();
        let sentence = "1 of its files cannot be stored; see cloakfs status and cloakfs recover";
        assert!(line.ends_with(sentence), "{told:?}");
        assert_eq!(told.len(), 1 + files, "the other was stored: {told:?}");
        let kept = &mount.fs.status().unreplayed[0];
        let file = &kept.files[0];
        assert_eq!(
            (kept.files.len(), file.path.as_str(), file.bytes),
            (1, "large", 7)
        );
        let why = "the changes cannot be saved: ";
        assert!(file.why.contains(why), "{}", file.why);
        let files = expected(&[("large", b"theirs"), ("small", b"whole")]);
        assert_eq!(contents(&bucket).await, files);
        assert_eq!(journals(state.path()), 2);
        crash(mount).await;
    }
    assert_eq!(journals(state.path()), 1);
}

#[tokio::test]
async fn without_its_key_a_journal_is_kept_and_listed() {
    let (bucket, state) = (Bucket::new(), state());
    let mount = write_back(&bucket, &state).await;
    all_unavailable_but_lookups(&bucket);
    mount.write_file("f", b"data").await.unwrap();
    crash(mount).await;
    bucket.fault.clear();
    let (key, away) = (state.path().join("local.key"), state.path().join("away"));
    std::fs::rename(&key, &away).unwrap();
    let mount = bucket.mount_in(state.path(), CommitMode::OnClose).await;
    let kept = &mount.fs.status().unreplayed[0];
    let sentence = "the key of this machine's journals cannot be used: ";
    assert!(kept.why.contains(sentence), "{}", kept.why);
    assert!(
        kept.why.contains("bring the file back from a backup"),
        "{}",
        kept.why
    );
    assert_eq!(bucket.keys(), [""; 0]);
    crash(mount).await;
    std::fs::rename(&away, &key).unwrap();
    let read_only = bucket.mount_in_with(state.path(), CommitMode::WriteBack, |config| {
        config.read_only = true;
    });
    let mount = read_only.await;
    assert_eq!(
        mount.fs.status().unreplayed[0].why,
        "this mount is read-only"
    );
    crash(mount).await;
    let mount = bucket.mount_in(state.path(), CommitMode::OnClose).await;
    assert_eq!(mount.fs.status().unreplayed.len(), 0);
    assert_eq!(contents_now(&bucket, "f").await, b"data");
    assert_eq!(journals(state.path()), 0);
}

/// Slower, and never lossy.
#[tokio::test]
async fn with_the_journal_full_close_waits_for_the_upload() {
    let (bucket, state) = (Bucket::new(), state());
    let small = bucket.mount_in_with(state.path(), CommitMode::WriteBack, |config| {
        config.staging_bytes = 1 << 20;
    });
    let mount = small.await;
    let held = Rule::new(Effect::FailBefore(Unavailable)).on(PutObject);
    let held = bucket.fault.inject(held.exactly("f"));
    mount.write_file("f", &vec![1; 900 << 10]).await.unwrap();
    assert_eq!(bucket.keys(), [""; 0]);
    mount.write_file("g", &vec![2; 900 << 10]).await.unwrap();
    assert_eq!(bucket.keys(), ["g"], "close returned when it was there");
    bucket.fault.remove(held);
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(bucket.keys(), ["f", "g"]);
    assert_eq!(mount.fs.status().write_back.unwrap().pending_files, 0);
}

/// Its close was answered when it was in the journal, and nobody else asks.
async fn what_was_given_up_in_the_background_is_told_by_the_next_sync_once(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    bucket.put("f", &vec![b'o'; 20 << 20]).await;
    let mount = write_back(&bucket, &state).await;
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 9 << 20, b"ours").await.unwrap();
    bucket.put("f", b"theirs").await;
    mount.close(handle).await.unwrap();
    let fs = Arc::clone(&mount.fs);
    eventually(move || fs.status().failed.contains_key("f")).await;
    let told = mount.fs.sync_all(|_| {}).await.unwrap_err();
    assert_eq!(told.errno(), libc::ESTALE);
    let words = "what was changed is in the journal: cloakfs recover brings it out when the mount has ended";
    assert!(told.to_string().ends_with(words), "{told}");
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(mount.read_file("f").await.unwrap(), b"theirs");
}
