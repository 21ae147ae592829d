//! From what was asked for to what the store is told: keys are read and names of keys resolved.
//!
//! Nothing here is called before the process is a daemon of its own without core dumps. The
//! files are read first, since what is wrong with them needs no server to be told.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use super::encryption::{Encryption, KmsKey, Layers, ServerSide, SseKms};
use crate::aws::Aws;
use crate::keys::file;
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
    /// Reads the files.
    pub(super) async fn read(encryption: &Encryption) -> anyhow::Result<Self> {
        let encryption = encryption.clone();
        // It looks at the disk, which a task may not wait for.
        tokio::task::spawn_blocking(move || Self::read_now(&encryption)).await?
    }

    fn read_now(encryption: &Encryption) -> anyhow::Result<Self> {
        let own = match &encryption.mode {
            ServerSide::SseC { key_file } => Some(CustomerKey::new(&file::read_one(key_file)?)),
            _ => None,
        };
        let mut older = Vec::new();
        for path in &encryption.read_key_files {
            older.extend(read_several(path)?);
        }
        Ok(Self { own, older })
    }
}

fn read_several(path: &Path) -> anyhow::Result<Vec<CustomerKey>> {
    let keys = file::read_several(path)?;
    Ok(keys.iter().map(CustomerKey::new).collect())
}

/// What every write asks for. Adds to `notes` what the user should know.
pub(super) async fn request(
    mode: &ServerSide,
    keys: &CustomerKeys,
    aws: &Aws,
    timeout: Duration,
    notes: &mut Vec<String>,
) -> anyhow::Result<RequestedEncryption> {
    Ok(match (mode, &keys.own) {
        (ServerSide::BucketDefault, _) => RequestedEncryption::None,
        (ServerSide::SseS3, _) => RequestedEncryption::SseS3,
        (ServerSide::SseKms(kms), _) => {
            RequestedEncryption::SseKms(request_kms(kms, aws, timeout, notes).await?)
        }
        (ServerSide::SseC { .. }, Some(key)) => RequestedEncryption::SseC(key.clone()),
        (ServerSide::SseC { key_file }, None) => {
            unreachable!("the key in {} was read", key_file.display())
        }
    })
}

async fn request_kms(
    asked: &SseKms,
    aws: &Aws,
    timeout: Duration,
    notes: &mut Vec<String>,
) -> anyhow::Result<KmsRequest> {
    let key = match &asked.key {
        None => None,
        Some(key) => Some(resolve(key, aws, timeout, notes).await?),
    };
    let (bucket_key, dsse) = match asked.layers {
        Layers::One { bucket_key } => (bucket_key, false),
        Layers::Two => (false, true),
    };
    Ok(KmsRequest {
        key,
        context: asked.context.clone(),
        bucket_key,
        dsse,
    })
}

/// KMS is asked wherever it is known: a key that S3 could not use is told now and in KMS's
/// words. Elsewhere, as with a server's own keys, the name is taken as it is given; an alias
/// says nothing there.
async fn resolve(
    key: &KmsKey,
    aws: &Aws,
    timeout: Duration,
    notes: &mut Vec<String>,
) -> anyhow::Result<String> {
    match (Kms::new(aws), key) {
        (Some(kms), key) => {
            let resolved = kms
                .resolve_for_s3(key.as_str(), &aws.s3().region, timeout)
                .await?;
            notes.extend(resolved.notes);
            Ok(resolved.arn)
        }
        (None, KmsKey::Itself(name)) => Ok(name.clone()),
        (None, KmsKey::Alias(name)) => bail!(
            "{} cannot be asked which key {name} is, since it is not Amazon's and no KMS is known beside it; give --kms-endpoint-url, or the key's ARN in place of the alias",
            aws.s3().describe("S3")
        ),
    }
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
