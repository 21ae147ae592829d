use super::*;
use crate::store::StoreError;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;

fn writer(store: &Arc<MemStore>, asks_for: &str) -> Writer {
    Writer {
        store: store.clone(),
        asks_for: asks_for.to_owned(),
    }
}

#[tokio::test]
async fn a_store_that_denies_nothing_enforces_nothing_and_is_left_as_it_was() {
    let store = Arc::new(MemStore::new());
    let right = writer(&store, "sse-s3");
    let wrong = [writer(&store, "no encryption")];
    let found = uploads("p/", &right, &wrong).await;
    let told: Vec<_> = found
        .proofs
        .iter()
        .map(|proof| (&*proof.request, proof.outcome.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("PutObject with sse-s3", Outcome::Accepted),
            ("CopyObject with sse-s3", Outcome::Accepted),
            ("CreateMultipartUpload with sse-s3", Outcome::Accepted),
            ("UploadPart with sse-s3", Outcome::Accepted),
            ("CompleteMultipartUpload with sse-s3", Outcome::Accepted),
            ("PutObject with no encryption", Outcome::NotEnforced),
            ("CopyObject with no encryption", Outcome::NotEnforced),
            (
                "CreateMultipartUpload with no encryption",
                Outcome::NotEnforced
            ),
        ]
    );
    assert!(!found.is_good());
    assert_eq!(found.left_behind, [""; 0]);
    let left = store
        .list(crate::store::ListOptions::default())
        .await
        .unwrap();
    assert_eq!(left.objects, []);
    assert_eq!(store.list_multipart("").await.unwrap(), []);
}

#[test]
fn only_a_denial_proves_one() {
    let error = |kind, operation, code: &str| {
        Err(StoreError::new(kind, operation, "k", "words").with_code(code))
    };
    for (answer, expected) in [
        (
            error(ErrorKind::Denied, Operation::PutObject, "AccessDenied"),
            Outcome::Denied,
        ),
        (
            error(ErrorKind::Corrupt, Operation::PutObject, "x"),
            Outcome::NotEnforced,
        ),
        (
            error(
                ErrorKind::Denied,
                Operation::PutObject,
                "SignatureDoesNotMatch",
            ),
            Outcome::Failed(
                "whether it would be denied is not known, since it failed otherwise: PutObject of \"k\" failed: SignatureDoesNotMatch: words".to_owned(),
            ),
        ),
    ] {
        assert_eq!(Outcome::denied(answer), expected);
    }
}

/// Amazon tells who denied: what is not the bucket's policy proves nothing of it.
#[test]
fn a_denial_by_somebody_else_is_no_proof() {
    for (words, who) in [
        (
            "User: arn:aws:iam::111122223333:user/u is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:111122223333:key/k because no identity-based policy allows the kms:GenerateDataKey action",
            Some("the policies of a key of KMS"),
        ),
        (
            "User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::b/k\" with an explicit deny in an identity-based policy",
            Some("a policy of these credentials"),
        ),
        (
            "User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::b/k\" with an explicit deny in a resource-based policy",
            None,
        ),
        ("Access Denied.", None),
    ] {
        let error = StoreError::new(ErrorKind::Denied, Operation::PutObject, "k", words);
        let outcome = Outcome::denied(Err(error.with_code("AccessDenied")));
        let expected = match who {
            None => Outcome::Denied,
            Some(who) => Outcome::Failed(format!(
                "whether the bucket denies it is not known, since {who} did before: PutObject of \"k\" failed: AccessDenied: {words}"
            )),
        };
        assert_eq!(outcome, expected);
    }
}

fn faulty(store: &Arc<MemStore>, rule: Rule) -> Writer {
    let fault = Fault::new(Arc::clone(store) as _);
    fault.inject(rule);
    Writer {
        store: Arc::new(fault),
        asks_for: "sse-s3".to_owned(),
    }
}

/// Files above 8 MiB are uploaded so: one whose parts are denied is no bucket of the mode.
#[tokio::test]
async fn parts_that_are_refused_are_told_and_nothing_is_left_of_them() {
    for (operation, request) in [
        (Operation::UploadPart, "UploadPart with sse-s3"),
        (
            Operation::CompleteMultipartUpload,
            "CompleteMultipartUpload with sse-s3",
        ),
    ] {
        let store = Arc::new(MemStore::new());
        let refuses = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(operation);
        let found = uploads("p/", &faulty(&store, refuses), &[]).await;
        let last = found.proofs.last().unwrap();
        assert_eq!(last.request, request);
        assert!(matches!(last.outcome, Outcome::Failed(_)), "{last:?}");
        assert!(!found.is_good());
        assert_eq!(store.list_multipart("").await.unwrap(), []);
        assert_eq!(store.keys(), [""; 0]);
    }
}

#[tokio::test]
async fn what_is_left_behind_is_named() {
    let store = Arc::new(MemStore::new());
    let keeps = Rule::new(Effect::FailBefore(ErrorKind::Denied));
    let wrong = faulty(&store, keeps.on(Operation::AbortMultipartUpload));
    let found = uploads("p/", &writer(&store, "sse-s3"), &[wrong]).await;
    let [left] = &found.uploads_left[..] else {
        panic!("{found:?}")
    };
    let [pending] = &store.list_multipart("").await.unwrap()[..] else {
        panic!("an upload")
    };
    assert_eq!(
        (&left.key, &left.upload),
        (&pending.key, &pending.upload.to_string())
    );
    assert!(!found.is_good());

    let keeps = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::DeleteObject);
    let found = uploads("p/", &faulty(&store, keeps), &[]).await;
    assert_eq!(found.left_behind.len(), 3, "{found:?}");
    assert_eq!(found.left_behind.len(), store.keys().len());
}

/// The default itself looks the same, but uploads under a customer's key are still refused, or
/// the bucket's key is not used.
#[tokio::test]
async fn a_default_is_all_that_was_asked_for_or_not_in_place() {
    let store = Arc::new(MemStore::new());
    store.encrypt_as(ServerEncryption::SseS3);
    let mut wanted = DefaultEncryption {
        algorithm: DefaultAlgorithm::Aes256,
        bucket_key: false,
        blocks_customer_keys: Some(false),
    };
    let plain = writer(&store, "no encryption asked for");
    let blocked = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::PutObject);
    for (customer, is_good) in [(faulty(&store, blocked), false), (plain.clone(), true)] {
        let found = default("p/", &plain, &wanted, Some(&customer)).await;
        assert_eq!((found.proofs.len(), found.is_good()), (2, is_good));
        assert_eq!(store.keys(), [""; 0]);
    }
    let kms = |bucket_key| ServerEncryption::SseKms {
        key_id: Some("k".to_owned()),
        bucket_key,
        dsse: false,
    };
    wanted.algorithm = DefaultAlgorithm::Kms {
        key: Some("k".to_owned()),
        dsse: false,
    };
    for (asked, is, outcome) in [
        (true, false, Outcome::NotEnforced),
        (true, true, Outcome::Accepted),
        (false, true, Outcome::Accepted),
        (false, false, Outcome::Accepted),
    ] {
        wanted.bucket_key = asked;
        store.encrypt_as(kms(is));
        let found = default("p/", &plain, &wanted, None).await;
        assert_eq!(found.proofs[0].outcome, outcome, "{asked} {is}");
    }
}
