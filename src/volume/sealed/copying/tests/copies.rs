//! Copies to other keys: each record is sealed for its own key, and no content moves.

use std::sync::Arc;

use super::rig::{copy_below, path, preserve, rename, set};
use super::*;
use crate::base::id::CommitId;
use crate::layout::attributes::FileKind;
use crate::layout::sealed::{ObjectError, Segments};
use crate::store::fault::{Effect, Rule};
use crate::store::mem::MemStore;
use crate::store::{
    CopyAttributes, CopySource, ErrorKind, ListedObject, ObjectKey, Operation, PutOptions, Store,
    WriteCondition,
};
use crate::volume::{Condition, ObjectMeta, ObjectRef};

#[tokio::test]
async fn a_rename_moves_no_content_of_files_of_any_size() {
    for (bytes, in_parts) in [(0, 0), (300, 0), (5000, 1)] {
        let rig = Rig::with_small_limits().await;
        let file = rig.put("a", FileKind::File, &content(bytes)).await;
        let before = rig.assert_is("a", &file).await;
        let mut moved = file.clone();
        moved.meta.attributes.ctime = crate::base::time::Timestamp::new(9, 9).unwrap();
        let rename = rename(&rig.volume, ("a", &file), ("d/b", &moved));
        let (done, cost) = rig.cost(rename).await;
        moved.done = done.unwrap();
        assert_eq!(cost.of(Operation::UploadPartCopy), in_parts, "{cost}");
        assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0), "{cost}");
        let after = rig.assert_is("d/b", &moved).await;
        after.assert_same_body(&before);
        assert_eq!((after.generation(), after.record_sequence()), (1, 2));
        assert_eq!(rig.mem.keys(), ["d/b"]);
    }
}

#[tokio::test]
async fn a_rename_over_a_file_is_above_its_generation() {
    let rig = Rig::new().await;
    let file = rig.put("a", FileKind::File, b"one").await;
    let mut target = rig.put("b", FileKind::File, b"other").await;
    rig.set_attributes("b", &mut target).await;
    let mut moved = file.clone();
    let rename = rename(&rig.volume, ("a", &file), ("b", &file));
    moved.done = rename.await.unwrap();
    assert_eq!(rig.assert_is("b", &moved).await.generation(), 3);
}

#[tokio::test]
async fn a_rename_that_outgrows_the_record_keeps_the_segments() {
    let rig = Rig::with_small_limits().await;
    for bytes in [0, 300, 5000] {
        let file = rig.put("a", FileKind::File, &content(bytes)).await;
        let before = rig.assert_is("a", &file).await;
        let mut moved = file.clone();
        moved.meta.attributes.xattrs = xattrs(900);
        let rename = rename(&rig.volume, ("a", &file), ("b", &moved));
        moved.done = rename.await.unwrap();
        let after = rig.assert_is("b", &moved).await;
        assert_eq!(after.object.map.pins(), before.object.map.pins());
        assert_ne!(after.object.record.body, before.object.record.body);
        rig.volume.delete(&path("b")).await.unwrap();
    }
}

/// An object of another type would be one that no reader takes.
#[tokio::test]
async fn a_copy_has_the_type_of_its_source() {
    let rig = Rig::new().await;
    let file = rig.put("a", FileKind::File, b"one").await;
    let mut changed = file.clone();
    changed.meta.attributes.kind = FileKind::Symlink;
    let refused = set(&rig.volume, "a", &changed).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "\"a\": it is a File, and would become a Symlink"
    );
}

