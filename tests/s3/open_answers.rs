//! Answers that leave open what an object is under, and answers that never came.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cloakfs::base::id::CommitId;
use cloakfs::store::s3::{KmsRequest, RequestedEncryption, S3Store};
use cloakfs::store::{
    CopyAttributes, ErrorKind, HeadOptions, PutOptions, Store, UploadId, WriteCondition, Written,
    commit,
};

use crate::fake::{DATE, ETAG, Fake, error, ok};
use crate::parts::{COMPLETED, DENIED, from, part};
use crate::{customer_key, key};

const MISMATCH: &str = "asked for sse-s3 (AES256), but the server answered with sse-kms under key other: the bucket's default encryption or something between this host and the bucket overrides it; use that mode, or correct the bucket; the object is stored as answered until it is written again";
const OTHER: [&str; 2] = [
    "x-amz-server-side-encryption: aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id: other",
];
fn busy() -> String {
    error("503 Slow Down", "SlowDown", "Please wait.", &[])
}

async fn put(store: &S3Store) -> Result<Written, cloakfs::store::StoreError> {
    let body = Bytes::from_static(b"x");
    store.put(&key("k"), body, PutOptions::default()).await
}

/// The answer to the write is lost; the object that a HEAD finds carries the write's id.
#[tokio::test]
async fn a_lost_answer_does_not_hide_another_mode() {
    for (mode, right) in [
        (&OTHER[..], false),
        (&["x-amz-server-side-encryption: AES256"], true),
    ] {
        let id = CommitId::random();
        let marked = format!("x-amz-meta-{}: {id}", CommitId::METADATA_NAME);
        let mode: Vec<String> = mode.iter().map(|line| (*line).to_owned()).collect();
        let fake = Fake::start_tls(move |request| {
            let mut head = vec![ETAG, DATE, "content-length: 1", &marked];
            head.extend(mode.iter().map(String::as_str));
            match request.method.as_str() {
                "HEAD" => ok(&head, ""),
                _ => error("500 Internal Server Error", "InternalError", "", &[]),
            }
        })
        .await;
        let store = fake.store(RequestedEncryption::SseS3).await;
        let body = Bytes::from_static(b"x");
        let written = commit::put(&store, &key("k"), body, PutOptions::default(), id).await;
        assert_eq!(fake.requests().len(), 2);
        if right {
            written.unwrap();
            continue;
        }
        let failed = written.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Corrupt);
        assert!(failed.concerns_encryption());
        assert_eq!(
            failed.to_string(),
            format!("PutObject of \"k\" failed: {MISMATCH}")
        );
    }
}

/// The completion says nothing, and the HEAD that should settle it is refused at first.
#[tokio::test]
async fn a_busy_server_does_not_hide_another_mode() {
    let id = CommitId::random();
    let marked = format!("x-amz-meta-{}: {id}", CommitId::METADATA_NAME);
    let heads = AtomicUsize::new(0);
    let fake = Fake::start_tls(move |request| match request.method.as_str() {
        "HEAD" if heads.fetch_add(1, Ordering::SeqCst) == 0 => ok(&["HTTP/1.1 503 Slow Down"], ""),
        "HEAD" => ok(
            &[ETAG, DATE, "content-length: 1", &marked, OTHER[0], OTHER[1]],
            "",
        ),
        _ => ok(&[], COMPLETED),
    })
    .await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    let (upload, condition) = (UploadId::new("u"), WriteCondition::IfAbsent);
    let failed = commit::complete(&store, &key("k"), &upload, &[], condition, id)
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt, "{failed}");
    assert_eq!(failed.message(), MISMATCH);
}

