//! A passphrase that is changed: undisturbed, interrupted at each step, and by two at once.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::secret::Secret;
use crate::crypto::MasterKey;
use crate::crypto::passphrase::Cost;
use crate::layout::sealed::volume::OBJECTS;
use crate::layout::sealed::{Names, VolumeId};
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;
use crate::store::{ErrorKind, ObjectKey, Operation, PutOptions, Store};
use crate::volume::record::create::{NewVolume, create};
use crate::volume::record::find;

const A: &str = "p/.cloakfs/volume-a";
const B: &str = "p/.cloakfs/volume-b";
const PROMPTLY: Duration = Duration::from_secs(5);

fn master() -> MasterKey {
    MasterKey::from_secret(Secret::take(&mut [1; 32]))
}

fn root() -> Root {
    Root::Master(master())
}

fn lock(passphrase: &[u8], id: VolumeId) -> Lock {
    let cost = Cost::new(64, 1, 1).unwrap();
    Lock::new(passphrase, cost, id.as_bytes(), &master())
        .ok()
        .unwrap()
}

/// A volume with the passphrase `old`, on a store that fails as it is told to.
async fn volume() -> (Arc<Fault>, Arc<dyn Store>, VolumeId) {
    let inner: Arc<dyn Store> = Arc::new(MemStore::new());
    let id = VolumeId::random();
    let new = NewVolume {
        id,
        root: root(),
        lock: Some(lock(b"old", id)),
        encrypt_names: true,
    };
    create(&inner, "p/", new).await.ok().unwrap();
    (Arc::new(Fault::new(Arc::clone(&inner))), inner, id)
}

async fn found(store: &Arc<dyn Store>) -> VolumeRecord {
    find(store, "p/").await.unwrap().expect("there is one")
}

/// What is in the two copies.
async fn copies(store: &Arc<dyn Store>) -> [Bytes; 2] {
    let mut bodies = Vec::new();
    for name in OBJECTS {
        let key = ObjectKey::new(format!("p/.cloakfs/{name}")).unwrap();
        let object = store.get(&key, GetOptions::default()).await.unwrap();
        bodies.push(object.body);
    }
    bodies.try_into().unwrap()
}

async fn put(store: &Arc<dyn Store>, key: &str, body: Bytes) {
    let key = ObjectKey::new(key).unwrap();
    let options = PutOptions::default();
    store.put(&key, body, options).await.unwrap();
}

/// Which of `old` and `new` open the volume.
async fn opening(store: &Arc<dyn Store>) -> Vec<&'static str> {
    let record = found(store).await;
    ["old", "new"]
        .into_iter()
        .filter(|passphrase| record.unlock(passphrase.as_bytes()).is_ok())
        .collect()
}

/// Opens it with a passphrase, as a mount does: it mends what it finds.
async fn open(store: &Arc<dyn Store>, passphrase: &str) -> super::super::OpenVolume {
    let record = found(store).await;
    let master = record.unlock(passphrase.as_bytes()).ok().unwrap();
    record.open(Root::Master(master), false).await.ok().unwrap()
}

#[tokio::test]
async fn the_new_passphrase_opens_the_same_volume_and_the_old_one_does_not() {
    let (_, store, id) = volume().await;
    let before = open(&store, "old").await;
    let [a, _] = copies(&store).await;
    let record = found(&store).await;
    let new = record.relock(&root(), lock(b"new", id)).await.unwrap();
    assert_eq!(copies(&store).await, [new.clone(), new.clone()]);
    assert!(new != a);
    assert_eq!(opening(&store).await, ["new"]);
    let after = open(&store, "new").await;
    assert_eq!(after.notes, [""; 0]);
    assert_eq!((after.id, &after.key_check), (id, &before.key_check));
    let (Names::Encrypted(before), Names::Encrypted(after)) = (&before.names, &after.names) else {
        panic!("names are encrypted")
    };
    assert!(before.expose() == after.expose());
    // The key opens it as before, and an older record counts for less.
    put(&store, A, a).await;
    let by_key = found(&store).await.open(root(), false).await.ok().unwrap();
    assert!(by_key.notes[0].ends_with("; it was restored from the other"));
    assert_eq!(opening(&store).await, ["new"]);
}

#[tokio::test]
async fn a_volume_without_a_passphrase_gets_one() {
    let store: Arc<dyn Store> = Arc::new(MemStore::new());
    let id = VolumeId::random();
    let new = NewVolume {
        id,
        root: root(),
        lock: None,
        encrypt_names: false,
    };
    create(&store, "p/", new).await.ok().unwrap();
    let record = found(&store).await;
    assert!(!record.has_passphrase());
    record.relock(&root(), lock(b"new", id)).await.unwrap();
    assert!(matches!(open(&store, "new").await.names, Names::Plain));
}

