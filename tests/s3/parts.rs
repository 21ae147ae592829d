//! Parts of uploads: what a completion may leave open, and policies that want the mode on each.

use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::store::s3::{KmsRequest, RequestedEncryption, S3Store};
use cloakfs::store::{
    CopySource, ErrorKind, ObjectAttributes, PartNumber, PartReceipt, Store, StoreError, UploadId,
    WriteCondition,
};

use crate::fake::{DATE, ETAG, Fake, error, ok};
use crate::fake_http::Request;
use crate::{customer_key, key};

pub const DENIED: &str = "AccessDenied";
const BEGUN: &str =
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
pub const COMPLETED: &str =
    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
const COPIED: &str = "<CopyPartResult><ETag>\"e\"</ETag></CopyPartResult>";

fn begins(request: &Request) -> bool {
    request.method == "POST" && request.target.contains("uploads")
}

async fn begin(store: &S3Store) -> UploadId {
    let attributes = ObjectAttributes::default();
    store.create_multipart(&key("k"), attributes).await.unwrap()
}

pub async fn part(store: &S3Store, upload: &UploadId) -> Result<PartReceipt, StoreError> {
    let (number, body) = (PartNumber::new(1).unwrap(), Bytes::from_static(b"x"));
    store.upload_part(&key("k"), upload, number, body).await
}

pub fn from(range: Option<ByteRange>) -> CopySource {
    CopySource {
        key: key("from"),
        if_match: None,
        version: None,
        range,
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
    let range = Some(ByteRange::new(2, 4));
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
    let large = Some(ByteRange::new(0, 65 << 20));
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
