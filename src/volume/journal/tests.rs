use super::*;

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