/// The process ends at each of the two writes, before the store has heard of it and after; then
/// somebody opens the volume.
#[tokio::test(start_paused = true)]
async fn wherever_it_ends_a_passphrase_opens_and_the_next_who_opens_makes_it_one() {
    for (copy, effect, open_then) in [
        (A, Effect::HangBefore, &["old"][..]),
        (A, Effect::HangAfter, &["old", "new"]),
        (B, Effect::HangBefore, &["old", "new"]),
        (B, Effect::HangAfter, &["new"]),
    ] {
        let (fault, inner, id) = volume().await;
        fault.inject(Rule::new(effect).on(Operation::PutObject).exactly(copy));
        let store: Arc<dyn Store> = Arc::clone(&fault) as _;
        let record = found(&store).await;
        let root = root();
        let changing = record.relock(&root, lock(b"new", id));
        assert!(tokio::time::timeout(PROMPTLY, changing).await.is_err());
        assert_eq!(opening(&inner).await, open_then, "{copy} {effect:?}");
        for passphrase in open_then {
            // Each on a copy of what was left behind.
            let [a, b] = copies(&inner).await;
            let left: Arc<dyn Store> = Arc::new(MemStore::new());
            put(&left, A, a).await;
            put(&left, B, b).await;
            open(&left, passphrase).await;
            let [a, b] = copies(&left).await;
            assert_eq!(a, b);
            let newest = open_then.last().unwrap();
            assert_eq!(opening(&left).await, [*newest]);
            // And it can be done again.
            let record = found(&left).await;
            record.relock(&root, lock(b"old", id)).await.unwrap();
            assert_eq!(opening(&left).await, ["old"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_told_with_what_opens_the_volume() {
    let (fault, inner, id) = volume().await;
    let store: Arc<dyn Store> = Arc::clone(&fault) as _;
    let lost = |copy: &str, effect| Rule::new(effect).on(Operation::PutObject).exactly(copy);
    let refused = async |rule: Rule| {
        fault.inject(rule);
        let failed = found(&store).await.relock(&root(), lock(b"new", id)).await;
        fault.clear();
        failed.unwrap_err()
    };
    let denied = refused(lost(A, Effect::FailBefore(ErrorKind::Denied))).await;
    assert!(matches!(denied, RecordError::Store(_)), "{denied}");
    assert_eq!(opening(&inner).await, ["old"]);
    // Neither the write nor the look at it is answered.
    fault.inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::HeadObject));
    let lost_answer = refused(lost(A, Effect::FailAfter(ErrorKind::TimedOut))).await;
    let sentence = lost_answer.to_string();
    assert!(
        sentence.starts_with("whether the new passphrase opens mem:/p already is not known, and the old one still does: do the same again ("),
        "{sentence}"
    );
    assert_eq!(opening(&inner).await, ["old", "new"]);
    open(&inner, "old").await;
    let second = refused(lost(B, Effect::FailBefore(ErrorKind::Denied))).await;
    let sentence = second.to_string();
    assert!(
        sentence.starts_with("the first copy of the volume record of mem:/p has the new passphrase and the second could not be written: either of the passphrases opens it until the next mount that may write mends the second; do the same again ("),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_no_failure() {
    for copy in [A, B] {
        let (fault, _, id) = volume().await;
        let store: Arc<dyn Store> = Arc::clone(&fault) as _;
        let record = found(&store).await;
        let lost = Rule::new(Effect::FailAfter(ErrorKind::Unavailable));
        fault.inject(lost.on(Operation::PutObject).exactly(copy).times(1));
        record.relock(&root(), lock(b"new", id)).await.unwrap();
        assert_eq!(opening(&store).await, ["new"]);
    }
}

#[tokio::test]
async fn of_two_at_once_one_is_told_that_the_other_was_first() {
    for _ in 0..20 {
        let (_, store, id) = volume().await;
        let mut both = Vec::new();
        for passphrase in [b"one", b"two"] {
            let record = found(&store).await;
            both.push(tokio::spawn(async move {
                let done = record.relock(&root(), lock(passphrase, id)).await;
                (passphrase, done)
            }));
        }
        let mut winners = Vec::new();
        for one in both {
            match one.await.unwrap() {
                (passphrase, Ok(_)) => winners.push(passphrase),
                (_, Err(error)) => assert_eq!(
                    error.to_string(),
                    "somebody else changed the volume record of mem:/p at the same time: look which passphrase opens it, and try again"
                ),
            }
        }
        let [winner] = winners[..] else {
            panic!("{winners:?}")
        };
        assert!(found(&store).await.unlock(winner).is_ok());
        let [a, b] = copies(&store).await;
        assert_eq!(a, b);
    }
}

/// Between the two writes somebody opens the volume, and mends the second copy.
#[tokio::test(start_paused = true)]
async fn who_opens_it_meanwhile_does_not_disturb() {
    let (fault, inner, id) = volume().await;
    let slow = Rule::new(Effect::Delay(Duration::from_secs(10)));
    fault.inject(slow.on(Operation::PutObject).exactly(B));
    let store: Arc<dyn Store> = Arc::clone(&fault) as _;
    let record = found(&store).await;
    let changing =
        tokio::spawn(async move { record.relock(&root(), lock(b"new", id)).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(opening(&inner).await, ["old", "new"]);
    open(&inner, "old").await;
    assert_eq!(opening(&inner).await, ["new"]);
    changing.await.unwrap().unwrap();
    assert_eq!(opening(&inner).await, ["new"]);
}

#[tokio::test]
async fn copies_that_are_not_whole_and_equal_are_left() {
    let (_, store, id) = volume().await;
    let [whole, _] = copies(&store).await;
    let mut newer = whole.to_vec();
    newer[8] = 2;
    for other in [Bytes::from(newer), "damaged".into()] {
        put(&store, B, other.clone()).await;
        let record = found(&store).await;
        let refused = record.relock(&root(), lock(b"new", id)).await;
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the two copies of the volume record of mem:/p are not the same, and could not be made so: nothing was changed; look at the notes above, or mount it once"
        );
        assert_eq!(copies(&store).await, [whole.clone(), other]);
    }
}
