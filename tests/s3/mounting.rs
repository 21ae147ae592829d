//! The sentences for what is wrong when a bucket is mounted, from real servers.

use cloakfs::aws::{Aws, AwsConfig, AwsError};
use cloakfs::store::s3::{BucketFacts, RequestedEncryption, S3Config, S3Store};
use cloakfs::store::{ErrorKind, ObjectKey, PutOptions, Store};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::servers::{self, Server};

async fn refused(server: &Server, bucket: &str) -> (ErrorKind, String) {
    let store = server.store(bucket, RequestedEncryption::None).await;
    let failed = store.check("prefix/").await.unwrap_err();
    (failed.kind(), store.explain(&failed))
}

fn host(server: &Server) -> String {
    server
        .endpoint
        .split_once("://")
        .map(|(_, host)| host.to_owned())
        .unwrap()
}

#[tokio::test]
async fn there_is_no_such_bucket() {
    for server in [servers::minio(), servers::localstack()] {
        let (kind, sentence) = refused(&server, "no-such-bucket-here").await;
        assert_eq!(kind, ErrorKind::Invalid);
        assert_eq!(
            sentence,
            format!(
                "there is no bucket \"no-such-bucket-here\" at {} (NoSuchBucket): check the bucket's name and --endpoint-url, or make the bucket first",
                server.endpoint
            )
        );
    }
}

#[tokio::test]
async fn the_access_key_is_unknown() {
    let mut server = servers::minio();
    let bucket = server.fresh_bucket().await;
    server.access_key = "nobody-has-it".to_owned();
    let (kind, sentence) = refused(&server, &bucket).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert_eq!(
        sentence,
        format!(
            "{} does not know the access key (InvalidAccessKeyId): check AWS_ACCESS_KEY_ID or the profile, and that it belongs to this endpoint",
            server.endpoint
        )
    );
}

#[tokio::test]
async fn the_secret_key_is_wrong() {
    let mut server = servers::minio();
    let bucket = server.fresh_bucket().await;
    server.secret_key = "not-this-one".to_owned();
    let (kind, sentence) = refused(&server, &bucket).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert_eq!(
        sentence,
        format!(
            "{} refused the signature of the request (SignatureDoesNotMatch): the secret key is not the one of this access key: check AWS_SECRET_ACCESS_KEY or the profile",
            server.endpoint
        )
    );
}

#[tokio::test]
async fn the_certificate_is_not_trusted() {
    let mut server = servers::minio();
    server.ca = None;
    let (kind, sentence) = refused(&server, "bucket").await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(
        sentence.starts_with(&format!(
            "cannot reach the bucket \"bucket\": the TLS certificate of {} is not trusted (",
            host(&server)
        )) && sentence
            .ends_with("): give the certificate of its CA with --ca-bundle FILE or AWS_CA_BUNDLE"),
        "{sentence}"
    );
}

/// The bundle is trusted for the names in the certificate and no others: here, the same server
/// seen at another address.
#[tokio::test]
async fn the_certificate_is_for_another_name() {
    let mut server = servers::minio();
    let minio = host(&server);
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let elsewhere = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(minio).await.unwrap();
        // It ends when the client does not like the certificate.
        let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    server.endpoint = format!("https://{elsewhere}");
    let (kind, sentence) = refused(&server, "bucket").await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(
        sentence.starts_with(&format!(
            "cannot reach the bucket \"bucket\": the TLS certificate of {elsewhere} is not valid ("
        )) && sentence.ends_with("): check the server's certificate and this machine's clock"),
        "{sentence}"
    );
}

#[tokio::test]
async fn the_profile_has_no_credentials() {
    let failed = Aws::find(&AwsConfig {
        profile: Some("no-such-profile".to_owned()),
        credentials: None,
        ..servers::minio().config()
    })
    .await
    .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "no AWS credentials were found: the profile \"no-such-profile\" is not in the AWS configuration files or names no credentials; check its name, or leave --profile out to use the environment"
    );
}

#[tokio::test]
async fn the_endpoint_is_down() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut server = servers::minio();
    server.endpoint = format!("https://{address}");
    let (kind, sentence) = refused(&server, "bucket").await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert_eq!(
        sentence,
        format!(
            "cannot reach the bucket \"bucket\": {address} refused the connection: check that the server is running and that the endpoint's host and port are right"
        )
    );
}

#[tokio::test]
async fn the_endpoint_speaks_no_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _hello = stream.read(&mut [0; 4096]).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let mut server = servers::minio();
    server.endpoint = format!("https://{address}");
    let (kind, sentence) = refused(&server, "bucket").await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(
        sentence.starts_with(&format!(
            "cannot reach the bucket \"bucket\": TLS with {address} failed ("
        )) && sentence.ends_with(
            "): check that the server speaks https on this port, else give an http:// endpoint"
        ),
        "{sentence}"
    );
}

#[tokio::test]
async fn the_endpoint_speaks_only_tls() {
    let mut server = servers::minio();
    server.endpoint = server.endpoint.replace("https://", "http://");
    let (kind, sentence) = refused(&server, "bucket").await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert_eq!(
        sentence,
        format!(
            "the bucket \"bucket\" at {} cannot be used: the server answered 400 Bad Request, not in the form of S3: check --endpoint-url, and whether it should begin with https://",
            server.endpoint
        )
    );
}

#[tokio::test]
async fn the_ca_bundle_is_no_use() {
    let server = servers::minio();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.pem");
    let config = AwsConfig {
        ca_bundle: Some(bundle.clone()),
        ..server.config()
    };
    let missing = Aws::find(&config).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!(
            "cannot read the CA bundle {}: No such file or directory (os error 2)",
            bundle.display()
        )
    );
    std::fs::write(&bundle, "no certificate").unwrap();
    let empty = Aws::find(&config).await.unwrap_err();
    assert!(matches!(empty, AwsError::CaBundle(_)));
    assert_eq!(
        empty.to_string(),
        format!(
            "the CA bundle {} holds no certificate: it must be a PEM file with one or more BEGIN CERTIFICATE blocks",
            bundle.display()
        )
    );
}

/// A bundle may hold several certificates; the right one need not be the first.
#[tokio::test]
async fn a_bundle_of_several_certificates_is_read_whole() {
    let server = servers::minio();
    let own = std::fs::read_to_string(server.ca.as_ref().unwrap()).unwrap();
    let other = crate::localstack_tls();
    let other = std::fs::read_to_string(other.ca.as_ref().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.pem");
    std::fs::write(&bundle, format!("{other}\n{own}")).unwrap();
    let bucket = server.fresh_bucket().await;
    let aws = Aws::find(&AwsConfig {
        ca_bundle: Some(bundle),
        ..server.config()
    })
    .await
    .unwrap();
    let store = S3Store::new(&aws, S3Config::new(bucket)).unwrap();
    store.check("").await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_can_be_used_is_described() {
    for server in [servers::minio(), servers::localstack()] {
        let bucket = server.fresh_bucket().await;
        let store = server.store(&bucket, RequestedEncryption::None).await;
        assert_eq!(store.describe(), format!("s3://{bucket}"));
        let empty = BucketFacts {
            holds_objects: false,
        };
        assert_eq!(store.check("p/").await.unwrap(), empty);
        store
            .put(
                &ObjectKey::new("p/x").unwrap(),
                bytes::Bytes::new(),
                PutOptions::default(),
            )
            .await
            .unwrap();
        assert!(store.check("p/").await.unwrap().holds_objects);
        assert_eq!(store.check("q/").await.unwrap(), empty);
    }
}
