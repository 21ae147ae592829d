//! Objects in the bucket that the mount has no key for, and objects of other modes.

use std::time::Duration;

use cloakfs::fs::{Entry, FileKind, ROOT, SetAttr};
use cloakfs::store::Operation::{CopyObject, DeleteObject, GetObject, HeadObject, ListObjects};
use cloakfs::store::ServerEncryption;
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::s3::encryption::ExpectedEncryption;

use crate::harness::{Bucket, Mount, errno, me};

const LONG: Duration = Duration::from_hours(1);

/// The server asks for a key that the mount does not have.
fn lock(bucket: &Bucket, key: &str) {
    for operation in [HeadObject, GetObject, CopyObject] {
        let rule = Rule::new(Effect::RefuseKey).on(operation);
        bucket.fault.inject(rule.under(key));
    }
}

async fn sse_s3(bucket: &Bucket, ttl: Duration) -> Mount {
    bucket
        .mount_as(ttl, |options| {
            options.encryption = ExpectedEncryption::SseS3;
        })
        .await
}

#[tokio::test]
async fn a_locked_file_is_shown_and_what_needs_its_key_is_refused() {
    let bucket = Bucket::new();
    for name in ["d/a", "d/locked", "d/locked-2", "d/z"] {
        bucket.put(name, name.as_bytes()).await;
    }
    lock(&bucket, "d/locked");
    bucket.delete("d/locked-2").await;
    let mount = bucket.mount_with(LONG).await;
    let directory = mount.walk("d").await.unwrap().attr.ino;
    for plus in [false, true] {
        let items = mount.list_items(directory, plus).await.unwrap();
        let names: Vec<_> = items
            .iter()
            .map(|item| item.name.to_str().unwrap())
            .collect();
        assert_eq!(names, [".", "..", "a", "locked", "z"], "plus: {plus}");
        assert_eq!(items[3].kind, FileKind::File);
        if let Some(entry) = &items[3].entry {
            assert_shown_only(entry);
        }
    }
    let (entry, calls) = bucket.calls(mount.walk("d/locked")).await;
    let entry = entry.unwrap();
    assert_shown_only(&entry);
    assert_eq!((calls.of(HeadObject), calls.of(ListObjects)), (1, 3));
    let (attr, ttl) = mount.fs.getattr(entry.attr.ino, None).await.unwrap();
    assert_eq!((attr, ttl), (entry.attr, Duration::ZERO));
    let refused = mount.open("d/locked", libc::O_RDONLY).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "HeadObject of \"d/locked\" failed: KMS.DisabledException: the key of the object is \
         disabled; enable it to go on (injected)"
    );
    let set = |set: SetAttr| mount.set("d/locked", set);
    let refusals = [
        errno(mount.open("d/locked", libc::O_WRONLY).await),
        errno(
            mount
                .open("d/locked", libc::O_WRONLY | libc::O_TRUNC | libc::O_CREAT)
                .await,
        ),
        errno(
            set(SetAttr {
                mode: Some(0o600),
                ..SetAttr::default()
            })
            .await,
        ),
        errno(
            set(SetAttr {
                size: Some(0),
                ..SetAttr::default()
            })
            .await,
        ),
        errno(mount.rename("d/locked", "d/other").await),
        errno(
            mount
                .fs
                .create(me(), directory, "locked".as_ref(), 0o644, libc::O_TRUNC)
                .await,
        ),
    ];
    assert_eq!(refusals, [libc::EACCES; 6]);
    let there = mount.rename_with("d/a", "d/locked", libc::RENAME_NOREPLACE);
    assert_eq!(errno(there.await), libc::EEXIST);
    // Nothing happened to it or to its neighbours, and nothing waits.
    assert_eq!(bucket.keys(), ["d/a", "d/locked", "d/z"]);
    assert_eq!(bucket.body("d/locked").await.unwrap(), b"d/locked");
    assert_eq!(mount.read_file("d/z").await.unwrap(), b"d/z");
    assert_eq!(errno(mount.rmdir("d").await), libc::ENOTEMPTY);
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(mount.fs.uncommitted_paths(), Vec::<String>::new());
}

