//! `user.cloakfs.*`: what the server says of an object, as extended attributes.

use std::time::Duration;

use cloakfs::fs::SetAttr;
use cloakfs::store::Operation::HeadObject;
use cloakfs::store::ServerEncryption;
use cloakfs::store::fault::{Effect, Rule};

use crate::harness::{Bucket, Layout, Mount, errno};
use crate::layouts::in_client_side_layouts;

const LONG: Duration = Duration::from_hours(1);

fn kms(dsse: bool) -> ServerEncryption {
    ServerEncryption::SseKms {
        key_id: Some("arn:aws:kms:eu-west-1:1:key/k".to_owned()),
        bucket_key: true,
        dsse,
    }
}

async fn all(mount: &Mount, path: &str) -> Vec<(String, String)> {
    let ino = mount.walk(path).await.unwrap().attr.ino;
    mount.xattrs(ino).await.unwrap()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = of.iter();
    pairs
        .map(|(name, value)| (format!("user.cloakfs.{name}"), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn every_mode_is_shown_as_the_server_answers_it() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    let modes = [
        (ServerEncryption::None, vec![("mode", "none")]),
        (ServerEncryption::SseS3, vec![("mode", "sse-s3")]),
        (
            kms(false),
            vec![
                ("mode", "sse-kms"),
                ("key-id", "arn:aws:kms:eu-west-1:1:key/k"),
                ("bucket-key", "true"),
            ],
        ),
        (
            kms(true),
            vec![
                ("mode", "sse-kms-dsse"),
                ("key-id", "arn:aws:kms:eu-west-1:1:key/k"),
                ("bucket-key", "true"),
            ],
        ),
        (
            ServerEncryption::SseC {
                key_md5: "m==".to_owned(),
            },
            vec![("mode", "sse-c"), ("key-md5", "m==")],
        ),
    ];
    for (encryption, mut expected) in modes {
        bucket.mem.encrypt_as(encryption);
        bucket.put("f", b"by another client").await;
        let etag = bucket.etag("f").await;
        expected.push(("etag", &etag));
        assert_eq!(all(&mount, "f").await, pairs(&expected));
    }
}

in_client_side_layouts! {
    a_sealed_object_is_shown_as_sealed_and_what_the_server_adds,
}

async fn a_sealed_object_is_shown_as_sealed_and_what_the_server_adds(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let volume = bucket.volume_id();
    mount.mkdir("d").await.unwrap();
    for (encryption, server) in [
        (ServerEncryption::None, None),
        (ServerEncryption::SseS3, Some(("server-mode", "sse-s3"))),
    ] {
        bucket.mem.encrypt_as(encryption);
        for path in ["f", "d/"] {
            bucket.put(path, b"").await;
            let etag = bucket.etag(path).await;
            let mut expected = vec![("mode", "cse-c"), ("volume", &volume), ("format", "1")];
            expected.extend(server);
            expected.push(("etag", &etag));
            let shown = all(&mount, path.trim_end_matches('/')).await;
            assert_eq!(shown, pairs(&expected), "{path}");
        }
    }
}

#[tokio::test]
async fn within_the_time_to_live_all_attributes_cost_at_most_one_look() {
    let bucket = Bucket::new();
    bucket.put("f", b"x").await;
    let mount = bucket.mount_with(LONG).await;
    let ino = mount.walk("f").await.unwrap().attr.ino;
    let (told, calls) = bucket.calls(mount.xattrs(ino)).await;
    assert_eq!(told.unwrap().len(), 2);
    assert_eq!(calls.total(), 0, "the lookup was told: {calls:?}");
    // What this mount has written the server has not described yet.
    mount.write_file("f", b"other").await.unwrap();
    for expected in [1, 0] {
        let (told, calls) = bucket.calls(mount.xattrs(ino)).await;
        let etag = bucket.etag("f").await;
        assert_eq!(
            told.unwrap(),
            pairs(&[("mode", "none"), ("etag", &etag)]),
            "nothing of the time before the write"
        );
        assert_eq!((calls.of(HeadObject), calls.total()), (expected, expected));
    }
}

#[tokio::test]
async fn attributes_out_of_listings_are_completed_by_one_look() {
    let bucket = Bucket::new();
    bucket.mem.encrypt_as(ServerEncryption::SseS3);
    bucket.put("d/f", &[0; 5000]).await;
    let mount = bucket
        .mount_as(LONG, |options| options.trust_listing = true)
        .await;
    let directory = mount.walk("d").await.unwrap().attr.ino;
    let items = mount.list_items(directory, true).await.unwrap();
    let file = items.iter().find(|item| item.name == "f").unwrap().ino;
    for expected in [1, 0] {
        let (told, calls) = bucket.calls(mount.xattrs(file)).await;
        let etag = bucket.etag("d/f").await;
        assert_eq!(told.unwrap(), pairs(&[("mode", "sse-s3"), ("etag", &etag)]));
        assert_eq!((calls.of(HeadObject), calls.total()), (expected, expected));
    }
}

#[tokio::test]
async fn while_changes_wait_the_object_that_is_there_is_shown() {
    let bucket = Bucket::new();
    bucket.mem.encrypt_as(ServerEncryption::SseS3);
    bucket.put("f", b"first").await;
    let mount = bucket.mount().await;
    let etag = bucket.etag("f").await;
    let (ino, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount.write_at(handle, 0, b"second").await.unwrap();
    assert_eq!(
        mount.xattrs(ino).await.unwrap(),
        pairs(&[("mode", "sse-s3"), ("etag", &etag)])
    );
    mount.close(handle).await.unwrap();
    let newer = bucket.etag("f").await;
    assert_ne!(etag, newer);
    assert_eq!(
        mount.xattrs(ino).await.unwrap(),
        pairs(&[("mode", "sse-s3"), ("etag", &newer)])
    );
}

#[tokio::test]
async fn what_the_bucket_does_not_have_has_none() {
    let bucket = Bucket::new();
    bucket.put("implicit/f", b"x").await;
    let mount = bucket.mount().await;
    assert_eq!(all(&mount, "implicit").await, []);
    mount.mkdir("marked").await.unwrap();
    assert_eq!(all(&mount, "marked").await[0].1, "none");
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let (ino, handle) = mount.open("new", flags).await.unwrap();
    let (told, calls) = bucket.calls(mount.xattrs(ino)).await;
    assert_eq!((told.unwrap(), calls.total()), (vec![], 0));
    mount.close(handle).await.unwrap();
    assert_eq!(mount.xattrs(ino).await.unwrap()[0].1, "none");
    let (ino, handle) = mount.open("new", libc::O_RDONLY).await.unwrap();
    mount.unlink("new").await.unwrap();
    assert_eq!(mount.xattrs(ino).await.unwrap(), []);
    mount.close(handle).await.unwrap();
}

#[tokio::test]
async fn another_clients_write_is_shown_after_the_time_to_live() {
    let bucket = Bucket::new();
    bucket.put("f", b"one").await;
    let mount = bucket.mount().await;
    let ino = mount.walk("f").await.unwrap().attr.ino;
    mount.xattrs(ino).await.unwrap();
    bucket.mem.encrypt_as(kms(false));
    bucket.put("f", b"two").await;
    let told = mount.xattrs(ino).await.unwrap();
    assert_eq!(told[0].1, "sse-kms");
    assert_eq!(told[3].1, bucket.etag("f").await);
}

#[tokio::test]
async fn they_are_read_only_and_never_stored() {
    let bucket = Bucket::new();
    bucket.put("f", b"x").await;
    let mount = bucket.mount_with(LONG).await;
    let ino = mount.walk("f").await.unwrap().attr.ino;
    let before = mount.xattrs(ino).await.unwrap();
    for name in ["user.cloakfs.mode", "user.cloakfs.of-my-own"] {
        let refused = mount.fs.setxattr(ino, name.as_ref(), b"none", 0).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.errno(), libc::EOPNOTSUPP);
        assert_eq!(
            refused.to_string(),
            format!(
                "{name} cannot be set: the user.cloakfs attributes tell what the server says of \
                 an object; copying tools may leave them out"
            )
        );
        // `rsync -X` removes what its source does not have.
        let removed = mount.fs.removexattr(ino, name.as_ref()).await;
        removed.unwrap();
    }
    let none = mount.fs.getxattr(ino, "user.cloakfs.of-my-own".as_ref());
    assert_eq!(errno(none.await), libc::ENODATA);
    assert_eq!(mount.xattrs(ino).await.unwrap(), before);
    assert_eq!(bucket.metadata("f", "xattr").await, None);
}

#[tokio::test]
async fn what_others_stored_under_such_a_name_is_neither_shown_nor_lost() {
    let bucket = Bucket::new();
    // {"user.cloakfs.mode":"bGllcw==","user.own":"eA=="}
    let stored =
        "%7B%22user.cloakfs.mode%22%3A%22bGllcw%3D%3D%22%2C%22user.own%22%3A%22eA%3D%3D%22%7D";
    bucket.put_with("f", b"x", &[("xattr", stored)]).await;
    let mount = bucket.mount().await;
    let etag = bucket.etag("f").await;
    let mut expected = pairs(&[("mode", "none"), ("etag", &etag)]);
    expected.push(("user.own".to_owned(), "x".to_owned()));
    assert_eq!(all(&mount, "f").await, expected);
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    mount.set("f", set).await.unwrap();
    assert_eq!(bucket.metadata("f", "xattr").await.as_deref(), Some(stored));
}

#[tokio::test(start_paused = true)]
async fn a_commit_while_they_are_asked_for_does_not_take_them_away() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.write_file("f", b"one").await.unwrap();
    let (ino, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount.write_at(handle, 0, b"two").await.unwrap();
    let before = bucket.etag("f").await;
    // The look comes to the server after the commit, but was asked for before it.
    let late = Rule::new(Effect::Delay(LONG)).on(HeadObject).times(1);
    bucket.fault.inject(late);
    let heads = bucket.fault.calls().of(HeadObject);
    let fs = std::sync::Arc::clone(&mount.fs);
    let asking = tokio::spawn(async move { fs.getxattr(ino, "user.cloakfs.etag".as_ref()).await });
    while bucket.fault.calls().of(HeadObject) == heads {
        tokio::task::yield_now().await;
    }
    mount.fs.fsync(handle, false).await.unwrap();
    assert!(!asking.is_finished(), "the commit overtakes the look");
    let etag = bucket.etag("f").await;
    assert_ne!(etag, before);
    assert_eq!(asking.await.unwrap().unwrap(), etag.as_bytes());
    mount.close(handle).await.unwrap();
}
