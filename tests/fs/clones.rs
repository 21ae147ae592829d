//! copy_file_range: whole files are cloned on the server, other ranges are streamed.

use std::collections::BTreeMap;

use cloakfs::fs::{CopyRange, HandleId, SetAttr};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};

use crate::harness::{Bucket, Layout, Mount, Result, errno, me};
use crate::layouts::{in_client_side_layouts, in_every_layout};

in_every_layout! {
    a_whole_file_is_cloned_on_the_server,
    a_clone_replaces_what_the_target_was_and_keeps_its_attributes,
    what_is_not_stored_yet_is_stored_and_cloned,
    other_ranges_are_streamed,
    a_clone_that_another_overtakes_is_kept_as_a_conflict_copy,
    where_the_server_may_not_copy_the_bytes_are_streamed,
    a_source_that_another_replaced_is_stale,
}

const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

/// Content of two segments that repeats nowhere.
fn content() -> Vec<u8> {
    (0_u32..3 << 20).flat_map(u32::to_le_bytes).collect()
}

async fn copy(mount: &Mount, source: HandleId, target: HandleId, bytes: u64) -> Result<u32> {
    copy_at(mount, (source, 0), (target, 0), bytes).await
}

async fn copy_at(
    mount: &Mount,
    (source, source_offset): (HandleId, u64),
    (target, target_offset): (HandleId, u64),
    bytes: u64,
) -> Result<u32> {
    let copy = CopyRange {
        source,
        source_offset,
        target,
        target_offset,
        bytes,
    };
    mount.fs.copy_range(me(), copy).await
}

async fn a_whole_file_is_cloned_on_the_server(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let content = content();
    mount.write_file("f", &content).await.unwrap();
    // Nothing that this mount remembers helps.
    let mount = bucket.mount().await;
    let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (_, target) = mount.open("g", NEW).await.unwrap();
    let (copied, calls) = bucket
        .calls(async {
            let copied = copy(&mount, source, target, 1 << 40).await;
            mount.close(target).await.unwrap();
            copied
        })
        .await;
    assert_eq!(copied.unwrap() as usize, content.len());
    assert_eq!(calls.of(Operation::UploadPartCopy), 1, "{calls}");
    assert_eq!(calls.bytes_up, 0, "{calls}");
    assert!(calls.bytes_down < 64 << 10, "{calls}");
    assert_eq!(mount.read_file("g").await.unwrap(), content);
    assert_eq!(bucket.body("g").await.unwrap(), content);

    // From now on they are two files.
    let (_, again) = mount.open("g", libc::O_RDWR).await.unwrap();
    mount.write_at(again, 5, b"changed").await.unwrap();
    mount.close(again).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), content);
    assert_eq!(&bucket.body("g").await.unwrap()[5..12], b"changed");
}

async fn a_clone_replaces_what_the_target_was_and_keeps_its_attributes(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let content = content();
    mount.write_file("f", &content).await.unwrap();
    mount.write_file("g", b"was here before").await.unwrap();
    let mode = |mode| SetAttr {
        mode: Some(mode),
        ..SetAttr::default()
    };
    mount.set("f", mode(0o755)).await.unwrap();
    mount.set("g", mode(0o600)).await.unwrap();
    let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (_, target) = mount.open("g", libc::O_RDWR).await.unwrap();
    mount.write_at(target, 3, b"not stored").await.unwrap();
    let copied = copy(&mount, source, target, content.len() as u64).await;
    assert_eq!(copied.unwrap() as usize, content.len());
    assert_eq!(mount.read_all(target).await.unwrap(), content);
    mount.write_at(target, 1, b"after").await.unwrap();
    mount.close(target).await.unwrap();
    let mut expected = content.clone();
    expected[1..6].copy_from_slice(b"after");
    assert_eq!(bucket.body("g").await.unwrap(), expected);
    assert_eq!(bucket.body("f").await.unwrap(), content);
    let other = bucket.mount().await;
    assert_eq!(other.attr("g").await.unwrap().perm, 0o600);
    assert_eq!(other.attr("f").await.unwrap().perm, 0o755);

    // A longer target keeps its end.
    let (_, target) = mount.open("long", NEW).await.unwrap();
    mount
        .write_at(target, content.len() as u64, b"the end")
        .await
        .unwrap();
    let mut copied = 0;
    while copied < content.len() as u64 {
        let left = content.len() as u64 - copied;
        let now = copy_at(&mount, (source, copied), (target, copied), left).await;
        copied += u64::from(now.unwrap());
    }
    mount.close(target).await.unwrap();
    let expected = [content, b"the end".to_vec()].concat();
    assert_eq!(bucket.body("long").await.unwrap(), expected);
}

