//! Changes of a client-side volume while KMS gives no data key: none of them is half done.

use std::collections::BTreeMap;

use bytes::Bytes;
use cloakfs::layout::attributes::{FileKind, Xattrs};
use cloakfs::layout::path::VolumePath;
use cloakfs::store::{ErrorKind, GetOptions, ListOptions, ListedObject, ObjectKey, Store};
use cloakfs::volume::{Condition, UploadTarget, VolumeError};

use crate::world::{ARN, TIMEOUT, World, error, meta};

/// Every object with its metadata and its bytes.
type Bucket = BTreeMap<String, (BTreeMap<String, String>, Bytes)>;

async fn bucket(store: &dyn Store) -> (Bucket, Vec<ListedObject>) {
    let mut objects = Bucket::new();
    let listed = store.list(ListOptions::default()).await.unwrap().objects;
    for object in &listed {
        let key = ObjectKey::new(&*object.key).unwrap();
        let found = store.get(&key, GetOptions::default()).await.unwrap();
        let facts = (found.info.attributes.metadata, found.body);
        objects.insert(object.key.clone(), facts);
    }
    (objects, listed)
}

fn path(path: &str) -> VolumePath {
    path.parse().unwrap()
}

fn assert_denied<T>(what: &str, done: Result<T, VolumeError>) {
    let error = done.err().unwrap_or_else(|| panic!("{what} worked"));
    assert_eq!(error.kind(), ErrorKind::Denied, "{what}: {error}");
    assert!(error.concerns_encryption(), "{what}");
    let sentence =
        format!(": the KMS key \"{ARN}\" is disabled: enable it with `aws kms enable-key`");
    assert!(error.to_string().ends_with(&sentence), "{what}: {error}");
}

#[tokio::test]
async fn without_a_data_key_nothing_is_changed() {
    let world = World::new().await;
    // Each record takes a data key of its own.
    let volume = world.mount(1, TIMEOUT).await;
    let content = Bytes::from_static(b"content");
    let file = path("d/file");
    let (new, directory) = (meta(FileKind::File), meta(FileKind::Directory));
    let put = volume.put(&file, &new, content.clone(), &Condition::IfAbsent);
    put.await.unwrap();
    let outer = path("d");
    let marker = volume.put_marker(&outer, &directory, &Condition::IfAbsent);
    marker.await.unwrap();
    let stat = volume.stat_file(&file).await.unwrap().unwrap();
    let (before, _) = bucket(world.store.as_ref()).await;
    let (walked, _) = volume.walk(&outer, None).await.unwrap();
    let (rest, listed) = walked.iter().find(|(rest, _)| rest == "file").unwrap();

    let known = &stat.meta;
    let version = stat.version.as_ref().expect("a file has one");
    let mut more = known.clone();
    more.attributes.xattrs = Xattrs::from([("user.big".to_owned(), vec![7; 5000])]);
    let replaces = Condition::IfVersion(version.clone());
    let elsewhere = path("d/elsewhere");
    let size = stat.size;

    world.meddle(|_, _| Some(error("DisabledException", "it is disabled")));
    let put = volume.put(&elsewhere, &new, content, &Condition::None);
    assert_denied("a new file", put.await);
    let over = volume.put(&file, known, Bytes::new(), &replaces);
    assert_denied("other content", over.await);
    let (inner, other) = (path("d/e"), path("e"));
    let marker = volume.put_marker(&inner, &directory, &Condition::None);
    assert_denied("a directory", marker.await);
    let chmod = volume.set_attributes(&file, version, size, known);
    assert_denied("attributes", chmod.await);
    let big = volume.set_attributes(&file, version, size, &more);
    assert_denied("extended attributes in the body", big.await);
    let rename = volume.rename(&file, &stat, &elsewhere, known, false);
    assert_denied("a rename", rename.await);
    let copy = volume.copy_below(&outer, &other, rest, listed);
    assert_denied("a directory's rename", copy.await);
    let kept = volume.preserve(&file, version, size);
    assert_denied("what handles keep", kept.await);
    let target = UploadTarget::Path(elsewhere.clone());
    let upload = volume.begin_upload(&target, &new, None, &Condition::None);
    assert_denied("an upload in parts", upload.await);
    let (after, _) = bucket(world.store.as_ref()).await;
    assert!(after == before, "{:?} {:?}", before.keys(), after.keys());
    assert_eq!(world.store.list_multipart("").await.unwrap(), []);

    // It goes on where KMS does, and what needs no key goes on without.
    world.meddle(|_, _| None);
    let rename = volume.rename(&file, &stat, &elsewhere, &more, false);
    rename.await.unwrap();
    world.meddle(|_, _| Some(error("DisabledException", "it is disabled")));
    volume.delete(&elsewhere).await.unwrap();
    let (_, left) = bucket(world.store.as_ref()).await;
    assert_eq!(left.len(), before.len() - 1);
}
