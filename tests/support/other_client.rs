//! Another S3 client: the SDK itself, with nothing of cloakfs's but its TLS, as the witness of what
//! a mount has stored.
//!
//! Every call blocks. Those of [`OtherClient`] panic when the server refuses: a test's own requests
//! must work. Those of [`Asking`] may carry headers, and give refusals as values.

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, RequestChecksumCalculation, SharedCredentialsProvider};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use cloakfs::aws::Transport;
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;

use super::answer::{Recorder, Refused, Seen};
use super::customer_key::Headers;
use super::s3_server::S3Server;

/// The SDK's configuration for a server, with the TLS that trusts its certificate.
pub fn sdk_config(server: &S3Server, region: &str) -> SdkConfig {
    let credentials = Credentials::new(
        &server.access_key,
        &server.secret_key,
        server.session_token.clone(),
        None,
        "the tests",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(&server.endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials));
    if let Some(ca) = &server.ca {
        // A self-signed certificate as openssl makes it, which the SDK's own TLS refuses.
        let transport = Transport::new(Some(ca)).expect("the server's certificate");
        config = config.http_client(transport);
    }
    config.build()
}

/// An S3 client on one bucket.
pub struct OtherClient {
    client: Client,
    tokens: aws_sdk_sts::Client,
    runtime: Runtime,
    bucket: String,
}

impl OtherClient {
    pub fn new(server: &S3Server, bucket: &str) -> Self {
        let config = sdk_config(server, "us-east-1");
        let path_style = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(true)
            // LocalStack cannot read a checksum that follows the body.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
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

    /// Sets the bucket's default encryption: `AES256` or `aws:kms`, with a key of KMS.
    pub fn encrypt_by_default(&self, mode: &str, kms_key: Option<&str>) {
        let by_default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(mode.into())
            .set_kms_master_key_id(kms_key.map(str::to_owned))
            .build()
            .expect("a default encryption");
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(by_default)
            .build();
        let rules = ServerSideEncryptionConfiguration::builder()
            .rules(rule)
            .build()
            .expect("one rule");
        let request = self
            .client
            .put_bucket_encryption()
            .bucket(&self.bucket)
            .server_side_encryption_configuration(rules);
        self.runtime
            .block_on(request.send())
            .expect("setting the default encryption");
    }

    /// The bucket's policy, which must be there.
    pub fn policy(&self) -> serde_json::Value {
        let request = self.client.get_bucket_policy().bucket(&self.bucket);
        let answer = self.runtime.block_on(request.send());
        let policy = answer.expect("reading the policy").policy;
        serde_json::from_str(&policy.expect("a policy")).expect("JSON")
    }

    pub fn put_policy(&self, policy: &str) {
        let request = self.client.put_bucket_policy().bucket(&self.bucket);
        self.runtime
            .block_on(request.policy(policy).send())
            .expect("putting a policy");
    }

    /// Requests with these headers added, whose refusals are values.
    pub fn with(&self, headers: impl Into<Headers>) -> Asking<'_> {
        Asking {
            client: self,
            headers: headers.into(),
        }
    }

