//! Write-back: what close promises, what the bucket is asked, what a crash leaves. A crash is the
//! filesystem going without a word; the next mount finds what is on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakfs::fs::{ROOT, SetAttr, SetTime};
use cloakfs::store::ErrorKind::{Denied, Unavailable};
use cloakfs::store::Operation::{GetObject, HeadObject, ListObjects, PutObject};
use cloakfs::store::fault::{Effect, Rule};

use crate::crashes::{
    NEW, all_unavailable_but_lookups, bucket_away, contents, contents_now, crash, eventually,
    expected, journals, on_close, state, write_back,
};
use crate::harness::{Bucket, Layout, errno, me};
use crate::layouts::in_every_layout;

in_every_layout!(
    close_needs_no_bucket_and_a_crash_loses_nothing,
    what_follows_a_close_goes_with_its_one_put,
    a_removed_file_asks_the_bucket_for_nothing,
    an_upload_whose_answer_was_lost_is_recognised,
    both_versions_survive_a_conflict_found_at_the_replay,
    a_change_of_a_part_is_replayed_over_the_rest,
    what_an_earlier_upload_wrote_is_replaced_by_what_was_closed_later,
);

async fn close_needs_no_bucket_and_a_crash_loses_nothing(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    bucket.put("old", b"before").await;
    let mount = write_back(&bucket, &state).await;
    mount.mkdir("d").await.unwrap();
    let (ino, new) = mount.open("d/new", NEW).await.unwrap();
    let (_, old) = mount.open("old", libc::O_WRONLY).await.unwrap();
    let (_, empty) = mount.open("empty", NEW).await.unwrap();
    let (_, gone) = mount.open("gone", NEW).await.unwrap();
    let (_, second) = mount.open("d/second", NEW).await.unwrap();
    mount.write_at(old, 3, b"ORE").await.unwrap();
    bucket_away(&bucket);
    mount.write_at(new, 0, b"first words").await.unwrap();
    mount.close(new).await.unwrap();
    mount.close(old).await.unwrap();
    mount.close(empty).await.unwrap();
    mount.close(gone).await.unwrap();
    mount.write_at(second, 100_000, b"end").await.unwrap();
    mount.close(second).await.unwrap();
    let set = SetAttr {
        mode: Some(0o600),
        uid: Some(7),
        mtime: Some(SetTime::At(
            cloakfs::base::time::Timestamp::new(5, 6).unwrap(),
        )),
        ..SetAttr::default()
    };
    mount.fs.setattr(me(), ino, set, None).await.unwrap();
    let status = mount.fs.status();
    let pending = status.write_back.unwrap();
    assert_eq!(pending.pending_files, 5, "{pending:?}");
    assert!(pending.pending_bytes > 0 && pending.journal_bytes > pending.pending_bytes);
    crash(mount).await;
    assert_eq!(journals(state.path()), 1);
    bucket.fault.clear();

    let mount = write_back(&bucket, &state).await;
    let told = mount.fs.replayed();
    let line = "that an earlier mount had not uploaded";
    assert!(
        told[0].starts_with("replayed 5 files (") && told[0].ends_with(line),
        "{told:?}"
    );
    let mut large = vec![0; 100_000];
    large.extend_from_slice(b"end");
    let files = expected(&[
        ("d/new", b"first words"),
        ("d/second", &large),
        ("empty", b""),
        ("gone", b""),
        ("old", b"befORE"),
    ]);
    assert_eq!(contents(&bucket).await, files);
    let attr = mount.attr("d/new").await.unwrap();
    assert_eq!((attr.perm, attr.uid, attr.mtime.secs()), (0o600, 7, 5));
    // Only this mount's own is left, and nothing is when it ends in order.
    assert_eq!(journals(state.path()), 1);
    mount.fs.shut_down().await;
    crash(mount).await;
    assert_eq!(journals(state.path()), 0);
}

