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
    Operation, PutOptions, Result, ServerEncryption, Store, StoreError, WriteCondition,
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
}

impl Proofs {
    /// All of it is as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let mut outcomes = self.proofs.iter().map(|proof| &proof.outcome);
        self.left_behind.is_empty() && outcomes.all(Outcome::is_good)
    }

    fn note(&mut self, operation: Operation, writer: &Writer, outcome: Outcome) {
        let request = format!("{operation} with {}", writer.asks_for);
        self.proofs.push(Proof { request, outcome });
    }
}

/// Tries each way to make an object, as `right` must be able to and each of `wrong` must not, below
/// `prefix`, which is empty or ends in `/`.
pub async fn uploads(prefix: &str, right: &Writer, wrong: &[Writer]) -> Proofs {
    let mut proofs = Proofs::default();
    let mut made = vec![];
    let source = attempt(
        prefix,
        right,
        None,
        Outcome::accepted,
        &mut proofs,
        &mut made,
    )
    .await;
    for writer in wrong {
        let source = source.as_ref();
        attempt(
            prefix,
            writer,
            source,
            Outcome::denied,
            &mut proofs,
            &mut made,
        )
        .await;
    }
    for key in made {
        let deleted = right.store.delete(&key, DeleteOptions::default()).await;
        if let Err(error) = deleted {
            tracing::debug!(object = %key, "a probe is left behind: {error}");
            proofs.left_behind.push(key.to_string());
        }
    }
    proofs
}

/// Tries an upload, a copy of `source` (else of that upload) and the beginning of a multipart
/// upload; the key of what was uploaded. Everything that may be there now is added to `made`.
async fn attempt(
    prefix: &str,
    writer: &Writer,
    source: Option<&ObjectKey>,
    judge: fn(std::result::Result<(), StoreError>) -> Outcome,
    proofs: &mut Proofs,
    made: &mut Vec<ObjectKey>,
) -> Option<ObjectKey> {
    let [Some(key), Some(copy), Some(upload)] = [(); 3].map(|()| fresh(prefix)) else {
        let why = "the prefix is too long for an object's key below it".to_owned();
        proofs.note(Operation::PutObject, writer, Outcome::Failed(why));
        return None;
    };
    let store = writer.store.as_ref();
    made.push(key.clone());
    let put = store.put(&key, Bytes::from_static(CONTENT), PutOptions::default());
    let put = put.await.map(|_| ());
    let is_there = put.is_ok();
    proofs.note(Operation::PutObject, writer, judge(put));
    let own = is_there.then(|| key.clone());
    if let Some(source) = source.cloned().or_else(|| own.clone()) {
        made.push(copy.clone());
        let source = CopySource {
            key: source,
            if_match: None,
            version: None,
            range: None,
        };
        let (keep, always) = (CopyAttributes::Keep, WriteCondition::None);
        let copied = store.copy(&copy, source, keep, always).await;
        proofs.note(Operation::CopyObject, writer, judge(copied.map(|_| ())));
    }
    let begun = begin_and_abort(store, &upload).await;
    proofs.note(Operation::CreateMultipartUpload, writer, judge(begun));
    own
}

async fn begin_and_abort(store: &dyn Store, key: &ObjectKey) -> Result<()> {
    let attributes = ObjectAttributes::default();
    let upload = store.create_multipart(key, attributes).await?;
    store.abort_multipart(key, &upload).await
}

fn fresh(prefix: &str) -> Option<ObjectKey> {
    let name = format!("{prefix}{RESERVED_PREFIX}probe/{}", CommitId::random());
    ObjectKey::new(name).ok()
}

impl Outcome {
    fn accepted(answer: Result<()>) -> Self {
        match answer {
            Ok(()) => Self::Accepted,
            Err(error) => Self::Failed(format!("an upload of the mode is refused: {error}")),
        }
    }

    fn denied(answer: Result<()>) -> Self {
        match answer {
            Ok(()) => Self::NotEnforced,
            // Stored all the same, though not as it was asked for.
            Err(error) if error.kind() == ErrorKind::Corrupt => Self::NotEnforced,
            Err(error) if error.operation() == Operation::AbortMultipartUpload => Self::NotEnforced,
            Err(error) if error.code() == Some("AccessDenied") => Self::Denied,
            Err(error) => Self::Failed(format!(
                "whether it would be denied is not known, since it failed otherwise: {error}"
            )),
        }
    }
}