async fn what_is_not_stored_yet_is_stored_and_cloned(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let content = content();
    let (_, source) = mount.open("f", NEW).await.unwrap();
    mount.write_at(source, 0, &content).await.unwrap();
    let (_, target) = mount
        .open("g", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    let copied = copy(&mount, source, target, u64::from(u32::MAX)).await;
    assert_eq!(copied.unwrap() as usize, content.len());
    mount.close(target).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), content);
    assert_eq!(bucket.body("g").await.unwrap(), content);
    // A file without a name has its content still.
    mount.unlink("f").await.unwrap();
    let (_, target) = mount.open("h", NEW).await.unwrap();
    let copied = copy(&mount, source, target, u64::from(u32::MAX)).await;
    assert_eq!(copied.unwrap() as usize, content.len());
    mount.close(target).await.unwrap();
    mount.close(source).await.unwrap();
    assert_eq!(bucket.body("h").await.unwrap(), content);
}

async fn other_ranges_are_streamed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let content = content();
    mount.write_file("f", &content).await.unwrap();
    let (_, f) = mount.open("f", libc::O_RDWR).await.unwrap();
    let (_, g) = mount.open("g", NEW).await.unwrap();
    mount.write_at(g, 0, b"0123456789").await.unwrap();
    let copied = copy_at(&mount, (f, 1000), (g, 4), 3).await.unwrap();
    assert_eq!(copied, 3);
    // No further than the end, and nothing from there.
    let end = content.len() as u64;
    assert_eq!(copy_at(&mount, (f, end - 2), (g, 10), 9).await.unwrap(), 2);
    assert_eq!(copy_at(&mount, (f, end), (g, 0), 9).await.unwrap(), 0);
    assert_eq!(copy_at(&mount, (f, end + 9), (g, 0), 9).await.unwrap(), 0);
    mount.close(g).await.unwrap();
    let mut expected = b"0123456789".to_vec();
    expected[4..7].copy_from_slice(&content[1000..1003]);
    expected.extend_from_slice(&content[content.len() - 2..]);
    assert_eq!(bucket.body("g").await.unwrap(), expected);

    // Within one file, as long as the ranges do not overlap.
    let overlap = copy_at(&mount, (f, 0), (f, 99), 100).await;
    assert_eq!(errno(overlap), libc::EINVAL);
    assert_eq!(copy_at(&mount, (f, 0), (f, 100), 100).await.unwrap(), 100);
    mount.close(f).await.unwrap();
    let mut expected = content.clone();
    expected.copy_within(0..100, 100);
    assert_eq!(bucket.body("f").await.unwrap(), expected);
}

async fn a_clone_that_another_overtakes_is_kept_as_a_conflict_copy(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (mount, other) = (bucket.mount().await, bucket.mount().await);
    let content = content();
    mount.write_file("f", &content).await.unwrap();
    let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (_, target) = mount.open("g", NEW).await.unwrap();
    other.write_file("g", b"theirs").await.unwrap();
    let copied = copy(&mount, source, target, content.len() as u64).await;
    assert_eq!(copied.unwrap() as usize, content.len());
    assert_eq!(errno(mount.close(target).await), libc::ESTALE);
    assert_eq!(bucket.body("g").await.unwrap(), b"theirs");
    let kept = mount.fs.status().conflicts[0].kept_as.clone();
    assert_eq!(bucket.body(&kept).await.unwrap(), content);
}

async fn where_the_server_may_not_copy_the_bytes_are_streamed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let content = content();
    mount.write_file("f", &content).await.unwrap();
    let refused = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::UploadPartCopy);
    bucket.fault.inject(refused);
    let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (_, target) = mount.open("g", NEW).await.unwrap();
    let copied = copy(&mount, source, target, content.len() as u64).await;
    assert_eq!(copied.unwrap() as usize, content.len());
    mount.close(target).await.unwrap();
    assert_eq!(bucket.body("g").await.unwrap(), content);
}