async fn what_follows_a_close_goes_with_its_one_put(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    let ((), calls) = bucket
        .calls(async {
            for index in 0..100 {
                let (draft, name) = (format!(".draft{index}"), format!("f{index}"));
                let (ino, handle) = mount.open(&draft, NEW | libc::O_EXCL).await.unwrap();
                mount.write_at(handle, 0, &[7; 4096]).await.unwrap();
                mount.close(handle).await.unwrap();
                let set = SetAttr {
                    mode: Some(0o640),
                    mtime: Some(SetTime::Now),
                    ..SetAttr::default()
                };
                mount.fs.setattr(me(), ino, set, None).await.unwrap();
                mount.rename(&draft, &name).await.unwrap();
            }
            mount.fs.sync_all(|_| {}).await.unwrap();
        })
        .await;
    // Each name is looked up once by the kernel, and not again by what it does then.
    assert!(calls.of(ListObjects) <= 200, "{calls:?}");
    let looks = [HeadObject, ListObjects, GetObject];
    let looks: u64 = looks.iter().map(|operation| calls.of(*operation)).sum();
    assert_eq!(calls.of(PutObject), 100, "{calls:?}");
    assert_eq!(calls.total(), 100 + looks, "{calls:?}");
    assert_eq!(bucket.keys().len(), 100);
    assert_eq!(bucket.metadata("f42", "mode").await.unwrap(), "33184");
    // The journal had them all, and needs none any more.
    assert_eq!(mount.fs.status().write_back.unwrap().pending_files, 0);
    crash(mount).await;
    assert_eq!(journals(state.path()), 0);
}

async fn a_removed_file_asks_the_bucket_for_nothing(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    let (_, handle) = mount.open("f", NEW).await.unwrap();
    let ((), calls) = bucket
        .calls(async {
            mount.write_at(handle, 0, b"data").await.unwrap();
            mount.close(handle).await.unwrap();
            mount.fs.unlink(ROOT, "f".as_ref()).await.unwrap();
            mount.fs.sync_all(|_| {}).await.unwrap();
        })
        .await;
    assert_eq!(calls.total(), 0, "{calls:?}");
    crash(mount).await;
    assert_eq!(journals(state.path()), 0);
    assert_eq!(bucket.keys(), [""; 0]);
}

/// The PUT was carried out, nobody heard of it, and the mount dies.
async fn an_upload_whose_answer_was_lost_is_recognised(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    mount.write_file("f", b"the data").await.unwrap();
    let lost = bucket
        .fault
        .inject(Rule::new(Effect::FailAfter(Unavailable)).on(PutObject));
    for operation in [HeadObject, GetObject] {
        bucket
            .fault
            .inject(Rule::new(Effect::FailBefore(Unavailable)).on(operation));
    }
    mount.fs.sync_all(|_| {}).await.unwrap_err();
    crash(mount).await;
    assert!(bucket.fault.remove(lost).unwrap() > 0);
    bucket.fault.clear();
    assert_eq!(bucket.keys(), ["f"]);

    let again = Rule::new(Effect::FailBefore(Denied)).exactly(bucket.key("f").as_str());
    let again = bucket.fault.inject(again.on(PutObject));
    let mount = write_back(&bucket, &state).await;
    assert_eq!(mount.fs.replayed().len(), 1);
    assert_eq!(bucket.fault.remove(again), Some(0), "it is there");
    assert_eq!(contents(&bucket).await, expected(&[("f", b"the data")]));
    assert_eq!(journals(state.path()), 1);
}

async fn both_versions_survive_a_conflict_found_at_the_replay(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    bucket.put("changed", b"base").await;
    let mount = write_back(&bucket, &state).await;
    all_unavailable_but_lookups(&bucket);
    mount.write_file("new", b"ours").await.unwrap();
    mount.write_file("changed", b"ours too").await.unwrap();
    crash(mount).await;
    bucket.fault.clear();
    bucket.put("new", b"theirs").await;
    bucket.put("changed", b"theirs too").await;

    let mount = write_back(&bucket, &state).await;
    let status = mount.fs.status();
    assert_eq!(status.conflicts_total, 2);
    let kept: BTreeMap<_, _> = status
        .conflicts
        .iter()
        .map(|conflict| (conflict.path.as_str(), conflict.kept_as.as_str()))
        .collect();
    let files = expected(&[
        ("new", b"theirs"),
        ("changed", b"theirs too"),
        (kept["new"], b"ours"),
        (kept["changed"], b"ours too"),
    ]);
    assert_eq!(contents(&bucket).await, files);
    let told = mount.fs.replayed();
    assert!(told[0].ends_with("2 of them had been changed by others and are kept beside theirs"));
}

