//! Each mode's objects, looked at through the SDK's own client.

use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use cloakfs::base::context::EncryptionContext;
use cloakfs::store::s3::{KmsRequest, RequestedEncryption};
use cloakfs::store::{
    CopyAttributes, ETag, ErrorKind, HeadOptions, PutOptions, Store, WriteCondition,
};

use crate::every_way::{Expected, LEFT, attributes, from, is_on_every_object, write_in_every_way};
use crate::key;
use crate::servers::{self, Server};

async fn sse_s3_is_on_every_object(server: Server) {
    let expected = Expected {
        mode: Some(ServerSideEncryption::Aes256),
        ..Expected::default()
    };
    is_on_every_object(&server, RequestedEncryption::SseS3, expected).await;
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

fn kms(key: Option<&str>) -> KmsRequest {
    KmsRequest {
        key: key.map(str::to_owned),
        ..KmsRequest::default()
    }
}

/// The server refuses a key that it does not have: only then do the keys below mean something.
async fn a_kms_key_that_is_unknown_is_refused(server: &Server) {
    let bucket = server.fresh_bucket().await;
    let refused = server
        .raw_client()
        .put_object()
        .bucket(&bucket)
        .key("k")
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id("11111111-1111-1111-1111-111111111111")
        .send()
        .await;
    assert!(refused.is_err(), "{}: {refused:?}", server.name);
}

#[tokio::test]
async fn sse_kms_is_on_every_object_of_minio() {
    let server = servers::minio();
    a_kms_key_that_is_unknown_is_refused(&server).await;
    let with_context = KmsRequest {
        context: Some(EncryptionContext::parse(["tenant=a", "use=test"]).unwrap()),
        ..kms(Some("my-key"))
    };
    // It has no bucket keys, and encrypts all the same.
    let with_bucket_key = KmsRequest {
        bucket_key: true,
        ..kms(Some("my-key"))
    };
    for request in [
        kms(Some("my-key")),
        kms(Some("arn:aws:kms:my-key")),
        kms(None),
        with_context,
        with_bucket_key,
    ] {
        let expected = Expected {
            mode: Some(ServerSideEncryption::AwsKms),
            kms_key: "arn:aws:kms:my-key".to_owned(),
            ..Expected::default()
        };
        is_on_every_object(&server, RequestedEncryption::SseKms(request), expected).await;
    }
}

/// MinIO gives and compares other ETags of encrypted directory markers than it has given
/// before: cloakfs changes the attributes of a directory all the same, and still sees a change
/// by somebody else.
#[tokio::test]
async fn the_attributes_of_a_directory_can_be_changed_in_every_mode() {
    for server in [servers::minio(), crate::localstack_tls()] {
        for encryption in [
            RequestedEncryption::None,
            RequestedEncryption::SseS3,
            RequestedEncryption::SseKms(kms(None)),
            RequestedEncryption::SseC(crate::customer_key(7).0),
        ] {
            let bucket = server.fresh_bucket().await;
            let store = server.store(&bucket, encryption.clone()).await;
            let marker = key("dir/");
            let place = format!("{}: {encryption}", server.name);
            let options = PutOptions {
                attributes: attributes("1"),
                condition: WriteCondition::IfAbsent,
            };
            let written = store.put(&marker, Bytes::new(), options).await.unwrap();
            let head = async || store.head(&marker, HeadOptions::default()).await.unwrap();
            let copy = async |etag, to| {
                let replaced = CopyAttributes::Replace(attributes(to));
                store
                    .copy(
                        &marker,
                        from(&marker, etag, None),
                        replaced,
                        WriteCondition::None,
                    )
                    .await
            };
            assert_eq!(head().await.etag, written.etag, "{place}");
            let copied = copy(&written.etag, "2").await;
            let copied = copied.unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(head().await.etag, copied.etag, "{place}");
            assert_eq!(head().await.attributes.metadata["mode"], "2", "{place}");
            let other = ETag::new("\"00000000000000000000000000000000\"");
            let refused = copy(&other, "3").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Precondition, "{place}");
        }
    }
}

