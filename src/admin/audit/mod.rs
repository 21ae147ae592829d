//! Whether everything below a prefix is encrypted as it must be.
//!
//! [`Audit::run`] goes through all objects ([`super::inspect`]), compares each with what is
//! [`Required`] and hands out a [`Finding`] for each that is otherwise, as it is found; in the end
//! the [`Summary`] counts what there is, by mode and key. So memory is bounded, however many
//! objects and findings there are.
//!
//! - In the modes of the server a HEAD tells mode and key, and nothing but the request for the
//!   content shows that the key can be used. It does not tell the encryption context of SSE-KMS.
//! - In the client-side modes the record in the metadata is opened where there is a key: so the
//!   object is of this volume, this root and context, and in its place. That is no request more,
//!   but for KMS one for each data key.
//! - A deep audit reads everything, too, each object from beginning to end ([`content`]): whatever
//!   was changed in a client-side volume is found, and what the server cannot decrypt any more.
//!
//! Nothing is written. An object that goes while it is looked at is passed over, and so are older
//! versions and what is behind a delete marker: that they are there is noted.

mod content;
mod finding;
mod judge;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::stream::StreamExt;

pub use finding::{Finding, Flaw};
pub use judge::Required;
pub use summary::{ModeCount, Summary};

use super::inspect::{self, Inspected, Inspector, Seen};
use super::own::Own;
use super::uploads;
use crate::store::{ErrorKind, PendingUpload, Store, StoreError};
use crate::volume::single::Reader;

/// Objects that are read at once in a deep audit: each takes a few segments of memory.
const READ_PARALLEL: usize = 4;
/// What a mount keeps in clear in a client-side volume is at most so long, which is what a volume
/// record may be: what is longer is something else.
const CLEAR_BYTES_MAX: u64 = 8192;
/// So many objects in a row that the server did not answer for: it does not answer any more.
const UNANSWERED_MAX: u32 = 8;

/// What an audit of a bucket that keeps versions does not tell.
const VERSIONS: &str = "the bucket keeps versions, and only the newest of each object was looked at: what an older one was stored under does not change when the object is written anew; `aws s3api list-object-versions` lists them, and a lifecycle rule ends them";

/// See the module's text.
#[expect(missing_debug_implementations, reason = "it may hold keys")]
pub struct Audit {
    pub store: Arc<dyn Store>,
    /// Empty, or ends in `/`.
    pub prefix: String,
    pub required: Required,
    /// The client-side volume at the prefix, where there is one and it opened.
    pub reader: Option<Arc<Reader>>,
    /// Everything is read.
    pub deep: bool,
}

/// What an audit tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    Finding(&'a Finding),
    /// After each object: how many there were so far.
    Progress(u64),
}

/// What became of one object.
struct Judged {
    inspected: Inspected,
    findings: Vec<Finding>,
    bytes_read: u64,
    /// The server did not answer.
    unanswered: Option<StoreError>,
}

