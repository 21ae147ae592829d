//! What the operations of a mount leave in the bucket is decrypted from the page alone too.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use cloakfs::base::secret::{Secret, fill_random};
use cloakfs::base::time::Timestamp;
use cloakfs::crypto::MasterKey;
use cloakfs::keys::root::Root;
use cloakfs::layout::attributes::{Attributes, FileKind, Xattrs};
use cloakfs::layout::path::VolumePath;
use cloakfs::layout::plain::Defaults;
use cloakfs::layout::sealed::{SEGMENT_BYTES, VolumeId};
use cloakfs::store::mem::MemStore;
use cloakfs::store::s3::encryption::ExpectedEncryption;
use cloakfs::store::{GetOptions, ListOptions, ObjectKey, Store};
use cloakfs::volume::record::create::{NewVolume, create};
use cloakfs::volume::{Committed, Condition, ObjectMeta, ObjectRef, Volume, VolumeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cases::{describe, hex, sha256};
use crate::independent;

/// A volume, and what its files should be.
struct World {
    store: Arc<dyn Store>,
    volume: Arc<Volume>,
    record: Bytes,
    master: String,
    files: BTreeMap<String, File>,
    _state: TempDir,
}

#[derive(Clone)]
struct File {
    meta: ObjectMeta,
    content: Bytes,
    done: Committed,
}

impl World {
    async fn new(encrypt_names: bool) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemStore::new());
        let mut master = [0; 32];
        fill_random(&mut master);
        let master_hex = hex(&master);
        let new = NewVolume {
            id: VolumeId::random(),
            root: Root::Master(MasterKey::from_secret(Secret::take(&mut master))),
            lock: None,
            encrypt_names,
        };
        let created = create(&store, "", new).await.ok().unwrap();
        let client_side = created.volume.client_side(NonZeroU64::new(2).unwrap());
        let state = tempfile::tempdir().unwrap();
        let options = VolumeOptions {
            read_only: false,
            alone: false,
            defaults: Defaults {
                uid: 1000,
                gid: 1000,
                umask: 0o022,
            },
            trust_listing: false,
            server: String::new(),
            encryption: ExpectedEncryption::default(),
            journal_dir: state.path().join("journal"),
        };
        let volume = Volume::open_client_side(Arc::clone(&store), "", options, client_side).await;
        Self {
            store,
            volume: volume.unwrap(),
            record: created.record,
            master: master_hex,
            files: BTreeMap::new(),
            _state: state,
        }
    }

    async fn put(&mut self, at: &str, kind: FileKind, content: Vec<u8>) {
        let meta = ObjectMeta::new(Attributes {
            kind,
            perm: 0o640,
            uid: 7,
            gid: 8,
            rdev: 0,
            atime: Timestamp::new(-1, 2).unwrap(),
            mtime: Timestamp::new(3, 4).unwrap(),
            ctime: Timestamp::new(5, 6).unwrap(),
            xattrs: Xattrs::new(),
        });
        let (path, content) = (path(at), Bytes::from(content));
        let put = self
            .volume
            .put(&path, &meta, content.clone(), &Condition::IfAbsent);
        let done = put.await.unwrap();
        let file = File {
            meta,
            content,
            done,
        };
        self.files.insert(at.to_owned(), file);
    }

    async fn change(&mut self, at: &str, change: impl FnOnce(&mut Attributes)) {
        let file = self.files.get_mut(at).unwrap();
        change(&mut file.meta.attributes);
        let (path, size) = (path(at), file.content.len() as u64);
        let set = self
            .volume
            .set_attributes(&path, &file.done.version, size, &file.meta);
        file.done = set.await.unwrap();
    }

    async fn rename(&mut self, from: &str, to: &str) {
        let mut file = self.files.remove(from).unwrap();
        let stat = self.volume.stat_file(&path(from)).await.unwrap().unwrap();
        let (old, new) = (path(from), path(to));
        let rename = self.volume.rename(&old, &stat, &new, &file.meta, false);
        file.done = rename.await.unwrap();
        self.files.insert(to.to_owned(), file);
    }

    /// As a directory's rename does it.
    async fn rename_directory(&mut self, from: &str, to: &str) {
        let (old, new) = (path(from), path(to));
        let (objects, _) = self.volume.walk(&old, None).await.unwrap();
        for (rest, listed) in objects {
            let copy = self.volume.copy_below(&old, &new, &rest, &listed).await;
            let moved = copy.unwrap();
            let gone = self.volume.delete_below(&old, &rest, Some(&moved.source));
            gone.await.unwrap();
            let name = |directory: &str| {
                let name = format!("{directory}/{rest}");
                name.trim_end_matches('/').to_owned()
            };
            let mut file = self.files.remove(&name(from)).unwrap();
            file.done.version = moved.copy;
            self.files.insert(name(to), file);
        }
    }

    /// The key and the expectation of a copy for who has the file open.
    async fn preserve(&self, at: &str) -> (String, Value) {
        let file = &self.files[at];
        let (path, size) = (path(at), file.content.len() as u64);
        let kept = self.volume.preserve(&path, &file.done.version, size).await;
        let (ObjectRef::Private(name), _) = kept.unwrap() else {
            panic!("there are no versions");
        };
        (format!(".cloakfs/{name}"), self.expected(at))
    }

    /// What decrypt.py is to find, less path and sequence.
    fn expected(&self, at: &str) -> Value {
        let file = &self.files[at];
        let attributes = &file.meta.attributes;
        let xattrs: BTreeMap<_, _> = attributes
            .xattrs
            .iter()
            .map(|(name, value)| (name, hex(value)))
            .collect();
        json!({
            "length": file.content.len(),
            "sha256": sha256(&file.content),
            "attributes": describe(0, attributes),
            "xattrs": xattrs,
        })
    }

    /// Every object but the volume record, as decrypt.py takes it.
    async fn objects(&self) -> Vec<(Value, Bytes)> {
        let mut objects = Vec::new();
        for listed in self
            .store
            .list(ListOptions::default())
            .await
            .unwrap()
            .objects
        {
            if listed.key.starts_with(".cloakfs/volume-") {
                continue;
            }
            let key = ObjectKey::new(&*listed.key).unwrap();
            let object = self.store.get(&key, GetOptions::default()).await.unwrap();
            let line = json!({
                "record": hex(&self.record),
                "root": { "master": self.master },
                "key": listed.key,
                "metadata": object.info.attributes.metadata,
            });
            objects.push((line, object.body));
        }
        objects
    }
}