#[tokio::test]
async fn what_is_below_a_renamed_directory_keeps_its_newest_attributes() {
    for mem in [MemStore::new(), MemStore::new().copies_keep_etags()] {
        let rig = Rig::over(mem).await;
        let mut file = rig
            .put_with("d/x", FileKind::File, &content(40_000), xattrs(700))
            .await;
        let other = rig.mount_again().await;
        // The first mount has the object opened as it was before.
        file.meta.attributes.perm = 0o123;
        file.done = set(&other, "d/x", &file).await.unwrap();
        let before = rig.assert_is("d/x", &file).await;
        let listed = file.listed("d/x", &before);
        let copy = copy_below(&rig.volume, "d", "e", &listed);
        let (copied, cost) = rig.cost(copy).await;
        let copied = copied.unwrap();
        assert_eq!(
            cost.to_string(),
            "CopyObject 1, GetObject 1; 0 bytes up, 205 down"
        );
        assert_eq!(copied.source, before.etag);
        let after = rig.find("e/x").await;
        assert_eq!(after.etag, copied.copy.etag);
        file.done.version = copied.copy;
        file.done.commit = after.metadata[CommitId::METADATA_NAME].clone();
        let after = rig.assert_is("e/x", &file).await;
        after.assert_same_body(&before);
        assert_eq!((after.generation(), after.record_sequence()), (1, 2));
    }
}

/// Attributes at commit hold until a record has newer ones: then they are in the copy's record.
#[tokio::test]
async fn a_copy_below_is_of_what_holds() {
    let rig = Rig::with_small_limits().await;
    let file = rig
        .put_with("d/x", FileKind::File, &content(5000), xattrs(700))
        .await;
    let before = rig.assert_is("d/x", &file).await;
    let listed = file.listed("d/x", &before);
    let copy = copy_below(&rig.volume, "d", "e", &listed);
    let (done, cost) = rig.cost(copy).await;
    done.unwrap();
    assert_eq!(cost.of(Operation::UploadPartCopy), 1, "{cost}");
    assert_eq!((cost.bytes_up, cost.bytes_down), (0, 205), "{cost}");
    rig.find("e/x").await.assert_same_body(&before);
}

#[tokio::test]
async fn an_object_that_does_not_open_is_named_and_not_copied() {
    let rig = Rig::new().await;
    let file = rig.put("d/x", FileKind::File, b"one").await;
    let listed = file.listed("d/x", &rig.assert_is("d/x", &file).await);
    // Somebody moved it there with another tool.
    let (from, to) = (
        ObjectKey::new("d/x").unwrap(),
        ObjectKey::new("d/y").unwrap(),
    );
    let source = CopySource {
        key: from,
        if_match: None,
        version: None,
        range: None,
    };
    let etag = rig
        .mem
        .copy(&to, source, CopyAttributes::Keep, WriteCondition::None)
        .await
        .unwrap()
        .etag;
    let listed = ListedObject {
        key: "d/y".to_owned(),
        etag,
        ..listed
    };
    let copy = copy_below(&rig.volume, "d", "e", &listed);
    let refused = copy.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert_eq!(
        refused.to_string(),
        "\"d/y\" is not authentic: it was changed, moved here without its key, or mixed from two \
         versions; restore an older version of the object"
    );
    // Nor one that is not ours at all.
    let plain = PutOptions::default();
    let put = rig
        .mem
        .put(&to, bytes::Bytes::from_static(&[1; 300]), plain)
        .await;
    let listed = ListedObject {
        etag: put.unwrap().etag,
        ..listed
    };
    let copy = copy_below(&rig.volume, "d", "e", &listed);
    assert!(copy.await.unwrap_err().object_error().is_some());
    assert_eq!(rig.mem.keys(), ["d/x", "d/y"]);
}

/// Other programs make objects for folders. They count as none where they are, and a renamed
/// directory keeps what they stand for.
#[tokio::test]
async fn a_foreign_marker_becomes_a_directory_of_ours() {
    let rig = Rig::new().await;
    let listed = foreign(&rig, "d/empty/", b"").await;
    let moved = copy_below(&rig.volume, "d", "e", &listed).await.unwrap();
    assert_eq!(moved.source, listed.etag);
    let found = rig.find("e/empty/").await;
    assert_eq!(found.etag, moved.copy.etag);
    let attributes = &found.object.attributes.attributes;
    assert_eq!(
        (attributes.kind, attributes.perm),
        (FileKind::Directory, 0o755)
    );
}

/// What they hold is another program's, and would be lost.
#[tokio::test]
async fn a_foreign_marker_with_content_is_not_moved() {
    let rig = Rig::new().await;
    for bytes in [1, 300] {
        let listed = foreign(&rig, "d/page/", &vec![b'<'; bytes]).await;
        let refused = copy_below(&rig.volume, "d", "e", &listed).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.object_error(), Some(ObjectError::NotOurs));
        assert_eq!(
            refused.to_string(),
            "\"d/page/\" was not written by cloakfs in a client-side mode: it has none of its \
             metadata; move it out of this volume"
        );
        assert_eq!(rig.mem.keys(), ["d/page/"]);
    }
}

