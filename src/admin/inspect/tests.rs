use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::*;
use crate::crypto::keys::WRAPPED_KEY_BYTES;
use crate::layout::sealed::{SealedMetadata, WrappedKey};
use crate::store::mem::MemStore;
use crate::store::{Metadata, ObjectAttributes, PutOptions};

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn native(key: WrappedKey) -> Metadata {
    let record = vec![7; 100];
    SealedMetadata { key, record }.encode()
}

async fn put(store: &MemStore, key: &str, metadata: Metadata, body: &'static [u8]) {
    let attributes = ObjectAttributes {
        metadata,
        content_type: None,
    };
    let options = PutOptions {
        attributes,
        ..PutOptions::default()
    };
    let key = ObjectKey::new(key).unwrap();
    store
        .put(&key, Bytes::from_static(body), options)
        .await
        .unwrap();
}

async fn all(inspector: Inspector) -> Vec<Inspected> {
    inspector.objects().try_collect().await.unwrap()
}

fn looked(inspected: &Inspected) -> &Looked {
    match &inspected.seen {
        Seen::Looked(looked) => looked,
        other => panic!("{:?}: {other:?}", inspected.listed.key),
    }
}

#[tokio::test]
async fn each_object_is_told_by_its_mode_and_key_in_the_order_of_the_keys() {
    let store = MemStore::new();
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234-ab";
    let kms = |dsse| ServerEncryption::SseKms {
        key_id: Some(arn.to_owned()),
        bucket_key: true,
        dsse,
    };
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    let by_stand_in = WrappedKey::Kms(format!("{id}...").into_bytes());
    let mut newer = native(WrappedKey::Master([1; WRAPPED_KEY_BYTES]));
    newer.insert("cloakfs-format".to_owned(), "2".to_owned());
    let mut broken = native(WrappedKey::Master([1; WRAPPED_KEY_BYTES]));
    broken.remove("cloakfs-record");
    let none = ServerEncryption::None;
    let sse_c = ServerEncryption::SseC {
        key_md5: "md5".to_owned(),
    };
    let planted = [
        ("a-none", none.clone(), metadata(&[]), "none", None),
        (
            "b-s3",
            ServerEncryption::SseS3,
            metadata(&[]),
            "sse-s3",
            None,
        ),
        ("c-kms", kms(false), metadata(&[]), "sse-kms", Some(arn)),
        (
            "d-dsse",
            kms(true),
            metadata(&[]),
            "sse-kms-dsse",
            Some(arn),
        ),
        ("e-c", sse_c, metadata(&[]), "sse-c", Some("md5")),
        (
            "f-cse-kms",
            ServerEncryption::SseS3,
            native(WrappedKey::Kms(vec![0xff; 184])),
            "cse-kms",
            None,
        ),
        (
            "g-cse-kms",
            none.clone(),
            native(by_stand_in),
            "cse-kms",
            Some(id),
        ),
        (
            "h-cse-c",
            none.clone(),
            native(WrappedKey::Master([1; WRAPPED_KEY_BYTES])),
            "cse-c",
            None,
        ),
        ("i-newer", none.clone(), newer, "cse-c", None),
        ("j-broken", none.clone(), broken, "unknown", None),
        (
            "k-v1",
            none.clone(),
            metadata(&[("x-amz-iv", ""), ("x-amz-key", "")]),
            "s3ec-v1",
            None,
        ),
        (
            "l-v2",
            none.clone(),
            metadata(&[("x-amz-iv", ""), ("x-amz-key-v2", "")]),
            "s3ec-v2",
            None,
        ),
        (
            "m-v3",
            none.clone(),
            metadata(&[("x-amz-3", ""), ("x-amz-d", ""), ("x-amz-i", "")]),
            "s3ec-v3",
            None,
        ),
        (
            "n-mixed",
            none.clone(),
            metadata(&[("x-amz-key-v2", ""), ("x-amz-3", "")]),
            "unknown",
            None,
        ),
        (
            "o-other",
            ServerEncryption::Other("rot13".to_owned()),
            metadata(&[]),
            "rot13",
            None,
        ),
    ];
    for (key, encryption, metadata, ..) in &planted {
        store.encrypt_as(encryption.clone());
        put(&store, &format!("p/{key}"), metadata.clone(), b"x").await;
    }
    put(&store, "q", metadata(&[]), b"outside").await;
    let found = all(Inspector::new(Arc::new(store), "p/").parallel(3)).await;
    let told: Vec<_> = found
        .iter()
        .map(|found| {
            let looked = looked(found);
            let key = found.listed.key.strip_prefix("p/").unwrap();
            (key, looked.mode().into_owned(), looked.key())
        })
        .collect();
    let expected: Vec<_> = planted
        .iter()
        .map(|(key, _, _, mode, id)| (*key, (*mode).to_owned(), *id))
        .collect();
    assert_eq!(told, expected);
    let Client::Native(newer) = &looked(&found[8]).client else {
        panic!("{found:?}")
    };
    assert_eq!(newer.format.number(), 2);
    let Client::Unknown(why) = &looked(&found[9]).client else {
        panic!("{found:?}")
    };
    assert!(why.contains("cloakfs-record is missing"), "{why}");
}

