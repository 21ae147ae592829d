//! The MinIO servers that tests mount: the one that `scripts/test` starts for all, and private
//! ones for tests that stop their server.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::other_client::OtherClient;
use super::s3_server::{S3Server, announced};
use super::wait::until;

/// For a server to come up.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// The name, account and key that the tests' servers are started with.
const ACCOUNT: &str = "minioadmin";

/// The id of the one key of their KMS.
pub const KMS_KEY: &str = "my-key";

/// The MinIO that all tests share: https, and one KMS key, [`KMS_KEY`].
#[derive(Clone, Copy, Debug)]
pub struct Minio;

impl Minio {
    pub fn shared() -> S3Server {
        S3Server {
            endpoint: announced("CLOAKFS_TEST_MINIO_ENDPOINT"),
            kms_endpoint: None,
            ca: Some(announced("CLOAKFS_TEST_MINIO_CA").into()),
            access_key: announced("CLOAKFS_TEST_MINIO_ACCESS_KEY"),
            secret_key: announced("CLOAKFS_TEST_MINIO_SECRET_KEY"),
            session_token: None,
        }
    }
}

/// A MinIO of one test's own, over http or https, which the test can stop and start again. Its
/// data stays.
#[derive(Debug)]
pub struct PrivateMinio {
    place: TempDir,
    port: u16,
    /// The certificate that all tests' servers have, with its key beside it.
    certificate: Option<PathBuf>,
    server: Option<Child>,
}

impl PrivateMinio {
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Over https.
    pub fn start_with_tls() -> Self {
        Self::start_with(Some(announced("CLOAKFS_TEST_MINIO_CA").into()))
    }

    fn start_with(certificate: Option<PathBuf>) -> Self {
        // The port is free again when the listener is dropped; should another process take it
        // before the server does, the test fails with the server's words.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let place = tempfile::Builder::new()
            .prefix("minio-")
            .tempdir()
            .expect("a directory");
        let mut minio = Self {
            place,
            port,
            certificate,
            server: None,
        };
        minio.resume();
        minio
    }

    pub fn reach(&self) -> S3Server {
        S3Server {
            endpoint: match self.certificate {
                Some(_) => format!("https://127.0.0.1:{}", self.port),
                None => format!("http://127.0.0.1:{}", self.port),
            },
            kms_endpoint: None,
            ca: self.certificate.clone(),
            access_key: ACCOUNT.into(),
            secret_key: ACCOUNT.into(),
            session_token: None,
        }
    }

    /// Where its data and its log are.
    pub fn directory(&self) -> &std::path::Path {
        self.place.path()
    }

    /// Ends the server at once: connections to it are refused from now on.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.kill().expect("killing MinIO");
        server.wait().expect("waiting for MinIO");
    }

    /// Starts it again, with the data that it had.
    pub fn resume(&mut self) {
        assert!(self.server.is_none(), "it is running");
        let log_path = self.place.path().join("log");
        let log = File::create(&log_path).expect("a log file");
        let tools = PathBuf::from(announced("CLOAKFS_TEST_TOOLS"));
        let certificates = match &self.certificate {
            Some(certificate) => certificate.parent().expect("a directory").to_owned(),
            None => self.place.path().join("no-certificates"),
        };
        let server = Command::new(tools.join("bin/minio"))
            .args([
                "server",
                "--quiet",
                "--address",
                &format!("127.0.0.1:{}", self.port),
            ])
            .arg("--certs-dir")
            .arg(certificates)
            .arg(self.place.path().join("data"))
            .env("MINIO_ROOT_USER", ACCOUNT)
            .env("MINIO_ROOT_PASSWORD", ACCOUNT)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .env("MINIO_PROMETHEUS_AUTH_TYPE", "public")
            .env(
                "MINIO_KMS_SECRET_KEY",
                format!("{KMS_KEY}:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .expect("starting MinIO");
        self.server = Some(server);
        let client = OtherClient::new(&self.reach(), "none");
        until(START_DEADLINE, || client.answers().then_some(())).unwrap_or_else(|| {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            panic!("MinIO did not come up within {START_DEADLINE:?}:\n{log}")
        });
    }
}

impl Drop for PrivateMinio {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop();
        }
    }
}
