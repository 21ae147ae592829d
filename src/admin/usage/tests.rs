use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::admin::fixture::{Ground, PREFIX};
use crate::crypto::keys::WRAPPED_KEY_BYTES;
use crate::layout::sealed::{SealedMetadata, WrappedKey};
use crate::store::fault::{Effect, Rule};
use crate::store::{Metadata, ObjectAttributes, Operation, ServerEncryption};

const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
const OTHER: &str = "fedcba98-89ab-cdef-0123-456789abcdef";

fn arn(id: &str) -> String {
    format!("arn:aws:kms:eu-west-1:111122223333:key/{id}")
}

fn usage(ground: &Ground, volume: InVolume) -> Usage {
    Usage {
        store: ground.store(),
        prefix: PREFIX.to_owned(),
        key: KeyNames {
            arn: arn(ID),
            id: ID.to_owned(),
        },
        volume,
    }
}

async fn tally(ground: &Ground, volume: InVolume) -> Tally {
    usage(ground, volume).run(&mut |_| {}).await.unwrap()
}

async fn put(ground: &Ground, name: &str, encryption: ServerEncryption, metadata: Metadata) {
    ground.mem.encrypt_as(encryption);
    let attributes = ObjectAttributes {
        metadata,
        content_type: None,
    };
    let key = format!("{PREFIX}{name}");
    ground.put_with(&key, "12345", attributes).await;
    ground.mem.encrypt_as(ServerEncryption::None);
}

fn native(blob: &[u8]) -> Metadata {
    let (key, record) = (WrappedKey::Kms(blob.to_vec()), vec![7; 100]);
    SealedMetadata { key, record }.encode()
}

