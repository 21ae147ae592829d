//! What goes wrong, and what is said then.

use super::*;

#[tokio::test]
async fn directories_that_cannot_be_a_store_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let words = |path: &Path| DirStore::open(path).unwrap_err().to_string();
    let missing = dir.path().join("missing");
    assert_eq!(
        words(&missing),
        format!(
            "the directory {missing:?} does not exist: make it first, or check the path for a slip of the pen"
        )
    );
    assert_eq!(
        words(&file),
        format!("{file:?} is not a directory: a local store is a directory")
    );
    let io = |code| std::io::Error::from_raw_os_error(code);
    assert_eq!(
        DirError::new(&file, io(libc::ENOSPC)).to_string(),
        format!(
            "the disk of {file:?} is full: free some space, or use a directory on another disk"
        )
    );
    assert_eq!(
        DirError::new(&file, io(libc::EROFS)).to_string(),
        format!(
            "the directory {file:?} cannot be written to (Read-only file system (os error 30)): a local store needs write permission and a writable filesystem"
        )
    );
}

#[test]
fn the_systems_errors_become_the_stores() {
    let request = Request {
        operation: Operation::PutObject,
        object: "k",
    };
    let error = |code| request.io(Path::new("s"), std::io::Error::from_raw_os_error(code));
    assert_eq!(
        error(libc::ENOSPC).to_string(),
        "PutObject of \"k\" failed: ENOSPC: the disk of s is full: free some space"
    );
    for (code, kind) in [
        (libc::ENOSPC, ErrorKind::Invalid),
        (libc::EROFS, ErrorKind::Denied),
        (libc::EACCES, ErrorKind::Denied),
        (libc::ENAMETOOLONG, ErrorKind::Invalid),
        (libc::EIO, ErrorKind::Unavailable),
        (libc::ENOENT, ErrorKind::Unavailable),
    ] {
        assert_eq!(error(code).kind(), kind, "{code}");
    }
    let unsaved = request.unsaved(Path::new("s"), std::io::Error::from_raw_os_error(libc::EIO));
    assert_eq!(
        unsaved.kind(),
        ErrorKind::Corrupt,
        "a HEAD must not make it a success"
    );
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_an_empty_store() {
    let (dir, store) = store();
    put(&store, "k", "x").await.unwrap();
    fs::rename(dir.path(), dir.path().with_extension("gone")).unwrap();
    let unavailable = |error: StoreError| {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("was its disk unmounted?"),
            "{error}"
        );
    };
    unavailable(body(&store, "k").await.unwrap_err());
    unavailable(store.list(ListOptions::default()).await.unwrap_err());
    unavailable(put(&store, "k", "y").await.unwrap_err());
    unavailable(
        store
            .delete(&key("k"), DeleteOptions::default())
            .await
            .unwrap_err(),
    );
    fs::rename(dir.path().with_extension("gone"), dir.path()).unwrap();
    assert_eq!(body(&store, "k").await.unwrap(), "x");
}

#[tokio::test]
async fn files_of_others_are_passed_over_and_damaged_ones_are_told() {
    let (dir, store) = store();
    put(&store, "good", "x").await.unwrap();
    put(&store, "cut", "twelve bytes").await.unwrap();
    fs::write(dir.path().join("README"), "no object").unwrap();
    fs::write(dir.path().join("fake%"), "no object").unwrap();
    fs::copy(dir.path().join("good%"), dir.path().join("g%2Fod%")).unwrap();
    put(&store, ".", "dot").await.unwrap();
    fs::copy(dir.path().join(".%"), dir.path().join("%2E%")).unwrap();
    let cut = dir.path().join("cut%");
    fs::File::options()
        .write(true)
        .open(&cut)
        .unwrap()
        .set_len(8200)
        .unwrap();
    let page = store.list(ListOptions::default()).await.unwrap();
    let listed: Vec<_> = page
        .objects
        .iter()
        .map(|object| object.key.as_str())
        .collect();
    assert_eq!(listed, [".", "cut", "good"]);
    let error = body(&store, "cut").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error
            .to_string()
            .ends_with("the file has 8 bytes of content where 12 were written: it was cut off"),
        "{error}"
    );
    let error = body(&store, "fake").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("was not written by cloakfs: move it out"),
        "{error}"
    );
    // A file in the way of a directory is told too.
    let error = put(&store, "README/below", "x").await.unwrap_err();
    assert!(error.to_string().contains("is in the way"), "{error}");
}
