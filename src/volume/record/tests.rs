//! Volume records in a store: the two copies, the key check, and where a volume may be made.

use std::sync::Arc;

use bytes::Bytes;

use super::create::{NewVolume, create};
use super::{OpenVolume, RecordError, find, place};
use crate::base::secret::Secret;
use crate::crypto::passphrase::{Cost, Lock};
use crate::crypto::{DataKey, MasterKey};
use crate::keys::root::Root;
use crate::layout::sealed::volume::{Settings, VolumeHeader};
use crate::layout::sealed::{Names, VolumeId, WrappedKey};
use crate::store::mem::MemStore;
use crate::store::{DeleteOptions, GetOptions, ListOptions, ObjectKey, PutOptions, Store};

const A: &str = "p/.cloakfs/volume-a";
const B: &str = "p/.cloakfs/volume-b";

fn mem() -> Arc<dyn Store> {
    Arc::new(MemStore::new())
}

fn master(byte: u8) -> MasterKey {
    MasterKey::from_secret(Secret::take(&mut [byte; 32]))
}

fn root(byte: u8) -> Root {
    Root::Master(master(byte))
}

fn new(byte: u8) -> NewVolume {
    NewVolume {
        id: VolumeId::random(),
        root: root(byte),
        lock: None,
        encrypt_names: true,
    }
}

async fn made(store: &Arc<dyn Store>, prefix: &str, byte: u8) -> Bytes {
    create(store, prefix, new(byte)).await.ok().unwrap().record
}

async fn put(store: &Arc<dyn Store>, key: &str, body: impl Into<Bytes>) {
    let key = ObjectKey::new(key).unwrap();
    let options = PutOptions::default();
    store.put(&key, body.into(), options).await.unwrap();
}

async fn body(store: &Arc<dyn Store>, key: &str) -> Option<Bytes> {
    let key = ObjectKey::new(key).unwrap();
    let object = store.get(&key, GetOptions::default()).await.ok()?;
    Some(object.body)
}

async fn delete(store: &Arc<dyn Store>, key: &str) {
    let key = ObjectKey::new(key).unwrap();
    store.delete(&key, DeleteOptions::default()).await.unwrap();
}

async fn open(store: &Arc<dyn Store>, byte: u8) -> Result<OpenVolume, RecordError> {
    let record = find(store, "p/").await?.expect("there is one");
    record.open(root(byte), false).await
}

async fn refused(store: &Arc<dyn Store>, byte: u8) -> String {
    open(store, byte).await.err().unwrap().to_string()
}

/// A record of the same volume, as whoever has the key writes it.
fn rewritten(id: VolumeId, byte: u8, sequence: u64) -> Bytes {
    let key = DataKey::random();
    let header = VolumeHeader {
        id,
        kms_key_name: String::new(),
        key: WrappedKey::Master(master(byte).wrap(id.as_bytes(), &key)),
        lock: None,
    };
    let names = Names::Plain;
    header.seal(&key, &Settings { sequence, names }).into()
}

#[tokio::test]
async fn a_volume_that_was_made_opens_with_its_key_alone() {
    let store = mem();
    assert!(find(&store, "p/").await.unwrap().is_none());
    let record = made(&store, "p/", 1).await;
    assert_eq!(body(&store, A).await.unwrap(), record);
    assert_eq!(body(&store, B).await.unwrap(), record);
    let volume = open(&store, 1).await.ok().unwrap();
    assert_eq!(volume.notes, [""; 0]);
    assert!(matches!(volume.names, Names::Encrypted(_)));
    assert_eq!(
        refused(&store, 2).await,
        "the volume record of mem:/p does not open with this master key: it is not the key of this volume"
    );
}

