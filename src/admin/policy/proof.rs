//! Whether a bucket keeps to what its policy says, shown by uploads: what is wrong must be denied,
//! what is right must be accepted. Nothing else shows it: some servers take a policy and do not
//! enforce it.
//!
//! The objects are small, below `<prefix>.cloakfs/probe/`, and deleted again, those too that should
//! not have been accepted.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::base::id::CommitId;
use crate::base::limits::RESERVED_PREFIX;
use crate::store::settings::{DefaultAlgorithm, DefaultEncryption};
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ErrorKind, HeadOptions, ObjectAttributes, ObjectKey,
    Operation, PartNumber, PutOptions, Result, ServerEncryption, Store, UploadId, VersionId,
    WriteCondition, Written,
};

const CONTENT: &[u8] = b"cloakfs tries what this bucket accepts";

/// The bucket as somebody would write to it.
#[derive(Clone, Debug)]
pub struct Writer {
    pub store: Arc<dyn Store>,
    /// What its uploads ask for, as the end of a sentence: `sse-s3`.
    pub asks_for: String,
}

/// What one request showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The request: `PutObject with sse-s3`.
    pub request: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// What is wrong was denied.
    Denied,
    /// What is right was accepted.
    Accepted,
    /// The policy says that it is denied; it was not tried.
    Stated,
    /// What is wrong was accepted.
    NotEnforced,
    /// What is right was refused, or it could not be found out.
    Failed(String),
}

impl Outcome {
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Denied | Self::Accepted | Self::Stated)
    }
}

/// Everything that was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proofs {
    pub proofs: Vec<Proof>,
    /// Keys of objects that could not be deleted again.
    pub left_behind: Vec<String>,
    /// Uploads that were begun and could not be aborted.
    pub uploads_left: Vec<LeftUpload>,
    /// How many older versions stay in a bucket that keeps them, since these credentials may not
    /// delete any.
    pub versions_left: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftUpload {
    pub key: String,
    pub upload: String,
}

impl Proofs {
    /// All of it is as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let mut outcomes = self.proofs.iter().map(|proof| &proof.outcome);
        let is_clean = self.left_behind.is_empty() && self.uploads_left.is_empty();
        is_clean && outcomes.all(Outcome::is_good)
    }

    fn note(&mut self, operation: Operation, writer: &Writer, outcome: Outcome) {
        let request = format!("{operation} with {}", writer.asks_for);
        self.proofs.push(Proof { request, outcome });
    }

    /// Deletes what was made, and its versions where the bucket keeps them.
    async fn clear_away(&mut self, store: &dyn Store, made: Vec<Made>) {
        for Made { key, version } in made {
            if version.is_some() {
                let if_match = None;
                let options = DeleteOptions { if_match, version };
                match store.delete(&key, options).await {
                    Ok(()) => continue,
                    Err(error) => {
                        tracing::debug!(object = %key, "a version of a probe stays: {error}");
                        self.versions_left += 1;
                    }
                }
            }
            if let Err(error) = store.delete(&key, DeleteOptions::default()).await {
                tracing::debug!(object = %key, "a probe is left behind: {error}");
                self.left_behind.push(key.to_string());
            }
        }
    }
}

/// An object that may be there now.
struct Made {
    key: ObjectKey,
    version: Option<VersionId>,
}

impl Made {
    fn of(key: ObjectKey, answer: &Result<Written>) -> Self {
        let version = answer.as_ref().ok().and_then(|it| it.version.clone());
        // Of a bucket that keeps none.
        let version = version.filter(|version| version.as_str() != "null");
        Self { key, version }
    }
}

/// Tries each way to make an object, as `right` must be able to and each of `wrong` must not, below
/// `prefix`, which is empty or ends in `/`.
pub async fn uploads(prefix: &str, right: &Writer, wrong: &[Writer]) -> Proofs {
    let mut proofs = Proofs::default();
    let mut made = vec![];
    let accepted = Outcome::accepted;
    let source = attempt(prefix, right, None, accepted, &mut proofs, &mut made).await;
    in_parts(prefix, right, &mut proofs, &mut made).await;
    for writer in wrong {
        let (source, denied) = (source.as_ref(), Outcome::denied);
        attempt(prefix, writer, source, denied, &mut proofs, &mut made).await;
        begin(prefix, writer, denied, &mut proofs).await;
    }
    proofs.clear_away(right.store.as_ref(), made).await;
    proofs
}

