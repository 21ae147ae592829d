//! A server that answers as a test tells it to: for what no real server does on demand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloakfs::store::s3::{RequestedEncryption, S3Config, S3Store};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::fake_http::{Answer, Request, serve};
use crate::servers::Server;

pub struct Fake {
    pub server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    /// Of the server's certificate.
    _certificate: Option<tempfile::TempDir>,
}

impl Fake {
    /// Over plain http, where nothing is asked for that S3 takes over TLS only.
    pub async fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::listen(answer, None).await
    }

    /// Over https.
    pub async fn start_tls(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::listen(answer, Some(certificate())).await
    }

    async fn listen(
        answer: impl Fn(&Request) -> String + Send + Sync + 'static,
        tls: Option<tempfile::TempDir>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Server {
            name: "fake",
            endpoint: format!("{scheme}://{}", listener.local_addr().unwrap()),
            ca: tls.as_ref().map(|dir| dir.path().join("public.crt")),
            access_key: "fake".to_owned(),
            secret_key: "fake".to_owned(),
        };
        let acceptor = tls.as_ref().map(acceptor);
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                match acceptor.clone() {
                    None => drop(tokio::spawn(serve(stream, answer, seen))),
                    Some(acceptor) => drop(tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, answer, seen).await;
                        }
                    })),
                }
            }
        });
        Self {
            server,
            requests,
            connections,
            _certificate: tls,
        }
    }

    pub async fn open(&self, config: S3Config) -> S3Store {
        crate::open(&self.server, config).await
    }

    pub async fn store(&self, encryption: RequestedEncryption) -> S3Store {
        self.server.store("bucket", encryption).await
    }

    /// How many there have been.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer with a body, and the head lines that every object's answer has.
pub fn ok(head: &[&str], body: &str) -> String {
    let mut lines = vec!["HTTP/1.1 200 OK".to_owned()];
    if head.first().is_some_and(|line| line.starts_with("HTTP/")) {
        lines.clear();
    }
    lines.extend(head.iter().map(|line| (*line).to_owned()));
    if !head.iter().any(|line| line.starts_with("content-length:")) {
        lines.push(format!("content-length: {}", body.len()));
    }
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// S3's form of an error.
pub fn error(status: &str, code: &str, message: &str, head: &[&str]) -> String {
    let status = format!("HTTP/1.1 {status}");
    let mut lines = vec![status.as_str()];
    lines.extend(head);
    ok(
        &lines,
        &format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        ),
    )
}

pub const DATE: &str = "last-modified: Sat, 21 Nov 2026 08:00:00 GMT";
pub const ETAG: &str = "etag: \"e\"";

/// A self-signed certificate for 127.0.0.1 and its key, made by openssl.
fn certificate() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "private.key", "-out", "public.crt"])
        .current_dir(dir.path())
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    dir
}

fn acceptor(certificate: &tempfile::TempDir) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(certificate.path().join("public.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate.path().join("private.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