fn s3ec(blob: &[u8], wrapping: &str) -> Metadata {
    let blob = STANDARD.encode(blob);
    [
        ("x-amz-key-v2", &*blob),
        ("x-amz-iv", "AAAAAAAAAAAAAAAA"),
        ("x-amz-wrap-alg", wrapping),
        ("x-amz-cek-alg", "AES/GCM/NoPadding"),
        ("x-amz-tag-len", "128"),
        (
            "x-amz-matdesc",
            "{\"aws:x-amz-cek-alg\":\"AES/GCM/NoPadding\"}",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn sse_kms(key: Option<String>) -> ServerEncryption {
    ServerEncryption::SseKms {
        key_id: key,
        bucket_key: false,
        dsse: false,
    }
}

fn names(count: &Count) -> Vec<&str> {
    let names = count.first.iter();
    names
        .map(|named| named.object.strip_prefix(PREFIX).unwrap())
        .collect()
}

/// What is told by S3 and by the wrapped keys of servers that stand in for KMS.
#[tokio::test]
async fn what_is_under_the_key_is_counted_and_what_cannot_be_told_is_told_apart() {
    let ground = Ground::new();
    let none = || ServerEncryption::None;
    for (name, encryption, metadata) in [
        ("used-arn", sse_kms(Some(arn(ID))), Metadata::new()),
        ("used-id", sse_kms(Some(ID.to_owned())), Metadata::new()),
        ("used-native", none(), native(format!("{ID}...").as_bytes())),
        (
            "used-s3ec",
            none(),
            s3ec(format!("{ID}...").as_bytes(), "kms+context"),
        ),
        // Under both: one of them is the key.
        (
            "used-twice",
            sse_kms(Some(arn(ID))),
            native(format!("{OTHER}...").as_bytes()),
        ),
        ("not-plain", none(), Metadata::new()),
        ("not-sse-s3", ServerEncryption::SseS3, Metadata::new()),
        ("not-arn", sse_kms(Some(arn(OTHER))), Metadata::new()),
        (
            "not-native",
            none(),
            native(format!("{OTHER}...").as_bytes()),
        ),
        ("not-s3ec", none(), s3ec(&[7; 64], "AES/GCM")),
        ("unknown-kms", sse_kms(None), Metadata::new()),
        (
            "unknown-mode",
            ServerEncryption::Other("new".to_owned()),
            Metadata::new(),
        ),
        ("unknown-native", none(), native(&[1; 184])),
        ("unknown-s3ec", none(), s3ec(&[1; 184], "kms+context")),
        ("sub/.cloakfs/volume-a", none(), Metadata::new()),
    ] {
        put(&ground, name, encryption, metadata).await;
    }
    let master = WrappedKey::Master([1; WRAPPED_KEY_BYTES]);
    let record = vec![7; 100];
    let master = SealedMetadata {
        key: master,
        record,
    }
    .encode();
    put(&ground, "not-cse-c", ServerEncryption::SseS3, master).await;

    let found = tally(&ground, InVolume::Absent).await;
    assert_eq!((found.objects, found.bytes), (16, 80));
    assert_eq!(
        names(&found.used),
        [
            "used-arn",
            "used-id",
            "used-native",
            "used-s3ec",
            "used-twice"
        ]
    );
    assert_eq!((found.used.objects, found.used.bytes), (5, 25));
    assert!(found.used.first.iter().all(|named| named.why.is_none()));
    let unknown = [
        "sub/.cloakfs/volume-a",
        "unknown-kms",
        "unknown-mode",
        "unknown-native",
        "unknown-s3ec",
    ];
    assert_eq!(names(&found.not_known), unknown);
    let why: Vec<_> = found
        .not_known
        .first
        .iter()
        .map(|named| named.why.as_deref())
        .collect();
    assert_eq!(
        why,
        [
            "it is the record of a volume inside: look at that as a source of its own",
            "the server does not tell its key of KMS",
            "its encryption \"new\" is not one that is known",
            "it is of a client-side volume that does not begin at the source: give that volume as the source",
            "the Amazon S3 Encryption Client wrapped its key with KMS, and does not say under which key",
        ]
        .map(Some)
    );
    // A volume whose record names another key, and one that does not open.
    let found = tally(&ground, InVolume::OfAnotherKey).await;
    assert!(!names(&found.not_known).contains(&"unknown-native"));
    let found = tally(&ground, InVolume::Closed("it is shut".to_owned())).await;
    let closed = &found.not_known.first[3];
    assert_eq!(closed.why.as_deref(), Some("it is shut"));
}

/// The record of a volume is under its key, too.
#[tokio::test]
async fn a_record_is_what_its_volume_is() {
    let ground = Ground::with_volume(1).await;
    let opened = || async { InVolume::Opened(Box::new(ground.reader(1).await)) };
    let found = tally(&ground, opened().await).await;
    assert_eq!(
        names(&found.used),
        [".cloakfs/volume-a", ".cloakfs/volume-b"]
    );
    let found = tally(&ground, InVolume::OfAnotherKey).await;
    assert_eq!((found.objects, found.used.objects), (2, 0));
    let found = tally(&ground, InVolume::Closed("it is shut".to_owned())).await;
    assert_eq!(found.not_known.objects, 2);
}

#[tokio::test]
async fn only_the_first_names_are_kept_however_many_there_are() {
    let ground = Ground::new();
    for number in 0..2_100 {
        let name = format!("{number:04}");
        put(&ground, &name, sse_kms(Some(arn(ID))), Metadata::new()).await;
    }
    let mut told = 0;
    let mut progress = |tally: &Tally| told = tally.objects;
    let found = usage(&ground, InVolume::Absent).run(&mut progress).await;
    let found = found.unwrap();
    assert_eq!((found.used.objects, told), (2_100, 2_100));
    assert_eq!(found.used.first.len(), FIRST);
    assert_eq!(names(&found.used)[0], "0000");
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_known_and_a_server_that_is_gone_ends_it() {
    let ground = Ground::new();
    for number in 0..20 {
        let name = format!("{number:02}");
        put(&ground, &name, ServerEncryption::None, Metadata::new()).await;
    }
    let head = |effect| Rule::new(effect).on(Operation::HeadObject);
    ground
        .fault
        .inject(head(Effect::FailBefore(ErrorKind::Denied)));
    let found = tally(&ground, InVolume::Absent).await;
    assert_eq!((found.not_known.objects, found.used.objects), (20, 0));
    ground.fault.clear();
    // Under a customer's key there is none of KMS.
    ground.fault.inject(head(Effect::AskForKey));
    let found = tally(&ground, InVolume::Absent).await;
    assert_eq!((found.objects, found.not_known.objects), (20, 0));
    ground.fault.clear();
    ground
        .fault
        .inject(head(Effect::FailBefore(ErrorKind::Unavailable)));
    let gone = usage(&ground, InVolume::Absent).run(&mut |_| {}).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::Unavailable);
}
