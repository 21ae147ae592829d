use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const IV: &str = "WQhOc5snSebOKCTg";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
const ID: &str = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmamw==";

fn v2() -> BTreeMap<String, String> {
    map(&[
        ("x-amz-key-v2", KEY),
        ("x-amz-iv", IV),
        ("x-amz-wrap-alg", "kms+context"),
        ("x-amz-cek-alg", "AES/GCM/NoPadding"),
        ("x-amz-tag-len", "128"),
        (
            "x-amz-matdesc",
            r#"{"a": "b", "aws:x-amz-cek-alg": "AES/GCM/NoPadding"}"#,
        ),
    ])
}

fn v3() -> BTreeMap<String, String> {
    map(&[
        ("x-amz-c", "115"),
        ("x-amz-3", KEY),
        ("x-amz-w", "12"),
        ("x-amz-d", ID),
        ("x-amz-i", ID),
        ("x-amz-t", r#"{"aws:x-amz-cek-alg": "115"}"#),
    ])
}

fn v1() -> BTreeMap<String, String> {
    map(&[
        ("x-amz-key", &["A"; 64].concat()),
        ("x-amz-iv", "AAECAwQFBgcICQoLDA0ODw=="),
        ("x-amz-matdesc", "{}"),
    ])
}

fn whole(metadata: &BTreeMap<String, String>) -> Envelope {
    match Described::decode(metadata) {
        Ok(Described::Whole(envelope)) => envelope,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_version_is_told_by_its_own_names() {
    for (metadata, version, wrapping) in [
        (v1(), FormatVersion::V1, Wrapping::AesEcb),
        (v2(), FormatVersion::V2, Wrapping::KmsContext),
        (v3(), FormatVersion::V3, Wrapping::KmsContext),
    ] {
        let envelope = whole(&metadata);
        assert_eq!((envelope.version, envelope.wrapping), (version, wrapping));
        assert_eq!(envelope.legacy().is_some(), version == FormatVersion::V1);
    }
    let alien = map(&[("mode", "33188"), ("x-amz-unencrypted-content-length", "3")]);
    assert_eq!(Described::decode(&alien), Ok(Described::Nothing));
}

/// A name of another version, and be it one, makes an object of no version.
#[test]
fn names_of_two_versions_are_refused() {
    for (own, other) in [(v2(), v3()), (v3(), v2()), (v1(), v3()), (v3(), v1())] {
        for (name, value) in other {
            let mut mixed = own.clone();
            mixed.insert(name.clone(), value);
            let refused = Described::decode(&mixed).unwrap_err();
            assert!(matches!(refused, S3ecError::Mixed(_)), "{name}: {refused}");
        }
    }
    let mut both = v2();
    both.insert("x-amz-key".to_owned(), KEY.to_owned());
    assert_eq!(Described::decode(&both), Err(S3ecError::Mixed("v1 and v2")));
}

#[test]
fn whatever_is_missing_is_broken_and_never_an_older_version() {
    for (metadata, needed) in [
        (
            v2(),
            &[
                "x-amz-key-v2",
                "x-amz-iv",
                "x-amz-wrap-alg",
                "x-amz-cek-alg",
                "x-amz-tag-len",
            ][..],
        ),
        (
            v3(),
            &["x-amz-c", "x-amz-3", "x-amz-w", "x-amz-d", "x-amz-i"],
        ),
        (v1(), &["x-amz-key", "x-amz-iv"]),
    ] {
        for name in needed {
            let mut cut = metadata.clone();
            cut.remove(*name);
            let refused = Described::decode(&cut).unwrap_err();
            assert!(matches!(refused, S3ecError::Broken(_)), "{name}: {refused}");
        }
    }
}

#[test]
fn no_weaker_algorithm_is_taken() {
    let with = |name: &str, value: &str| {
        let mut changed = if name.len() == 7 { v3() } else { v2() };
        changed.insert(name.to_owned(), value.to_owned());
        Described::decode(&changed)
    };
    for (name, value) in [
        ("x-amz-c", "114"),
        ("x-amz-c", "116"),
        ("x-amz-w", "00"),
        ("x-amz-w", "kms"),
        ("x-amz-cek-alg", "AES/CTR/NoPadding"),
        ("x-amz-wrap-alg", "RSA/ECB/PKCS1Padding"),
    ] {
        let refused = with(name, value).unwrap_err();
        assert!(
            matches!(refused, S3ecError::Unknown(_)),
            "{name}: {refused}"
        );
    }
    assert!(with("x-amz-tag-len", "96").is_err());
    // CBC is legacy, and is not read with the wrapping of GCM.
    let mut cbc = v2();
    cbc.insert("x-amz-cek-alg".into(), "AES/CBC/PKCS5Padding".into());
    cbc.insert("x-amz-iv".into(), "AAECAwQFBgcICQoLDA0ODw==".into());
    assert!(Described::decode(&cbc).is_err());
    cbc.insert("x-amz-wrap-alg".into(), "kms".into());
    assert_eq!(whole(&cbc).legacy(), Some("its content is AES-CBC"));
}

#[test]
fn an_instruction_file_holds_what_the_object_does_not() {
    let json = |map: &BTreeMap<String, String>| serde_json::to_vec(map).unwrap();
    let nothing = Described::decode(&BTreeMap::new()).unwrap();
    let envelope = nothing.with_instruction_file(&json(&v2())).unwrap();
    assert!(envelope.has_instruction_file);
    assert_eq!(
        envelope,
        Envelope {
            has_instruction_file: true,
            ..whole(&v2())
        }
    );
    let (mut on_object, mut in_file) = (v3(), v3());
    on_object.retain(|name, _| ["x-amz-c", "x-amz-d", "x-amz-i"].contains(&name.as_str()));
    in_file.retain(|name, _| !on_object.contains_key(name));
    let content = Described::decode(&on_object).unwrap();
    assert_eq!(content, Described::ContentOnly(whole(&v3()).content));
    let envelope = content.with_instruction_file(&json(&in_file)).unwrap();
    assert_eq!(envelope.wrapped_key, whole(&v3()).wrapped_key);
    for (object, file) in [
        (&content, json(&v2())),
        (&content, json(&v3())),
        (&nothing, json(&v3())),
        (&nothing, json(&in_file)),
        (&content, b"{}".to_vec()),
        (&nothing, b"{\"x-amz-iv\": 3}".to_vec()),
        (&nothing, b"[]".to_vec()),
        (&nothing, Vec::new()),
        (
            &content,
            b"{\"x-amz-3\":\"AA==\",\"x-amz-w\":\"02\",\"x-amz-3\":\"AQ==\"}".to_vec(),
        ),
    ] {
        let refused = object.with_instruction_file(&file).unwrap_err();
        let is_right = matches!(refused, S3ecError::Mixed(_) | S3ecError::Broken(_));
        assert!(is_right, "{refused}");
    }
    let mut marked = BTreeMap::new();
    marked.insert("x-amz-crypto-instr-file".to_owned(), String::new());
    assert_eq!(
        Described::decode(&marked),
        Err(S3ecError::IsInstructionFile)
    );
}

#[test]
fn the_encryption_context_is_the_mounts_own() {
    let envelope = whole(&v2());
    let own = map(&[("a", "b")]);
    let context = envelope.context_for(&own).unwrap();
    let all = map(&[("a", "b"), ("aws:x-amz-cek-alg", "AES/GCM/NoPadding")]);
    assert_eq!(context, all);
    for other in [map(&[]), map(&[("a", "c")]), map(&[("a", "b"), ("c", "d")])] {
        assert_eq!(envelope.context_for(&other), Err(S3ecError::OtherContext));
    }
    // The reserved names are no pairs of the caller's.
    for stored in [
        map(&[("a", "b")]),
        map(&[("a", "b"), (ALGORITHM_CONTEXT, "115")]),
        map(&[
            ("a", "b"),
            (ALGORITHM_CONTEXT, "AES/GCM/NoPadding"),
            (KEY_ID_CONTEXT, "k"),
        ]),
    ] {
        let changed = Envelope {
            context: stored,
            ..envelope.clone()
        };
        assert_eq!(changed.context_for(&own), Err(S3ecError::OtherContext));
    }
    let legacy = Envelope {
        wrapping: Wrapping::Kms,
        context: map(&[(KEY_ID_CONTEXT, "key")]),
        ..envelope
    };
    assert_eq!(
        legacy.context_for(&map(&[])),
        Ok(map(&[(KEY_ID_CONTEXT, "key")]))
    );
    assert!(legacy.context_for(&own).is_err());
}

#[test]
fn lengths_that_no_content_has_are_refused() {
    let gcm = Content::Gcm { iv: [0; 12] };
    assert_eq!(gcm.ciphertext_bytes(16), Ok(0));
    assert_eq!(gcm.ciphertext_bytes(15), Err(S3ecError::Length));
    assert_eq!(gcm.ciphertext_bytes((64 << 30) - 16), Ok(CONTENT_BYTES_MAX));
    assert_eq!(
        gcm.ciphertext_bytes((64 << 30) - 15),
        Err(S3ecError::Length)
    );
    let cbc = Content::Cbc { iv: [0; 16] };
    assert_eq!(cbc.ciphertext_bytes(32), Ok(32));
    assert_eq!(cbc.ciphertext_bytes(0), Err(S3ecError::Length));
    assert_eq!(cbc.ciphertext_bytes(33), Err(S3ecError::Length));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        key in prop::collection::vec(any::<u8>(), 1..600),
        message_id: [u8; 28],
        commitment: [u8; 28],
        which in 0..3_usize,
        context in prop::collection::btree_map("[ -~]{1,9}", "[ -~]{0,9}", 0..4),
    ) {
        let wrapping = [Wrapping::AesGcm, Wrapping::RsaOaepSha1, Wrapping::KmsContext][which];
        let envelope = Envelope {
            version: FormatVersion::V3,
            content: Content::Committing { message_id, commitment },
            wrapping,
            wrapped_key: key,
            context: if wrapping.is_kms() { context } else { BTreeMap::new() },
            has_instruction_file: false,
        };
        prop_assert_eq!(whole(&envelope.encode()), envelope);
    }
}