/// The completion says nothing, and the HEAD that should settle it gets no answer that does: it
/// was carried out all the same, and nobody may take it for one that was not.
#[tokio::test]
async fn a_look_that_is_refused_leaves_the_write_open() {
    let no_etag = &["HTTP/1.1 200 OK", DATE, "content-length: 1"][..];
    for (head, words) in [
        (&["HTTP/1.1 403 Forbidden"][..], "403 Forbidden"),
        (&["HTTP/1.1 501 Not Implemented"][..], "501 Not Implemented"),
        (no_etag, "without an ETag"),
    ] {
        let fake = Fake::start_tls(move |request| match request.method.as_str() {
            "HEAD" | "GET" => ok(head, ""),
            _ => ok(&[], COMPLETED),
        })
        .await;
        let store = fake.store(RequestedEncryption::SseS3).await;
        let upload = UploadId::new("u");
        let failed = store
            .complete_multipart(&key("k"), &upload, &[], WriteCondition::None)
            .await
            .unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable, "{words}: {failed}");
        let sentence = "CompleteMultipartUpload of \"k\" failed: what it was encrypted under could not be looked at: HeadObject of \"k\" failed: ";
        assert!(failed.to_string().starts_with(sentence), "{failed}");
    }
}

#[tokio::test]
async fn an_answer_without_the_key_is_settled_by_a_head() {
    let nameless = "x-amz-server-side-encryption: aws:kms";
    for (found, right) in [
        (Some("my-key"), true),
        (Some("other"), false),
        (None, false),
    ] {
        let named = found
            .map(|name| format!("x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:{name}"));
        let fake = Fake::start_tls(move |request| match request.method.as_str() {
            "HEAD" => {
                let mut head = vec![ETAG, DATE, "content-length: 1", nameless];
                head.extend(named.as_deref());
                ok(&head, "")
            }
            _ => ok(&[ETAG, nameless], ""),
        })
        .await;
        let store = fake
            .store(RequestedEncryption::SseKms(KmsRequest {
                key: Some("my-key".to_owned()),
                ..KmsRequest::default()
            }))
            .await;
        let written = put(&store).await;
        assert_eq!(fake.requests().len(), 2);
        assert_eq!(written.is_ok(), right, "{found:?}");
        if let Err(failed) = written {
            assert_eq!(failed.kind(), ErrorKind::Corrupt);
            assert!(
                failed
                    .message()
                    .starts_with("asked for sse-kms under key my-key")
            );
        }
    }
}

/// Versions have ETags of their own on some servers: the version says whose it is.
#[tokio::test]
async fn a_copy_is_known_by_its_version_where_the_etags_differ() {
    let fake = Fake::start_tls(|request| match request.method.as_str() {
        "HEAD" => ok(
            &[
                "etag: \"kept\"",
                DATE,
                "content-length: 1",
                "x-amz-version-id: v",
                OTHER[0],
                OTHER[1],
            ],
            "",
        ),
        _ => ok(
            &["x-amz-version-id: v"],
            "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>",
        ),
    })
    .await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    let copied = store
        .copy(
            &key("k"),
            from(None),
            CopyAttributes::Keep,
            WriteCondition::None,
        )
        .await;
    assert_eq!(copied.unwrap_err().message(), MISMATCH);
}

/// An encrypted ETag would hold in no condition: without the GET that gives the true one the HEAD
/// has failed.
#[tokio::test]
async fn a_directorys_etag_that_cannot_be_found_out_is_no_answer() {
    let long = format!("etag: \"{}\"", "0".repeat(96));
    let fake = Fake::start_tls(move |request| match request.method.as_str() {
        "HEAD" => ok(&[&long, DATE, "content-length: 0"], ""),
        _ => busy(),
    })
    .await;
    let store = fake.store(RequestedEncryption::None).await;
    let failed = store.head(&key("dir/"), HeadOptions::default()).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Throttled);
}

