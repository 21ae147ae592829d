//! Each mode's objects, looked at through the SDK's own client.

use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::store::s3::RequestedEncryption;
use cloakfs::store::{
    CopyAttributes, CopySource, ETag, Metadata, ObjectAttributes, ObjectKey, PartNumber,
    PutOptions, ServerEncryption, Store, WriteCondition,
};

use crate::servers::{self, Server};

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn attributes(value: &str) -> ObjectAttributes {
    ObjectAttributes {
        metadata: Metadata::from([("mode".to_owned(), value.to_owned())]),
        content_type: Some("text/plain".to_owned()),
    }
}

fn from(source: &ObjectKey, etag: &ETag, range: Option<ByteRange>) -> CopySource {
    CopySource {
        key: source.clone(),
        if_match: Some(etag.clone()),
        version: None,
        range,
    }
}

/// Writes in every way that makes an object: put, multipart with an uploaded and a copied
/// part, copy, copy with new metadata.
async fn write_in_every_way(server: &Server, bucket: &str, encryption: RequestedEncryption) {
    let store = server.store(bucket, encryption).await;
    let body = Bytes::from(vec![7; 6 << 20]);
    let written = store
        .put(
            &key("put"),
            body.clone(),
            PutOptions {
                attributes: attributes("1"),
                condition: WriteCondition::IfAbsent,
            },
        )
        .await
        .unwrap();

    let target = key("multipart");
    let upload = store
        .create_multipart(&target, attributes("2"))
        .await
        .unwrap();
    let copied = store
        .copy_part(
            &target,
            &upload,
            PartNumber::new(1).unwrap(),
            from(&key("put"), &written.etag, Some(ByteRange::new(0, 5 << 20))),
        )
        .await
        .unwrap();
    let sent = store
        .upload_part(
            &target,
            &upload,
            PartNumber::new(2).unwrap(),
            body.slice(..100),
        )
        .await
        .unwrap();
    store
        .complete_multipart(&target, &upload, &[copied, sent], WriteCondition::IfAbsent)
        .await
        .unwrap();

    store
        .copy(
            &key("copy"),
            from(&key("put"), &written.etag, None),
            CopyAttributes::Keep,
        )
        .await
        .unwrap();
    store
        .copy(
            &key("put"),
            from(&key("put"), &written.etag, None),
            CopyAttributes::Replace(attributes("3")),
        )
        .await
        .unwrap();
}

/// Name, length and metadata `mode` of what [`write_in_every_way`] leaves.
const LEFT: [(&str, usize, &str); 3] = [
    ("put", 6 << 20, "3"),
    ("multipart", (5 << 20) + 100, "2"),
    ("copy", 6 << 20, "1"),
];

async fn sse_s3_is_on_every_object(server: Server) {
    let bucket = server.fresh_bucket().await;
    write_in_every_way(&server, &bucket, RequestedEncryption::SseS3).await;
    let raw = server.raw_client();
    for (name, len, mode) in LEFT {
        let object = raw
            .get_object()
            .bucket(&bucket)
            .key(name)
            .send()
            .await
            .unwrap();
        assert_eq!(
            object.server_side_encryption(),
            Some(&ServerSideEncryption::Aes256),
            "{}: {name}",
            server.name
        );
        assert_eq!(object.metadata().unwrap()["mode"], mode, "{name}");
        assert_eq!(object.content_type(), Some("text/plain"), "{name}");
        let body = object.body.collect().await.unwrap().into_bytes();
        assert!(
            body.len() == len && body.iter().all(|&byte| byte == 7),
            "{name}"
        );
    }
    let seen = server
        .store(&bucket, RequestedEncryption::SseS3)
        .await
        .head(&key("copy"), cloakfs::store::HeadOptions::default())
        .await
        .unwrap();
    assert_eq!(seen.encryption, ServerEncryption::SseS3);
}

#[tokio::test]
async fn sse_s3_is_on_every_object_of_minio() {
    sse_s3_is_on_every_object(servers::minio()).await;
}

#[tokio::test]
async fn sse_s3_is_on_every_object_of_localstack() {
    sse_s3_is_on_every_object(servers::localstack()).await;
    sse_s3_is_on_every_object(crate::localstack_tls()).await;
}

/// MinIO says nothing about the encryption of an object that nobody asked to encrypt, which is
/// what makes the test above mean something.
#[tokio::test]
async fn mode_none_asks_for_nothing() {
    let server = servers::minio();
    let bucket = server.fresh_bucket().await;
    write_in_every_way(&server, &bucket, RequestedEncryption::None).await;
    for (name, _, _) in LEFT {
        let object = server
            .raw_client()
            .head_object()
            .bucket(&bucket)
            .key(name)
            .send()
            .await
            .unwrap();
        assert_eq!(object.server_side_encryption(), None, "{name}");
    }
}
