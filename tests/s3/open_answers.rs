//! Answers that leave open what an object is under, and answers that never came.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cloakfs::base::id::CommitId;
use cloakfs::store::s3::{KmsRequest, RequestedEncryption, S3Store};
use cloakfs::store::{
    CopyAttributes, CopySource, ErrorKind, HeadOptions, ObjectAttributes, PartNumber, PutOptions,
    Store, UploadId, WriteCondition, Written, commit,
};

use crate::fake::{DATE, ETAG, Fake, error, ok};
use crate::fake_http::Request;
use crate::{customer_key, key};

const MISMATCH: &str = "asked for sse-s3 (AES256), but the server answered with sse-kms under key other: the bucket's default encryption or something between this host and the bucket overrides it; use that mode, or correct the bucket; the object is stored as answered until it is written again";
const OTHER: [&str; 2] = [
    "x-amz-server-side-encryption: aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id: other",
];
const DENIED: &str = "AccessDenied";
const BEGUN: &str =
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
const COMPLETED: &str =
    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
const COPIED: &str = "<CopyPartResult><ETag>\"e\"</ETag></CopyPartResult>";

fn busy() -> String {
    error("503 Slow Down", "SlowDown", "Please wait.", &[])
}

fn begins(request: &Request) -> bool {
    request.method == "POST" && request.target.contains("uploads")
}

async fn put(store: &S3Store) -> Result<Written, cloakfs::store::StoreError> {
    let body = Bytes::from_static(b"x");
    store.put(&key("k"), body, PutOptions::default()).await
}

async fn begin(store: &S3Store) -> UploadId {
    let attributes = ObjectAttributes::default();
    store.create_multipart(&key("k"), attributes).await.unwrap()
}

async fn part(
    store: &S3Store,
    upload: &UploadId,
) -> Result<cloakfs::store::PartReceipt, cloakfs::store::StoreError> {
    let (number, body) = (PartNumber::new(1).unwrap(), Bytes::from_static(b"x"));
    store.upload_part(&key("k"), upload, number, body).await
}