/// The first guess is refused, and nobody can say now whether another key would do.
#[tokio::test]
async fn a_copy_that_a_busy_server_keeps_from_its_key_is_worth_another_try() {
    let fake = Fake::start_tls(|request| match request.method.as_str() {
        "HEAD" => ok(&["HTTP/1.1 503 Slow Down"], ""),
        _ => error("403 Forbidden", DENIED, "Access Denied", &[]),
    })
    .await;
    let store = fake
        .store(RequestedEncryption::SseC(customer_key(1).0))
        .await;
    let copied = store
        .copy(
            &key("k"),
            from(None),
            CopyAttributes::Keep,
            WriteCondition::None,
        )
        .await;
    let failed = copied.unwrap_err();
    assert!(
        matches!(failed.kind(), ErrorKind::Throttled | ErrorKind::Unavailable),
        "{failed}"
    );
}

const LISTING: &str = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size><ETag>\"e\"</ETag><LastModified>2026-11-21T08:00:00Z</LastModified></Contents></ListBucketResult>";

/// A server that is busy for a moment does not let a wrong key pass.
#[tokio::test]
async fn keys_are_checked_patiently_and_not_given_up_for_a_note() {
    for (busy_times, sentence) in [
        (
            1,
            "\"a\" is encrypted under a customer's key (SSE-C) that is not the one given",
        ),
        (
            usize::MAX,
            "there are objects, \"a\" for one, and whether the key given opens them could not be found out: HeadObject of \"a\" failed: ",
        ),
    ] {
        let (lists, heads) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let fake = Fake::start_tls(move |request| {
            if request.target.contains("list-type=2") {
                return if lists.fetch_add(1, Ordering::SeqCst) == 0 {
                    busy()
                } else {
                    ok(&[], LISTING)
                };
            }
            if heads.fetch_add(1, Ordering::SeqCst) < busy_times {
                return ok(&["HTTP/1.1 503 Slow Down"], "");
            }
            let needed = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.";
            match (request.method.as_str(), request.header("x-amz-server-side-encryption-customer-key")) {
                ("HEAD", Some(_)) => ok(&["HTTP/1.1 403 Forbidden"], ""),
                ("HEAD", None) => ok(&["HTTP/1.1 400 Bad Request"], ""),
                _ => error("400 Bad Request", "InvalidRequest", needed, &[]),
            }
        })
        .await;
        let store = fake
            .store(RequestedEncryption::SseC(customer_key(1).0))
            .await;
        let refused = store.check_keys("").await.unwrap_err();
        assert!(refused.starts_with(sentence), "{refused}");
    }
}

/// S3 repeats the request to whoever signed it wrongly, headers and all.
#[tokio::test]
async fn no_answer_that_repeats_the_key_gets_into_an_error() {
    let (own, base64) = customer_key(1);
    let echo = base64.clone();
    let fake = Fake::start_tls(move |_| {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>No: {echo}</Message><CanonicalRequest>x-amz-server-side-encryption-customer-key:{echo}</CanonicalRequest></Error>"
        );
        ok(&["HTTP/1.1 403 Forbidden"], &body)
    })
    .await;
    let store = fake.store(RequestedEncryption::SseC(own)).await;
    let broken = {
        let echo = base64.clone();
        Fake::start_tls(move |_| ok(&["HTTP/1.1 403 Forbidden"], &format!("<Error>{echo}"))).await
    };
    let unread = broken
        .store(RequestedEncryption::SseC(customer_key(1).0))
        .await;
    let upload = UploadId::new("u");
    let condition = WriteCondition::None;
    for store in [&store, &unread] {
        for failed in [
            put(store).await.unwrap_err(),
            part(store, &upload).await.unwrap_err(),
            store
                .get(&key("k"), cloakfs::store::GetOptions::default())
                .await
                .unwrap_err(),
            store
                .complete_multipart(&key("k"), &upload, &[], condition.clone())
                .await
                .unwrap_err(),
        ] {
            let mut shown = format!("{failed} {failed:?}");
            let mut next = std::error::Error::source(&failed);
            while let Some(source) = next {
                shown = format!("{shown} {source} {source:?}");
                next = source.source();
            }
            assert!(
                !shown.contains(&base64),
                "{}",
                shown.replace(&base64, "KEY")
            );
        }
    }
}