#[tokio::test]
async fn an_instruction_file_tells_of_an_object_that_says_nothing_where_it_is_asked() {
    let store = Arc::new(MemStore::new());
    let marked = metadata(&[("x-amz-crypto-instr-file", "")]);
    put(&store, "a", metadata(&[]), b"ciphertext").await;
    let body = br#"{"x-amz-iv": "", "x-amz-key-v2": ""}"#;
    put(&store, "a.instruction", marked.clone(), body).await;
    put(&store, "b", metadata(&[]), b"plain").await;
    put(&store, "b.instruction", metadata(&[]), body).await;
    let committed = metadata(&[("x-amz-c", ""), ("x-amz-d", ""), ("x-amz-i", "")]);
    put(&store, "c", committed, b"ciphertext").await;
    let inspector = Inspector::new(store, "");
    let modes = async |inspector: Inspector| -> Vec<String> {
        let found = all(inspector).await;
        let found = found.iter();
        found
            .map(|found| looked(found).mode().into_owned())
            .collect()
    };
    assert_eq!(
        modes(inspector.clone()).await,
        ["none", "s3ec-instruction", "none", "none", "s3ec-v3"]
    );
    assert_eq!(
        modes(inspector.with_instruction_files()).await,
        ["s3ec-v2", "s3ec-instruction", "none", "none", "s3ec-v3"]
    );
}

#[tokio::test]
async fn a_walk_goes_through_every_page_once_and_goes_on_behind_a_key() {
    let store = MemStore::new();
    for number in 0..2_500 {
        put(&store, &format!("d/{number:04}"), metadata(&[]), b"").await;
    }
    put(&store, "d/.cloakfs/lease", metadata(&[]), b"").await;
    let inspector = Inspector::new(Arc::new(store), "d/");
    let found = all(inspector.clone()).await;
    assert_eq!(found.len(), 2_501);
    assert_eq!(found[0].own, Some(Own::Lease));
    assert_eq!(found[1].own, None);
    let keys: BTreeSet<_> = found.iter().map(|found| &found.listed.key).collect();
    assert_eq!(keys.len(), 2_501, "none twice");
    assert!(
        found
            .windows(2)
            .all(|pair| pair[0].listed.key < pair[1].listed.key)
    );
    let rest = all(inspector.starting_after("d/1999")).await;
    assert_eq!(rest.len(), 500);
    assert_eq!(rest[0].listed.key, "d/2000");
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_told_and_what_is_gone_is_no_trouble() {
    let store = Arc::new(MemStore::new());
    let inspector = Inspector::new(store, "");
    let listed = |key: &str| ListedObject {
        key: key.to_owned(),
        size: 0,
        etag: crate::store::ETag::new("e"),
        last_modified: crate::base::time::Timestamp::EPOCH,
    };
    assert!(matches!(inspector.look(listed("a")).await.seen, Seen::Gone));
    let Seen::Closed(error) = inspector.look(listed(&"k".repeat(1_025))).await.seen else {
        panic!("a key that is too long")
    };
    assert!(error.to_string().contains("at most 1024 bytes"), "{error}");
}

#[test]
fn metadata_of_two_kinds_is_neither() {
    let mut both = native(WrappedKey::Master([1; WRAPPED_KEY_BYTES]));
    both.insert("x-amz-key-v2".to_owned(), String::new());
    assert!(matches!(Client::of(&both), Client::Unknown(_)));
    let key = URL_SAFE_NO_PAD.encode([9; 3]);
    let unreadable = metadata(&[("cloakfs-format", "7"), ("cloakfs-key", &key)]);
    let Client::Native(unreadable) = Client::of(&unreadable) else {
        panic!("of a newer format")
    };
    assert_eq!(unreadable.root.mode(), "cse");
}
