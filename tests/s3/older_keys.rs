//! Customer's keys on real servers: what a wrong one gives, and objects under an older one.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::store::s3::{CustomerKey, RequestedEncryption, S3Config, S3Store};
use cloakfs::store::{
    CopyAttributes, CopySource, ErrorKind, GetOptions, HeadOptions, ObjectAttributes, PartNumber,
    PutOptions, ServerEncryption, Store, WriteCondition,
};

use crate::servers::{self, Server};
use crate::{customer_key, key};

/// Whether the SDK's own client may read an object with a key or without one.
async fn opens(server: &Server, bucket: &str, name: &str, with: Option<u8>) -> bool {
    let with = with.map(customer_key);
    let read = server
        .raw_client()
        .get_object()
        .bucket(bucket)
        .key(name)
        .set_sse_customer_algorithm(with.as_ref().map(|_| "AES256".to_owned()))
        .set_sse_customer_key(with.as_ref().map(|(_, base64)| base64.clone()))
        .set_sse_customer_key_md5(with.map(|(key, _)| key.md5().to_owned()))
        .send()
        .await;
    read.is_ok()
}

/// What the server does with wrong keys, before anything is concluded from right ones.
async fn a_wrong_key_opens_nothing(server: &Server, bucket: &str) {
    let (key, base64) = customer_key(1);
    server
        .raw_client()
        .put_object()
        .bucket(bucket)
        .key("negative")
        .body(ByteStream::from_static(b"x"))
        .sse_customer_algorithm("AES256")
        .sse_customer_key(base64)
        .sse_customer_key_md5(key.md5())
        .send()
        .await
        .unwrap();
    assert!(opens(server, bucket, "negative", Some(1)).await);
    assert!(
        !opens(server, bucket, "negative", Some(2)).await,
        "{}",
        server.name
    );
    assert!(
        !opens(server, bucket, "negative", None).await,
        "{}",
        server.name
    );
}

async fn opened(server: &Server, bucket: &str, keys: &[u8]) -> S3Store {
    let mut keys = keys.iter().map(|fill| customer_key(*fill).0);
    let encryption = keys
        .next()
        .map_or(RequestedEncryption::SseS3, RequestedEncryption::SseC);
    let config = S3Config {
        encryption,
        read_keys: keys.collect(),
        ..S3Config::new(bucket)
    };
    crate::open(server, config).await
}

fn from(name: &str, range: Option<ByteRange>) -> CopySource {
    CopySource {
        key: key(name),
        if_match: None,
        version: None,
        range,
    }
}

async fn put(store: &S3Store, name: &str, body: &Bytes) {
    store
        .put(&key(name), body.clone(), PutOptions::default())
        .await
        .unwrap();
}

/// Objects under an older key, without a key, and under the current one: all are read, and
/// whatever is made of them is under the current key.
async fn older_keys_read_and_the_current_one_writes(server: Server) {
    let bucket = server.fresh_bucket().await;
    a_wrong_key_opens_nothing(&server, &bucket).await;
    let body = Bytes::from(vec![7; (5 << 20) + 1]);
    put(&opened(&server, &bucket, &[2]).await, "old", &body).await;
    put(&opened(&server, &bucket, &[]).await, "plain", &body).await;

    let store = opened(&server, &bucket, &[3, 1, 2]).await;
    put(&store, "new", &body).await;
    for name in ["old", "plain", "new", "old"] {
        let head = store.head(&key(name), HeadOptions::default()).await;
        assert_eq!(head.unwrap().size, body.len() as u64, "{name}");
        let read = store.get(&key(name), GetOptions::default()).await.unwrap();
        assert!(read.body == body, "{name}");
    }
    // A mount that knows nothing of them yet.
    for name in ["old", "plain", "new"] {
        let store = opened(&server, &bucket, &[3, 1, 2]).await;
        let target = format!("copy-of-{name}");
        let attributes = CopyAttributes::Replace(ObjectAttributes::default());
        store
            .copy(
                &key(&target),
                from(name, None),
                attributes,
                WriteCondition::None,
            )
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", server.name));
        let store = opened(&server, &bucket, &[3, 1, 2]).await;
        let parts = format!("parts-of-{name}");
        copy_a_part(&store, name, &parts).await;
        for made in [target, parts] {
            assert!(
                opens(&server, &bucket, &made, Some(3)).await,
                "{}: {made}",
                server.name
            );
            assert!(!opens(&server, &bucket, &made, Some(2)).await, "{made}");
            assert!(!opens(&server, &bucket, &made, None).await, "{made}");
        }
    }
    // Over itself, as chmod does it: under the older key no longer.
    let attributes = CopyAttributes::Replace(ObjectAttributes::default());
    store
        .copy(
            &key("old"),
            from("old", None),
            attributes,
            WriteCondition::None,
        )
        .await
        .unwrap();
    let read = store.get(&key("old"), GetOptions::default()).await.unwrap();
    let key_md5 = customer_key(3).0.md5().to_owned();
    assert_eq!(read.info.encryption, ServerEncryption::SseC { key_md5 });
    assert!(!opens(&server, &bucket, "old", Some(2)).await);
}

