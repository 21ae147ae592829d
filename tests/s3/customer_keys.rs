//! Which key reads an object, on a server that answers as Amazon S3 does.
//!
//! The server here holds objects under customer's keys (by MD5) or none, and counts requests:
//! what is found must be found without a request too many.

use std::collections::BTreeMap;

use cloakfs::store::s3::{RequestedEncryption, S3Config, S3Store};
use cloakfs::store::{
    CopyAttributes, CopySource, ErrorKind, GetOptions, HeadOptions, ServerEncryption, Store,
    WriteCondition,
};

use crate::fake::{DATE, ETAG, Fake, error, ok};
use crate::fake_http::Request;
use crate::{customer_key, key};

const NEEDED: &str = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.";
const UNNEEDED: &str = "The encryption parameters are not applicable to this object.";

/// What a customer's header of the request says; `prefix` tells the source's from the target's.
fn sent<'a>(request: &'a Request, prefix: &str, what: &str) -> Option<&'a str> {
    request.header(&format!("{prefix}server-side-encryption-customer-{what}"))
}

/// Refuses as Amazon S3 does a request with `sent` on an object under `under`.
fn refusal(bare: bool, under: Option<&str>, sent: Option<&str>) -> Option<String> {
    let full = |status: &str, code, words| {
        Some(if bare {
            ok(&[&format!("HTTP/1.1 {status}")], "")
        } else {
            error(status, code, words, &[])
        })
    };
    match (under, sent) {
        (Some(under), Some(sent)) if under != sent => {
            full("403 Forbidden", "AccessDenied", "Access Denied")
        }
        (Some(_), None) => full("400 Bad Request", "InvalidRequest", NEEDED),
        (None, Some(_)) => full("400 Bad Request", "InvalidRequest", UNNEEDED),
        _ => None,
    }
}

/// A server with objects under the keys with these MD5s.
async fn bucket(objects: &[(&str, Option<&str>)]) -> Fake {
    let objects: BTreeMap<String, Option<String>> = objects
        .iter()
        .map(|(name, md5)| (format!("/bucket/{name}"), md5.map(str::to_owned)))
        .collect();
    Fake::start_tls(move |request| {
        if request.target.contains("list-type=2") {
            return listing(&objects);
        }
        let of = |path: &str| objects.get(path).map(|md5| md5.as_deref());
        let target_md5 = sent(request, "x-amz-", "key-md5");
        if let Some(source) = request.header("x-amz-copy-source") {
            let under = of(&format!("/{source}")).expect("the source is there");
            let sent_md5 = sent(request, "x-amz-copy-source-", "key-md5");
            let answered = target_md5.map_or_else(
                || "x-amz-server-side-encryption: AES256".to_owned(),
                |md5| format!("x-amz-server-side-encryption-customer-key-md5: {md5}"),
            );
            return refusal(false, under, sent_md5).unwrap_or_else(|| {
                let body = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
                ok(&[&answered], body)
            });
        }
        let path = request.target.split('?').next().unwrap();
        let bare = request.method == "HEAD";
        let Some(under) = of(path) else {
            return error("404 Not Found", "NoSuchKey", "", &[]);
        };
        refusal(bare, under, target_md5).unwrap_or_else(|| {
            let under = under.map_or_else(
                || "x-amz-server-side-encryption: AES256".to_owned(),
                |md5| format!("x-amz-server-side-encryption-customer-key-md5: {md5}"),
            );
            let head = [ETAG, DATE, &under, "content-length: 1"];
            ok(&head, if bare { "" } else { "x" })
        })
    })
    .await
}

fn listing(objects: &BTreeMap<String, Option<String>>) -> String {
    let contents: Vec<String> = objects
        .keys()
        .map(|path| {
            let key = path.strip_prefix("/bucket/").unwrap();
            format!("<Contents><Key>{key}</Key><Size>1</Size><ETag>\"e\"</ETag><LastModified>2026-11-21T08:00:00Z</LastModified></Contents>")
        })
        .collect();
    ok(
        &[],
        &format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
            contents.concat()
        ),
    )
}

/// A mount that writes with the first of these keys and reads with all.
async fn opened(fake: &Fake, keys: &[u8]) -> S3Store {
    let mut keys = keys.iter().map(|fill| customer_key(*fill).0);
    let encryption = keys
        .next()
        .map_or(RequestedEncryption::SseS3, RequestedEncryption::SseC);
    fake.open(S3Config {
        encryption,
        read_keys: keys.collect(),
        ..S3Config::new("bucket")
    })
    .await
}

fn md5(fill: u8) -> String {
    customer_key(fill).0.md5().to_owned()
}