#[tokio::test]
async fn a_copy_that_is_missing_or_changed_is_mended_from_the_other() {
    for (damaged, whole) in [(A, B), (B, A)] {
        let store = mem();
        let record = made(&store, "p/", 1).await;
        let mut broken: Vec<Bytes> = (0..record.len())
            .map(|at| {
                let mut bytes = record.to_vec();
                bytes[at] ^= 1;
                bytes.into()
            })
            // The version, which is a newer program's.
            .enumerate()
            .filter_map(|(at, bytes)| (at != 8).then_some(bytes))
            .collect();
        broken.extend([Bytes::new(), record.slice(..20), "something else".into()]);
        let longer = [&record[..], &vec![0; 9000]].concat();
        broken.push(longer.into());
        for bytes in broken {
            put(&store, damaged, bytes.clone()).await;
            let record_found = find(&store, "p/").await.unwrap().unwrap();
            let looked = record_found.open(root(1), true).await.ok().unwrap();
            assert!(looked.notes[0].ends_with("a mount that may write restores it from the other"));
            assert_eq!(body(&store, damaged).await.unwrap(), bytes);
            let mended = open(&store, 1).await.ok().unwrap();
            assert!(
                mended.notes[0].ends_with("; it was restored from the other"),
                "{:?}",
                mended.notes
            );
            assert_eq!(body(&store, damaged).await.unwrap(), record);
            assert_eq!(body(&store, whole).await.unwrap(), record);
        }
        delete(&store, damaged).await;
        let mended = open(&store, 1).await.ok().unwrap();
        assert_eq!(
            mended.notes,
            [format!(
                "the copy {damaged:?} of the volume record is missing; it was restored from the other"
            )]
        );
        assert_eq!(body(&store, damaged).await.unwrap(), record);
    }
}

#[tokio::test]
async fn the_newer_of_two_copies_counts() {
    let store = mem();
    made(&store, "p/", 1).await;
    let id = find(&store, "p/").await.unwrap().unwrap().header().id;
    let newer = rewritten(id, 1, 2);
    put(&store, B, newer.clone()).await;
    let volume = open(&store, 1).await.ok().unwrap();
    assert!(matches!(volume.names, Names::Plain));
    assert_eq!(body(&store, A).await.unwrap(), newer);
    // Without the key nobody makes a newer one.
    put(&store, A, rewritten(id, 2, 3)).await;
    open(&store, 1).await.ok().unwrap();
    assert_eq!(body(&store, A).await.unwrap(), newer);
}

#[tokio::test]
async fn a_record_that_nobody_here_can_have_written_is_refused_and_left() {
    let store = mem();
    let record = made(&store, "p/", 1).await;
    let other = rewritten(VolumeId::random(), 1, 2);
    put(&store, B, other.clone()).await;
    let sentence = refused(&store, 1).await;
    assert!(
        sentence.starts_with("mem:/p has two volume records, of the volumes "),
        "{sentence}"
    );
    assert_eq!(body(&store, B).await.unwrap(), other);

    let mut newer = record.to_vec();
    newer[8] = 2;
    put(&store, B, newer.clone()).await;
    assert_eq!(
        open(&store, 1).await.ok().unwrap().notes,
        [format!(
            "the copy {B:?} of the volume record has format version 2, and this cloakfs reads version 1: use a newer one; it is left as it is, and the other was taken"
        )]
    );
    assert_eq!(body(&store, B).await.unwrap(), newer);
    put(&store, A, newer.clone()).await;
    assert_eq!(
        refused(&store, 1).await,
        "the volume record of mem:/p has format version 2, and this cloakfs reads version 1: use a newer one"
    );
    put(&store, A, "what").await;
    put(&store, B, Bytes::new()).await;
    assert_eq!(
        refused(&store, 1).await,
        "the volume record of mem:/p is not one: it does not begin as a volume record does"
    );
    // Both changed, with the right key.
    let mut changed = record.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    put(&store, A, changed.clone()).await;
    put(&store, B, changed).await;
    assert_eq!(
        refused(&store, 1).await,
        "the volume record of mem:/p was changed, for the key is right: restore it from its export or an older version"
    );
}