/// Tries an upload and a copy of `source` (else of that upload); the key of what was uploaded.
/// Everything that may be there now is added to `made`.
async fn attempt(
    prefix: &str,
    writer: &Writer,
    source: Option<&ObjectKey>,
    judge: fn(Result<()>) -> Outcome,
    proofs: &mut Proofs,
    made: &mut Vec<Made>,
) -> Option<ObjectKey> {
    let [Some(key), Some(copy)] = [(); 2].map(|()| fresh(prefix)) else {
        proofs.note(Operation::PutObject, writer, too_long());
        return None;
    };
    let store = writer.store.as_ref();
    let put = store.put(&key, Bytes::from_static(CONTENT), PutOptions::default());
    let put = put.await;
    made.push(Made::of(key.clone(), &put));
    let own = put.is_ok().then(|| key.clone());
    proofs.note(Operation::PutObject, writer, judge(put.map(|_| ())));
    if let Some(source) = source.cloned().or_else(|| own.clone()) {
        let source = CopySource {
            key: source,
            if_match: None,
            version: None,
            range: None,
        };
        let (keep, always) = (CopyAttributes::Keep, WriteCondition::None);
        let copied = store.copy(&copy, source, keep, always).await;
        made.push(Made::of(copy, &copied));
        proofs.note(Operation::CopyObject, writer, judge(copied.map(|_| ())));
    }
    own
}

/// Tries to begin an upload in parts, and gives it up.
async fn begin(
    prefix: &str,
    writer: &Writer,
    judge: fn(Result<()>) -> Outcome,
    proofs: &mut Proofs,
) {
    let operation = Operation::CreateMultipartUpload;
    let Some(key) = fresh(prefix) else {
        return proofs.note(operation, writer, too_long());
    };
    let store = writer.store.as_ref();
    let begun = store.create_multipart(&key, ObjectAttributes::default());
    let begun = begun.await;
    if let Ok(upload) = &begun {
        give_up(store, &key, upload, proofs).await;
    }
    proofs.note(operation, writer, judge(begun.map(|_| ())));
}

/// All of an upload in parts, which must be accepted: what a policy compares is in the headers
/// of each request, and those of parts are others than those of the beginning.
async fn in_parts(prefix: &str, writer: &Writer, proofs: &mut Proofs, made: &mut Vec<Made>) {
    let begins = Operation::CreateMultipartUpload;
    let Some(key) = fresh(prefix) else {
        return proofs.note(begins, writer, too_long());
    };
    let store = writer.store.as_ref();
    let attributes = ObjectAttributes::default();
    let upload = match store.create_multipart(&key, attributes).await {
        Ok(upload) => upload,
        Err(error) => return proofs.note(begins, writer, Outcome::accepted(Err(error))),
    };
    proofs.note(begins, writer, Outcome::Accepted);
    let number = PartNumber::new(1).expect("1 is a part's number");
    let body = Bytes::from_static(CONTENT);
    let part = match store.upload_part(&key, &upload, number, body).await {
        Ok(part) => part,
        Err(error) => {
            proofs.note(Operation::UploadPart, writer, Outcome::accepted(Err(error)));
            return give_up(store, &key, &upload, proofs).await;
        }
    };
    proofs.note(Operation::UploadPart, writer, Outcome::Accepted);
    let parts = [part];
    let completed = store.complete_multipart(&key, &upload, &parts, WriteCondition::None);
    let completed = completed.await;
    if completed.is_err() {
        give_up(store, &key, &upload, proofs).await;
    }
    made.push(Made::of(key, &completed));
    let outcome = Outcome::accepted(completed.map(|_| ()));
    proofs.note(Operation::CompleteMultipartUpload, writer, outcome);
}

