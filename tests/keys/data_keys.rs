//! Data keys of a client-side volume: how often KMS is asked, what it is sent, and what becomes
//! of its answers.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloakfs::base::context::EncryptionContext;
use cloakfs::keys::kms::KmsErrorKind;
use cloakfs::keys::root::Root;
use cloakfs::store::ErrorKind;
use cloakfs::volume::record::{RecordError, find};
use futures_util::future::join_all;
use serde_json::json;

use crate::world::{
    ARN, SHORT, TIMEOUT, World, answer, body, calls, error, operation, read, write,
};
use crate::{config, kms};

const OTHER_ARN: &str =
    "arn:aws:kms:us-east-1:111122223333:key/99999999-12ab-34cd-56ef-1234567890ab";

#[tokio::test]
async fn ten_thousand_files_take_one_data_key_and_reading_them_one_decrypt() {
    const FILES: usize = 10_000;
    let world = World::new().await;
    let writer = world.mount(1_000_000, TIMEOUT).await;
    let ((), made) = world
        .calls(async {
            for index in 0..FILES {
                write(&writer, index).await.unwrap();
            }
            read(&writer, 0).await.unwrap();
        })
        .await;
    assert_eq!(made, calls([("GenerateDataKey", 1)]));
    let reader = world.mount(1_000_000, TIMEOUT).await;
    let ((), made) = world
        .calls(async {
            for index in 0..FILES {
                read(&reader, index).await.unwrap();
            }
        })
        .await;
    assert_eq!(made, calls([("Decrypt", 1)]));
}

#[tokio::test]
async fn a_data_key_seals_as_many_records_as_it_may() {
    let world = World::new().await;
    for (reuse, files, keys) in [(10, 0..25, 3), (1, 25..45, 20)] {
        let writer = world.mount(reuse, TIMEOUT).await;
        let ((), made) = world
            .calls(async {
                for index in files.clone() {
                    write(&writer, index).await.unwrap();
                }
            })
            .await;
        assert_eq!(made, calls([("GenerateDataKey", keys)]));
        let reader = world.mount(1_000_000, TIMEOUT).await;
        let ((), made) = world
            .calls(async {
                for index in files {
                    read(&reader, index).await.unwrap();
                }
            })
            .await;
        assert_eq!(made, calls([("Decrypt", keys)]));
    }
}

#[tokio::test]
async fn those_who_need_the_same_key_at_once_wait_for_one_answer() {
    let world = World::new().await;
    let writer = world.mount(1_000_000, TIMEOUT).await;
    let (done, made) = world
        .calls(join_all((0..100).map(|index| write(&writer, index))))
        .await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(made, calls([("GenerateDataKey", 1)]));
    let reader = world.mount(1_000_000, TIMEOUT).await;
    let (done, made) = world
        .calls(join_all((0..100).map(|index| read(&reader, index))))
        .await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(made, calls([("Decrypt", 1)]));
}

/// The failure of one request is that of all who waited for it, and of nobody who comes later.
#[tokio::test]
async fn a_refusal_is_told_to_all_who_wait_and_not_remembered() {
    let world = World::new().await;
    let volume = world.mount(1_000_000, TIMEOUT).await;
    world.meddle(|_, _| Some(error("DisabledException", "it is disabled")));
    let (done, made) = world
        .calls(join_all((0..20).map(|index| write(&volume, index))))
        .await;
    for failed in &done {
        let failed = failed.as_ref().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Denied);
        assert!(failed.concerns_encryption());
        assert!(
            failed.to_string().ends_with(&format!(
                ": the KMS key \"{ARN}\" is disabled: enable it with `aws kms enable-key`"
            )),
            "{failed}"
        );
    }
    assert_eq!(made, calls([("GenerateDataKey", 1)]));
    world.meddle(|_, _| None);
    write(&volume, 0).await.unwrap();

    let reader = world.mount(1_000_000, TIMEOUT).await;
    world.meddle(|_, _| {
        Some(error(
            "AccessDeniedException",
            "User: u is not authorized to perform: kms:Decrypt",
        ))
    });
    let (done, made) = world
        .calls(join_all((0..20).map(|_| read(&reader, 0))))
        .await;
    for failed in &done {
        let failed = failed.as_ref().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Denied);
        let endpoint = &world.kms.endpoint;
        assert!(
            failed.to_string().ends_with(&format!(
                ": the KMS key \"{ARN}\" does not unwrap the data key, since KMS at {endpoint} denies it (User: u is not authorized to perform: kms:Decrypt): allow kms:Decrypt to these credentials, in the key's policy too"
            )),
            "{failed}"
        );
    }
    assert_eq!(made, calls([("Decrypt", 1)]));
    world.meddle(|_, _| None);
    read(&reader, 0).await.unwrap();
}