/// Uploads without asking for anything, and looks whether the object is under the default; `plain`
/// asks for nothing.
pub async fn default(prefix: &str, plain: &Writer, wanted: &DefaultEncryption) -> Proofs {
    let mut proofs = Proofs::default();
    let Some(key) = fresh(prefix) else {
        let why = "the prefix is too long for an object's key below it".to_owned();
        proofs.note(Operation::PutObject, plain, Outcome::Failed(why));
        return proofs;
    };
    let store = plain.store.as_ref();
    let put = store.put(&key, Bytes::from_static(CONTENT), PutOptions::default());
    let looked = match put.await {
        Ok(_) => store.head(&key, HeadOptions::default()).await,
        Err(error) => Err(error),
    };
    let outcome = match looked {
        Ok(info) if is_under(&info.encryption, wanted) => Outcome::Accepted,
        Ok(_) => Outcome::NotEnforced,
        Err(error) => Outcome::Failed(error.to_string()),
    };
    proofs.note(Operation::PutObject, plain, outcome);
    if store.delete(&key, DeleteOptions::default()).await.is_err() {
        proofs.left_behind.push(key.to_string());
    }
    proofs
}

fn is_under(found: &ServerEncryption, wanted: &DefaultEncryption) -> bool {
    match (found, &wanted.algorithm) {
        (ServerEncryption::SseS3, DefaultAlgorithm::Aes256) => true,
        (
            ServerEncryption::SseKms {
                key_id,
                dsse: found_dsse,
                ..
            },
            DefaultAlgorithm::Kms { key, dsse },
        ) => found_dsse == dsse && (key.is_none() || key == key_id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mem::MemStore;

    fn writer(store: &Arc<MemStore>, asks_for: &str) -> Writer {
        Writer {
            store: store.clone(),
            asks_for: asks_for.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_store_that_denies_nothing_enforces_nothing_and_is_left_as_it_was() {
        let store = Arc::new(MemStore::new());
        let right = writer(&store, "sse-s3");
        let wrong = [writer(&store, "no encryption")];
        let found = uploads("p/", &right, &wrong).await;
        let told: Vec<_> = found
            .proofs
            .iter()
            .map(|proof| (&*proof.request, proof.outcome.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("PutObject with sse-s3", Outcome::Accepted),
                ("CopyObject with sse-s3", Outcome::Accepted),
                ("CreateMultipartUpload with sse-s3", Outcome::Accepted),
                ("PutObject with no encryption", Outcome::NotEnforced),
                ("CopyObject with no encryption", Outcome::NotEnforced),
                (
                    "CreateMultipartUpload with no encryption",
                    Outcome::NotEnforced
                ),
            ]
        );
        assert!(!found.is_good());
        assert_eq!(found.left_behind, [""; 0]);
        let left = store
            .list(crate::store::ListOptions::default())
            .await
            .unwrap();
        assert_eq!(left.objects, []);
        assert_eq!(store.list_multipart("").await.unwrap(), []);
    }

    #[test]
    fn only_a_denial_proves_one() {
        let error = |kind, operation, code: &str| {
            Err(StoreError::new(kind, operation, "k", "words").with_code(code))
        };
        for (answer, expected) in [
            (
                error(ErrorKind::Denied, Operation::PutObject, "AccessDenied"),
                Outcome::Denied,
            ),
            (
                error(ErrorKind::Corrupt, Operation::PutObject, "x"),
                Outcome::NotEnforced,
            ),
            (
                error(
                    ErrorKind::Denied,
                    Operation::AbortMultipartUpload,
                    "AccessDenied",
                ),
                Outcome::NotEnforced,
            ),
            (
                error(
                    ErrorKind::Denied,
                    Operation::PutObject,
                    "SignatureDoesNotMatch",
                ),
                Outcome::Failed(
                    "whether it would be denied is not known, since it failed otherwise: PutObject of \"k\" failed: SignatureDoesNotMatch: words".to_owned(),
                ),
            ),
        ] {
            assert_eq!(Outcome::denied(answer), expected);
        }
    }
}
