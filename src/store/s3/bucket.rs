//! What a mount asks about the bucket itself.

use aws_sdk_s3::types::{BucketVersioningStatus, ServerSideEncryption, ServerSideEncryptionRule};

use super::{S3Store, errors};
use crate::store::{
    ErrorKind, ListOptions, Operation, Result, ServerEncryption, Store, StoreError,
};

/// What the check at mount learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketFacts {
    /// Whether there is any object below the prefix.
    pub holds_objects: bool,
}

/// Whether the bucket keeps old versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// Never turned on.
    Off,
    On,
    /// Turned on once; older versions may be there, new ones are not kept.
    Suspended,
    /// These credentials may not ask, or the server does not know.
    Unknown,
}

impl S3Store {
    /// Asks for one key below `prefix`: the cheapest request that shows that endpoint, bucket
    /// and credentials are right, under the permission to list that a mount needs anyway.
    ///
    /// # Errors
    /// The failure of the listing; [`S3Store::explain`] words it.
    pub async fn check(&self, prefix: &str) -> Result<BucketFacts> {
        let page = self
            .list(ListOptions {
                prefix: prefix.to_owned(),
                max_keys: Some(1),
                ..ListOptions::default()
            })
            .await?;
        Ok(BucketFacts {
            holds_objects: !page.objects.is_empty(),
        })
    }

    /// What objects are under for which no encryption is asked: the bucket's default. `None` where
    /// these credentials may not ask, or the server does not tell.
    pub async fn default_as_told(&self) -> Option<ServerEncryption> {
        match self.default_rule().await {
            Ok(rule) => Some(default_of(&rule?)),
            Err(error) if has_no_default(&error) => Some(ServerEncryption::None),
            Err(error) => {
                tracing::debug!("the bucket's default encryption is not known: {error}");
                None
            }
        }
    }

    /// The first rule of the bucket's default encryption, which is the only one.
    pub(super) async fn default_rule(&self) -> Result<Option<ServerSideEncryptionRule>> {
        let operation = Operation::GetBucketEncryption;
        let request = self.client.get_bucket_encryption().bucket(&self.bucket);
        let output = request
            .send()
            .await
            .map_err(|error| errors::from_sdk(operation, &self.bucket, error))?;
        let rules = output
            .server_side_encryption_configuration
            .map(|configuration| configuration.rules);
        Ok(rules.and_then(|rules| rules.into_iter().next()))
    }

    /// # Errors
    /// When the server cannot be asked. That it refuses to tell is [`Versioning::Unknown`].
    pub async fn versioning(&self) -> Result<Versioning> {
        let answer = self
            .client
            .get_bucket_versioning()
            .bucket(&self.bucket)
            .send()
            .await
            .map_err(|error| errors::from_sdk(Operation::GetBucketVersioning, &self.bucket, error));
        match answer {
            Ok(output) => Ok(match output.status {
                None => Versioning::Off,
                Some(BucketVersioningStatus::Enabled) => Versioning::On,
                Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
                Some(_) => Versioning::Unknown,
            }),
            Err(error) if refuses_to_tell(&error) => Ok(Versioning::Unknown),
            Err(error) => Err(error),
        }
    }
}

fn default_of(rule: &ServerSideEncryptionRule) -> ServerEncryption {
    let Some(default) = rule.apply_server_side_encryption_by_default() else {
        return ServerEncryption::None;
    };
    let kms = |dsse| ServerEncryption::SseKms {
        key_id: default.kms_master_key_id().map(str::to_owned),
        bucket_key: rule.bucket_key_enabled() == Some(true),
        dsse,
    };
    match default.sse_algorithm() {
        ServerSideEncryption::Aes256 => ServerEncryption::SseS3,
        ServerSideEncryption::AwsKms => kms(false),
        ServerSideEncryption::AwsKmsDsse => kms(true),
        other => ServerEncryption::Other(other.as_str().to_owned()),
    }
}

/// The bucket has no default: S3's code, as other servers give it too.
pub(super) fn has_no_default(error: &StoreError) -> bool {
    error.code() == Some("ServerSideEncryptionConfigurationNotFoundError")
}

fn refuses_to_tell(error: &StoreError) -> bool {
    error.kind() == ErrorKind::Denied || error.code() == Some("NotImplemented")
}
