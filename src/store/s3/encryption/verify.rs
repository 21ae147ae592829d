//! Whether an answer says that the object is under what was asked for.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{KmsRequest, RequestKind, RequestedEncryption};
use crate::store::ServerEncryption;

/// The encryption fields of an answer, as the server sent them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnsweredHeaders<'a> {
    pub server_side_encryption: Option<&'a str>,
    pub kms_key_id: Option<&'a str>,
    /// In base64. Only some answers to writes have it.
    pub kms_context: Option<&'a str>,
    pub bucket_key: Option<bool>,
    pub customer_key_md5: Option<&'a str>,
}

impl AnsweredHeaders<'_> {
    /// What they mean. A mode that is named decides: LocalStack repeats a customer's key also
    /// where it did not need it.
    #[must_use]
    pub fn parse(self) -> ServerEncryption {
        let sse_kms = |dsse| ServerEncryption::SseKms {
            key_id: self.kms_key_id.map(str::to_owned),
            bucket_key: self.bucket_key.unwrap_or(false),
            dsse,
        };
        match (self.server_side_encryption, self.customer_key_md5) {
            (Some("AES256"), _) => ServerEncryption::SseS3,
            (Some("aws:kms"), _) => sse_kms(false),
            (Some("aws:kms:dsse"), _) => sse_kms(true),
            (Some(other), _) => ServerEncryption::Other(other.to_owned()),
            (None, Some(key_md5)) => ServerEncryption::SseC {
                key_md5: key_md5.to_owned(),
            },
            (None, None) => ServerEncryption::None,
        }
    }
}

/// An answer that names another encryption than the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "asked for {requested}, but the server answered with {answered}: the bucket's default encryption or something between this host and the bucket overrides it; use that mode, or correct the bucket{}",
    if *.stored { "; the object is stored as answered until it is written again" } else { "" }
)]
pub struct EncryptionMismatch {
    /// Both in words: mode, key, and the context where it is what is wrong.
    requested: String,
    answered: String,
    /// Whether there is an object now.
    stored: bool,
}

/// Checks the answer to a request of this kind; `context` is as [`AnsweredHeaders`] has it.
///
/// Reads are never refused: an object of another mode in the bucket stays readable, and
/// [`crate::store::ObjectInfo::encryption`] tells. MinIO says nothing about the mode of
/// copies and where an upload begins or ends: what is said there must be right, and silence
/// about a finished object is settled by a HEAD. A bucket key that is asked for and not given is
/// no fault: it costs calls to KMS, not secrecy.
///
/// # Errors
/// When the answer names another mode, key or context, or none where every server names one.
pub fn verify(
    requested: &RequestedEncryption,
    kind: RequestKind,
    answered: &ServerEncryption,
    context: Option<&str>,
) -> Result<(), EncryptionMismatch> {
    if kind.reads() || is_silent(kind) && *answered == ServerEncryption::None {
        return Ok(());
    }
    let mut wrong_context = None;
    let right = match requested {
        RequestedEncryption::None => true,
        RequestedEncryption::SseS3 => *answered == ServerEncryption::SseS3,
        RequestedEncryption::SseKms(kms) => {
            wrong_context = context
                .filter(|context| !has_context(kms, context))
                .map(shown_context);
            is_kms(kms, answered) && wrong_context.is_none()
        }
        RequestedEncryption::SseC(key) => {
            matches!(answered, ServerEncryption::SseC { key_md5 } if key_md5 == key.md5())
        }
    };
    if right {
        return Ok(());
    }
    let answered = Answered {
        encryption: answered,
        context: wrong_context.as_deref(),
    };
    Err(EncryptionMismatch {
        requested: requested.to_string(),
        answered: answered.to_string(),
        stored: kind.stores(),
    })
}

/// Where some server says nothing although it does as asked.
fn is_silent(kind: RequestKind) -> bool {
    !matches!(kind, RequestKind::Put | RequestKind::UploadPart)
}

fn is_kms(kms: &KmsRequest, answered: &ServerEncryption) -> bool {
    let ServerEncryption::SseKms { key_id, dsse, .. } = answered else {
        return false;
    };
    // Amazon and MinIO always name the key. LocalStack does not under DSSE: it is the mode then
    // that shows that the request was understood.
    let key = match (&kms.key, key_id) {
        (Some(asked), Some(answered)) => is_same_key(asked, answered),
        (None, _) | (_, None) => true,
    };
    key && *dsse == kms.dsse
}

/// Two ARNs are the same or not; an id is the end of an ARN (`arn:aws:kms:…:key/ID`, and
/// MinIO's `arn:aws:kms:ID`).
fn is_same_key(asked: &str, answered: &str) -> bool {
    let [arn, id] = match (asked.starts_with("arn:"), answered.starts_with("arn:")) {
        (true, false) => [asked, answered],
        (false, true) => [answered, asked],
        _ => return asked == answered,
    };
    arn.rsplit(['/', ':']).next() == Some(id)
}

/// S3 adds pairs of its own: those that were asked for must be among the answered.
fn has_context(kms: &KmsRequest, answered: &str) -> bool {
    let Some(asked) = &kms.context else {
        return true;
    };
    let Some(answered) = read_context(answered) else {
        return false;
    };
    let pairs = asked.pairs();
    pairs
        .iter()
        .all(|(name, value)| answered.get(name) == Some(value))
}

fn read_context(base64: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&BASE64.decode(base64).ok()?).ok()
}

fn shown_context(base64: &str) -> String {
    let Some(pairs) = read_context(base64) else {
        return format!("{base64:?}, which is not one");
    };
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(", ")
}

/// The words for an answered encryption.
struct Answered<'a> {
    encryption: &'a ServerEncryption,
    context: Option<&'a str>,
}

impl fmt::Display for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.encryption {
            ServerEncryption::None => f.write_str("no encryption")?,
            ServerEncryption::SseS3 => f.write_str("sse-s3 (AES256)")?,
            ServerEncryption::SseKms { key_id, dsse, .. } => {
                f.write_str(if *dsse { "sse-kms (dsse)" } else { "sse-kms" })?;
                if let Some(key_id) = key_id {
                    write!(f, " under key {key_id}")?;
                }
            }
            ServerEncryption::SseC { key_md5 } => {
                write!(f, "sse-c under the key with MD5 {key_md5}")?;
            }
            ServerEncryption::Other(other) => write!(f, "{other:?}, which cloakfs does not know")?,
        }
        match self.context {
            Some(context) => write!(f, " with context {context}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
