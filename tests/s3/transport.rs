//! What goes over the wire, and how.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloakfs::base::progress::Progress;
use cloakfs::store::s3::RequestedEncryption;
use cloakfs::store::{GetOptions, HeadOptions, ObjectKey, PutOptions, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fake::{DATE, ETAG, Fake, ok};
use crate::servers::Server;

fn key() -> ObjectKey {
    ObjectKey::new("a key").unwrap()
}

/// A server that the test plays itself, byte by byte.
async fn by_hand() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        name: "by hand",
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        ca: None,
        access_key: "fake".to_owned(),
        secret_key: "fake".to_owned(),
    };
    (listener, server)
}

#[tokio::test]
async fn over_http_the_payload_is_signed_and_has_its_checksum() {
    let fake = Fake::start(|_| ok(&[ETAG], "")).await;
    let store = fake.store(RequestedEncryption::None).await;
    store
        .put(
            &key(),
            Bytes::from_static(b"123456789"),
            PutOptions::default(),
        )
        .await
        .unwrap();
    let put = fake.requests().remove(0);
    // SHA-256 and the check value of CRC-32C (e3069283) of the nine digits.
    assert_eq!(
        put.header("x-amz-content-sha256"),
        Some("15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225")
    );
    assert_eq!(put.header("x-amz-checksum-crc32c"), Some("4waSgw=="));
    assert_eq!(put.header("x-amz-trailer"), None);
    assert_eq!(put.body, b"123456789");
}

#[tokio::test]
async fn metadata_in_latin_1_does_not_hide_an_object() {
    let (listener, server) = by_hand().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _head = stream.read(&mut request).await.unwrap();
        let mut answer = format!("HTTP/1.1 200 OK\r\n{ETAG}\r\n{DATE}\r\n").into_bytes();
        answer.extend(b"content-length: 0\r\nx-amz-meta-name: gr\xfcn\r\n\r\n");
        stream.write_all(&answer).await.unwrap();
    });
    let store = server.store("bucket", RequestedEncryption::None).await;
    let info = store.head(&key(), HeadOptions::default()).await.unwrap();
    assert_eq!(info.attributes.metadata["name"], "gr\u{fffd}n");
}

/// No request waits for another: each has a connection of its own.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_requests_are_on_the_wire_at_once() {
    const TOGETHER: usize = 32;
    let (listener, server) = by_hand().await;
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut first = [0];
            stream.read_exact(&mut first).await.unwrap();
            held.push(stream);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let store = Arc::new(server.store("bucket", RequestedEncryption::None).await);
    let requests: Vec<_> = (0..TOGETHER)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.head(&key(), HeadOptions::default()).await })
        })
        .collect();
    eventually(|| arrived.load(Ordering::SeqCst) == TOGETHER).await;
    for request in requests {
        request.abort();
    }
}

/// A transfer that moves is not idle, however slowly; one that is stuck is.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_reports_progress_as_the_server_takes_it() {
    let (listener, server) = by_hand().await;
    let store = server.store("bucket", RequestedEncryption::None).await;
    let progress = Progress::start();
    let watched = progress.clone();
    let upload = tokio::spawn(async move {
        let body = Bytes::from(vec![0; 64 << 20]);
        watched
            .scope(store.put(&key(), body, PutOptions::default()))
            .await
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    stream.read_exact(&mut buffer).await.unwrap();
    // The socket's buffers fill, and then nothing moves.
    eventually(|| progress.idle() > Duration::from_millis(300)).await;
    let stuck = progress.last();
    for _ in 0..16 {
        stream.read_exact(&mut buffer).await.unwrap();
    }
    eventually(|| progress.last() > stuck).await;
    upload.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_reports_progress_as_bytes_arrive() {
    let (listener, server) = by_hand().await;
    let store = server.store("bucket", RequestedEncryption::None).await;
    let progress = Progress::start();
    let watched = progress.clone();
    let download = tokio::spawn(async move {
        watched
            .scope(store.get(&key(), GetOptions::default()))
            .await
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let _head = stream.read(&mut [0; 4096]).await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\n{ETAG}\r\n{DATE}\r\ncontent-length: 2\r\n\r\na");
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually(|| progress.idle() > Duration::from_millis(100)).await;
    let stuck = progress.last();
    stream.write_all(b"b").await.unwrap();
    let object = download.await.unwrap().unwrap();
    assert_eq!(object.body, "ab");
    assert!(progress.last() > stuck);
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it never came about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
