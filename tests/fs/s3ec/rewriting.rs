//! What a change of such an object makes: one of the volume's own, under the condition that
//! nobody else replaced it.

use cloakfs::fs::{CopyRange, SetAttr};
use cloakfs::store::{HeadOptions, ObjectKey, Store};

use super::objects::{With, v2, v3};
use super::{bucket, pattern, put, told};
use crate::harness::{Bucket, errno, me};

/// Whether the object at a key is the volume's own.
async fn is_ours(bucket: &Bucket, key: &str) -> bool {
    let key = ObjectKey::new(key).unwrap();
    let info = bucket.mem.head(&key, HeadOptions::default()).await.unwrap();
    let metadata = info.attributes.metadata;
    let theirs = metadata.keys().any(|name| name.starts_with("x-amz-"));
    let ours = metadata.contains_key("cloakfs-record");
    assert_ne!(theirs, ours, "{metadata:?}");
    ours
}

#[tokio::test]
async fn a_write_makes_it_the_volumes_own() {
    let master = [20; 32];
    let bucket = bucket(master);
    // Small, of several segments, and of less than a part.
    for len in [10, 300_000, (8 << 20) + 3, 20 << 20] {
        let mut plain = pattern(len);
        put(&bucket, "f", &v3(&With::Aes(master), &plain)).await;
        let mount = bucket.mount().await;
        let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
        mount.write_at(handle, 5, b"HELLO").await.unwrap();
        mount.close(handle).await.unwrap();
        plain[5..10].copy_from_slice(b"HELLO");
        assert!(is_ours(&bucket, "f").await);
        assert!(mount.read_file("f").await.unwrap() == plain, "{len}");
        assert!(bucket.body("f").await.unwrap() == plain, "{len}");
        let mode = told(&mount, "f", "mode").await;
        assert_eq!(mode.as_deref(), Some("cse-c"));
    }
}

#[tokio::test]
async fn so_do_truncation_and_growth() {
    let master = [21; 32];
    let bucket = bucket(master);
    let plain = pattern(9 << 20);
    let with = With::Aes(master);
    for size in [0_usize, 1, 8 << 20, (9 << 20) - 1, 12 << 20] {
        put(&bucket, "f", &v2(&with, &plain)).await;
        let mount = bucket.mount().await;
        let set = SetAttr {
            size: Some(size as u64),
            ..SetAttr::default()
        };
        mount.set("f", set).await.unwrap();
        let mut expected = plain.clone();
        expected.resize(size, 0);
        assert!(is_ours(&bucket, "f").await, "{size}");
        assert!(bucket.body("f").await.unwrap() == expected, "{size}");
    }
}

#[tokio::test]
async fn so_do_new_attributes_and_a_new_name() {
    let master = [22; 32];
    let bucket = bucket(master);
    for len in [100, 17 << 20] {
        let plain = pattern(len);
        let written = v3(&With::Aes(master), &plain);
        put(&bucket, "f", &written).await;
        let mount = bucket.mount().await;
        let set = SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        };
        assert_eq!(mount.set("f", set).await.unwrap().perm, 0o600);
        assert!(is_ours(&bucket, "f").await);
        assert!(bucket.body("f").await.unwrap() == plain);
        assert_eq!(mount.attr("f").await.unwrap().perm, 0o600);
        put(&bucket, "g", &written).await;
        mount.rename("g", "h").await.unwrap();
        assert!(is_ours(&bucket, "h").await);
        assert!(bucket.body("h").await.unwrap() == plain);
        assert_eq!(bucket.keys(), ["f", "h"]);
        mount.unlink("h").await.unwrap();
        assert_eq!(bucket.keys(), ["f"]);
    }
}

/// `cp` of one makes a file of the volume's own, and leaves it as it is.
#[tokio::test]
async fn a_copy_on_the_server_is_the_volumes_own() {
    let master = [27; 32];
    let bucket = bucket(master);
    let plain = pattern(9 << 20);
    put(&bucket, "f", &v3(&With::Aes(master), &plain)).await;
    let mount = bucket.mount().await;
    let (_, from) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let flags = libc::O_RDWR | libc::O_CREAT;
    let (_, to) = mount.open("copy", flags).await.unwrap();
    let copy = CopyRange {
        source: from,
        source_offset: 0,
        target: to,
        target_offset: 0,
        bytes: 1 << 40,
    };
    let copied = mount.fs.copy_range(me(), copy).await.unwrap();
    assert_eq!(copied as usize, plain.len());
    mount.close(to).await.unwrap();
    mount.fs.release(from).await;
    assert!(!is_ours(&bucket, "f").await);
    assert!(is_ours(&bucket, "copy").await);
    assert!(bucket.body("copy").await.unwrap() == plain);
}