async fn read(store: &S3Store, name: &str) -> Result<(), cloakfs::store::StoreError> {
    store.get(&key(name), GetOptions::default()).await.map(drop)
}

#[tokio::test]
async fn objects_of_one_mode_are_read_without_a_request_too_many() {
    let one = md5(1);
    for (keys, under) in [
        (&[][..], None),
        (&[1], Some(one.as_str())),
        (&[1, 2, 3], Some(one.as_str())),
    ] {
        let fake = bucket(&[("a", under), ("b", under)]).await;
        let store = opened(&fake, keys).await;
        for name in ["a", "b", "a"] {
            store
                .head(&key(name), HeadOptions::default())
                .await
                .unwrap();
            read(&store, name).await.unwrap();
        }
        assert_eq!(fake.requests().len(), 6, "{keys:?}");
        for request in fake.requests() {
            let key = keys.first().map(|fill| customer_key(*fill).1);
            assert_eq!(sent(&request, "x-amz-", "key"), key.as_deref());
            let algorithm = sent(&request, "x-amz-", "algorithm");
            assert_eq!(algorithm, key.map(|_| "AES256"));
        }
    }
}

/// After the first of them, objects under an older key are guessed right; and one that is known
/// is not asked about again, whatever came after it.
#[tokio::test]
async fn what_opened_an_object_is_remembered() {
    let (one, three) = (md5(1), md5(3));
    let fake = bucket(&[
        ("new", Some(&one)),
        ("old-1", Some(&three)),
        ("old-2", Some(&three)),
        ("plain", None),
    ])
    .await;
    let store = opened(&fake, &[1, 2, 3]).await;
    for (name, requests) in [
        ("new", 1),
        // Its own key, the second, the third.
        ("old-1", 3),
        ("old-2", 1),
        // The third key is not needed: next is none.
        ("plain", 2),
        ("plain", 1),
        ("new", 1),
        ("old-1", 1),
    ] {
        let before = fake.requests().len();
        read(&store, name).await.unwrap();
        assert_eq!(fake.requests().len() - before, requests, "{name}");
    }
    let plain = store.head(&key("plain"), HeadOptions::default()).await;
    assert_eq!(plain.unwrap().encryption, ServerEncryption::SseS3);
}

#[tokio::test]
async fn an_object_under_an_unknown_key_is_told_as_one() {
    let nine = md5(9);
    let fake = bucket(&[("a/b", Some(&nine))]).await;
    let none_of_those = "\"a/b\" is encrypted under a customer's key (SSE-C) that is none of those given: give its key with --read-key-file";
    let without =
        "\"a/b\" is encrypted under a customer's key (SSE-C): give its key with --read-key-file";
    for (keys, words) in [(&[1, 2][..], none_of_those), (&[], without)] {
        let store = opened(&fake, keys).await;
        let by_get = read(&store, "a/b").await.unwrap_err();
        let by_head = store
            .head(&key("a/b"), HeadOptions::default())
            .await
            .unwrap_err();
        for failed in [by_get, by_head] {
            assert_eq!(failed.kind(), ErrorKind::Denied);
            assert_eq!(failed.code(), Some("InvalidRequest"));
            assert_eq!(failed.message(), words);
            for fill in [1, 2] {
                let shown = format!("{failed:?} {store:?}");
                assert!(!shown.contains(&customer_key(fill).1), "{shown}");
            }
            assert!(failed.concerns_encryption());
        }
    }
}

/// Each candidate is tried once, and the server's words are kept.
#[tokio::test]
async fn a_true_denial_is_neither_repeated_without_end_nor_taken_for_a_wrong_key() {
    let fake = Fake::start_tls(|request| {
        if request.method == "HEAD" {
            ok(&["HTTP/1.1 403 Forbidden"], "")
        } else {
            error(
                "403 Forbidden",
                "AccessDenied",
                "u may not s3:GetObject.",
                &[],
            )
        }
    })
    .await;
    let store = opened(&fake, &[1, 2]).await;
    let failed = read(&store, "k").await.unwrap_err();
    assert_eq!(
        failed.to_string(),
        "GetObject of \"k\" failed: AccessDenied: u may not s3:GetObject: the policies of these credentials or of the bucket do not allow it"
    );
    assert!(!failed.concerns_encryption());
    assert_eq!(fake.requests().len(), 3, "two keys and none");
    let failed = store
        .head(&key("k"), HeadOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "HeadObject of \"k\" failed: AccessDenied: u may not s3:GetObject: the policies of these credentials or of the bucket do not allow it"
    );
    assert_eq!(fake.requests().len(), 3 + 3 + 1, "and a GET for the reason");
}

