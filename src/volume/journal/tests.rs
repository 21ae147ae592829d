use std::sync::Arc;

use super::*;
use crate::layout::plain::Defaults;
use crate::store::mem::MemStore;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{ObjectAttributes, Store};
use crate::volume::VolumeOptions;

#[test]
fn only_uploads_without_an_end_are_left() {
    let text = concat!(
        r#"{"event":"mount","source":"s3://b/","mount":"m"}"#,
        "\n",
        r#"{"event":"begin","ticket":"1","key":"a"}"#,
        "\n",
        r#"{"event":"created","ticket":"1","upload":"u1"}"#,
        "\n",
        r#"{"event":"begin","ticket":"2","key":"b"}"#,
        "\n",
        r#"{"event":"created","ticket":"2","upload":"u2"}"#,
        "\n",
        r#"{"event":"ended","ticket":"1"}"#,
        "\n",
        r#"{"event":"begin","ticket":"3","key":"c"}"#,
        "\n",
        r#"{"event":"begin","tick"#,
    );
    let found = Unfinished::read(text);
    assert_eq!(found.of, Some(("s3://b/".to_owned(), "m".to_owned())));
    assert_eq!(
        found.uploads,
        [(ObjectKey::new("b").unwrap(), UploadId::new("u2"))]
    );
    assert_eq!(found.begun, [ObjectKey::new("c").unwrap()]);
    assert!(!found.private);
}

#[test]
fn a_private_object_that_stays_keeps_the_journal_for_the_next_mount() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = Journal::open(dir.path(), "s3://b/", "one").unwrap();
    first.left("staging/one/x");
    drop(first);
    let (second, left) = Journal::open(dir.path(), "s3://b/", "two").unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].mount_id, "one");
    drop((second, left));
    assert!(
        !dir.path().join("two.uploads").exists(),
        "nothing unfinished leaves no file"
    );
}

#[test]
fn a_living_mount_is_left_alone_and_a_dead_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (first, left) = Journal::open(dir.path(), "s3://b/", "one").unwrap();
    assert!(left.is_empty());
    let ticket = first.begin(&ObjectKey::new("k").unwrap()).unwrap();
    first.created(&ticket, &UploadId::new("u"));
    let (second, left) = Journal::open(dir.path(), "s3://b/", "two").unwrap();
    assert!(left.is_empty(), "the first mount is alive");
    drop((first, second));
    let (_third, left) = Journal::open(dir.path(), "s3://other/", "three").unwrap();
    assert!(
        left.is_empty(),
        "another source's uploads are not ours to abort"
    );
    let (_fourth, left) = Journal::open(dir.path(), "s3://b/", "four").unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].mount_id, "one");
    assert_eq!(left[0].unfinished.uploads.len(), 1);
}

/// The daemon was killed between the request and its answer.
#[tokio::test]
async fn an_upload_whose_creation_was_not_answered_is_aborted_by_the_next_mount() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemStore::new());
    let key = |name: &str| ObjectKey::new(name).unwrap();
    let (own, private) = (key("p/file"), key("p/.cloakfs/staging/m/1"));
    let begin = |key| store.create_multipart(key, ObjectAttributes::default());
    // Another machine may be writing to a file's own key.
    let theirs = begin(&own).await.unwrap();
    begin(&private).await.unwrap();
    let text = format!(
        "{}\n{}\n{}\n",
        serde_json::json!({"event": "mount", "source": " mem:/p/", "mount": "m"}),
        serde_json::json!({"event": "begin", "ticket": "1", "key": own.as_str()}),
        serde_json::json!({"event": "begin", "ticket": "2", "key": private.as_str()}),
    );
    let file = dir.path().join("m.uploads");
    fs::write(&file, text).unwrap();
    let options = VolumeOptions {
        server: String::new(),
        read_only: false,
        defaults: Defaults {
            uid: 0,
            gid: 0,
            umask: 0o022,
        },
        trust_listing: false,
        encryption: ExpectedEncryption::default(),
        journal_dir: dir.path().to_owned(),
    };
    let opened = Volume::open(Arc::clone(&store) as _, "p/", options).await;
    opened.unwrap();
    let left = store.list_multipart("").await.unwrap();
    let left: Vec<_> = left.into_iter().map(|it| it.upload).collect();
    assert_eq!(left, [theirs]);
    assert!(!file.exists());
}
