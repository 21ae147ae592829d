//! The MinIO servers that tests mount: the one that `scripts/test` starts for all, and private
//! ones for tests that stop their server.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::mount::Source;
use super::other_client::OtherClient;
use super::wait::until;

/// For a server to come up.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// The name, account and key that the tests' servers are started with.
const ACCOUNT: &str = "minioadmin";

/// What `scripts/test` says about the machine's servers and tools.
///
/// # Panics
/// Where the tests are run without it: there is nothing to test against.
pub fn announced(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set, so there is no server to test on: run the tests with scripts/test \
             (scripts/test --test e2e NAME runs one)"
        )
    })
}

/// How to reach a MinIO.
#[derive(Clone, Debug)]
pub struct Minio {
    pub endpoint: String,
    /// PEM of the certificate to trust, for https.
    pub ca: Option<PathBuf>,
    pub access_key: String,
    pub secret_key: String,
}

impl Minio {
    /// The one that all tests share: https.
    pub fn shared() -> Self {
        Self {
            endpoint: announced("CLOAKFS_TEST_MINIO_ENDPOINT"),
            ca: Some(announced("CLOAKFS_TEST_MINIO_CA").into()),
            access_key: announced("CLOAKFS_TEST_MINIO_ACCESS_KEY"),
            secret_key: announced("CLOAKFS_TEST_MINIO_SECRET_KEY"),
        }
    }

    /// Credentials of a session that may do only what `policy` (JSON) allows, as environment
    /// variables. MinIO enforces such a policy on every request.
    pub fn session(&self, policy: &str) -> Vec<(String, String)> {
        let session = OtherClient::new(self, "none").assume_role(policy);
        [
            ("AWS_ACCESS_KEY_ID", session.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", session.secret_access_key()),
            ("AWS_SESSION_TOKEN", session.session_token()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// A new, empty bucket; its name begins with `name`.
    pub fn bucket(&self, name: &str) -> Bucket {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{count}", name.replace('_', "-"), std::process::id());
        let client = OtherClient::new(self, &name);
        client.create_bucket();
        Bucket {
            minio: self.clone(),
            name,
            client,
        }
    }
}

/// A bucket of one test.
#[derive(Debug)]
pub struct Bucket {
    pub minio: Minio,
    pub name: String,
    /// Another S3 client, to see what a mount has stored and to put objects beside it.
    pub client: OtherClient,
}

impl Bucket {
    /// To mount it.
    pub fn source(&self) -> Source {
        let mut options: Vec<String> = [
            "--endpoint-url",
            &self.minio.endpoint,
            "--path-style",
            "--region",
            "us-east-1",
        ]
        .map(String::from)
        .into();
        if let Some(ca) = &self.minio.ca {
            options.extend(["--ca-bundle".into(), ca.display().to_string()]);
        }
        Source {
            name: format!("s3://{}", self.name),
            options,
            environment: vec![
                ("AWS_ACCESS_KEY_ID".into(), self.minio.access_key.clone()),
                (
                    "AWS_SECRET_ACCESS_KEY".into(),
                    self.minio.secret_key.clone(),
                ),
            ],
        }
    }
}

/// A MinIO of one test's own, over http, which the test can stop and start again. Its data stays.
#[derive(Debug)]
pub struct PrivateMinio {
    place: TempDir,
    port: u16,
    server: Option<Child>,
}

impl PrivateMinio {
    pub fn start() -> Self {
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
            server: None,
        };
        minio.resume();
        minio
    }

    pub fn reach(&self) -> Minio {
        Minio {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            ca: None,
            access_key: ACCOUNT.into(),
            secret_key: ACCOUNT.into(),
        }
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
        let server = Command::new(tools.join("bin/minio"))
            .args([
                "server",
                "--quiet",
                "--address",
                &format!("127.0.0.1:{}", self.port),
            ])
            .arg(self.place.path().join("data"))
            .env("MINIO_ROOT_USER", ACCOUNT)
            .env("MINIO_ROOT_PASSWORD", ACCOUNT)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .env(
                "MINIO_KMS_SECRET_KEY",
                "my-key:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
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