#[tokio::test]
async fn a_passphrase_opens_what_its_key_opens() {
    let store = mem();
    let id = VolumeId::random();
    let cost = Cost::new(64, 1, 1).unwrap();
    let volume = NewVolume {
        id,
        lock: Lock::new(b"correct", cost, id.as_bytes(), &master(1)).ok(),
        ..new(1)
    };
    create(&store, "p/", volume).await.ok().unwrap();
    let record = find(&store, "p/").await.unwrap().unwrap();
    assert!(record.has_passphrase());
    let unlocked = record.unlock(b"correct").ok().unwrap();
    assert!(record.open(Root::Master(unlocked), false).await.is_ok());
    assert!(open(&store, 1).await.is_ok());
    assert_eq!(
        record.unlock(b"wrong").err().unwrap().to_string(),
        "the passphrase does not open mem:/p: it is another one"
    );
    // Also where a copy is damaged, in its id too.
    let whole = body(&store, A).await.unwrap();
    for (copy, at) in [(A, 9), (B, 24), (A, whole.len() - 1)] {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 1;
        put(&store, copy, damaged).await;
        let record = find(&store, "p/").await.unwrap().unwrap();
        let unlocked = record.unlock(b"correct").ok().unwrap();
        record
            .open(Root::Master(unlocked), false)
            .await
            .ok()
            .unwrap();
        assert_eq!(body(&store, copy).await.unwrap(), whole);
    }
    made(&store, "q/", 1).await;
    let record = find(&store, "q/").await.unwrap().unwrap();
    assert!(!record.has_passphrase());
    assert_eq!(
        record.unlock(b"wrong").err().unwrap().to_string(),
        "mem:/q has no passphrase: give its key with --key-file"
    );
}

#[tokio::test]
async fn of_several_that_make_a_volume_at_once_one_wins() {
    for _ in 0..20 {
        let store = mem();
        let all = (0..8).map(|byte| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { create(&store, "p/", new(byte)).await.map(|_| byte) })
        });
        let mut winners = Vec::new();
        for one in all.collect::<Vec<_>>() {
            match one.await.unwrap() {
                Ok(winner) => winners.push(winner),
                Err(error) => assert_eq!(
                    error.to_string(),
                    "mem:/p is a client-side volume already, and a volume is made once: mount it"
                ),
            }
        }
        let [winner] = winners[..] else {
            panic!("{winners:?}")
        };
        assert_eq!(open(&store, winner).await.ok().unwrap().notes, [""; 0]);
    }
}

#[tokio::test]
async fn a_volume_is_made_where_nothing_is() {
    for (there, at, sentence) in [
        (
            "p/x/y",
            "p/",
            "mem:/p cannot become a client-side volume, because it is not empty: there is \"p/x/y\"; choose an empty prefix, and copy files in through the mount",
        ),
        (
            "p/",
            "p/",
            "mem:/p cannot become a client-side volume, because it is not empty: there is \"p/\"; choose an empty prefix, and copy files in through the mount",
        ),
    ] {
        let store = mem();
        put(&store, there, "").await;
        let error = create(&store, at, new(1)).await.err().unwrap();
        assert_eq!(error.to_string(), sentence);
    }
    // The attributes of the root, in a whole bucket that was mounted plainly.
    let store = mem();
    put(&store, &[".cloakfs", "root", ""].join("/"), "").await;
    let error = create(&store, "", new(1)).await.err().unwrap();
    assert!(matches!(error, RecordError::NotEmpty { .. }), "{error}");
    for (there, at, sentence) in [
        (
            "p/q/",
            "p/",
            "mem:/p cannot become a volume, because the volume mem:/p/q lies in it: choose another prefix",
        ),
        (
            "p/",
            "p/q/r/",
            "mem:/p/q/r lies in the client-side volume mem:/p, whose names and objects mean something only from its root: mount mem:/p",
        ),
        (
            "",
            "p/",
            "mem:/p lies in the client-side volume mem:, whose names and objects mean something only from its root: mount mem:",
        ),
    ] {
        let store = mem();
        made(&store, there, 1).await;
        let error = create(&store, at, new(1)).await.err().unwrap();
        assert_eq!(error.to_string(), sentence);
        let listed = store.list(ListOptions::default()).await.unwrap();
        assert_eq!(listed.objects.len(), 2, "nothing was written");
    }
    // What mounts leave behind is in nobody's way, nor is what only begins with the name.
    let store = mem();
    for other in ["p/.cloakfs/probe/1", "p/.cloakfs/1/2", "pq", "o"] {
        put(&store, other, "").await;
    }
    made(&store, "p/", 1).await;
    assert_eq!(
        place::above(store.as_ref(), "p/a/")
            .await
            .unwrap()
            .as_deref(),
        Some("p/")
    );
    assert_eq!(place::above(store.as_ref(), "p/").await.unwrap(), None);
    assert!(place::is_volume(store.as_ref(), "p/").await.unwrap());
    assert!(!place::is_volume(store.as_ref(), "").await.unwrap());
}