    pub fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        self.with([])
            .put(key, body)
            .unwrap_or_else(|refused| panic!("putting {key:?}: {refused:?}"));
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
        self.with([])
            .read(key)
            .unwrap_or_else(|refused| panic!("getting {key:?}: {refused:?}"))
    }

    pub fn head(&self, key: &str) -> Seen {
        self.with([])
            .head(key)
            .unwrap_or_else(|refused| panic!("HEAD of {key:?}: {refused:?}"))
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

    /// The unfinished uploads of an object. Not those of all objects, which MinIO does not list.
    pub fn uploads(&self, key: &str) -> Vec<String> {
        let request = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(key);
        let answer = self.runtime.block_on(request.send());
        let answer = answer.expect("listing uploads");
        let uploads = answer.uploads().iter();
        uploads
            .filter(|upload| upload.key() == Some(key))
            .filter_map(|upload| upload.upload_id.clone())
            .collect()
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

/// Requests of an [`OtherClient`] with headers added to each of them.
#[derive(Debug)]
pub struct Asking<'a> {
    client: &'a OtherClient,
    headers: Headers,
}

/// Sends a request of the SDK with the headers added, and judges the answer.
macro_rules! ask {
    ($asking:ident, $request:expr) => {{
        let recorder = Recorder::default();
        let headers = $asking.headers.clone();
        let request = $request
            .customize()
            .mutate_request(move |request| {
                for (name, value) in &headers {
                    request.headers_mut().insert(*name, value.clone());
                }
            })
            .interceptor(recorder.clone());
        let result = $asking.client.runtime.block_on(request.send());
        recorder.judge(result)
    }};
}

impl Asking<'_> {
    pub fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> Result<Seen, Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        let body = ByteStream::from(body.into());
        let request = client.put_object().bucket(bucket).key(key).body(body);
        ask!(self, request).map(|(_, seen)| seen)
    }

    pub fn head(&self, key: &str) -> Result<Seen, Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        ask!(self, client.head_object().bucket(bucket).key(key)).map(|(_, seen)| seen)
    }

    pub fn read(&self, key: &str) -> Result<Vec<u8>, Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        let (object, _) = ask!(self, client.get_object().bucket(bucket).key(key))?;
        let body = self.client.runtime.block_on(object.body.collect());
        Ok(body.expect("reading a body").to_vec())
    }

    /// Copies within the bucket.
    pub fn copy(&self, from: &str, to: &str) -> Result<Seen, Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        let request = client
            .copy_object()
            .bucket(bucket)
            .key(to)
            .copy_source(format!("{bucket}/{from}"));
        ask!(self, request).map(|(_, seen)| seen)
    }

    /// Begins a multipart upload and gives it up again.
    pub fn begin_multipart(&self, key: &str) -> Result<(), Refused> {
        let upload = self.begin(key)?;
        self.give_up(key, &upload);
        Ok(())
    }

    /// Begins an upload with `beginning` alone added, copies an object into its first part with
    /// all headers, and gives it up again.
    pub fn copy_part(&self, beginning: Headers, from: &str, to: &str) -> Result<(), Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        let upload = self.client.with(beginning).begin(to)?;
        let request = client
            .upload_part_copy()
            .bucket(bucket)
            .key(to)
            .upload_id(&upload)
            .part_number(1)
            .copy_source(format!("{bucket}/{from}"));
        let outcome = ask!(self, request).map(|_| ());
        self.give_up(to, &upload);
        outcome
    }

    /// Begins an upload with `beginning` alone added, sends a part with all headers, and gives it
    /// up again.
    pub fn send_part(&self, beginning: Headers, key: &str) -> Result<(), Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        let upload = self.client.with(beginning).begin(key)?;
        let request = client
            .upload_part()
            .bucket(bucket)
            .key(key)
            .upload_id(&upload)
            .part_number(1)
            .body(ByteStream::from_static(b"x"));
        let outcome = ask!(self, request).map(|_| ());
        self.give_up(key, &upload);
        outcome
    }

    /// Begins a multipart upload, and leaves it.
    pub fn begin(&self, key: &str) -> Result<String, Refused> {
        let OtherClient { client, bucket, .. } = self.client;
        let (upload, _) = ask!(
            self,
            client.create_multipart_upload().bucket(bucket).key(key)
        )?;
        Ok(upload.upload_id.expect("an upload's id"))
    }

    fn give_up(&self, key: &str, upload: &str) {
        let OtherClient { client, bucket, .. } = self.client;
        let request = client.abort_multipart_upload().bucket(bucket).key(key);
        self.client
            .runtime
            .block_on(request.upload_id(upload).send())
            .expect("giving up an upload");
    }
}
