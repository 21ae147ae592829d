//! Multipart uploads on disk.

use super::*;
use crate::base::range::ByteRange;

#[tokio::test]
async fn parts_in_order_are_moved_and_others_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        part_bytes_min: 4,
        ..Limits::S3
    };
    let store = DirStore::open_with_limits(dir.path(), limits).unwrap();
    let name = key("k");
    for (bodies, moved) in [
        (&[(1, "1111"), (2, "2222"), (3, "33")][..], true),
        (&[(3, "33"), (1, "1111"), (2, "2222")], false),
        (&[(1, "1111"), (2, "0000"), (2, "2222")], false),
        (&[(1, "1111"), (3, "3333")], false),
        (&[(1, "1111"), (2, "222222")], false),
        (&[(1, "")], true),
    ] {
        let upload = store
            .create_multipart(&name, ObjectAttributes::default())
            .await
            .unwrap();
        let mut parts = std::collections::BTreeMap::new();
        for (number, text) in bodies {
            let number = PartNumber::new(*number).unwrap();
            let text = Bytes::from_static(text.as_bytes());
            let part = store
                .upload_part(&name, &upload, number, text.clone())
                .await
                .unwrap();
            parts.insert(number, (part, text));
        }
        let object = store
            .0
            .disk
            .session()
            .uploads()
            .join(upload.as_str())
            .join("object");
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(object).unwrap());
        let receipts: Vec<_> = parts.values().map(|(part, _)| part.clone()).collect();
        store
            .complete_multipart(&name, &upload, &receipts, WriteCondition::None)
            .await
            .unwrap();
        let expected: Vec<_> = parts.into_values().map(|(_, text)| text).collect();
        assert_eq!(body(&store, "k").await.unwrap(), expected.concat());
        let now =
            std::os::unix::fs::MetadataExt::ino(&fs::metadata(dir.path().join("k%")).unwrap());
        assert_eq!(now == inode, moved, "{bodies:?}");
        assert_eq!(unfinished(dir.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_failed_condition_leaves_an_upload_as_it_was() {
    let (_dir, store) = store();
    let name = key("k");
    let upload = store
        .create_multipart(&name, ObjectAttributes::default())
        .await
        .unwrap();
    let number = PartNumber::new(1).unwrap();
    let part = store
        .upload_part(&name, &upload, number, Bytes::from_static(b"up"))
        .await;
    let parts = [part.unwrap()];
    let etag = put(&store, "k", "there").await.unwrap().etag;
    let complete = async |condition| {
        store
            .complete_multipart(&name, &upload, &parts, condition)
            .await
    };
    let refused = complete(WriteCondition::IfAbsent).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Precondition);
    assert_eq!(body(&store, "k").await.unwrap(), "there");
    complete(WriteCondition::IfMatch(etag)).await.unwrap();
    assert_eq!(body(&store, "k").await.unwrap(), "up");
    let gone = complete(WriteCondition::None).await.unwrap_err();
    assert_eq!(gone.code(), Some("NoSuchUpload"));
}

/// A small change of a large object needs room for one more of it, and not for two.
#[tokio::test]
async fn a_part_that_is_copied_takes_no_room_before_it_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        part_bytes_min: 4,
        ..Limits::S3
    };
    let store = DirStore::open_with_limits(dir.path(), limits).unwrap();
    let old = Bytes::from(vec![b'o'; 1 << 20]);
    let name = key("k");
    let source = store
        .put(&name, old.clone(), PutOptions::default())
        .await
        .unwrap();
    let upload = store
        .create_multipart(&name, ObjectAttributes::default())
        .await
        .unwrap();
    let copy = async |number, start, end| {
        let from = CopySource {
            key: name.clone(),
            if_match: Some(source.etag.clone()),
            version: None,
            range: Some(ByteRange::new(start, end)),
        };
        let number = PartNumber::new(number).unwrap();
        store.copy_part(&name, &upload, number, from).await
    };
    let first = copy(1, 0, 1 << 19).await.unwrap();
    let third = copy(3, (1 << 19) + 4, 1 << 20).await.unwrap();
    let number = PartNumber::new(2).unwrap();
    let second = store
        .upload_part(&name, &upload, number, Bytes::from_static(b"new!"))
        .await
        .unwrap();
    let directory = store.0.disk.session().uploads().join(upload.as_str());
    let taken: u64 = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| {
            let about = entry.unwrap().metadata().unwrap();
            std::os::unix::fs::MetadataExt::blocks(&about) * 512
        })
        .sum();
    assert!(taken < 1 << 18, "{taken}");
    // A copy is of the version that it was asked for, whatever is there in the end.
    put(&store, "k", "another version").await.unwrap();
    assert!(copy(4, 0, 4).await.is_err());
    let parts = [first, second, third];
    store
        .complete_multipart(&name, &upload, &parts, WriteCondition::None)
        .await
        .unwrap();
    let mut expected = old.to_vec();
    expected[1 << 19..(1 << 19) + 4].copy_from_slice(b"new!");
    assert!(body(&store, "k").await.unwrap() == expected);
    assert_eq!(unfinished(dir.path()), Vec::<String>::new());
}
