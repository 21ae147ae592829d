//! What each code path does, costs, refuses and leaves.

use super::*;
use crate::store::Operation;
use crate::store::fault::{Effect, Rule};

#[tokio::test]
async fn each_path_keeps_every_file_and_ends_as_it_was_asked() {
    for (from, to) in paths() {
        let what = format!("{from:?} to {to:?}");
        let rig = Rig::new();
        let was = rig.fill(&from, true).await;
        let calls = rig.whole(&from, &to).await;
        assert_same(&rig, &to, &was, &what).await;
        let again = rig.reencrypt(&from, &to, false).await;
        match (&from, &to) {
            (Is::Sealed { .. }, Is::Sealed { .. }) | (Is::Server(_), _) | (_, Is::Server(_)) => {
                let again = again.unwrap();
                assert!(again.is_done() && again.moved == 0, "{what}: {again:?}");
            }
        }
        let copies = matches!((&from, &to), (Is::Server(_), Is::Server(_)));
        let seals_again = matches!((&from, &to), (Is::Sealed { .. }, Is::Sealed { .. }));
        if copies {
            // But for what the mount of the test tries out at its beginning.
            assert!(
                calls.bytes_down < 1_000 && calls.bytes_up < 1_000,
                "{what}: {calls}"
            );
            assert_eq!(
                calls.of(Operation::CopyObject),
                7 + 2 * 2,
                "{what}: {calls}"
            );
        }
        if seals_again {
            assert!(
                calls.bytes_down < 10_000 && calls.bytes_up < 10_000,
                "{what}: {calls}"
            );
        }
    }
}

#[tokio::test]
async fn new_content_keys_encrypt_everything_anew() {
    let (from, to) = (sealed(1, true), sealed(2, true));
    let mut rig = Rig::new();
    rig.content = true;
    let was = rig.fill(&from, true).await;
    let bodies = |rig: &Rig| rig.ground.mem.keys();
    let before = bodies(&rig);
    let calls = rig.whole(&from, &to).await;
    assert_eq!(bodies(&rig), before, "names stay");
    assert!(calls.bytes_up > LARGE as u64, "{calls}");
    assert_same(&rig, &to, &was, "new content keys").await;
    let refused = rig.reencrypt(&to, &to, false).await.unwrap_err();
    assert!(refused.contains("give another"), "{refused}");
}

#[tokio::test]
async fn a_rehearsal_changes_nothing_and_tells_what_it_would_cost() {
    for (from, to) in paths() {
        let what = format!("{from:?} to {to:?}");
        let rig = Rig::new();
        let was = rig.fill(&from, true).await;
        let keys = rig.ground.mem.keys();
        let would = rig.reencrypt(&from, &to, true).await.unwrap();
        assert_eq!(rig.ground.mem.keys(), keys, "{what}");
        assert_same(&rig, &from, &was, &what).await;
        assert_eq!(would.moved, 7, "{what}: {would:?}");
        let streams = matches!(
            (&from, &to),
            (Is::Server(_), Is::Sealed { .. }) | (Is::Sealed { .. }, Is::Server(_))
        );
        assert_eq!(would.cost.bytes_up > 0, streams, "{what}: {would:?}");
        assert_eq!(
            would.cost.bytes_copied > 0,
            !streams || keeps_keys(&from, &to)
        );
    }
}

fn keeps_keys(from: &Is, to: &Is) -> bool {
    [from, to]
        .iter()
        .all(|is| !matches!(is, Is::Sealed { names: true, .. }))
}

#[tokio::test]
async fn what_cannot_be_moved_is_left_and_told_and_the_record_stays() {
    let rig = Rig::new();
    let (from, to) = (sealed(1, false), NONE);
    let was = rig.fill(&from, false).await;
    // Of another volume.
    rig.ground.copy("p/small", "p/stolen").await;
    let object = rig.ground.get("p/small").await;
    let mut attributes = object.info.attributes;
    let other = crate::layout::sealed::SealedMetadata::decode(&attributes.metadata).unwrap();
    let WrappedKey::Master(mut wrapped) = other.key else {
        panic!("a master key")
    };
    wrapped[60] ^= 1;
    let other = crate::layout::sealed::SealedMetadata {
        key: WrappedKey::Master(wrapped),
        record: other.record,
    };
    attributes.metadata = other.encode();
    rig.ground
        .put_with("p/other", object.body, attributes)
        .await;
    let summary = rig.reencrypt(&from, &to, false).await.unwrap();
    assert!(!summary.is_done(), "{summary:?}");
    let mut left: Vec<_> = summary.left.iter().map(|left| &*left.object).collect();
    left.sort_unstable();
    assert_eq!(left, ["p/other", "p/stolen"]);
    let other = summary.left.iter().find(|left| left.object == "p/other");
    assert!(
        other
            .unwrap()
            .why
            .starts_with("does not open with the source's key nor")
    );
    assert!(
        rig.ground
            .mem
            .keys()
            .contains(&"p/.cloakfs/volume-a".to_owned())
    );
    for key in ["p/other", "p/stolen"] {
        let key = ObjectKey::new(key).unwrap();
        let delete = crate::store::DeleteOptions::default();
        rig.ground.mem.delete(&key, delete).await.unwrap();
    }
    rig.whole(&from, &to).await;
    assert_same(&rig, &to, &was, "without them").await;
    let records = rig.ground.mem.keys();
    assert!(
        !records.iter().any(|key| key.contains("volume-")),
        "{records:?}"
    );
}

