//! The servers that `scripts/test` starts, as the tests find them, and clients for them that
//! are not cloakfs's own.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use cloakfs::aws::{Aws, AwsConfig, Transport};
use cloakfs::store::s3::{RequestedEncryption, S3Config, S3Store};

/// A server and how to speak to it.
#[derive(Clone, Debug)]
pub struct Server {
    pub name: &'static str,
    /// `http://` or `https://`, with port.
    pub endpoint: String,
    /// What signs the server's certificate, if it has one.
    pub ca: Option<PathBuf>,
    pub access_key: String,
    pub secret_key: String,
}

/// MinIO with TLS and one KMS key.
pub fn minio() -> Server {
    Server {
        name: "MinIO (https)",
        endpoint: variable("CLOAKFS_TEST_MINIO_ENDPOINT"),
        ca: Some(variable("CLOAKFS_TEST_MINIO_CA").into()),
        access_key: variable("CLOAKFS_TEST_MINIO_ACCESS_KEY"),
        secret_key: variable("CLOAKFS_TEST_MINIO_SECRET_KEY"),
    }
}

/// LocalStack over plain http.
pub fn localstack() -> Server {
    Server {
        name: "LocalStack (http)",
        endpoint: variable("CLOAKFS_TEST_LOCALSTACK_ENDPOINT"),
        ca: Some(variable("CLOAKFS_TEST_LOCALSTACK_CA").into()),
        // It checks neither.
        access_key: "test".to_owned(),
        secret_key: "test".to_owned(),
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set, so the test server cannot be found: run the tests with scripts/test, which starts the servers")
    })
}

impl Server {
    pub fn credentials(&self) -> Credentials {
        Credentials::new(
            &self.access_key,
            &self.secret_key,
            None,
            None,
            "test server",
        )
    }

    /// How cloakfs reaches it.
    pub fn config(&self) -> AwsConfig {
        AwsConfig {
            endpoint_url: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            ca_bundle: self.ca.clone(),
            credentials: Some(aws_sdk_s3::config::SharedCredentialsProvider::new(
                self.credentials(),
            )),
            ..AwsConfig::default()
        }
    }

    pub async fn store(&self, bucket: &str, encryption: RequestedEncryption) -> S3Store {
        let aws = Aws::find(&self.config())
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let config = S3Config {
            encryption,
            ..S3Config::new(bucket)
        };
        S3Store::new(&aws, config).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The SDK's own client.
    pub fn raw_client(&self) -> aws_sdk_s3::Client {
        let http = Transport::new(self.ca.as_deref()).expect("the CA bundle is right");
        aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .http_client(http)
                .endpoint_url(&self.endpoint)
                .force_path_style(true)
                .region(Region::new("us-east-1"))
                .credentials_provider(self.credentials())
                .build(),
        )
    }

    /// Makes a bucket of its own for one test. It goes with the server.
    pub async fn fresh_bucket(&self) -> String {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is after 1970")
            .as_nanos();
        let bucket = format!("t{:x}-{nanos:x}", std::process::id());
        self.raw_client()
            .create_bucket()
            .bucket(&bucket)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{}: making a bucket failed: {error:?}", self.name));
        bucket
    }
}
