//! Attribute changes: one copy on the server that moves no content.

use super::rig::set;
use super::*;
use crate::layout::attributes::{FileKind, Xattrs};
use crate::layout::sealed::XattrPlace;
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, Operation, Store};

#[tokio::test]
async fn a_chmod_is_one_copy_and_the_body_stays() {
    let rig = Rig::new().await;
    let mut file = rig.put("a", FileKind::File, &content(3 << 20)).await;
    let before = rig.assert_is("a", &file).await;
    for (generation, perm) in [(2, 0o600), (3, 0o644), (4, 0o7777)] {
        file.meta.attributes.perm = perm;
        let ((), cost) = rig.cost(rig.set_attributes("a", &mut file)).await;
        assert_eq!(cost.to_string(), "CopyObject 1; 0 bytes up, 0 down");
        let after = rig.assert_is("a", &file).await;
        after.assert_same_body(&before);
        assert_eq!(after.generation(), generation);
        assert_eq!(after.record_sequence(), generation);
    }
}

#[tokio::test]
async fn a_mount_that_never_met_the_file_reads_its_end_once() {
    let rig = Rig::new().await;
    let mut file = rig.put("a", FileKind::File, &content(100_000)).await;
    let before = rig.assert_is("a", &file).await;
    let other = rig.mount_again().await;
    file.meta.attributes.uid = 7;
    let (done, cost) = rig.cost(set(&other, "a", &file)).await;
    file.done = done.unwrap();
    assert_eq!(
        cost.to_string(),
        "CopyObject 1, GetObject 1; 0 bytes up, 32768 down"
    );
    rig.assert_is("a", &file).await.assert_same_body(&before);
}

#[tokio::test]
async fn a_body_too_large_for_one_copy_is_copied_in_parts() {
    let rig = Rig::with_small_limits().await;
    let mut file = rig.put("a", FileKind::File, &content(5000)).await;
    let before = rig.assert_is("a", &file).await;
    file.meta.attributes.gid = 8;
    let ((), cost) = rig.cost(rig.set_attributes("a", &mut file)).await;
    assert_eq!(cost.of(Operation::UploadPartCopy), 1, "{cost}");
    assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0), "{cost}");
    rig.assert_is("a", &file).await.assert_same_body(&before);
}

/// What decides is how long the object is, and not the file: here 800 and 1,077 bytes.
#[tokio::test]
async fn what_one_copy_holds_is_counted_in_stored_bytes() {
    let rig = Rig::with_small_limits().await;
    let mut file = rig.put("a", FileKind::File, &content(800)).await;
    let ((), cost) = rig.cost(rig.set_attributes("a", &mut file)).await;
    assert_eq!(cost.of(Operation::CopyObject), 0, "{cost}");
    rig.assert_is("a", &file).await;
}

#[tokio::test]
async fn attributes_that_outgrow_the_record_go_into_a_new_body() {
    let rig = Rig::with_small_limits().await;
    for (at, bytes) in [("none", 0), ("small", 300), ("large", 5000)] {
        let mut file = rig
            .put_with(at, FileKind::File, &content(bytes), xattrs(9))
            .await;
        let before = rig.assert_is(at, &file).await;
        file.meta.attributes.xattrs = xattrs(6000);
        let ((), cost) = rig.cost(rig.set_attributes(at, &mut file)).await;
        let grown = rig.assert_is(at, &file).await;
        assert_eq!(grown.object.record.attributes.xattrs, XattrPlace::Body);
        assert_ne!(grown.object.record.body, before.object.record.body);
        assert_eq!(
            grown.object.record.content.id,
            before.object.record.content.id
        );
        assert_eq!(grown.object.map.pins(), before.object.map.pins(), "{at}");
        assert_eq!((grown.generation(), grown.record_sequence()), (2, 2));
        let in_parts = u64::from(at == "large");
        assert_eq!(cost.of(Operation::UploadPartCopy), in_parts, "{cost}");
        assert_eq!(cost.of(Operation::PutObject), 1 - in_parts, "{cost}");
        assert_eq!(cost.bytes_down, 0, "{cost}");

        // While they stay as they are, the body stays.
        file.meta.attributes.perm = 0;
        let ((), cost) = rig.cost(rig.set_attributes(at, &mut file)).await;
        assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0), "{cost}");
        rig.assert_is(at, &file).await.assert_same_body(&grown);

        // Others make another body again.
        file.meta.attributes.xattrs = xattrs(700);
        rig.set_attributes(at, &mut file).await;
        let others = rig.assert_is(at, &file).await;
        assert_ne!(others.object.record.body, grown.object.record.body);

        // Those that fit are in the record, whatever the body has still.
        for few in [xattrs(10), Xattrs::new()] {
            file.meta.attributes.xattrs = few;
            let ((), cost) = rig.cost(rig.set_attributes(at, &mut file)).await;
            assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0), "{cost}");
            rig.assert_is(at, &file).await.assert_same_body(&others);
        }
        assert_eq!(rig.find(at).await.record_sequence(), 6);
    }
}