/// Its size is known, its permissions are not, and nobody may remember it.
fn assert_shown_only(entry: &Entry) {
    assert_eq!((entry.attr.size, entry.attr.perm), (8, 0));
    assert_eq!(
        (entry.entry_ttl, entry.attr_ttl),
        (Duration::ZERO, Duration::ZERO)
    );
}

#[tokio::test]
async fn a_tree_with_locked_objects_can_be_deleted() {
    let bucket = Bucket::new();
    for name in ["d/", "d/deeper/", "d/deeper/locked", "d/known", "d/locked"] {
        bucket.put(name, b"").await;
    }
    let mount = bucket.mount_with(LONG).await;
    mount.walk("d/known").await.unwrap();
    for key in ["d/deeper/", "d/known", "d/locked"] {
        lock(&bucket, key);
    }
    for file in ["d/deeper/locked", "d/known", "d/locked"] {
        mount.unlink(file).await.unwrap();
        assert!(!bucket.keys().contains(&file.to_owned()));
    }
    assert_eq!(mount.list("d").await.unwrap().len(), 1);
    assert_eq!(mount.attr("d/deeper").await.unwrap().perm, 0);
    mount.rmdir("d/deeper").await.unwrap();
    mount.rmdir("d").await.unwrap();
    assert_eq!(bucket.keys(), [""; 0]);
    assert_eq!(mount.fs.status().modes.without_key, 0);
}

#[tokio::test]
async fn a_rename_replaces_a_locked_file() {
    let bucket = Bucket::new();
    bucket.put("locked", b"theirs").await;
    bucket.put("stored", b"stored").await;
    let mount = bucket.mount().await;
    let locked: Vec<_> = [HeadObject, GetObject]
        .map(|operation| Rule::new(Effect::RefuseKey).on(operation).under("locked"))
        .map(|rule| bucket.fault.inject(rule))
        .into();
    mount.rename("stored", "locked").await.unwrap();
    for rule in locked {
        bucket.fault.remove(rule);
    }
    assert_eq!(bucket.keys(), ["locked"]);
    assert_eq!(mount.read_file("locked").await.unwrap(), b"stored");
}

#[tokio::test(start_paused = true)]
async fn what_replaced_a_locked_file_since_it_was_listed_is_not_deleted() {
    let bucket = Bucket::new();
    bucket.put("locked", b"theirs").await;
    let mount = bucket.mount().await;
    lock(&bucket, "locked");
    // Somebody replaces it between the listing that finds it and the deletion.
    let late = Rule::new(Effect::Delay(LONG))
        .on(DeleteObject)
        .under("locked");
    bucket.fault.inject(late.times(1));
    let before = bucket.fault.calls().of(DeleteObject);
    let fs = std::sync::Arc::clone(&mount.fs);
    let unlinking = tokio::spawn(async move { fs.unlink(ROOT, "locked".as_ref()).await });
    while bucket.fault.calls().of(DeleteObject) == before {
        tokio::task::yield_now().await;
    }
    bucket.put("locked", b"newer").await;
    assert_eq!(errno(unlinking.await.unwrap()), libc::ESTALE);
    assert_eq!(bucket.body("locked").await.unwrap(), b"newer");
    mount.unlink("locked").await.unwrap();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let bucket = Bucket::new();
    bucket.put("f", b"x").await;
    lock(&bucket, "f");
    let mount = bucket.mount_with(LONG).await;
    assert_eq!(mount.attr("f").await.unwrap().perm, 0);
    mount.list_items(ROOT, true).await.unwrap();
    assert_eq!(mount.attr("f").await.unwrap().perm, 0);
    assert_eq!(errno(mount.read_file("f").await), libc::EACCES);
    bucket.fault.clear();
    assert_eq!(mount.read_file("f").await.unwrap(), b"x");
    let items = mount.list_items(ROOT, true).await.unwrap();
    let entry = items[2].entry.unwrap();
    assert_eq!((entry.attr.size, entry.entry_ttl), (1, LONG));
    assert_eq!(entry.attr.perm, 0o644);
}

