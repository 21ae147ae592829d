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

/// What an answer that is not wrong says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// That what was asked for is done, or that nothing was asked for.
    Right,
    /// Nothing of the mode, or of the key: a HEAD of what is stored must tell.
    Open,
}

/// Checks the answer to a request of this kind; `context` is as [`AnsweredHeaders`] has it.
///
/// Reads are never refused: an object of another mode in the bucket stays readable, and
/// [`crate::store::ObjectInfo::encryption`] tells. MinIO says nothing about the mode of
/// copies and where an upload begins or ends: what is said there must be right. A bucket key that
/// is asked for and not given is no fault: it costs calls to KMS, not secrecy.
///
/// # Errors
/// When the answer names another mode, key or context, or no mode where every server names one.
pub fn verify(
    requested: &RequestedEncryption,
    kind: RequestKind,
    answered: &ServerEncryption,
    context: Option<&str>,
) -> Result<Verdict, EncryptionMismatch> {
    if kind.reads() || *requested == RequestedEncryption::None {
        return Ok(Verdict::Right);
    }
    if is_silent(kind) && *answered == ServerEncryption::None {
        return Ok(Verdict::Open);
    }
    let wrong_context = match requested {
        RequestedEncryption::SseKms(kms) => context
            .filter(|context| !has_context(kms, context))
            .map(shown_context),
        _ => None,
    };
    match answered_as_asked(requested, answered) {
        Some(verdict) if wrong_context.is_none() => Ok(verdict),
        _ => Err(mismatch(
            requested,
            answered,
            wrong_context.as_deref(),
            kind.stores(),
        )),
    }
}

/// Checks what a HEAD says of an object that was written: there is nothing left to ask.
///
/// # Errors
/// When it is not what was asked for.
pub fn verify_stored(
    requested: &RequestedEncryption,
    answered: &ServerEncryption,
) -> Result<(), EncryptionMismatch> {
    let right = *requested == RequestedEncryption::None
        || answered_as_asked(requested, answered) == Some(Verdict::Right);
    if right {
        Ok(())
    } else {
        Err(mismatch(requested, answered, None, true))
    }
}

fn mismatch(
    requested: &RequestedEncryption,
    encryption: &ServerEncryption,
    context: Option<&str>,
    stored: bool,
) -> EncryptionMismatch {
    EncryptionMismatch {
        requested: requested.to_string(),
        answered: Answered {
            encryption,
            context,
        }
        .to_string(),
        stored,
    }
}

/// Whether a bucket key was asked for, and the object is under KMS without one.
#[must_use]
pub fn lacks_bucket_key(requested: &RequestedEncryption, answered: &ServerEncryption) -> bool {
    let asked = matches!(requested, RequestedEncryption::SseKms(kms) if kms.bucket_key);
    let without = matches!(
        answered,
        ServerEncryption::SseKms {
            bucket_key: false,
            ..
        }
    );
    asked && without
}

/// Where some server says nothing although it does as asked.
fn is_silent(kind: RequestKind) -> bool {
    !matches!(kind, RequestKind::Put | RequestKind::UploadPart)
}

/// `None` when it is something else.
fn answered_as_asked(
    requested: &RequestedEncryption,
    answered: &ServerEncryption,
) -> Option<Verdict> {
    let right = match (requested, answered) {
        (RequestedEncryption::None, _) | (RequestedEncryption::SseS3, ServerEncryption::SseS3) => {
            true
        }
        (RequestedEncryption::SseKms(kms), ServerEncryption::SseKms { key_id, dsse, .. })
            if kms.dsse == *dsse =>
        {
            return names_key(kms.key.as_deref(), key_id.as_deref(), *dsse);
        }
        (RequestedEncryption::SseC(key), ServerEncryption::SseC { key_md5 }) => {
            key_md5 == key.md5()
        }
        _ => false,
    };
    right.then_some(Verdict::Right)
}

/// Whether the key that an answer names is the one that was asked for; `None` when it is not.
///
/// Amazon and MinIO always name the key. LocalStack does not under DSSE: it is the mode then that
/// shows that the request was understood.
pub(super) fn names_key(
    asked: Option<&str>,
    answered: Option<&str>,
    dsse: bool,
) -> Option<Verdict> {
    match (asked, answered) {
        (Some(asked), Some(answered)) => is_same_key(asked, answered).then_some(Verdict::Right),
        (Some(_), None) if !dsse => Some(Verdict::Open),
        (Some(_), None) | (None, _) => Some(Verdict::Right),
    }
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