/// A KMS that is silent about one key holds up nobody who needs another.
#[tokio::test]
async fn another_key_is_not_waited_for() {
    let world = World::new().await;
    let writer = world.mount(1, TIMEOUT).await;
    for index in 0..2 {
        write(&writer, index).await.unwrap();
    }
    let reader = world.mount(1, SHORT).await;
    let first = Arc::new(Mutex::new(None));
    world.meddle(move |_, asked| {
        let blob = asked["CiphertextBlob"].clone();
        let mut first = first.lock().unwrap();
        (*first.get_or_insert(blob.clone()) == blob).then(String::new)
    });
    let silent = read(&reader, 0);
    let answered = async {
        // The other one is asked about first.
        tokio::task::yield_now().await;
        read(&reader, 1).await
    };
    let (silent, answered) = tokio::join!(silent, answered);
    answered.unwrap();
    assert_eq!(silent.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn kms_is_told_the_mounts_own_key_and_context_and_the_volume() {
    let world = World::new().await;
    let writer = world.mount(1_000_000, TIMEOUT).await;
    write(&writer, 0).await.unwrap();
    let reader = world.mount(1_000_000, TIMEOUT).await;
    read(&reader, 0).await.unwrap();
    let context = json!({"tenant": "a", "cloakfs:volume": world.volume.to_string()});
    for request in world.kms.requests() {
        let asked = body(&request);
        match &*operation(&request) {
            "DescribeKey" => {}
            // Whatever way it was named by.
            _ => assert_eq!(
                (&asked["KeyId"], &asked["EncryptionContext"]),
                (&json!(ARN), &context)
            ),
        }
    }
}

#[tokio::test]
async fn an_answer_that_kms_would_not_give_is_refused() {
    let world = World::new().await;
    let key = |bytes: usize| BASE64.encode(vec![7; bytes]);
    let blob = BASE64.encode("blob");
    let cases = [
        (
            json!({"KeyId": OTHER_ARN, "Plaintext": key(32), "CiphertextBlob": blob}),
            format!("the answer is of {OTHER_ARN}, which is another key"),
        ),
        (
            json!({"Plaintext": key(32), "CiphertextBlob": blob}),
            "the answer names no key".to_owned(),
        ),
        (
            json!({"KeyId": ARN, "Plaintext": key(31), "CiphertextBlob": blob}),
            "the answer has a data key of 31 bytes, not 32".to_owned(),
        ),
        (
            json!({"KeyId": ARN, "CiphertextBlob": blob}),
            "the answer has a data key of 0 bytes, not 32".to_owned(),
        ),
    ];
    let only_generated = [
        (
            json!({"KeyId": ARN, "Plaintext": key(32)}),
            "the answer has no wrapped form of the data key".to_owned(),
        ),
        (
            json!({"KeyId": ARN, "Plaintext": key(32), "CiphertextBlob": key(513)}),
            "the data key's wrapped form has 513 bytes, and an object has room for 512".to_owned(),
        ),
    ];
    let Root::Kms(root) = world.root(ARN, TIMEOUT).await else {
        panic!("a key of KMS")
    };
    for (index, (told, reason)) in cases.iter().chain(&only_generated).enumerate() {
        let (always, told) = (index < cases.len(), told.clone());
        world.meddle(move |_, _| Some(answer("200 OK", &told)));
        let refused = |what: &str, error: cloakfs::keys::kms::KmsError| {
            assert_eq!(error.kind(), KmsErrorKind::Unsuitable);
            assert_eq!(
                error.to_string(),
                format!(
                    "the KMS key \"{ARN}\" {what}: {reason}; check --kms-endpoint-url, since KMS does not answer so"
                )
            );
        };
        let generated = root.generate(&[1; 16]).await;
        refused("gives no data key", generated.err().unwrap());
        if always {
            let unwrapped = root.unwrap(&[1; 16], b"blob").await;
            refused("does not unwrap the data key", unwrapped.err().unwrap());
        }
    }
}

#[tokio::test]
async fn what_passes_is_asked_again_and_what_does_not_is_told_at_once() {
    let world = World::new().await;
    let Root::Kms(root) = world.root(ARN, SHORT).await else {
        panic!("a key of KMS")
    };
    let key = format!("the KMS key \"{ARN}\"");
    for (code, kind, sentence) in [
        (
            "KMSInvalidStateException",
            KmsErrorKind::State,
            format!(
                "{key} gives no data key, since its state does not allow it (words): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store"
            ),
        ),
        (
            "InvalidKeyUsageException",
            KmsErrorKind::Unsuitable,
            format!(
                "{key} gives no data key, since it is of another kind (words): give a symmetric key"
            ),
        ),
        (
            "NotFoundException",
            KmsErrorKind::NotFound,
            format!(
                "{key} is not known to KMS at {}: check the key, its account and its region",
                world.kms.endpoint
            ),
        ),
        (
            "ThrottlingException",
            KmsErrorKind::Throttled,
            format!(
                "{key} gives no data key: KMS at {} throttles this account's requests (words): try again later, or raise its quota of requests (asked again for 0.3 s)",
                world.kms.endpoint
            ),
        ),
    ] {
        world.meddle(move |_, _| Some(error(code, "words")));
        let (failed, made) = world.calls(root.generate(&[1; 16])).await;
        let failed = failed.err().unwrap();
        assert_eq!((failed.kind(), failed.to_string()), (kind, sentence));
        let asked = made["GenerateDataKey"];
        assert_eq!(
            asked > 1,
            kind == KmsErrorKind::Throttled,
            "{code}: {asked}"
        );
    }
    world.meddle(|_, _| Some(String::new()));
    let failed = root.unwrap(&[1; 16], b"blob").await.err().unwrap();
    assert_eq!(failed.kind(), KmsErrorKind::TimedOut);
}

/// What is in the bucket names no key and no context: the mount's own are sent.
#[tokio::test]
async fn a_volume_of_another_key_or_context_is_refused_in_one_sentence() {
    let world = World::new().await;
    let record = find(&world.store, "").await.unwrap().unwrap();
    let kms = kms(&config(&world.kms.endpoint)).await;
    let context = EncryptionContext::parse(["tenant=b"]).unwrap();
    let (root, _) = kms.root(ARN, context, TIMEOUT).await.unwrap();
    let refused = record
        .open(Root::Kms(Box::new(root)), true)
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, RecordError::WrongKmsKey { .. }));
    assert_eq!(
        refused.to_string(),
        format!(
            "mem: does not open with the KMS key {ARN} and the encryption context that was given: its record was made with the key \"{ARN}\"; check --kms-key and --kms-context"
        )
    );
}
