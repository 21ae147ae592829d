//! `RENAME_NOREPLACE`, which mv(1) asks for: what somebody else stores at the new name between
//! the look at it and the copy is not replaced.

use std::time::Duration;

use cloakfs::store::ErrorKind;
use cloakfs::store::Operation::{CompleteMultipartUpload, CopyObject, PutObject, UploadPartCopy};
use cloakfs::store::fault::{Effect, Rule};

use crate::harness::{Bucket, Layout, Mount, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    what_another_stores_meanwhile_is_not_replaced,
    a_server_with_conditional_copies_is_asked_once,
    a_server_without_them_is_asked_for_parts,
}

/// Of the server in memory, which honours the condition of a copy, or of one that does not.
async fn mount(bucket: &Bucket, conditional_copies: bool) -> Mount {
    if conditional_copies {
        return bucket.mount().await;
    }
    let refused = Rule::new(Effect::FailBefore(ErrorKind::Invalid)).on(CopyObject);
    let refused = bucket.fault.inject(refused);
    let mount = bucket.mount().await;
    bucket.fault.remove(refused);
    mount
}

async fn rename(mount: &Mount, from: &str, to: &str) -> crate::harness::Result<()> {
    mount.rename_with(from, to, libc::RENAME_NOREPLACE).await
}

async fn what_another_stores_meanwhile_is_not_replaced(layout: Layout) {
    tokio::time::pause();
    for (conditional_copies, content) in [
        (true, &b"ours"[..]),
        (true, b""),
        (false, b"ours"),
        (false, b""),
    ] {
        let bucket = Bucket::of(layout);
        let mount = mount(&bucket, conditional_copies).await;
        mount.write_file("f", content).await.unwrap();
        // Whichever makes the copy visible.
        for operation in [CopyObject, CompleteMultipartUpload, PutObject] {
            let slow = Rule::new(Effect::Delay(Duration::from_secs(10))).on(operation);
            bucket.fault.inject(slow);
        }
        let another = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(
                bucket.keys(),
                ["f"],
                "it was not there when it was looked for"
            );
            bucket.put("g", b"theirs").await;
        };
        let (renamed, ()) = tokio::join!(rename(&mount, "f", "g"), another);
        let when = format!("{conditional_copies} {content:?}");
        assert_eq!(errno(renamed), libc::EEXIST, "{when}");
        bucket.fault.clear();
        assert_eq!(mount.read_file("g").await.unwrap(), b"theirs", "{when}");
        assert_eq!(mount.read_file("f").await.unwrap(), content, "{when}");
        assert_eq!(bucket.keys(), ["f", "g"], "{when}");
        assert_eq!(bucket.private_keys(), [""; 0], "{when}");
        assert_eq!(errno(rename(&mount, "f", "g").await), libc::EEXIST);
        mount.rename("f", "g").await.unwrap();
        assert_eq!(mount.read_file("g").await.unwrap(), content, "{when}");
    }
}

async fn a_server_with_conditional_copies_is_asked_once(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = mount(&bucket, true).await;
    for name in ["a", "b"] {
        mount.write_file(name, b"content").await.unwrap();
    }
    let (renamed, unless_there) = bucket.calls(rename(&mount, "a", "c")).await;
    renamed.unwrap();
    let (renamed, always) = bucket.calls(mount.rename("b", "d")).await;
    renamed.unwrap();
    assert_eq!(unless_there.of(CopyObject), 1);
    assert_eq!(unless_there.to_string(), always.to_string());
}

async fn a_server_without_them_is_asked_for_parts(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = mount(&bucket, false).await;
    for name in ["a", "b"] {
        mount.write_file(name, b"content").await.unwrap();
    }
    let (renamed, calls) = bucket.calls(rename(&mount, "a", "c")).await;
    renamed.unwrap();
    let counts = [CopyObject, UploadPartCopy, CompleteMultipartUpload];
    assert_eq!(counts.map(|operation| calls.of(operation)), [0, 1, 1]);
    assert_eq!(calls.bytes_up, 0);
    assert_eq!(mount.read_file("c").await.unwrap(), b"content");
    let (renamed, calls) = bucket.calls(mount.rename("b", "d")).await;
    renamed.unwrap();
    assert_eq!(counts.map(|operation| calls.of(operation)), [1, 0, 0]);
    if layout == Layout::Plain {
        // It may have properties that parts would lose.
        bucket.put("foreign", b"of another tool").await;
        let (renamed, calls) = bucket.calls(rename(&mount, "foreign", "e")).await;
        renamed.unwrap();
        assert_eq!(counts.map(|operation| calls.of(operation)), [1, 0, 0]);
    }
}
