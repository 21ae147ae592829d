//! Where a volume is looked for, and that one is not taken for a plain place.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;
use crate::store::{Operation, PutOptions};

/// The object of a volume's own directory.
const ROOT_MARKER: &str = concat!(".cloakfs/", "root/");

/// A store with these objects, the second of which is sealed.
async fn store(plain: &[&str], sealed: &[&str]) -> Fault {
    let store = Fault::new(Arc::new(MemStore::new()));
    for (keys, names) in [(plain, [].as_slice()), (sealed, &[FORMAT])] {
        for key in keys {
            let mut options = PutOptions::default();
            options.attributes.metadata = names
                .iter()
                .map(|name| ((*name).to_owned(), "1".to_owned()))
                .collect::<BTreeMap<_, _>>();
            let key = ObjectKey::new(*key).unwrap();
            store.put(&key, "x".into(), options).await.unwrap();
        }
    }
    store
}

#[test]
fn ancestors_are_proper() {
    let of = |prefix| ancestors(prefix).collect::<Vec<_>>();
    assert_eq!(of(""), [""; 0]);
    assert_eq!(of("a/"), [""]);
    assert_eq!(of("a/b/c/"), ["", "a/", "a/b/"]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_found() {
    for name in OBJECTS {
        let record = format!("p/.cloakfs/{name}");
        let store = store(&[&record], &[]).await;
        for kind in [ErrorKind::Denied, ErrorKind::Invalid] {
            store.inject(Rule::new(Effect::FailBefore(kind)).exactly(&*record));
        }
        assert!(is_volume(&store, "p/").await.unwrap());
        assert_eq!(above(&store, "p/q/").await.unwrap().as_deref(), Some("p/"));
    }
    let store = store(&["p/.cloakfs/volume-c", "p/.cloakfs/volume-a/x"], &[]).await;
    assert!(!is_volume(&store, "p/").await.unwrap());
}

#[tokio::test]
async fn whether_there_is_a_volume_must_be_known() {
    for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::Corrupt] {
        let store = store(&["p/x"], &[]).await;
        store.inject(Rule::new(Effect::FailBefore(kind)).on(Operation::ListObjects));
        for error in [
            is_volume(&store, "p/").await.err().unwrap(),
            refuse_sealed(&store, "p/").await.err().unwrap(),
        ] {
            let sentence = error.to_string();
            assert!(
                sentence.starts_with(
                    "whether mem:/p is a client-side volume is not known, and one must not be taken for plain: "
                ),
                "{sentence}"
            );
        }
        // Credentials may be confined to the prefix.
        assert_eq!(above(&store, "p/").await.is_ok(), kind == ErrorKind::Denied);
    }
}

#[tokio::test]
async fn what_is_sealed_is_no_plain_place() {
    for (prefix, sealed) in [
        ("", "file"),
        ("", "directory/"),
        ("", ROOT_MARKER),
        ("p/", "p/file"),
        ("p/", "p/"),
    ] {
        let store = store(&["other"], &[sealed]).await;
        let error = refuse_sealed(&store, prefix).await.err().unwrap();
        let volume = describe(&store, prefix);
        assert_eq!(
            error.to_string(),
            format!(
                "{volume} has no volume record, but {sealed:?} in it is sealed by cloakfs: the record was removed or is hidden, and a plain mount would write in clear; restore .cloakfs/volume-a from the volume's export (that of `cloakfs init --export`), a backup or an older version, and mount it with its own --encryption"
            )
        );
    }
    // A volume below a plain place, and one beside it.
    let below = store(&["a", "v/.cloakfs/volume-b"], &["v/", "v/file", "w/x"]).await;
    refuse_sealed(&below, "").await.unwrap();
    let below = store(&["p/a"], &["q"]).await;
    refuse_sealed(&below, "p/").await.unwrap();
    // Objects of another key of the server's.
    let store = store(&["a"], &["b"]).await;
    store.inject(Rule::new(Effect::RefuseKey).exactly("b"));
    refuse_sealed(&store, "").await.unwrap();
    let many: Vec<String> = (0..1500).map(|at| format!("{at}")).collect();
    for key in &many {
        let key = ObjectKey::new(&**key).unwrap();
        store
            .put(&key, "".into(), PutOptions::default())
            .await
            .unwrap();
    }
    let before = store.calls();
    refuse_sealed(&store, "").await.unwrap();
    let calls = store.calls().since(&before);
    assert_eq!(
        (
            calls.of(Operation::ListObjects),
            calls.of(Operation::HeadObject)
        ),
        (1, SAMPLES as u64 + 1)
    );
}

/// Names below an encrypted volume are in clear only where somebody mounts or decrypts by path.
#[tokio::test]
async fn nothing_below_a_volume_is_asked_about() {
    let store = store(&["v/.cloakfs/volume-a"], &[]).await;
    store.inject(Rule::new(Effect::FailBefore(ErrorKind::Corrupt)).containing("secret"));
    let found = above(&store, "v/secret/secret-too/x/").await;
    assert_eq!(found.unwrap().as_deref(), Some("v/"));
    assert!(above(&store, "w/secret/x/").await.is_err(), "it would fail");
}
