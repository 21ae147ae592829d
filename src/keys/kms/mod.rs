//! KMS: what a key is, whether S3 can use it, data keys, and keys with material of one's own. The
//! only user of its SDK.
//!
//! Every request runs until its answer or a deadline: throttling and faults of the server are
//! asked again, with jitter ([`Deadline`]); everything else fails at once. An error is a
//! sentence that names the key, the reason and what to do ([`KmsError`]), and keeps the SDK's
//! error as its source.

mod data_key;
mod date;
mod deadline;
mod describe;
mod error;
mod facts;
mod inventory;
mod key_name;
mod material;
mod policy;

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{Config, Region};
use aws_sdk_kms::types::KeyMetadata;

use crate::aws::{Aws, Endpoint};
use crate::base::context::EncryptionContext;
pub use data_key::{BLOB_BYTES_MAX, Calls, KmsRoot};
pub use date::{Expiry, ExpiryError, rfc3339};
use deadline::Deadline;
pub use describe::ResolvedKey;
use error::Operation;
pub use error::{KmsError, KmsErrorKind, SdkWords};
pub use facts::{Expires, Holds, KeyFacts, PastRotation, Rotation};
pub use inventory::marker;
use key_name::KeyName;
pub use key_name::partition_of;
pub use material::{ImportParameters, Probe, Wrapping, WrappingBits};

/// KMS, as this process reaches it. Clones share the connections and the credentials.
#[derive(Clone, Debug)]
pub struct Kms {
    config: Config,
    endpoint: Endpoint,
}

impl Kms {
    /// `None` where nobody knows where KMS is: S3 is not Amazon's, and no endpoint of KMS was
    /// given.
    ///
    /// # Errors
    /// When it would be asked over plain http: whoever is between could answer with a key of
    /// their own. A server on this machine is believed.
    pub fn new(aws: &Aws) -> Result<Option<Self>, KmsError> {
        let Some(endpoint) = aws.kms().cloned() else {
            return Ok(None);
        };
        if !endpoint.is_tls() && !endpoint.is_loopback() {
            return Err(KmsError::plain_http(&endpoint));
        }
        let mut config = aws_sdk_kms::config::Builder::from(aws.sdk());
        // In place of the one for all services that the chain may know, which is S3's here.
        config.set_endpoint_url(endpoint.url.clone());
        let config = config.build();
        Ok(Some(Self { config, endpoint }))
    }

    /// Finds the key that S3 is to encrypt with, by its id, ARN or alias, and checks that S3 can
    /// use it for a bucket in `bucket_region`.
    ///
    /// Where these credentials may not look at the key (`kms:DescribeKey`), an id or ARN is
    /// taken as it is, with a note: writing needs other rights than looking.
    ///
    /// # Errors
    /// When there is no such key, S3 cannot use it, or KMS does not say so within `timeout`.
    pub async fn resolve_for_s3(
        &self,
        key: &str,
        bucket_region: &str,
        timeout: Duration,
    ) -> Result<ResolvedKey, KmsError> {
        let name = KeyName::parse(key);
        if let Some(arn) = name.arn() {
            describe::check_place(&name, arn, bucket_region)?;
        }
        // S3 looks for the key in the bucket's region, whatever region is configured.
        self.describe(&name, bucket_region, timeout, |key| {
            describe::usable_by_s3(&name, key, bucket_region)
        })
        .await
    }

    /// Finds the key that is to be the root of a client-side volume, by its id, ARN or alias, in
    /// the region that its ARN names, else in the configured one. `context` goes with each
    /// request. What the user should know is in the second place: sentences.
    ///
    /// # Errors
    /// When there is no such key, it makes no data keys, or KMS does not say so within `timeout`.
    pub async fn root(
        &self,
        key: &str,
        context: EncryptionContext,
        timeout: Duration,
    ) -> Result<(KmsRoot, Vec<String>), KmsError> {
        let name = KeyName::parse(key);
        let region = name.arn().map_or(&self.endpoint.region, |arn| &arn.region);
        let found = self
            .describe(&name, region, timeout, |key| {
                describe::usable_for_data_keys(&name, key)
            })
            .await?;
        let root = KmsRoot::new(
            self.client_in(region),
            self.endpoint_in(region),
            KeyName::parse(&found.arn),
            context,
            timeout,
        );
        Ok((root, found.notes))
    }

    async fn describe(
        &self,
        name: &KeyName,
        region: &str,
        timeout: Duration,
        usable: impl FnOnce(Option<&KeyMetadata>) -> Result<ResolvedKey, KmsError>,
    ) -> Result<ResolvedKey, KmsError> {
        let client = self.client_in(region);
        let subject = name.subject(Operation::DescribeKey, self.endpoint_in(region));
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                client.describe_key().key_id(name.as_str()).send()
            })
            .await;
        match answer {
            Ok(answer) => usable(answer.key_metadata()),
            Err(error) if error.kind() == KmsErrorKind::Denied && !name.is_alias() => {
                Ok(describe::taken_as_given(name, &error))
            }
            Err(error) => Err(error),
        }
    }

    /// Where a key is asked about: in the region that its ARN names, else in the configured one.
    fn place(&self, name: &KeyName) -> (Client, Endpoint) {
        let region = name.arn().map_or(&self.endpoint.region, |arn| &arn.region);
        (self.client_in(region), self.endpoint_in(region))
    }

    fn endpoint_in(&self, region: &str) -> Endpoint {
        Endpoint {
            region: region.to_owned(),
            ..self.endpoint.clone()
        }
    }

    fn client_in(&self, region: &str) -> Client {
        let region = Region::new(region.to_owned());
        Client::from_conf(self.config.to_builder().region(region).build())
    }
}

#[cfg(test)]
mod tests;
