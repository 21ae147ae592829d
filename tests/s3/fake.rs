//! A server that answers as a test tells it to: for what no real server does on demand.

use std::sync::{Arc, Mutex};

use cloakfs::store::s3::{RequestedEncryption, S3Store};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::servers::Server;

/// What was asked; header names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The raw bytes of an answer. The connection is closed after one that says so.
type Answer = dyn Fn(&Request) -> String + Send + Sync;

pub struct Fake {
    pub server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    pub async fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            name: "fake",
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            ca: None,
            access_key: "fake".to_owned(),
            secret_key: "fake".to_owned(),
        };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { server, requests }
    }

    pub async fn store(&self, encryption: RequestedEncryption) -> S3Store {
        self.server.store("bucket", encryption).await
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

async fn serve(stream: TcpStream, answer: Arc<Answer>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let bytes = answer(&request);
        seen.lock().unwrap().push(request);
        let wrote = stream.get_mut().write_all(bytes.as_bytes()).await;
        if wrote.is_err() || bytes.contains("connection: close") {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    request.method = words.next()?.to_owned();
    request.target = words.next()?.to_owned();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        request
            .headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}