#[tokio::test]
async fn a_file_that_is_locked_while_it_is_known_says_so() {
    let bucket = Bucket::new();
    bucket.put("f", b"content").await;
    let mount = bucket.mount().await;
    let (ino, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    lock(&bucket, "f");
    assert_eq!(mount.fs.getattr(ino, None).await.unwrap().0.perm, 0);
    assert_eq!(errno(mount.read_all(handle).await), libc::EACCES);
    assert_eq!(errno(mount.write_at(handle, 0, b"C").await), libc::EACCES);
    bucket.fault.clear();
    // The failed read is not what the cache has.
    assert_eq!(mount.read_all(handle).await.unwrap(), b"content");
    mount.write_at(handle, 0, b"C").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"Content");
    assert_eq!(mount.attr("f").await.unwrap().perm, 0o644);
}

#[tokio::test]
async fn a_directory_with_a_locked_file_is_not_renamed_by_half() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    for index in 0..40 {
        bucket.put(&format!("d/{index}"), b"x").await;
    }
    let before = bucket.keys();
    lock(&bucket, "e/17");
    assert_eq!(errno(mount.rename("d", "e").await), libc::EACCES);
    assert_eq!(bucket.keys(), before);
    assert_eq!(mount.read_file("d/17").await.unwrap(), b"x");
    bucket.fault.clear();
    mount.rename("d", "e").await.unwrap();
    assert_eq!(mount.list("e").await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_locked_object_does_not_close_the_directory_of_its_name() {
    let bucket = Bucket::new();
    bucket.put("d", b"hidden").await;
    bucket.put("d/f", b"x").await;
    bucket.fault.inject(
        Rule::new(Effect::RefuseKey)
            .on(HeadObject)
            .under("d")
            .times(1),
    );
    let mount = bucket.mount().await;
    assert_eq!(mount.attr("d").await.unwrap().kind, FileKind::Directory);
    assert_eq!(mount.fs.status().hidden_total, 1);
}

#[tokio::test]
async fn status_counts_what_is_not_of_the_mounts_mode() {
    let bucket = Bucket::new();
    for (name, encryption) in [
        ("own", ServerEncryption::SseS3),
        ("plain-1", ServerEncryption::None),
        ("plain-2", ServerEncryption::None),
        (
            "customer",
            ServerEncryption::SseC {
                key_md5: "m==".to_owned(),
            },
        ),
    ] {
        bucket.mem.encrypt_as(encryption);
        bucket.put(name, name.as_bytes()).await;
    }
    bucket.put("locked", b"x").await;
    lock(&bucket, "locked");
    bucket.mem.encrypt_as(ServerEncryption::SseS3);
    let mount = sse_s3(&bucket, Duration::ZERO).await;
    for _ in 0..2 {
        mount.list_items(ROOT, true).await.unwrap();
    }
    let seen = || serde_json::to_value(mount.fs.status().modes).unwrap();
    assert_eq!(
        seen(),
        serde_json::json!({
            "other_modes": [
                {"mode": "none", "objects": 2},
                {"mode": "sse-c", "key_md5": "m==", "objects": 1},
            ],
            "without_key": 1,
            "without_key_examples": ["locked"],
            "at_least": false,
        })
    );
    // What the mount writes, copies or deletes is none of these any more.
    mount.write_file("plain-1", b"anew").await.unwrap();
    mount.rename("plain-2", "renamed").await.unwrap();
    mount.unlink("customer").await.unwrap();
    bucket.fault.clear();
    mount.read_file("locked").await.unwrap();
    mount.list_items(ROOT, true).await.unwrap();
    assert_eq!(
        seen(),
        serde_json::json!({
            "other_modes": [{"mode": "sse-c", "key_md5": "m==", "objects": 1}],
            "without_key": 0,
            "without_key_examples": [],
            "at_least": false,
        }),
        "only the file that was locked is left"
    );
}