async fn copy_a_part(store: &S3Store, source: &str, target: &str) {
    let target = key(target);
    let upload = store
        .create_multipart(&target, ObjectAttributes::default())
        .await
        .unwrap();
    let number = PartNumber::new(1).unwrap();
    let source = from(source, Some(ByteRange::new(0, 5 << 20)));
    let part = store
        .copy_part(&target, &upload, number, source)
        .await
        .unwrap();
    store
        .complete_multipart(&target, &upload, &[part], WriteCondition::IfAbsent)
        .await
        .unwrap();
}

#[tokio::test]
async fn older_keys_read_and_the_current_one_writes_on_minio() {
    older_keys_read_and_the_current_one_writes(servers::minio()).await;
}

#[tokio::test]
async fn older_keys_read_and_the_current_one_writes_on_localstack() {
    older_keys_read_and_the_current_one_writes(crate::localstack_tls()).await;
}

/// MinIO refuses a part of a source under another key; LocalStack does not look, so that only
/// MinIO shows that the source's key goes along.
#[tokio::test]
async fn a_part_of_a_source_under_an_unknown_key() {
    for (server, refuses) in [(servers::minio(), true), (crate::localstack_tls(), false)] {
        let bucket = server.fresh_bucket().await;
        let body = Bytes::from(vec![7; 5 << 20]);
        put(&opened(&server, &bucket, &[2]).await, "old", &body).await;
        let store = opened(&server, &bucket, &[3]).await;
        let upload = store
            .create_multipart(&key("new"), ObjectAttributes::default())
            .await
            .unwrap();
        let number = PartNumber::new(1).unwrap();
        let copied = store
            .copy_part(&key("new"), &upload, number, from("old", None))
            .await;
        assert_eq!(copied.is_err(), refuses, "{}", server.name);
        if let Err(failed) = copied {
            assert_eq!(failed.kind(), ErrorKind::Denied);
            assert_eq!(
                failed.message(),
                "\"old\" is encrypted under a customer's key (SSE-C) that is none of those given: give its key with --read-key-file"
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_when_the_prefix_is_mounted_and_when_a_file_is_read() {
    for server in [servers::minio(), crate::localstack_tls()] {
        let bucket = server.fresh_bucket().await;
        let body = Bytes::from_static(b"x");
        let right = opened(&server, &bucket, &[1]).await;
        put(&right, "dir/", &Bytes::new()).await;
        put(&right, "dir/file", &body).await;
        assert_eq!(right.check_keys("").await, Ok(vec![]), "{}", server.name);

        let wrong = opened(&server, &bucket, &[2]).await;
        assert_eq!(
            wrong.check_keys("").await,
            Err(format!(
                "\"dir/\" is encrypted under a customer's key (SSE-C) that is not the one given (MD5 {}): give the right key with --key-file, or the older key with --read-key-file",
                customer_key(2).0.md5()
            )),
            "{}",
            server.name
        );
        let without = opened(&server, &bucket, &[]).await;
        assert_eq!(
            without.check_keys("dir/").await,
            Ok(vec!["2 of 2 objects looked at are encrypted under a customer's key (SSE-C) and cannot be read, \"dir/\" for one: give their key with --read-key-file".to_owned()]),
            "{}",
            server.name
        );
        // MinIO gives an object without content to everybody, but only to a GET.
        for store in [&wrong, &without] {
            let marker = store.head(&key("dir/"), HeadOptions::default()).await;
            let by_head = store.head(&key("dir/file"), HeadOptions::default()).await;
            let by_get = store.get(&key("dir/file"), GetOptions::default()).await;
            for (name, answer) in [
                ("dir/", marker.map(drop)),
                ("dir/file", by_head.map(drop)),
                ("dir/file", by_get.map(drop)),
            ] {
                let failed = answer.unwrap_err();
                let words = format!("\"{name}\" is encrypted under a customer's key (SSE-C)");
                assert_eq!(
                    failed.kind(),
                    ErrorKind::Denied,
                    "{}: {failed}",
                    server.name
                );
                assert!(failed.concerns_encryption(), "{}: {failed}", server.name);
                assert!(
                    failed.message().starts_with(&words),
                    "{}: {failed}",
                    server.name
                );
            }
        }
    }
}

/// Keys to read with, in a mount that writes under another mode.
#[tokio::test]
async fn keys_to_read_with_serve_every_mode() {
    for server in [servers::minio(), crate::localstack_tls()] {
        let bucket = server.fresh_bucket().await;
        let body = Bytes::from_static(b"x");
        put(&opened(&server, &bucket, &[1]).await, "old", &body).await;
        let read_keys: Vec<CustomerKey> = vec![customer_key(2).0, customer_key(1).0];
        let config = S3Config {
            encryption: RequestedEncryption::SseS3,
            read_keys,
            ..S3Config::new(&bucket)
        };
        let store = crate::open(&server, config).await;
        let read = store.get(&key("old"), GetOptions::default()).await.unwrap();
        assert_eq!(read.body, body, "{}", server.name);
        store
            .copy(
                &key("copy"),
                from("old", None),
                CopyAttributes::Keep,
                WriteCondition::None,
            )
            .await
            .unwrap();
        assert!(
            opens(&server, &bucket, "copy", None).await,
            "{}",
            server.name
        );
        assert_eq!(
            store.check_keys("").await,
            Ok(vec!["the prefix holds objects of other modes than sse-s3: 1 sse-c of 2 looked at; they stay as they are until they are written".to_owned()])
        );
    }
}