fn path(path: &str) -> VolumePath {
    path.parse().unwrap()
}

#[tokio::test]
async fn what_operations_leave_is_decrypted_from_the_page_alone() {
    for encrypt_names in [true, false] {
        check(encrypt_names).await;
    }
}

async fn check(encrypt_names: bool) {
    let segment = usize::try_from(SEGMENT_BYTES).unwrap();
    let mut world = World::new(encrypt_names).await;
    world.put("d", FileKind::Directory, Vec::new()).await;
    world.put("d/e", FileKind::Directory, Vec::new()).await;
    world
        .put("d/link", FileKind::Symlink, b"target".to_vec())
        .await;
    world.put("d/pipe", FileKind::Fifo, Vec::new()).await;
    world
        .put("d/e/small", FileKind::File, vec![1; 20_000])
        .await;
    world
        .put("d/e/large", FileKind::File, vec![2; segment + 9])
        .await;
    world
        .put("d/e/plain", FileKind::File, b"never changed".to_vec())
        .await;
    let xattrs = |bytes| Xattrs::from([("user.a".to_owned(), vec![3; bytes])]);
    for name in ["d/e/small", "d/e/large"] {
        world
            .change(name, |attributes| attributes.perm = 0o4711)
            .await;
        world
            .change(name, |attributes| attributes.xattrs = xattrs(9))
            .await;
        world
            .change(name, |attributes| attributes.xattrs = xattrs(60_000))
            .await;
        world.change(name, |attributes| attributes.uid = 77).await;
    }
    world
        .change("d/link", |attributes| attributes.gid = 88)
        .await;
    world.rename("d/e/small", "moved").await;
    world.rename("d/link", "d/e/link").await;
    world.rename_directory("d", "ä").await;
    // Back into the record: the body keeps what it had.
    world
        .change("ä/e/large", |attributes| attributes.xattrs = xattrs(1))
        .await;
    let mut expected: BTreeMap<String, Value> = world
        .files
        .keys()
        .map(|at| (at.clone(), world.expected(at)))
        .collect();
    let mut objects = world.objects().await;
    assert_eq!(objects.len(), expected.len());
    if !encrypt_names {
        // What is below the reserved prefix has no encrypted name.
        for at in ["moved", "ä/e/large"] {
            let (key, of) = world.preserve(at).await;
            expected.insert(key, of);
        }
        objects = world.objects().await;
    }
    let lines = objects.iter().map(|(line, body)| (line.clone(), &body[..]));
    for mut answer in independent::decrypt(lines) {
        let fields = answer.as_object_mut().unwrap();
        let name = fields.remove("path");
        let name = name.unwrap_or_else(|| panic!("{fields:?}"));
        let sequence = fields["attributes"]["sequence"].take();
        assert!(sequence.as_u64().is_some_and(|sequence| sequence > 0));
        fields["attributes"]["sequence"] = json!(0);
        assert_eq!(
            Some(answer),
            expected.remove(name.as_str().unwrap()),
            "{name}"
        );
    }
    assert_eq!(expected, BTreeMap::new());
}
