//! Another S3 client: the SDK itself, with nothing of cloakfs's but its TLS, as the witness of what
//! a mount has stored.
//!
//! Every call blocks and panics when the server refuses: a test's own requests must work.

use std::collections::HashMap;
use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::primitives::ByteStream;
use cloakfs::aws::Transport;
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;

use super::minio::Minio;

/// What a HEAD tells about an object.
#[derive(Clone, Debug)]
pub struct Seen {
    pub size_bytes: u64,
    /// The answered `x-amz-server-side-encryption`.
    pub encryption: Option<String>,
    pub metadata: HashMap<String, String>,
}

/// An S3 client on one bucket.
pub struct OtherClient {
    client: Client,
    tokens: aws_sdk_sts::Client,
    runtime: Runtime,
    bucket: String,
}

impl OtherClient {
    pub fn new(minio: &Minio, bucket: &str) -> Self {
        let credentials = Credentials::new(
            &minio.access_key,
            &minio.secret_key,
            None,
            None,
            "the tests",
        );
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&minio.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        if let Some(ca) = &minio.ca {
            // A self-signed certificate as openssl makes it, which the SDK's own TLS refuses.
            let transport = Transport::new(Some(ca)).expect("the server's certificate");
            config = config.http_client(transport);
        }
        let config = config.build();
        let path_style = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
        Self {
            client: Client::from_conf(path_style.build()),
            tokens: aws_sdk_sts::Client::new(&config),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            bucket: bucket.to_owned(),
        }
    }

    /// Whether the server answers requests at all.
    pub fn answers(&self) -> bool {
        self.runtime
            .block_on(self.client.list_buckets().send())
            .is_ok()
    }

    /// Credentials for an hour, restricted to what `policy` allows.
    pub fn assume_role(&self, policy: &str) -> aws_sdk_sts::types::Credentials {
        let request = self
            .tokens
            .assume_role()
            .role_arn("arn:aws:iam::000000000000:role/ignored-by-minio")
            .role_session_name("tests")
            .policy(policy);
        let answer = self.runtime.block_on(request.send()).expect("a session");
        answer.credentials.expect("a session's credentials")
    }

    pub fn create_bucket(&self) {
        self.runtime
            .block_on(self.client.create_bucket().bucket(&self.bucket).send())
            .expect("creating a bucket");
    }

    pub fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let body = ByteStream::from(body.into());
        self.runtime
            .block_on(
                self.client
                    .put_object()
                    .bucket(&self.bucket)
                    .key(key)
                    .body(body)
                    .send(),
            )
            .unwrap_or_else(|error| panic!("putting {key:?}: {error:?}"));
    }

    /// Puts the same `body` under many keys, some at a time.
    pub fn put_all(&self, keys: &[String], body: &'static [u8]) {
        let puts = stream::iter(keys).map(|key| {
            let body = ByteStream::from_static(body);
            self.client
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .body(body)
                .send()
        });
        self.runtime
            .block_on(puts.buffer_unordered(16).for_each(|answer| async move {
                answer.expect("putting an object");
            }));
    }

    pub fn read(&self, key: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let object = self
                .client
                .get_object()
                .bucket(&self.bucket)
                .key(key)
                .send()
                .await
                .unwrap_or_else(|error| panic!("getting {key:?}: {error:?}"));
            object
                .body
                .collect()
                .await
                .expect("reading a body")
                .to_vec()
        })
    }

    pub fn head(&self, key: &str) -> Seen {
        let answer = self
            .runtime
            .block_on(
                self.client
                    .head_object()
                    .bucket(&self.bucket)
                    .key(key)
                    .send(),
            )
            .unwrap_or_else(|error| panic!("HEAD of {key:?}: {error:?}"));
        Seen {
            size_bytes: answer.content_length().unwrap_or(0).unsigned_abs(),
            encryption: answer
                .server_side_encryption()
                .map(|mode| mode.as_str().to_owned()),
            metadata: answer.metadata().cloned().unwrap_or_default(),
        }
    }

    pub fn delete(&self, key: &str) {
        self.runtime
            .block_on(
                self.client
                    .delete_object()
                    .bucket(&self.bucket)
                    .key(key)
                    .send(),
            )
            .unwrap_or_else(|error| panic!("deleting {key:?}: {error:?}"));
    }

    /// Every key that begins with `prefix`, in order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let mut keys = Vec::new();
            let mut pages = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.expect("listing the bucket");
                keys.extend(
                    page.contents()
                        .iter()
                        .filter_map(|object| object.key.clone()),
                );
            }
            keys
        })
    }
}

impl fmt::Debug for OtherClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OtherClient")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}
