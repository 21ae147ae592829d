//! What lies in the directory.

use super::*;

#[tokio::test]
async fn objects_are_ordinary_files_and_a_copy_of_the_directory_is_the_store() {
    let (dir, store) = store();
    put(&store, "a", "1").await.unwrap();
    put(&store, "a/b", "22").await.unwrap();
    put(&store, "c/", "").await.unwrap();
    assert_eq!(paths(dir.path()), ["a", "a%", "a/b%", "c", "c/%"]);
    let stored = fs::read(dir.path().join("a/b%")).unwrap();
    assert_eq!(&stored[8192..], b"22", "the content is at a fixed place");
    assert_eq!(unfinished(dir.path()), Vec::<String>::new());

    let copy = tempfile::tempdir().unwrap();
    for name in paths(dir.path()) {
        let (from, to) = (dir.path().join(&name), copy.path().join(&name));
        if from.is_dir() {
            fs::create_dir(to).unwrap();
        } else {
            fs::copy(from, to).unwrap();
        }
    }
    let copied = DirStore::open(copy.path()).unwrap();
    assert_eq!(body(&copied, "a/b").await.unwrap(), "22");
    let head = async |store: &DirStore| store.head(&key("a/b"), HeadOptions::default()).await;
    assert_eq!(head(&copied).await.unwrap(), head(&store).await.unwrap());
}

/// A private file on the mount must not be open to others through the store.
#[tokio::test]
async fn only_the_owner_may_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, store) = store();
    put(&store, "a/b", "secret").await.unwrap();
    let mode = |name| {
        fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("a"), mode("a/b%"), mode(disk::PRIVATE)),
        (0o700, 0o600, 0o700)
    );
}

#[tokio::test]
async fn directories_that_are_empty_go() {
    let (dir, store) = store();
    put(&store, "a/b/c", "x").await.unwrap();
    put(&store, "a/d", "x").await.unwrap();
    store
        .delete(&key("a/b/c"), DeleteOptions::default())
        .await
        .unwrap();
    assert_eq!(paths(dir.path()), ["a", "a/d%"]);
    store
        .delete(&key("a/d"), DeleteOptions::default())
        .await
        .unwrap();
    assert_eq!(paths(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_range_of_a_large_object_does_not_read_it_all() {
    let (dir, store) = store();
    put(&store, "large", "").await.unwrap();
    // A terabyte of hole: reading it whole would not end.
    let path = dir.path().join("large%");
    let size: u64 = 1 << 40;
    let found = file::open_object(&path).unwrap().unwrap();
    let header = header::Header {
        size,
        ..found.header
    };
    let file = fs::File::options().write(true).open(&path).unwrap();
    io::write_at(&file, &header.encode().unwrap(), 0, None).unwrap();
    file.set_len(8192 + size).unwrap();
    let options = GetOptions {
        range: Some(crate::store::GetRange::Suffix(5)),
        ..GetOptions::default()
    };
    let object = store.get(&key("large"), options).await.unwrap();
    assert_eq!((&object.body[..], object.info.size), (&[0; 5][..], size));
}
