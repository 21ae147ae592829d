//! Every way of writing an object, and what another client must find afterwards.

use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::store::s3::{CustomerKey, RequestedEncryption};
use cloakfs::store::{
    CopyAttributes, CopySource, ETag, HeadOptions, Metadata, ObjectAttributes, ObjectKey,
    PartNumber, PutOptions, ServerEncryption, Store, WriteCondition,
};

use crate::key;
use crate::servers::Server;

pub fn attributes(value: &str) -> ObjectAttributes {
    ObjectAttributes {
        metadata: Metadata::from([("mode".to_owned(), value.to_owned())]),
        content_type: Some("text/plain".to_owned()),
    }
}

pub fn from(source: &ObjectKey, etag: &ETag, range: Option<ByteRange>) -> CopySource {
    CopySource {
        key: source.clone(),
        if_match: Some(etag.clone()),
        version: None,
        range,
    }
}

/// Writes in every way that makes an object: put, multipart with an uploaded and a copied
/// part, copy, copy with new metadata.
pub async fn write_in_every_way(server: &Server, bucket: &str, encryption: RequestedEncryption) {
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
            WriteCondition::None,
        )
        .await
        .unwrap();
    store
        .copy(
            &key("put"),
            from(&key("put"), &written.etag, None),
            CopyAttributes::Replace(attributes("3")),
            WriteCondition::None,
        )
        .await
        .unwrap();
}

/// Name, length and metadata `mode` of what [`write_in_every_way`] leaves.
pub const LEFT: [(&str, usize, &str); 3] = [
    ("put", 6 << 20, "3"),
    ("multipart", (5 << 20) + 100, "2"),
    ("copy", 6 << 20, "1"),
];

/// What the SDK's own client must find on an object.
#[derive(Debug, Default)]
pub struct Expected {
    pub mode: Option<ServerSideEncryption>,
    /// What is in the name of the KMS key that is answered; empty where none is answered.
    pub kms_key: String,
    pub bucket_key: Option<bool>,
    /// The customer's key in base64.
    pub customer_key: Option<(CustomerKey, String)>,
}

/// Writes in every way, and reads it all with another client.
pub async fn is_on_every_object(
    server: &Server,
    encryption: RequestedEncryption,
    expected: Expected,
) {
    let bucket = server.fresh_bucket().await;
    write_in_every_way(server, &bucket, encryption.clone()).await;
    let raw = server.raw_client();
    for (name, len, mode) in LEFT {
        let place = format!("{}: {name} under {encryption}", server.name);
        let key = expected.customer_key.as_ref();
        let object = raw
            .get_object()
            .bucket(&bucket)
            .key(name)
            .set_sse_customer_algorithm(key.map(|_| "AES256".to_owned()))
            .set_sse_customer_key(key.map(|(_, base64)| base64.clone()))
            .set_sse_customer_key_md5(key.map(|(key, _)| key.md5().to_owned()))
            .send()
            .await
            .unwrap_or_else(|error| panic!("{place}: {error:?}"));
        assert_eq!(
            object.server_side_encryption(),
            expected.mode.as_ref(),
            "{place}"
        );
        let kms_key = object.ssekms_key_id().unwrap_or_default();
        assert!(kms_key.contains(&expected.kms_key), "{place}: {kms_key}");
        assert_eq!(kms_key.is_empty(), expected.kms_key.is_empty(), "{place}");
        assert_eq!(object.bucket_key_enabled(), expected.bucket_key, "{place}");
        let md5 = object.sse_customer_key_md5();
        assert_eq!(md5, key.map(|(key, _)| key.md5()), "{place}");
        assert_eq!(object.metadata().unwrap()["mode"], mode, "{place}");
        assert_eq!(object.content_type(), Some("text/plain"), "{place}");
        let body = object.body.collect().await.unwrap().into_bytes();
        assert!(
            body.len() == len && body.iter().all(|&byte| byte == 7),
            "{place}"
        );
    }
    let store = server.store(&bucket, encryption.clone()).await;
    let seen = store
        .head(&key("copy"), HeadOptions::default())
        .await
        .unwrap();
    match (&encryption, seen.encryption) {
        (RequestedEncryption::SseS3, ServerEncryption::SseS3)
        | (RequestedEncryption::SseKms(_), ServerEncryption::SseKms { .. }) => {}
        (RequestedEncryption::SseC(key), ServerEncryption::SseC { key_md5 }) => {
            assert_eq!(key_md5, key.md5());
        }
        (asked, answered) => panic!("{}: {asked} {answered:?}", server.name),
    }
}
