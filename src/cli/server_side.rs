//! From what was asked for to what the store is told: keys are read and names of keys resolved.
//!
//! Nothing here is called before the process is a daemon of its own without core dumps. The
//! files are read first, since what is wrong with them needs no server to be told.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use super::encryption::{Encryption, KmsKey, Layers, ServerSide, SseKms};
use crate::aws::Aws;
use crate::keys::file::{self, KeyFileError};
use crate::keys::kms::Kms;
use crate::mount::control::protocol;
use crate::store::s3::{CustomerKey, KmsRequest, RequestedEncryption};

/// The keys of customers that a mount was given.
pub(super) struct CustomerKeys {
    /// To write with, in SSE-C.
    own: Option<CustomerKey>,
    /// What older objects may be under.
    pub older: Vec<CustomerKey>,
}

impl CustomerKeys {
    /// Reads the files, each within `timeout`: one may be a pipe into which nobody writes.
    pub(super) async fn read(encryption: &Encryption, timeout: Duration) -> anyhow::Result<Self> {
        let own = match &encryption.mode {
            ServerSide::SseC { key_file } => {
                let key = within(timeout, key_file, |path| {
                    file::read_one(path).map(|key| CustomerKey::new(&key))
                });
                Some(key.await?)
            }
            _ => None,
        };
        let mut older = Vec::new();
        for path in &encryption.read_key_files {
            let keys = within(timeout, path, |path| {
                file::read_several(path)
                    .map(|keys| keys.iter().map(CustomerKey::new).collect::<Vec<_>>())
            });
            older.extend(keys.await?);
        }
        Ok(Self { own, older })
    }

    /// Its own comes first.
    pub(super) fn all(&self) -> Vec<CustomerKey> {
        self.own.iter().chain(&self.older).cloned().collect()
    }
}

/// Reads a file in a thread of its own, which at the end of the time is left behind.
pub(super) async fn within<T: Send + 'static>(
    timeout: Duration,
    path: &Path,
    read: fn(&Path) -> Result<T, KeyFileError>,
) -> anyhow::Result<T> {
    let owned = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&owned));
    match tokio::time::timeout(timeout, reading).await {
        Ok(read) => Ok(read??),
        Err(_elapsed) => bail!(
            "the key file {} was not read to its end within {} s: whoever writes into a pipe must write the key and close it; for a file, check the disk that it is on",
            path.display(),
            timeout.as_secs()
        ),
    }
}

/// What every write asks for, with the key of KMS as it was named.
pub(super) fn request(mode: &ServerSide, keys: &CustomerKeys) -> RequestedEncryption {
    match (mode, &keys.own) {
        (ServerSide::BucketDefault, _) => RequestedEncryption::None,
        (ServerSide::SseS3, _) => RequestedEncryption::SseS3,
        (ServerSide::SseKms(kms), _) => RequestedEncryption::SseKms(request_kms(kms)),
        (ServerSide::SseC { .. }, Some(key)) => RequestedEncryption::SseC(key.clone()),
        (ServerSide::SseC { key_file }, None) => {
            unreachable!("the key in {} was read", key_file.display())
        }
    }
}

fn request_kms(asked: &SseKms) -> KmsRequest {
    let (bucket_key, dsse) = match asked.layers {
        Layers::One { bucket_key } => (bucket_key, false),
        Layers::Two => (false, true),
    };
    KmsRequest {
        key: asked.key.as_ref().map(|key| key.as_str().to_owned()),
        context: asked.context.clone(),
        bucket_key,
        dsse,
    }
}

/// KMS, where it is to be asked about the mount's key: a key that S3 could not use is told at
/// once and in KMS's words. Where no KMS is known, as with a server's own keys, the name is
/// taken as it is given; an alias says nothing there.
pub(super) fn kms_to_ask(mode: &ServerSide, aws: &Aws) -> anyhow::Result<Option<Kms>> {
    let ServerSide::SseKms(SseKms { key: Some(key), .. }) = mode else {
        return Ok(None);
    };
    match (Kms::new(aws)?, key) {
        (None, KmsKey::Alias(name)) => bail!(
            "{} cannot be asked which key {name} is, since it is not Amazon's and no KMS is known beside it; give --kms-endpoint-url, or the key's ARN in place of the alias",
            aws.s3().describe("S3")
        ),
        (kms, _) => Ok(kms),
    }
}

/// Puts the key's ARN in place of its name. Adds to `notes` what the user should know. The
/// bucket is to be asked before, since `bucket_region` is then known to be its own.
pub(super) async fn resolve_key(
    requested: &mut RequestedEncryption,
    kms: &Kms,
    bucket_region: &str,
    timeout: Duration,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    if let RequestedEncryption::SseKms(KmsRequest { key: Some(key), .. }) = requested {
        let resolved = kms.resolve_for_s3(key, bucket_region, timeout).await?;
        notes.extend(resolved.notes);
        *key = resolved.arn;
    }
    Ok(())
}

/// For status.
pub(super) fn describe(requested: &RequestedEncryption) -> protocol::Encryption {
    match requested {
        RequestedEncryption::None => protocol::Encryption::of_mode("none"),
        RequestedEncryption::SseS3 => protocol::Encryption::of_mode("sse-s3"),
        RequestedEncryption::SseKms(kms) => protocol::Encryption {
            kms_key: kms.key.clone(),
            kms_context: kms
                .context
                .as_ref()
                .map(|context| context.pairs().clone())
                .unwrap_or_default(),
            bucket_key: (!kms.dsse).then_some(kms.bucket_key),
            ..protocol::Encryption::of_mode(if kms.dsse { "sse-kms-dsse" } else { "sse-kms" })
        },
        RequestedEncryption::SseC(key) => protocol::Encryption {
            key_md5: Some(key.md5().to_owned()),
            ..protocol::Encryption::of_mode("sse-c")
        },
    }
}