/// The context as MinIO keeps it, which answers it to reads. The SDK does not read it there: the
/// header comes from the answer itself.
#[tokio::test]
async fn the_context_is_on_every_object_of_minio() {
    let server = servers::minio();
    let bucket = server.fresh_bucket().await;
    let request = KmsRequest {
        context: Some(EncryptionContext::parse(["tenant=a"]).unwrap()),
        ..kms(Some("my-key"))
    };
    write_in_every_way(&server, &bucket, RequestedEncryption::SseKms(request)).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    for (name, _, _) in LEFT {
        let seen = Arc::clone(&seen);
        server
            .raw_client()
            .head_object()
            .bucket(&bucket)
            .key(name)
            .customize()
            .interceptor(Context(seen))
            .send()
            .await
            .unwrap();
    }
    // {"tenant":"a"}
    assert_eq!(*seen.lock().unwrap(), ["eyJ0ZW5hbnQiOiJhIn0="; 3]);
}

/// Keeps the context's header of an answer.
#[derive(Debug)]
struct Context(Arc<Mutex<Vec<String>>>);

impl Intercept for Context {
    fn name(&self) -> &'static str {
        "context"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let found = headers.get("x-amz-server-side-encryption-context");
        self.0.lock().unwrap().extend(found.map(str::to_owned));
        Ok(())
    }
}

#[tokio::test]
async fn sse_kms_is_on_every_object_of_localstack() {
    let server = crate::localstack_tls();
    a_kms_key_that_is_unknown_is_refused(&server).await;
    let created = crate::kms::client(&server).create_key().send().await;
    let created = created.unwrap().key_metadata.unwrap();
    let (id, arn) = (created.key_id.clone(), created.arn.unwrap());
    let with_bucket_key = KmsRequest {
        bucket_key: true,
        ..kms(Some(&arn))
    };
    let with_context = KmsRequest {
        context: Some(EncryptionContext::parse(["tenant=a"]).unwrap()),
        ..kms(Some(&arn))
    };
    for (request, kms_key, bucket_key) in [
        (kms(Some(&id)), arn.as_str(), None),
        (kms(Some(&arn)), &arn, None),
        (with_context, &arn, None),
        (with_bucket_key, &arn, Some(true)),
        // A key of its own that it makes at the first request.
        (kms(None), "arn:aws:kms:us-east-1:000000000000:key/", None),
    ] {
        let expected = Expected {
            mode: Some(ServerSideEncryption::AwsKms),
            kms_key: kms_key.to_owned(),
            bucket_key,
            ..Expected::default()
        };
        is_on_every_object(&server, RequestedEncryption::SseKms(request), expected).await;
    }
}

/// LocalStack only repeats the mode, and names no key.
#[tokio::test]
async fn two_layers_are_asked_for_of_localstack() {
    let request = KmsRequest {
        dsse: true,
        ..kms(None)
    };
    let expected = Expected {
        mode: Some(ServerSideEncryption::AwsKmsDsse),
        ..Expected::default()
    };
    let server = crate::localstack_tls();
    is_on_every_object(&server, RequestedEncryption::SseKms(request), expected).await;
}

async fn sse_c_is_on_every_object(server: Server) {
    let (key, base64) = crate::customer_key(7);
    let expected = Expected {
        customer_key: Some((key.clone(), base64)),
        ..Expected::default()
    };
    is_on_every_object(&server, RequestedEncryption::SseC(key), expected).await;
}

#[tokio::test]
async fn sse_c_is_on_every_object_of_minio() {
    sse_c_is_on_every_object(servers::minio()).await;
}

#[tokio::test]
async fn sse_c_is_on_every_object_of_localstack() {
    sse_c_is_on_every_object(crate::localstack_tls()).await;
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
