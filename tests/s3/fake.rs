//! S3 as a test wants it to be.

use cloakfs::store::s3::{RequestedEncryption, S3Store};

use crate::fake_server::{FakeServer, Request};
use crate::servers::Server;

pub struct Fake {
    pub server: Server,
    fake: FakeServer,
}

impl Fake {
    pub async fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let fake = FakeServer::start(answer).await;
        let server = Server {
            name: "fake",
            endpoint: fake.endpoint.clone(),
            ca: None,
            access_key: "fake".to_owned(),
            secret_key: "fake".to_owned(),
        };
        Self { server, fake }
    }

    pub async fn store(&self, encryption: RequestedEncryption) -> S3Store {
        self.server.store("bucket", encryption).await
    }

    pub fn requests(&self) -> Vec<Request> {
        self.fake.requests()
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