/// A bare 400 to a HEAD may also be credentials that have expired, and an empty object has no
/// first byte to ask for.
#[tokio::test]
async fn the_reason_of_a_bare_refusal_is_asked_for() {
    let fake =
        Fake::start_tls(
            |request| match (request.method.as_str(), request.header("range")) {
                ("HEAD", _) => ok(&["HTTP/1.1 400 Bad Request"], ""),
                (_, Some(_)) => error("416 Range Not Satisfiable", "InvalidRange", "", &[]),
                _ => error(
                    "400 Bad Request",
                    "ExpiredToken",
                    "The provided token has expired.",
                    &[],
                ),
            },
        )
        .await;
    let store = opened(&fake, &[1]).await;
    let failed = store
        .head(&key("k"), HeadOptions::default())
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Denied);
    assert_eq!(
        failed.to_string(),
        "HeadObject of \"k\" failed: ExpiredToken: The provided token has expired: the credentials have expired: renew them (for SSO with `aws sso login`)"
    );
    assert_eq!(fake.requests().len(), 2 + 2);
}

fn from(name: &str) -> CopySource {
    CopySource {
        key: key(name),
        if_match: None,
        version: None,
        range: None,
    }
}

/// The source's key goes along, the target is under the mount's own.
#[tokio::test]
async fn a_copy_brings_the_key_of_its_source() {
    let (one, two) = (md5(1), md5(2));
    let fake = bucket(&[("old", Some(&two)), ("plain", None), ("new", Some(&one))]).await;
    let store = opened(&fake, &[1, 2]).await;
    store
        .head(&key("old"), HeadOptions::default())
        .await
        .unwrap();
    for (name, requests, source) in [
        // Looked at before.
        ("old", 1, Some(customer_key(2).1)),
        // A wrong guess, a HEAD with it, one without a key, and the copy again.
        ("plain", 4, None),
        ("plain", 1, None),
    ] {
        let before = fake.requests().len();
        store
            .copy(
                &key("to"),
                from(name),
                CopyAttributes::Keep,
                WriteCondition::None,
            )
            .await
            .unwrap();
        let requests_made = fake.requests().split_off(before);
        assert_eq!(requests_made.len(), requests, "{name}");
        let copy = requests_made.last().unwrap();
        assert_eq!(sent(copy, "x-amz-copy-source-", "key"), source.as_deref());
        assert_eq!(
            sent(copy, "x-amz-", "key"),
            Some(customer_key(1).1.as_str()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_copy_from_an_unknown_key_is_told() {
    let nine = md5(9);
    let fake = bucket(&[("locked", Some(&nine))]).await;
    for keys in [&[1][..], &[]] {
        let store = opened(&fake, keys).await;
        let failed = store
            .copy(
                &key("to"),
                from("locked"),
                CopyAttributes::Keep,
                WriteCondition::None,
            )
            .await
            .unwrap_err();
        assert!(
            failed.to_string().starts_with("CopyObject of \"locked\" failed: InvalidRequest: \"locked\" is encrypted under a customer's key (SSE-C)"),
            "{failed}"
        );
        assert!(failed.concerns_encryption());
    }
}

#[tokio::test]
async fn the_keys_are_checked_against_what_is_there() {
    let (one, nine) = (md5(1), md5(9));
    let fake = bucket(&[("a", Some(&nine)), ("b", None)]).await;
    let store = opened(&fake, &[1]).await;
    assert_eq!(
        store.check_keys("").await.unwrap_err(),
        format!(
            "\"a\" is encrypted under a customer's key (SSE-C) that is not the one given (MD5 {one}): give the right key with --key-file, or the older key with --read-key-file"
        )
    );
    let store = opened(&fake, &[1, 9]).await;
    assert_eq!(
        store.check_keys("").await.unwrap(),
        ["the prefix holds objects of other modes than sse-c: 1 none of 2 looked at; they stay as they are until they are written".replace("1 none", "1 sse-s3")]
    );
}

/// One listing and eight objects, however many there are.
#[tokio::test]
async fn looking_at_what_is_there_stays_cheap() {
    let one = md5(1);
    let names: Vec<String> = (100..150).map(|number| format!("k{number}")).collect();
    let objects: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), Some(one.as_str())))
        .collect();
    let fake = bucket(&objects).await;
    let store = opened(&fake, &[1]).await;
    assert_eq!(store.check_keys("k").await, Ok(vec![]));
    assert_eq!(fake.requests().len(), 1 + 8);
    let fake = bucket(&[]).await;
    let store = opened(&fake, &[1]).await;
    assert_eq!(store.check_keys("k").await, Ok(vec![]));
    assert_eq!(fake.requests().len(), 1);
}
