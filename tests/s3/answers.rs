//! Answers that cannot be right, and what is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::store::s3::RequestedEncryption;
use cloakfs::store::{
    CopyAttributes, CopySource, ErrorKind, GetOptions, GetRange, HeadOptions, ListOptions,
    ObjectAttributes, ObjectKey, PutOptions, Store, StoreError, WriteCondition,
};

use crate::fake::{DATE, ETAG, Fake, error, ok};

fn key() -> ObjectKey {
    ObjectKey::new("a key").unwrap()
}

fn range(start: u64, end: u64) -> GetOptions {
    GetOptions {
        range: Some(GetRange::Bytes(ByteRange::new(start, end))),
        ..GetOptions::default()
    }
}

async fn failed_get(answer: String, options: GetOptions) -> StoreError {
    let fake = Fake::start(move |_| answer.clone()).await;
    let store = fake.store(RequestedEncryption::None).await;
    let failed = store.get(&key(), options).await.unwrap_err();
    assert_eq!(
        fake.requests().len(),
        1,
        "the back end itself never retries"
    );
    failed
}

#[tokio::test]
async fn another_range_than_asked_is_corrupt() {
    let shifted = ok(
        &[
            "HTTP/1.1 206 Partial Content",
            ETAG,
            DATE,
            "content-range: bytes 1-2/9",
        ],
        "ab",
    );
    let failed = failed_get(shifted, range(0, 2)).await;
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    assert_eq!(
        failed.to_string(),
        "GetObject of \"a key\" failed: the answer brings bytes 1..3 of 9 bytes, which is not what was asked for"
    );
    let whole = failed_get(ok(&[ETAG, DATE], "abcdef"), range(0, 2)).await;
    assert_eq!(whole.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn an_object_without_etag_is_corrupt() {
    let failed = failed_get(ok(&[DATE], "ab"), GetOptions::default()).await;
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    assert_eq!(failed.message(), "the answer has no ETag");
}

#[tokio::test]
async fn another_version_than_asked_is_corrupt() {
    let options = GetOptions {
        if_match: Some(cloakfs::store::ETag::new("\"other\"")),
        ..GetOptions::default()
    };
    let failed = failed_get(ok(&[ETAG, DATE], "ab"), options).await;
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
}

/// Of a whole object alone: the server's checksum is of all of it.
#[tokio::test]
async fn a_body_that_is_not_what_its_checksum_is_of_is_corrupt() {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, b"ab");
    let crc = u32::try_from(crc).unwrap().to_be_bytes();
    let right = format!("x-amz-checksum-crc32c: {}", STANDARD.encode(crc));
    let fake = Fake::start(move |_| ok(&[ETAG, DATE, &right], "ab")).await;
    let store = fake.store(RequestedEncryption::None).await;
    let whole = store.get(&key(), GetOptions::default()).await.unwrap();
    assert_eq!(whole.body, "ab");
    let request = &fake.requests()[0];
    assert_eq!(request.header("x-amz-checksum-mode"), Some("ENABLED"));

    let wrong = "x-amz-checksum-crc32c: AAAAAA==";
    let failed = failed_get(ok(&[ETAG, DATE, wrong], "ab"), GetOptions::default()).await;
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    assert!(failed.message().contains("checksum mismatch"), "{failed}");
}

#[tokio::test]
async fn a_broken_body_can_be_asked_for_again() {
    let cut = ok(
        &[ETAG, DATE, "content-length: 10", "connection: close"],
        "abc",
    );
    let failed = failed_get(cut, GetOptions::default()).await;
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert_eq!(
        failed.message(),
        "the connection broke in the middle of the answer"
    );
}

#[tokio::test]
async fn throttling_and_server_errors_are_told_apart_and_not_retried_here() {
    let slow = error(
        "503 Slow Down",
        "SlowDown",
        "Please reduce your request rate.",
        &[],
    );
    let failed = failed_get(slow, GetOptions::default()).await;
    assert_eq!(failed.kind(), ErrorKind::Throttled);
    assert_eq!(
        failed.to_string(),
        "GetObject of \"a key\" failed: SlowDown: Please reduce your request rate"
    );
    let page = ok(
        &["HTTP/1.1 502 Bad Gateway", "content-type: text/html"],
        "<html>oops</html>",
    );
    let failed = failed_get(page, GetOptions::default()).await;
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert_eq!(failed.message(), "the server answered 502 Bad Gateway");
}

#[tokio::test]
async fn a_write_answered_with_another_mode_names_both() {
    let fake = Fake::start(|_| {
        ok(
            &[
                ETAG,
                "x-amz-server-side-encryption: aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id: my-key",
            ],
            "",
        )
    })
    .await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    let failed = store
        .put(&key(), Bytes::from_static(b"x"), PutOptions::default())
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    assert_eq!(
        failed.to_string(),
        "PutObject of \"a key\" failed: asked for sse-s3 (AES256), but the server answered with sse-kms under key my-key: the bucket's default encryption or something between this host and the bucket overrides it; use that mode, or correct the bucket; the object is stored as answered until it is written again"
    );
    let put = fake.requests().remove(0);
    assert_eq!(put.header("x-amz-server-side-encryption"), Some("AES256"));
}

/// A server that never says how it keeps a copy is asked, and must then say the right thing.
#[tokio::test]
async fn silence_about_a_copy_is_settled_by_a_head() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "HEAD" => ok(&[ETAG, DATE, "content-length: 1"], ""),
        _ => ok(
            &[],
            "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>",
        ),
    })
    .await;
    let store = fake.store(RequestedEncryption::SseS3).await;
    let failed = store
        .copy(&key(), source(), CopyAttributes::Keep, WriteCondition::None)
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    assert!(
        failed
            .message()
            .starts_with("asked for sse-s3 (AES256), but the server answered with no encryption"),
        "{failed}"
    );
}