async fn a_source_that_another_replaced_is_stale(layout: Layout) {
    let bucket = Bucket::of(layout);
    let (mount, other) = (bucket.mount().await, bucket.mount().await);
    mount.write_file("f", &content()).await.unwrap();
    let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
    other.write_file("f", b"theirs").await.unwrap();
    let mount_again = bucket.mount().await;
    let (_, target) = mount.open("g", NEW).await.unwrap();
    let copied = copy(&mount, source, target, 1 << 30).await;
    assert_eq!(errno(copied), libc::ESTALE);
    mount.close(target).await.unwrap();
    assert_eq!(mount_again.read_file("g").await.unwrap(), b"");
}

mod in_volumes {
    use super::*;

    in_client_side_layouts! {
        a_clone_shares_its_content_key_and_is_another_file,
        what_one_answer_cannot_say_is_cloned_once,
        who_does_not_ask_for_the_rest_gets_a_shorter_file,
    }

    async fn a_clone_shares_its_content_key_and_is_another_file(layout: Layout) {
        let bucket = Bucket::of(layout);
        let mount = bucket.mount().await;
        mount.write_file("f", &content()).await.unwrap();
        let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
        let (_, target) = mount.open("g", NEW).await.unwrap();
        copy(&mount, source, target, 1 << 30).await.unwrap();
        let (f, g) = (bucket.record("f").await, bucket.record("g").await);
        assert_eq!((f.content.id, f.body), (g.content.id, g.body));
        assert_ne!(f.file, g.file);
    }

    /// A hole with its ends stored, which is more than one answer can say.
    const LENGTH: u64 = 9 << 30;
    const ANSWER: u64 = (1 << 32) - 4096;

    async fn large(bucket: &Bucket) {
        let last = u32::try_from(LENGTH / (8 << 20) - 1).unwrap();
        let end = vec![9; 8 << 20];
        let segments = BTreeMap::from([(0, &end[..]), (last, &end[..])]);
        bucket.seal("f", LENGTH, segments).await;
    }

    async fn what_one_answer_cannot_say_is_cloned_once(layout: Layout) {
        let bucket = Bucket::of(layout);
        large(&bucket).await;
        let mount = bucket.mount().await;
        let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
        let (_, target) = mount.open("g", NEW).await.unwrap();
        let (mut copied, mut answers) = (0, Vec::new());
        let ((), calls) = bucket
            .calls(async {
                loop {
                    // As kernels ask that know how much can be answered, and as older ones do.
                    let wanted = if copied == 0 { ANSWER } else { LENGTH - copied };
                    let at = ((source, copied), (target, copied));
                    let now = copy_at(&mount, at.0, at.1, wanted).await.unwrap();
                    if now == 0 {
                        break;
                    }
                    copied += u64::from(now);
                    answers.push(u64::from(now));
                    assert_eq!(mount.attr("g").await.unwrap().size, copied);
                }
                mount.close(target).await.unwrap();
            })
            .await;
        assert_eq!(answers, [ANSWER, ANSWER, LENGTH - 2 * ANSWER]);
        assert_eq!(calls.of(Operation::CompleteMultipartUpload), 1, "{calls}");
        assert_eq!(calls.bytes_up, 0, "{calls}");
        let (_, g) = mount.open("g", libc::O_RDONLY).await.unwrap();
        let end = mount.fs.read(g, LENGTH - 4, 100).await.unwrap();
        assert_eq!(end, [9; 4].as_slice());
    }

    async fn who_does_not_ask_for_the_rest_gets_a_shorter_file(layout: Layout) {
        let bucket = Bucket::of(layout);
        large(&bucket).await;
        let mount = bucket.mount().await;
        let (_, source) = mount.open("f", libc::O_RDONLY).await.unwrap();
        let (_, target) = mount.open("g", NEW).await.unwrap();
        let copied = copy(&mount, source, target, ANSWER).await.unwrap();
        assert_eq!(u64::from(copied), ANSWER);
        mount.write_at(target, 7, b"written").await.unwrap();
        // Not what was cut any more: the rest is read and written.
        let next = copy_at(&mount, (source, ANSWER), (target, ANSWER), 1 << 30).await;
        let next = u64::from(next.unwrap());
        assert!((1..1 << 30).contains(&next), "{next}");
        mount.close(target).await.unwrap();
        let other = bucket.mount().await;
        assert_eq!(other.attr("g").await.unwrap().size, ANSWER + next);
        let (_, g) = other.open("g", libc::O_RDONLY).await.unwrap();
        let start = other.fs.read(g, 0, 16).await.unwrap();
        assert_eq!(
            start,
            b"\x09\x09\x09\x09\x09\x09\x09written\x09\x09".as_slice()
        );
    }
}