/// Of a file that is too large to be loaded, only what was written is in the journal.
async fn a_change_of_a_part_is_replayed_over_the_rest(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mut body = vec![1; 20 << 20];
    let mount = write_back(&bucket, &state).await;
    mount.write_file("large", &body).await.unwrap();
    mount.fs.sync_all(|_| {}).await.unwrap();
    all_unavailable_but_lookups(&bucket);
    let (_, handle) = mount.open("large", libc::O_WRONLY).await.unwrap();
    mount.write_at(handle, 9 << 20, &[2; 5000]).await.unwrap();
    mount.write_at(handle, 100, &[3; 10]).await.unwrap();
    mount.close(handle).await.unwrap();
    let cut = SetAttr {
        size: Some(15 << 20),
        ..SetAttr::default()
    };
    mount.set("large", cut).await.unwrap();
    assert!(mount.fs.status().write_back.unwrap().pending_bytes < 6000);
    crash(mount).await;
    bucket.fault.clear();
    body[9 << 20..(9 << 20) + 5000].fill(2);
    body[100..110].fill(3);
    body.truncate(15 << 20);

    let mount = on_close(&bucket, &state).await;
    assert!(bucket.body("large").await.unwrap() == body);
    assert_eq!(mount.fs.replayed().len(), 1);
    assert_eq!(journals(state.path()), 0);
}

/// An upload of the first close got through and was not heard of; what was closed after it is
/// more, and no conflict.
async fn what_an_earlier_upload_wrote_is_replaced_by_what_was_closed_later(layout: Layout) {
    let (bucket, state) = (Bucket::of(layout), state());
    let mount = write_back(&bucket, &state).await;
    mount.write_file("f", b"first").await.unwrap();
    bucket.fault.inject(
        Rule::new(Effect::FailAfter(Unavailable))
            .on(PutObject)
            .times(1),
    );
    for operation in [PutObject, HeadObject, GetObject] {
        bucket
            .fault
            .inject(Rule::new(Effect::FailBefore(Unavailable)).on(operation));
    }
    mount.fs.sync_all(|_| {}).await.unwrap_err();
    assert_eq!(contents_now(&bucket, "f").await, b"first");
    let (_, handle) = mount
        .open("f", libc::O_WRONLY | libc::O_APPEND)
        .await
        .unwrap();
    mount.write_at(handle, 5, b" and second").await.unwrap();
    mount.close(handle).await.unwrap();
    crash(mount).await;
    bucket.fault.clear();

    let mount = write_back(&bucket, &state).await;
    assert_eq!(mount.fs.status().conflicts_total, 0);
    assert_eq!(
        contents(&bucket).await,
        expected(&[("f", b"first and second")])
    );
}

#[tokio::test]
async fn closed_files_are_uploaded_without_being_asked() {
    let (bucket, state) = (Bucket::new(), state());
    let mount = write_back(&bucket, &state).await;
    mount.write_file("f", b"data").await.unwrap();
    let (mem, fs) = (Arc::clone(&bucket.mem), Arc::clone(&mount.fs));
    eventually(move || {
        let pending = fs.status().write_back.unwrap().pending_files;
        mem.keys() == ["f"] && pending == 0
    })
    .await;
    assert_eq!(contents_now(&bucket, "f").await, b"data");
}

