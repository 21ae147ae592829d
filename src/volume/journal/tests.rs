use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::layout::plain::Defaults;
use crate::store::mem::MemStore;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{ObjectAttributes, Store};
use crate::volume::{Volume, VolumeOptions};

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
        r#"{"event":"begin","ticket":"3","key":"c","at":7}"#,
        "\n",
        r#"{"event":"begin","tick"#,
    );
    let found = Unfinished::read(text);
    assert_eq!(found.of, Some(("s3://b/".to_owned(), "m".to_owned())));
    assert_eq!(
        found.uploads,
        [(ObjectKey::new("b").unwrap(), UploadId::new("u2"))]
    );
    assert_eq!(found.begun, [(ObjectKey::new("c").unwrap(), 7)]);
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

#[test]
fn the_journal_of_a_busy_mount_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), "s3://b/", "one").unwrap();
    let bytes = || fs::metadata(&journal.path).unwrap().len();
    let name = |name: &str| ObjectKey::new(name.repeat(200)).unwrap();
    let etag = crate::store::ETag::new("e");
    let renaming = || {
        let id = CommitId::random();
        let renaming = Renaming::new(&name("from"), &name("to"), &etag, None, id);
        journal.renaming(renaming).unwrap()
    };
    for _ in 0..2_000 {
        journal.ended(&renaming());
        assert!(bytes() <= LINES_BYTES_MAX);
    }
    // What has not ended is kept, with all that follows.
    let open = renaming();
    let begun = bytes();
    for _ in 0..2_000 {
        journal.ended(&renaming());
    }
    assert!(bytes() > begun + LINES_BYTES_MAX);
    let text = fs::read_to_string(&journal.path).unwrap();
    let found = Unfinished::read(&text);
    assert_eq!(found.renames.len(), 1);
    assert_eq!(found.of.as_ref().unwrap().1, "one");
    journal.ended(&open);
    assert!(bytes() < 1000);
    let path = journal.path.clone();
    drop(journal);
    assert!(!path.exists(), "nothing is left to a later mount");
}

/// The daemon was killed between the request and its answer.
#[tokio::test(start_paused = true)]
async fn an_upload_whose_creation_was_not_answered_is_aborted_by_the_next_mount() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemStore::new());
    let open = || {
        let options = VolumeOptions {
            server: String::new(),
            read_only: false,
            alone: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0o022,
            },
            trust_listing: false,
            encryption: ExpectedEncryption::default(),
            journal_dir: dir.path().to_owned(),
        };
        Volume::open(Arc::clone(&store) as _, "p/", options)
    };
    let (own, private) = (key("p/file"), key("p/.cloakfs/staging/m/1"));
    let theirs = store.create_multipart(&own, ObjectAttributes::default());
    let theirs = theirs.await.unwrap();
    tokio::time::advance(Duration::from_mins(5)).await;
    for key in [&own, &private] {
        let begun = store.create_multipart(key, ObjectAttributes::default());
        begun.await.unwrap();
    }
    let uploads = store.list_multipart("").await.unwrap();
    let at = uploads.iter().map(|it| it.initiated.secs()).max().unwrap();
    let text = format!(
        "{}\n{}\n{}\n",
        serde_json::json!({"event": "mount", "source": " mem:/p/", "mount": "m"}),
        serde_json::json!({"event": "begin", "ticket": "1", "key": own.as_str(), "at": at}),
        serde_json::json!({"event": "begin", "ticket": "2", "key": private.as_str()}),
    );
    let file = dir.path().join("m.uploads");
    fs::write(&file, text).unwrap();
    open().await.unwrap();
    let left = store.list_multipart("").await.unwrap();
    let left: Vec<_> = left.into_iter().map(|it| it.upload).collect();
    assert_eq!(left, [theirs], "one that was begun at another time stays");
    assert!(!file.exists());
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}