async fn give_up(store: &dyn Store, key: &ObjectKey, upload: &UploadId, proofs: &mut Proofs) {
    if let Err(error) = store.abort_multipart(key, upload).await {
        tracing::debug!(object = %key, "an upload is left behind: {error}");
        proofs.uploads_left.push(LeftUpload {
            key: key.to_string(),
            upload: upload.to_string(),
        });
    }
}

fn fresh(prefix: &str) -> Option<ObjectKey> {
    let name = format!("{prefix}{RESERVED_PREFIX}probe/{}", CommitId::random());
    ObjectKey::new(name).ok()
}

fn too_long() -> Outcome {
    Outcome::Failed("the prefix is too long for an object's key below it".to_owned())
}

impl Outcome {
    fn accepted(answer: Result<()>) -> Self {
        match answer {
            Ok(()) => Self::Accepted,
            Err(error) => Self::Failed(format!("an upload of the mode is refused: {error}")),
        }
    }

    fn denied(answer: Result<()>) -> Self {
        let error = match answer {
            Ok(()) => return Self::NotEnforced,
            // Stored all the same, though not as it was asked for.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Self::NotEnforced,
            Err(error) => error,
        };
        if error.code() != Some("AccessDenied") {
            return Self::Failed(format!(
                "whether it would be denied is not known, since it failed otherwise: {error}"
            ));
        }
        match denied_elsewhere(&error.to_string()) {
            None => Self::Denied,
            Some(who) => Self::Failed(format!(
                "whether the bucket denies it is not known, since {who} did before: {error}"
            )),
        }
    }
}

/// Who denied it where that was not the bucket, as Amazon's words tell ("Troubleshoot access
/// denied errors"). Others would be let through.
fn denied_elsewhere(words: &str) -> Option<&'static str> {
    if words.contains("not authorized to perform: kms:") {
        return Some("the policies of a key of KMS");
    }
    [
        "identity-based policy",
        "session policy",
        "permissions boundary",
        "service control policy",
    ]
    .iter()
    .any(|policy| words.contains(policy))
    .then_some("a policy of these credentials")
}

/// Uploads without asking for anything, and looks whether the object is under the default; `plain`
/// asks for nothing. Where the default lets customers' keys in, `customer` uploads with one.
pub async fn default(
    prefix: &str,
    plain: &Writer,
    wanted: &DefaultEncryption,
    customer: Option<&Writer>,
) -> Proofs {
    let mut proofs = Proofs::default();
    let Some(key) = fresh(prefix) else {
        proofs.note(Operation::PutObject, plain, too_long());
        return proofs;
    };
    let store = plain.store.as_ref();
    let put = store.put(&key, Bytes::from_static(CONTENT), PutOptions::default());
    let put = put.await;
    let mut made = vec![Made::of(key.clone(), &put)];
    let looked = match put {
        Ok(_) => store.head(&key, HeadOptions::default()).await,
        Err(error) => Err(error),
    };
    let outcome = match looked {
        Ok(info) if is_under(&info.encryption, wanted) => Outcome::Accepted,
        Ok(_) => Outcome::NotEnforced,
        Err(error) => Outcome::Failed(error.to_string()),
    };
    proofs.note(Operation::PutObject, plain, outcome);
    if let (Some(writer), Some(key)) = (customer, fresh(prefix)) {
        let body = Bytes::from_static(CONTENT);
        let put = writer.store.put(&key, body, PutOptions::default()).await;
        made.push(Made::of(key, &put));
        let outcome = Outcome::accepted(put.map(|_| ()));
        proofs.note(Operation::PutObject, writer, outcome);
    }
    proofs.clear_away(store, made).await;
    proofs
}

fn is_under(found: &ServerEncryption, wanted: &DefaultEncryption) -> bool {
    match (found, &wanted.algorithm) {
        (ServerEncryption::SseS3, DefaultAlgorithm::Aes256) => true,
        (
            ServerEncryption::SseKms {
                key_id,
                dsse: found_dsse,
                bucket_key,
            },
            DefaultAlgorithm::Kms { key, dsse },
        ) => {
            found_dsse == dsse
                && (key.is_none() || key == key_id)
                && (*bucket_key || !wanted.bucket_key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