/// An outage is no error for anybody: it is tried again until it works.
#[tokio::test]
async fn an_outage_is_outlasted() {
    let (bucket, state) = (Bucket::new(), state());
    let mount = write_back(&bucket, &state).await;
    mount.write_file("f", b"data").await.unwrap();
    for operation in [PutObject, HeadObject] {
        bucket
            .fault
            .inject(Rule::new(Effect::FailBefore(Unavailable)).on(operation));
    }
    let fs = Arc::clone(&mount.fs);
    eventually(move || !fs.status().failed.is_empty()).await;
    bucket.fault.clear();
    let mem = Arc::clone(&bucket.mem);
    eventually(move || mem.keys() == ["f"]).await;
    let fs = Arc::clone(&mount.fs);
    eventually(move || fs.status().failed.is_empty()).await;
}

#[tokio::test]
async fn a_journal_is_replayed_once_and_not_while_its_mount_lives() {
    let (bucket, state) = (Bucket::new(), state());
    let first = write_back(&bucket, &state).await;
    all_unavailable_but_lookups(&bucket);
    first.write_file("f", b"data").await.unwrap();
    let rules = bucket.fault.calls();
    let second = write_back(&bucket, &state).await;
    assert!(second.fs.replayed().is_empty());
    assert_eq!(
        bucket.fault.calls().since(&rules).of(PutObject),
        1,
        "only the probe"
    );
    assert_eq!(journals(state.path()), 2);
    crash(second).await;
    crash(first).await;
    bucket.fault.clear();
    let third = write_back(&bucket, &state).await;
    assert_eq!(third.fs.replayed().len(), 1);
    assert_eq!(contents_now(&bucket, "f").await, b"data");
    assert_eq!(journals(state.path()), 1);
}

#[tokio::test]
async fn fsync_is_in_the_bucket_and_so_is_what_was_closed_in_a_directory_that_is_synced() {
    let (bucket, state) = (Bucket::new(), state());
    let mount = write_back(&bucket, &state).await;
    mount.mkdir("d").await.unwrap();
    mount.mkdir("d/e").await.unwrap();
    let (_, handle) = mount.open("f", NEW).await.unwrap();
    mount.write_at(handle, 0, b"data").await.unwrap();
    mount.fs.fsync(handle, false).await.unwrap();
    assert_eq!(contents_now(&bucket, "f").await, b"data");
    for path in ["d/1", "d/2", "d/e/3", "4"] {
        mount.write_file(path, b"x").await.unwrap();
    }
    let directory = mount.attr("d").await.unwrap().ino;
    for (ino, has) in [
        (directory, ["d/", "d/1", "d/2", "d/e/", "f"].to_vec()),
        (ROOT, {
            ["4", "d/", "d/1", "d/2", "d/e/", "d/e/3", "f"].to_vec()
        }),
    ] {
        let handle = mount.fs.opendir(ino).await.unwrap();
        mount.fs.fsyncdir(handle).await.unwrap();
        mount.fs.releasedir(handle);
        assert_eq!(bucket.keys(), has);
    }
}

#[tokio::test]
async fn exclusive_creation_is_decided_here() {
    let (bucket, state) = (Bucket::new(), state());
    bucket.put("theirs", b"x").await;
    let mount = write_back(&bucket, &state).await;
    let exclusive = |name: &'static str| {
        mount
            .fs
            .create(me(), ROOT, name.as_ref(), 0o644, NEW | libc::O_EXCL)
    };
    assert_eq!(errno(exclusive("theirs").await), libc::EEXIST);
    let (created, calls) = bucket.calls(exclusive("ours")).await;
    let (_, opened) = created.unwrap();
    assert_eq!(calls.of(PutObject), 0);
    assert_eq!(errno(exclusive("ours").await), libc::EEXIST);
    mount.close(opened.handle).await.unwrap();
    assert_eq!(errno(exclusive("ours").await), libc::EEXIST);
    // Somebody else was first after all: both are kept.
    bucket.put("ours", b"theirs").await;
    let error = mount.fs.sync_all(|_| {}).await.unwrap_err();
    assert_eq!(error.errno(), libc::ESTALE);
    assert_eq!(contents_now(&bucket, "ours").await, b"theirs");
    assert_eq!(mount.fs.status().conflicts_total, 1);
    crash(mount).await;
    assert_eq!(journals(state.path()), 0);
}
