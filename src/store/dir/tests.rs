use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::store::mem::MemStore;

fn store() -> (TempDir, DirStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::open(dir.path()).unwrap();
    (dir, store)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn put(store: &dyn Store, name: &str, body: &'static str) -> Result<Written> {
    store
        .put(
            &key(name),
            Bytes::from_static(body.as_bytes()),
            PutOptions::default(),
        )
        .await
}

async fn body(store: &dyn Store, name: &str) -> Result<Bytes> {
    let got = store.get(&key(name), GetOptions::default()).await;
    got.map(|object| object.body)
}

/// What lies in the directory but the private part, relative, sorted.
fn files(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if name == disk::PRIVATE {
                continue;
            }
            found.push(name);
            if path.is_dir() {
                walk(&path, root, found);
            }
        }
    }
    let mut found = vec![];
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// Files of the private directory but locks.
fn unfinished(dir: &Path) -> Vec<String> {
    let private = dir.join(disk::PRIVATE).join("sessions");
    files(&private)
        .into_iter()
        .filter(|name| !name.ends_with("/alive") && name.matches('/').count() > 0)
        .filter(|name| !name.ends_with("/uploads"))
        .collect()
}

#[tokio::test]
async fn objects_are_ordinary_files_and_a_copy_of_the_directory_is_the_store() {
    let (dir, store) = store();
    put(&store, "a", "1").await.unwrap();
    put(&store, "a/b", "22").await.unwrap();
    put(&store, "c/", "").await.unwrap();
    assert_eq!(files(dir.path()), ["a", "a%", "a/b%", "c", "c/%"]);
    let stored = fs::read(dir.path().join("a/b%")).unwrap();
    assert_eq!(&stored[8192..], b"22", "the content is at a fixed place");
    assert_eq!(unfinished(dir.path()), Vec::<String>::new());

    let copy = tempfile::tempdir().unwrap();
    for name in files(dir.path()) {
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
    assert_eq!(files(dir.path()), ["a", "a/d%"]);
    store
        .delete(&key("a/d"), DeleteOptions::default())
        .await
        .unwrap();
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_removers_of_one_directory_do_not_disturb_each_other() {
    let (_dir, store) = store();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("deep/er/{task}");
                for _ in 0..40 {
                    put(&store, &name, "x").await.unwrap();
                    assert_eq!(body(&store, &name).await.unwrap(), "x");
                    store
                        .delete(&key(&name), DeleteOptions::default())
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Two stores on one directory are as two processes: flock knows no processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_hold_between_two_openings_of_the_directory() {
    let (dir, first) = store();
    let second = DirStore::open(dir.path()).unwrap();
    put(&first, "counter", "").await.unwrap();
    let mut writers = vec![];
    for store in [first.clone(), second] {
        writers.push(tokio::spawn(async move {
            let mut wins = 0_u64;
            while wins < 50 {
                let now = store
                    .get(&key("counter"), GetOptions::default())
                    .await
                    .unwrap();
                let mut longer = now.body.to_vec();
                longer.push(b'x');
                let options = PutOptions {
                    condition: WriteCondition::IfMatch(now.info.etag),
                    ..PutOptions::default()
                };
                match store.put(&key("counter"), longer.into(), options).await {
                    Ok(_) => wins += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Precondition),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let counter = first
        .get(&key("counter"), GetOptions::default())
        .await
        .unwrap();
    assert_eq!(counter.body.len(), 100, "no update was lost");
}

#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_what_a_living_one_has_is_not() {
    let (dir, living) = store();
    let pending = living
        .create_multipart(&key("k"), ObjectAttributes::default())
        .await
        .unwrap();
    let dead = dir.path().join(disk::PRIVATE).join("sessions/dead");
    fs::create_dir_all(dead.join("uploads/u")).unwrap();
    fs::write(dead.join("alive"), "").unwrap();
    fs::write(dead.join("draft-0"), "half an obj").unwrap();
    let other = DirStore::open(dir.path()).unwrap();
    assert!(!dead.exists());
    let listed = other.list_multipart("").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.as_str(), &listed[0].upload), ("k", &pending));
    // Another process can end it.
    other.abort_multipart(&key("k"), &pending).await.unwrap();
    assert_eq!(living.list_multipart("").await.unwrap(), []);
    let session = unfinished(dir.path());
    assert_eq!(session, Vec::<String>::new());
    drop(living);
    drop(other);
    assert_eq!(
        files(&dir.path().join(disk::PRIVATE).join("sessions")),
        Vec::<String>::new()
    );
}

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

#[tokio::test]
async fn a_range_of_a_large_object_does_not_read_it_all() {
    let (dir, store) = store();
    put(&store, "large", "").await.unwrap();
    // A terabyte of hole: reading it whole would not end.
    let path = dir.path().join("large%");
    let size: u64 = 1 << 40;
    let found = disk::open_object(&path).unwrap().unwrap();
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
        let object = store.0.disk.uploads().join(upload.as_str()).join("object");
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

async fn listing(store: &dyn Store, options: &ListOptions) -> Vec<(Vec<String>, Vec<String>)> {
    let (mut pages, mut token) = (vec![], None);
    loop {
        let options = ListOptions {
            token,
            ..options.clone()
        };
        let page = store.list(options).await.unwrap();
        token = page.next;
        let keys = page.objects.into_iter().map(|object| object.key).collect();
        pages.push((keys, page.common_prefixes));
        if token.is_none() {
            return pages;
        }
    }
}

fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    let long = (246usize..262, "[a/.]{0,3}").prop_map(|(len, tail)| "a".repeat(len) + &tail);
    let key = prop_oneof![4 => "[a./%0]{1,5}", 1 => long];
    proptest::collection::btree_set(key, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_listing_is_that_of_the_store_in_memory(
        keys in keys(), prefix in "[a./]{0,2}", delimiter: bool,
        max_keys in 1u32..6, start_after in proptest::option::of("[a./]{0,3}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_dir, store) = store();
            let mem = MemStore::seeded(1);
            for name in &keys {
                put(&store, name, "x").await.unwrap();
                put(&mem, name, "x").await.unwrap();
            }
            let options = ListOptions {
                prefix, delimiter, start_after, token: None, max_keys: Some(max_keys),
            };
            assert_eq!(listing(&store, &options).await, listing(&mem, &options).await);
            for name in &keys {
                store.delete(&key(name), DeleteOptions::default()).await.unwrap();
            }
            assert_eq!(files(store.0.disk.root()), Vec::<String>::new());
        });
    }
}