/// What another program puts at a key, as a listing shows it.
async fn foreign(rig: &Rig, key: &str, body: &[u8]) -> ListedObject {
    let at = ObjectKey::new(key).unwrap();
    let content = bytes::Bytes::copy_from_slice(body);
    let put = rig.mem.put(&at, content, PutOptions::default()).await;
    ListedObject {
        size: body.len() as u64,
        etag: put.unwrap().etag,
        key: key.to_owned(),
        last_modified: crate::base::time::Timestamp::now(),
    }
}

#[tokio::test]
async fn what_handles_keep_is_an_object_of_its_own_key() {
    for bytes in [0, 300, 5000] {
        let rig = Rig::with_small_limits().await;
        let mut file = rig
            .put_with("a", FileKind::File, &content(bytes), xattrs(700))
            .await;
        let before = rig.assert_is("a", &file).await;
        let size = bytes as u64;
        let (kept, cost) = rig.cost(preserve(&rig.volume, "a", &file)).await;
        assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0), "{cost}");
        let (name, version) = kept.unwrap();
        rig.volume.delete(&path("a")).await.unwrap();
        let key = format!(".cloakfs/{name}");
        let found = rig.find(&key).await;
        file.done.version = version.clone();
        file.done.commit = found.metadata[CommitId::METADATA_NAME].clone();
        rig.assert_is(&key, &file).await.assert_same_body(&before);

        // And back to a path, as a new file that has it for its content.
        let target = path("b");
        let meta = ObjectMeta::new(file.meta.attributes.clone());
        let source = ObjectRef::Private(name);
        let copy = rig.volume.copy_to(
            &source,
            &version,
            size,
            &target,
            &meta,
            &Condition::IfAbsent,
        );
        let (done, cost) = rig.cost(copy).await;
        assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0), "{cost}");
        let file = File {
            meta,
            content: file.content,
            done: done.unwrap(),
        };
        let found = rig.assert_is("b", &file).await;
        found.assert_same_body(&before);
        assert_eq!(found.generation(), 1);
    }
}

#[tokio::test]
async fn a_sparse_file_is_copied_with_its_holes() {
    let rig = Rig::new().await;
    let file = rig.put("a", FileKind::File, &content((8 << 20) + 9)).await;
    let before = rig.assert_is("a", &file).await;
    assert!(matches!(
        before.object.footer.segments,
        Segments::Many { .. }
    ));
    let mut moved = file.clone();
    let rename = rename(&rig.volume, ("a", &file), ("b", &file));
    moved.done = rename.await.unwrap();
    rig.assert_is("b", &moved).await.assert_same_body(&before);
}

/// A copy whose answer was lost is found by its commit id, and is what the volume remembers.
#[tokio::test]
async fn lost_answers_of_copies_are_found() {
    let rig = Rig::new().await;
    let mut file = rig.put("a", FileKind::File, b"one").await;
    for perm in [0o1, 0o2] {
        let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut)).on(Operation::CopyObject);
        rig.fault.inject(lost.times(1));
        file.meta.attributes.perm = perm;
        rig.set_attributes("a", &mut file).await;
        rig.assert_is("a", &file).await;
    }
    assert_eq!(rig.find("a").await.record_sequence(), 3);
}

/// Two changes of different objects do not wait for each other, and none of them shares a body.
#[tokio::test]
async fn concurrent_copies_are_each_of_their_own() {
    let rig = Arc::new(Rig::new().await);
    let files: Vec<_> = (0..20)
        .map(|number| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move {
                let at = format!("f{number}");
                let mut file = rig.put(&at, FileKind::File, at.as_bytes()).await;
                file.meta.attributes.uid = number;
                rig.set_attributes(&at, &mut file).await;
                rig.assert_is(&at, &file).await;
            })
        })
        .collect();
    for file in files {
        file.await.unwrap();
    }
}