fn source() -> CopySource {
    CopySource {
        key: ObjectKey::new("from/ä+b").unwrap(),
        if_match: None,
        version: None,
        range: None,
    }
}

#[tokio::test]
async fn a_copy_keeps_what_s3_would_forget() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "HEAD" => ok(
            &[
                ETAG,
                DATE,
                "content-length: 1",
                "x-amz-storage-class: INTELLIGENT_TIERING",
                "cache-control: no-cache",
                "content-encoding: gzip",
                "expires: Sat, 21 Nov 2026 09:00:00 GMT",
            ],
            "",
        ),
        _ => ok(
            &[],
            "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>",
        ),
    })
    .await;
    let store = fake.store(RequestedEncryption::None).await;
    store
        .head(&source().key, HeadOptions::default())
        .await
        .unwrap();
    store
        .copy(
            &key(),
            source(),
            CopyAttributes::Replace(ObjectAttributes::default()),
            WriteCondition::None,
        )
        .await
        .unwrap();
    let copy = fake.requests().remove(1);
    assert_eq!(copy.header("if-none-match"), None);
    let (keep, absent) = (CopyAttributes::Keep, WriteCondition::IfAbsent);
    store.copy(&key(), source(), keep, absent).await.unwrap();
    let guarded = fake.requests().remove(2);
    assert_eq!(guarded.header("if-none-match"), Some("*"));
    for (name, value) in [
        ("x-amz-copy-source", "bucket/from/%C3%A4%2Bb"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-storage-class", "INTELLIGENT_TIERING"),
        ("cache-control", "no-cache"),
        ("content-encoding", "gzip"),
        ("expires", "Sat, 21 Nov 2026 09:00:00 GMT"),
    ] {
        assert_eq!(copy.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn metadata_that_no_header_carries_is_refused_before_it_is_sent() {
    let fake = Fake::start(|_| ok(&[ETAG], "")).await;
    let store = fake.store(RequestedEncryption::None).await;
    let options = PutOptions {
        attributes: ObjectAttributes {
            metadata: [("name".to_owned(), "grün".to_owned())].into(),
            content_type: None,
        },
        ..PutOptions::default()
    };
    let failed = store.put(&key(), Bytes::new(), options).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Invalid);
    assert!(fake.requests().is_empty());
}

/// The region comes in a header or in the words.
#[tokio::test]
async fn a_wrong_region_is_told_with_the_right_one() {
    let redirect = error(
        "301 Moved Permanently",
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
        &["x-amz-bucket-region: eu-west-1"],
    );
    let malformed = error(
        "400 Bad Request",
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
        &[],
    );
    for answer in [redirect, malformed] {
        let fake = Fake::start(move |_| answer.clone()).await;
        let store = fake.store(RequestedEncryption::None).await;
        let failed = store.check("").await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Invalid);
        assert!(
            store.explain(&failed).ends_with(
                "the bucket is in the region eu-west-1: give --region eu-west-1 or set AWS_REGION"
            ),
            "{}",
            store.explain(&failed)
        );
    }
}

#[tokio::test]
async fn a_server_that_is_no_s3_is_told() {
    let fake = Fake::start(|_| ok(&["content-type: text/html"], "<html>Welcome</html>")).await;
    let store = fake.store(RequestedEncryption::None).await;
    let failed = store.check("").await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt, "{failed}");
    assert!(
        store
            .explain(&failed)
            .contains("does not answer as S3 does: check --endpoint-url"),
        "{}",
        store.explain(&failed)
    );
}

#[tokio::test]
async fn a_listing_of_uploads_without_end_is_corrupt() {
    let fake = Fake::start(|_| {
        ok(
            &[],
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>",
        )
    })
    .await;
    let store = fake.store(RequestedEncryption::None).await;
    let failed = store.list_multipart("").await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
}

/// Whoever walks through a volume relies on it: what is elsewhere is none of its objects.
#[tokio::test]
async fn a_listing_of_another_prefix_is_corrupt() {
    let fake = Fake::start(|_| {
        ok(
            &[],
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>other/a</Key><Size>1</Size><ETag>\"e\"</ETag><LastModified>2026-11-21T08:00:00Z</LastModified></Contents></ListBucketResult>",
        )
    })
    .await;
    let store = fake.store(RequestedEncryption::None).await;
    let of = |prefix: &str| ListOptions {
        prefix: prefix.to_owned(),
        ..ListOptions::default()
    };
    let failed = store.list(of("p/")).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    let words = "the listing has the key \"other/a\", which was not asked for";
    assert!(failed.to_string().contains(words), "{failed}");
    let found = store.list(of("other/")).await.unwrap();
    assert_eq!(found.objects[0].key, "other/a");
}

#[tokio::test]
async fn a_listing_without_end_is_corrupt() {
    let fake = Fake::start(|_| {
        ok(
            &[],
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        )
    })
    .await;
    let store = fake.store(RequestedEncryption::None).await;
    let failed = store.list(ListOptions::default()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
}
