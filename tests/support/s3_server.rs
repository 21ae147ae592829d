//! The S3 servers that tests mount buckets of, and the buckets.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::mount::Source;
use super::other_client::OtherClient;

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

/// How to reach a server, and as whom.
#[derive(Clone, Debug)]
pub struct S3Server {
    pub endpoint: String,
    /// Where it has a KMS that speaks Amazon's API.
    pub kms_endpoint: Option<String>,
    /// PEM of the certificate to trust, for https.
    pub ca: Option<PathBuf>,
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
}

impl S3Server {
    /// The same server for a session that may do only what `policy` (JSON) allows. MinIO enforces
    /// such a policy on every request.
    pub fn restricted(&self, policy: &str) -> Self {
        let session = OtherClient::new(self, "none").assume_role(policy);
        Self {
            access_key: session.access_key_id().to_owned(),
            secret_key: session.secret_access_key().to_owned(),
            session_token: Some(session.session_token().to_owned()),
            ..self.clone()
        }
    }

    /// The credentials of [`S3Server::restricted`] as environment variables.
    pub fn session(&self, policy: &str) -> Vec<(String, String)> {
        self.restricted(policy).environment()
    }

    /// The credentials as environment variables.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", Some(&self.access_key)),
            ("AWS_SECRET_ACCESS_KEY", Some(&self.secret_key)),
            ("AWS_SESSION_TOKEN", self.session_token.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
        .collect()
    }

    /// A new, empty bucket; its name begins with `name`.
    pub fn bucket(&self, name: &str) -> Bucket {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{count}", name.replace('_', "-"), std::process::id());
        let bucket = self.existing(&name);
        bucket.client.create_bucket();
        bucket
    }

    /// A bucket that is there already.
    pub fn existing(&self, name: &str) -> Bucket {
        Bucket {
            server: self.clone(),
            name: name.to_owned(),
            client: OtherClient::new(self, name),
        }
    }
}

/// A bucket of one test.
#[derive(Debug)]
pub struct Bucket {
    pub server: S3Server,
    pub name: String,
    /// Another S3 client, to see what a mount has stored and to put objects beside it.
    pub client: OtherClient,
}

impl Bucket {
    /// The same bucket with the rights of a session under `policy` (JSON) only.
    pub fn restricted(&self, policy: &str) -> Self {
        self.server.restricted(policy).existing(&self.name)
    }

    /// To mount it.
    pub fn source(&self) -> Source {
        let mut options: Vec<String> = [
            "--endpoint-url",
            &self.server.endpoint,
            "--path-style",
            "--region",
            "us-east-1",
        ]
        .map(String::from)
        .into();
        if let Some(ca) = &self.server.ca {
            options.extend(["--ca-bundle".into(), ca.display().to_string()]);
        }
        Source {
            name: format!("s3://{}", self.name),
            options,
            environment: self.server.environment(),
        }
    }

    /// To mount it in the modes that need a KMS, of which `cloakfs` is told where the server has
    /// one.
    pub fn source_with_kms(&self) -> Source {
        let mut source = self.source();
        if let Some(kms) = &self.server.kms_endpoint {
            source
                .options
                .extend(["--kms-endpoint-url".into(), kms.clone()]);
        }
        source
    }
}