impl Audit {
    /// Goes through everything.
    ///
    /// # Errors
    /// When the prefix cannot be listed to its end, or the server stops answering.
    pub async fn run(
        self,
        tell: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Summary, StoreError> {
        let mut summary = Summary::default();
        self.uploads(&mut summary, tell).await;
        let mut inspector = Inspector::new(Arc::clone(&self.store), &self.prefix);
        if matches!(self.required, Required::Client { .. }) {
            inspector = inspector.with_instruction_files();
        }
        let parallel = if self.deep {
            READ_PARALLEL
        } else {
            inspect::PARALLEL
        };
        let audit = Arc::new(self);
        let mut judged = inspector
            .parallel(parallel)
            .objects()
            .map(|inspected| {
                let audit = Arc::clone(&audit);
                async move {
                    match inspected {
                        Ok(inspected) => Ok(audit.judge(inspected).await),
                        Err(error) => Err(error),
                    }
                }
            })
            .buffered(parallel)
            .boxed();
        let mut unanswered = 0;
        while let Some(next) = judged.next().await {
            let judged = next?;
            for finding in &judged.findings {
                summary.found(finding);
                tell(Event::Finding(finding));
            }
            summary.count(&judged.inspected, judged.bytes_read);
            tell(Event::Progress(summary.objects));
            unanswered = match judged.unanswered {
                Some(error) if unanswered + 1 >= UNANSWERED_MAX => return Err(error),
                Some(_) => unanswered + 1,
                None => 0,
            };
        }
        if summary.has_versions {
            summary.notes.push(VERSIONS.to_owned());
        }
        Ok(summary)
    }

    async fn uploads(&self, summary: &mut Summary, tell: &mut (dyn FnMut(Event<'_>) + Send)) {
        let findings = match uploads::pending(self.store.as_ref(), &self.prefix).await {
            Ok(pending) => pending.iter().map(Finding::upload).collect(),
            Err(error) => vec![Finding::unknown_uploads(&self.prefix, &error)],
        };
        for finding in &findings {
            summary.found(finding);
            tell(Event::Finding(finding));
        }
    }

    async fn judge(&self, inspected: Inspected) -> Judged {
        let mut judged = Judged {
            inspected,
            findings: Vec::new(),
            bytes_read: 0,
            unanswered: None,
        };
        let (own, key) = (&judged.inspected.own, &judged.inspected.listed.key);
        // In clear in every client-side volume, and nothing of a file is in it.
        let is_exempt = matches!(self.required, Required::Client { .. })
            && judged.inspected.listed.size <= CLEAR_BYTES_MAX
            && own
                .as_ref()
                .is_some_and(|own| !own.is_sealed() && *own != Own::Unknown);
        let looked = match &judged.inspected.seen {
            Seen::Gone => return judged,
            _ if is_exempt => return judged,
            Seen::Closed(error) => {
                if passes(error) {
                    judged.unanswered = Some(copy_of(error));
                }
                judged.findings.push(self.required.closed(key, error));
                return judged;
            }
            Seen::Looked(looked) => looked,
        };
        let path = match (&self.reader, own) {
            (Some(reader), None) => match reader.path_of(key) {
                Ok(path) => Some(path),
                Err(why) => {
                    judged.findings.push(Finding::of_name(key, why));
                    None
                }
            },
            _ => None,
        };
        let mut flaw = self.required.judge(key, looked);
        if flaw.is_none() {
            flaw = self.open(key, looked).await;
        }
        // What does not open with the volume's key cannot be read with it, either.
        let is_closed = flaw.as_ref().is_some_and(|finding| {
            matches!(
                finding.finding,
                Flaw::OtherKey | Flaw::NotAuthentic | Flaw::Unreadable
            )
        });
        let is_sealed = self.required.is_own_sealed(looked);
        judged.findings.extend(flaw);
        if self.deep && !(is_closed && is_sealed) {
            let read = content::read(self, key, looked, is_sealed).await;
            match read {
                Ok(bytes) => judged.bytes_read = bytes,
                Err(finding) => judged.findings.extend(finding),
            }
        }
        if let Some(path) = path {
            for finding in &mut judged.findings {
                finding.path = Some(path.clone());
            }
        }
        judged
    }

    /// Opens the record of an object of this volume.
    async fn open(&self, key: &str, looked: &inspect::Looked) -> Option<Finding> {
        let reader = self.reader.as_ref()?;
        if !self.required.is_own_sealed(looked) {
            return None;
        }
        let metadata = &looked.info.attributes.metadata;
        let finding = match reader.open_key(key, metadata).await {
            Err(error) => Finding::of_key(key, looked, &error),
            Ok(()) => match reader.open_record(key, metadata).await {
                Err(error) => Finding::of_content(key, looked, &error),
                Ok(()) => return None,
            },
        };
        Some(finding)
    }
}

/// Whether the server may answer a moment later.
fn passes(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TimedOut | ErrorKind::Unavailable | ErrorKind::Throttled
    )
}

fn copy_of(error: &StoreError) -> StoreError {
    let copy = StoreError::new(
        error.kind(),
        error.operation(),
        error.object(),
        error.message(),
    );
    match error.code() {
        Some(code) => copy.with_code(code),
        None => copy,
    }
}

impl Finding {
    fn upload(pending: &PendingUpload) -> Self {
        let text = format!(
            "an upload was begun and neither completed nor aborted: its parts are stored, seen by nobody and paid for; if nobody works at it, abort it (aws s3api abort-multipart-upload --upload-id {}), or let a lifecycle rule do so",
            pending.upload
        );
        Self::new(Flaw::IncompleteUpload, &pending.key, text)
    }

    fn unknown_uploads(prefix: &str, error: &StoreError) -> Self {
        let text = format!("incomplete uploads cannot be listed, and there may be some: {error}");
        Self::new(Flaw::CannotLook, prefix, text)
    }
}