fn from(range: Option<cloakfs::base::range::ByteRange>) -> CopySource {
    CopySource {
        key: key("from"),
        if_match: None,
        version: None,
        range,
    }
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
        .copy(&key("k"), from(None), CopyAttributes::Keep)
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
        .copy(&key("k"), from(None), CopyAttributes::Keep)
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

/// Where the beginning and all parts named the key, there is nothing left to ask.
#[tokio::test]
async fn an_upload_under_a_customers_key_costs_a_head_only_where_the_server_was_silent() {
    for (says, requests) in [(true, 3), (false, 4)] {
        let (own, _) = customer_key(1);
        let md5 = format!(
            "x-amz-server-side-encryption-customer-key-md5: {}",
            own.md5()
        );
        let fake = Fake::start_tls(move |request| match request.method.as_str() {
            "HEAD" => ok(&[ETAG, DATE, "content-length: 1", &md5], ""),
            "PUT" => ok(&[ETAG, &md5], ""),
            _ if begins(request) && says => ok(&[&md5], BEGUN),
            _ if begins(request) => ok(&[], BEGUN),
            _ => ok(&[], COMPLETED),
        })
        .await;
        let store = fake.store(RequestedEncryption::SseC(own)).await;
        let upload = begin(&store).await;
        let parts = [part(&store, &upload).await.unwrap()];
        store
            .complete_multipart(&key("k"), &upload, &parts, WriteCondition::None)
            .await
            .unwrap();
        assert_eq!(fake.requests().len(), requests, "{says}");
        // Nothing is known of it any more.
        store
            .complete_multipart(&key("k"), &upload, &parts, WriteCondition::None)
            .await
            .unwrap();
        assert_eq!(fake.requests().len(), requests + 2, "{says}");
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
                shown += &format!(" {source} {source:?}");
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

/// A server under a policy that wants the mode on every request, as MinIO applies it.
async fn strict(copies_take_it: bool) -> Fake {
    Fake::start_tls(move |request| {
        let mode = request.header("x-amz-server-side-encryption");
        let answered = mode.map(|mode| format!("x-amz-server-side-encryption: {mode}"));
        let mut head = vec![ETAG];
        head.extend(answered.as_deref());
        if mode == Some("aws:kms") {
            head.push("x-amz-server-side-encryption-aws-kms-key-id: k");
        }
        let copies = request.header("x-amz-copy-source").is_some();
        match (request.method.as_str(), mode) {
            ("GET", _) => {
                head.extend([
                    DATE,
                    "HTTP/1.1 206 Partial Content",
                    "content-range: bytes 2-3/9",
                ]);
                head.swap(0, 2);
                ok(&head, "ab")
            }
            ("HEAD", _) => ok(
                &[
                    ETAG,
                    DATE,
                    "content-length: 1",
                    "x-amz-server-side-encryption: AES256",
                ],
                "",
            ),
            (_, None) => error("403 Forbidden", DENIED, "Access Denied.", &[]),
            ("PUT", _) if copies && !copies_take_it => {
                error("501 Not Implemented", "NotImplemented", "", &[])
            }
            ("PUT", _) if copies => ok(&[], COPIED),
            ("PUT", _) => ok(&head, ""),
            _ if begins(request) => ok(&[], BEGUN),
            _ => ok(&[], COMPLETED),
        }
    })
    .await
}

#[tokio::test]
async fn parts_carry_the_mode_where_they_are_denied_without_it() {
    let fake = strict(true).await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    let upload = begin(&store).await;
    let one = part(&store, &upload).await.unwrap();
    assert_eq!(fake.requests().len(), 1 + 2, "denied, and sent again");
    part(&store, &upload).await.unwrap();
    let number = PartNumber::new(2).unwrap();
    let two = store
        .copy_part(&key("k"), &upload, number, from(None))
        .await;
    assert_eq!(
        fake.requests().len(),
        3 + 1 + 1,
        "each with the mode at once"
    );
    let condition = WriteCondition::None;
    store
        .complete_multipart(&key("k"), &upload, &[one, two.unwrap()], condition)
        .await
        .unwrap();
    let modes: Vec<_> = fake
        .requests()
        .iter()
        .map(|request| request.header("x-amz-server-side-encryption").is_some())
        .collect();
    assert_eq!(modes, [true, false, true, true, true, true, false]);
}

/// MinIO has no part copies with the headers of SSE-KMS.
#[tokio::test]
async fn a_part_whose_copy_takes_no_mode_is_read_and_uploaded() {
    let fake = strict(false).await;
    let kms = KmsRequest {
        key: Some("k".to_owned()),
        ..KmsRequest::default()
    };
    let store = fake.store(RequestedEncryption::SseKms(kms)).await;
    let upload = begin(&store).await;
    let number = PartNumber::new(1).unwrap();
    let range = Some(cloakfs::base::range::ByteRange::new(2, 4));
    let methods = |before: usize| -> Vec<String> {
        let requests = fake.requests().split_off(before);
        requests.into_iter().map(|request| request.method).collect()
    };
    for expected in [&["PUT", "GET", "PUT", "PUT"][..], &["GET", "PUT"]] {
        let before = fake.requests().len();
        store
            .copy_part(&key("k"), &upload, number, from(range))
            .await
            .unwrap();
        assert_eq!(methods(before), expected);
        assert_eq!(fake.requests().last().unwrap().body, b"ab");
    }
    let large = Some(cloakfs::base::range::ByteRange::new(0, 65 << 20));
    let failed = store
        .copy_part(&key("k"), &upload, number, from(large))
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Denied);
    assert_eq!(
        failed.to_string(),
        "UploadPartCopy of \"k\" failed: AccessDenied: a policy may deny it, or want the encryption on every part, which this server does not take with a copied one, and only parts of at most 64 MiB are read and uploaded instead: let the bucket's default encryption require the mode in place of the policy"
    );
}

/// What is denied with the mode, too, was denied for another reason: its own answer counts, and
/// nothing is remembered.
#[tokio::test]
async fn a_part_that_is_denied_either_way_stays_denied() {
    let fake = Fake::start_tls(
        |request| match request.header("x-amz-server-side-encryption") {
            None => error("403 Forbidden", DENIED, "the first", &[]),
            Some(_) => error("403 Forbidden", DENIED, "the second", &[]),
        },
    )
    .await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    for requests in [2, 4] {
        let failed = part(&store, &UploadId::new("u")).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Denied);
        assert!(failed.message().starts_with("the first"), "{failed}");
        assert_eq!(fake.requests().len(), requests);
    }
}