#[tokio::test]
async fn keys_and_volumes_that_are_in_the_way_are_refused() {
    let rig = Rig::new();
    rig.fill(&sealed(1, true), false).await;
    let refusal = async |from: &Is, to: &Is| rig.reencrypt(from, to, false).await.unwrap_err();
    let plain = refusal(&NONE, &kms("one")).await;
    assert_eq!(
        plain,
        "mem is a client-side volume (cse-c): say so with --encryption cse-c and its key, or it would be taken for plain objects"
    );
    let names = refusal(&sealed(1, true), &sealed(2, false)).await;
    assert!(
        names.starts_with("mem was made with encrypted names"),
        "{names}"
    );
    let wrong = refusal(&sealed(3, true), &sealed(4, true)).await;
    assert!(
        wrong.contains("it is not the key of this volume"),
        "{wrong}"
    );
    // What is refused leaves no trace: the second key opens nothing.
    let copies = ["volume-a", "volume-b"].map(|name| format!("p/.cloakfs/{name}"));
    let [a, b] = [
        rig.ground.get(&copies[0]).await,
        rig.ground.get(&copies[1]).await,
    ];
    assert_eq!(a.body, b.body);
}

/// S3 does not tell the encryption context of an object.
#[tokio::test]
async fn what_is_under_the_key_already_is_copied_on_request() {
    let is = kms("one");
    let mut rig = Rig::new();
    let was = rig.fill(&is, false).await;
    // What the two volumes try out at their beginning.
    let tried = 2 * 2;
    let calls = rig.whole(&is, &is).await;
    assert_eq!(calls.of(Operation::CopyObject), tried, "{calls}");
    rig.content = true;
    let would = rig.reencrypt(&is, &is, true).await.unwrap();
    assert_eq!((would.moved, would.cost.copy), (6, 6), "{would:?}");
    let calls = rig.whole(&is, &is).await;
    assert_eq!(calls.of(Operation::CopyObject), 6 + tried, "{calls}");
    assert!(calls.bytes_up < 1_000, "{calls}");
    assert_same(&rig, &is, &was, "copied").await;
}

/// A record that was changed by somebody without the key is seen before it is sealed again, and
/// one that came back wrong after.
#[tokio::test]
async fn what_does_not_authenticate_is_left_and_told() {
    let rig = Rig::new();
    let (from, to) = (sealed(1, false), sealed(2, false));
    rig.fill(&from, false).await;
    rig.ground.copy("p/small", "p/moved-by-another-tool").await;
    let summary = rig.reencrypt(&from, &to, false).await.unwrap();
    assert!(!summary.is_done(), "{summary:?}");
    let left = &summary.left[0];
    assert_eq!(left.object, "p/moved-by-another-tool");
    assert!(left.why.starts_with("does not authenticate"), "{left:?}");
}

/// A writer that comes between the look and the write does not lose.
#[tokio::test]
async fn a_concurrent_writer_does_not_lose() {
    for (from, to) in [
        (NONE, sealed(1, false)),
        (NONE, sealed(1, true)),
        (NONE, kms("one")),
    ] {
        let rig = Rig::new();
        rig.fill(&from, false).await;
        // Each request for the file is late by so much that the writer is in between somewhere.
        let slow = Effect::DelayAfter(Duration::from_millis(20));
        rig.ground.fault.inject(Rule::new(slow).exactly("p/small"));
        let writer = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            rig.ground.put("p/small", "written meanwhile").await;
        };
        let (moved, ()) =
            futures_util::future::join(rig.reencrypt(&from, &to, false), writer).await;
        rig.ground.fault.clear();
        let moved = moved.unwrap();
        assert!(moved.left_count <= 1, "{moved:?}");
        // What was left for the writer's sake is told; else the writer's content is there.
        let is = if moved.is_done() { &to } else { &from };
        let volume = rig.volume(is).await;
        let path: VolumePath = "small".parse().unwrap();
        let stat = volume.stat_file(&path).await.unwrap().expect("the file");
        let range = ByteRange::new(0, stat.size);
        let (object, version) = (ObjectRef::Path(path), stat.version.unwrap());
        let read = volume.read(&object, &version, range).await.unwrap();
        assert_eq!(read, "written meanwhile", "{to:?}: {moved:?}");
    }
}