#[tokio::test]
async fn a_directory_is_renamed_with_them() {
    let master = [23; 32];
    let bucket = bucket(master);
    let large = pattern(9 << 20);
    put(&bucket, "d/small", &v3(&With::Aes(master), b"small")).await;
    put(&bucket, "d/e/large", &v2(&With::Aes(master), &large)).await;
    bucket.put("d/own", b"own").await;
    let mount = bucket.mount().await;
    mount.rename("d", "new").await.unwrap();
    assert_eq!(mount.read_file("new/small").await.unwrap(), b"small");
    assert!(mount.read_file("new/e/large").await.unwrap() == large);
    assert_eq!(mount.read_file("new/own").await.unwrap(), b"own");
    assert!(is_ours(&bucket, "new/small").await);
    assert!(is_ours(&bucket, "new/e/large").await);
    assert!(!bucket.keys().iter().any(|key| key.starts_with("d/")));
}

#[tokio::test]
async fn an_open_file_is_read_after_its_name_is_gone() {
    let master = [24; 32];
    let bucket = bucket(master);
    put(&bucket, "f", &v3(&With::Aes(master), b"still here")).await;
    let mount = bucket.mount().await;
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    mount.unlink("f").await.unwrap();
    assert_eq!(mount.read_all(handle).await.unwrap(), b"still here");
    mount.fs.release(handle).await;
}

/// Somebody's version that came meanwhile stays.
#[tokio::test]
async fn what_somebody_else_stored_meanwhile_is_not_lost() {
    let master = [25; 32];
    let bucket = bucket(master);
    let with = With::Aes(master);
    put(&bucket, "f", &v3(&with, b"before")).await;
    let mount = bucket.mount().await;
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"MINE").await.unwrap();
    put(&bucket, "f", &v3(&with, b"theirs, later")).await;
    let closed = mount.close(handle).await;
    let again = bucket.mount().await;
    let read = again.read_file("f").await.unwrap();
    assert_eq!(read, b"theirs, later", "{closed:?}");
}

#[tokio::test]
async fn what_is_not_authentic_is_not_rewritten() {
    let master = [26; 32];
    let bucket = bucket(master);
    for len in [50_usize, 9 << 20] {
        let mut written = v3(&With::Aes(master), &pattern(len));
        written.body[len / 2] ^= 1;
        put(&bucket, "f", &written).await;
        let mount = bucket.mount().await;
        let set = SetAttr {
            mode: Some(0o600),
            ..SetAttr::default()
        };
        assert_eq!(errno(mount.set("f", set).await), libc::EIO);
        assert_eq!(errno(mount.rename("f", "g").await), libc::EIO);
        let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
        let wrote = mount.write_at(handle, 0, b"x").await;
        let closed = mount.close(handle).await;
        assert!(wrote.and(closed).is_err());
        assert!(!is_ours(&bucket, "f").await);
        assert_eq!(bucket.keys(), ["f"]);
        mount.unlink("f").await.unwrap();
        assert!(bucket.keys().is_empty());
    }
}

/// The kernel tells of a closed file later than `close` returns, so an `rm` after a failed `cat`
/// finds it open.
#[tokio::test]
async fn what_is_not_authentic_goes_while_it_is_open() {
    let master = [27; 32];
    let bucket = bucket(master);
    for replace in [false, true] {
        let mut damaged = v3(&With::Aes(master), &pattern(1000));
        damaged.body[500] ^= 1;
        put(&bucket, "f", &damaged).await;
        let mount = bucket.mount().await;
        let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
        assert_eq!(errno(mount.fs.read(handle, 0, 16).await), libc::EIO);
        if replace {
            mount.write_file("new", b"in its place").await.unwrap();
            mount.rename("new", "f").await.unwrap();
            assert_eq!(mount.read_file("f").await.unwrap(), b"in its place");
        } else {
            mount.unlink("f").await.unwrap();
            assert!(bucket.keys().is_empty());
        }
        assert!(mount.fs.read(handle, 0, 16).await.is_err());
        mount.fs.release(handle).await;
    }
}