/// The segments of a large file with a manifest keep their messages.
#[tokio::test]
async fn a_new_tail_is_sent_without_the_segments() {
    let rig = Rig::new().await;
    let bytes = (16 << 20) + 5;
    let mut file = rig.put("a", FileKind::File, &content(bytes)).await;
    let before = rig.assert_is("a", &file).await;
    let other = rig.mount_again().await;
    file.meta.attributes.xattrs = xattrs(60_000);
    let (done, cost) = rig.cost(set(&other, "a", &file)).await;
    file.done = done.unwrap();
    assert_eq!(cost.of(Operation::UploadPartCopy), 1, "{cost}");
    assert!(
        cost.bytes_up < 61_000 && cost.bytes_down <= 32_768,
        "{cost}"
    );
    let after = rig.assert_is("a", &file).await;
    assert_eq!(after.object.map.pins(), before.object.map.pins());
    assert_ne!(after.object.record.body, before.object.record.body);
}

#[tokio::test]
async fn a_version_that_somebody_replaced_is_not_changed() {
    let rig = Rig::new().await;
    let mut file = rig.put("a", FileKind::File, b"one").await;
    let old = file.clone();
    rig.set_attributes("a", &mut file).await;
    for xattrs in [xattrs(1), xattrs(5000)] {
        let mut changed = old.clone();
        changed.meta.attributes.xattrs = xattrs;
        for volume in [rig.mount_again().await, std::sync::Arc::clone(&rig.volume)] {
            let refused = set(&volume, "a", &changed).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Precondition);
        }
    }
    rig.assert_is("a", &file).await;
}

/// A copy can keep the `ETag`: then another mount's opened object has older attributes.
#[tokio::test]
async fn sequence_numbers_grow_with_what_the_caller_knows() {
    let rig = Rig::over(crate::store::mem::MemStore::new().copies_keep_etags()).await;
    let mut file = rig.put("a", FileKind::File, b"one").await;
    let other = rig.mount_again().await;
    let etag = file.version().etag;
    for perm in [1, 2, 3] {
        file.meta.attributes.perm = perm;
        file.done = set(&other, "a", &file).await.unwrap();
        assert_eq!(file.version().etag, etag);
    }
    let found = rig.assert_is("a", &file).await;
    assert_eq!((found.generation(), found.record_sequence()), (4, 4));
    // As a stat of this moment tells.
    file.meta.lineage.sequence = found.record_sequence();
    file.meta.lineage.generation = found.generation();
    rig.set_attributes("a", &mut file).await;
    let found = rig.assert_is("a", &file).await;
    assert_eq!((found.generation(), found.record_sequence()), (5, 5));
}

#[tokio::test]
async fn what_fails_leaves_the_object_as_it_was_and_no_upload() {
    use Operation::{
        CompleteMultipartUpload, CopyObject, CreateMultipartUpload, PutObject, UploadPart,
        UploadPartCopy,
    };
    let rig = Rig::with_small_limits().await;
    for (bytes, xattr, requests) in [
        (3, 1, &[CopyObject][..]),
        (3, 5000, &[PutObject]),
        (
            5000,
            1,
            &[
                CreateMultipartUpload,
                UploadPartCopy,
                CompleteMultipartUpload,
            ],
        ),
        (
            5000,
            5000,
            &[
                CreateMultipartUpload,
                UploadPartCopy,
                UploadPart,
                CompleteMultipartUpload,
            ],
        ),
    ] {
        let at = format!("{bytes}-{xattr}");
        let file = rig.put(&at, FileKind::File, &content(bytes)).await;
        let mut changed = file.clone();
        changed.meta.attributes.xattrs = xattrs(xattr);
        for &request in requests {
            let fails = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(request);
            let rule = rig.fault.inject(fails);
            let failed = set(&rig.volume, &at, &changed).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Denied, "{request}");
            assert_eq!(rig.fault.remove(rule), Some(1));
            rig.assert_is(&at, &file).await;
        }
    }
    assert_eq!(rig.fault.list_multipart("").await.unwrap(), []);
}
