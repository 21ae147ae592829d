//! Which objects below a prefix are under one key of KMS.
//!
//! [`Usage::run`] looks at every object ([`super::inspect`]): S3 tells the key of an object that it
//! has encrypted itself; of one that was encrypted before it was sent, the wrapped data key must
//! say whose it is. Those of servers that stand in for KMS begin with the key's id. AWS's are
//! opaque: whether KMS unwraps one under the key and no other tells ([`InVolume::Opened`]), once
//! for what one mount wrote.
//!
//! Whoever asks is about to delete the key or its material, so what cannot be told is never
//! counted as not under it, but as [`Tally::not_known`], with the reason. Memory is bounded: of
//! the names only the first are kept. Older versions, and uploads that have not ended, are in no
//! listing and are not looked at.

mod judge;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::stream::StreamExt;

use self::judge::Verdict;
pub use self::tally::{Count, FIRST, Named, Tally};
use super::inspect::{self, Inspected, Inspector, Seen};
use crate::store::{ErrorKind, Store, StoreError};
use crate::volume::single::Reader;

/// So many objects in a row that the server did not answer for: it does not answer any more.
const UNANSWERED_MAX: u32 = 8;

/// See the module's text.
#[expect(missing_debug_implementations, reason = "it may hold keys")]
pub struct Usage {
    pub store: Arc<dyn Store>,
    /// Empty, or ends in `/`.
    pub prefix: String,
    pub key: KeyNames,
    pub volume: InVolume,
}

/// The names that a key of KMS has in answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    pub arn: String,
    pub id: String,
}

/// The `cse-kms` volume at the prefix.
#[expect(missing_debug_implementations, reason = "it may hold keys")]
pub enum InVolume {
    /// There is none.
    Absent,
    /// The key opens it.
    Opened(Box<Reader>),
    /// The key does not, and the volume's record names another.
    OfAnotherKey,
    /// Whether the key opens it is not known; why.
    Closed(String),
}

impl Usage {
    /// Goes through everything; `progress` is called after each object.
    ///
    /// # Errors
    /// When the prefix cannot be listed to its end, or the server stops answering.
    pub async fn run(self, progress: &mut (dyn FnMut(&Tally) + Send)) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        let inspector = Inspector::new(Arc::clone(&self.store), &self.prefix);
        let usage = Arc::new(self);
        let mut judged = inspector
            .objects()
            .map(|inspected| {
                let usage = Arc::clone(&usage);
                async move {
                    let inspected = inspected?;
                    let verdict = usage.judge(&inspected).await;
                    Ok::<_, StoreError>((inspected, verdict))
                }
            })
            .buffered(inspect::PARALLEL)
            .boxed();
        let mut unanswered = 0;
        while let Some(next) = judged.next().await {
            let (inspected, verdict) = next?;
            let path = match &usage.volume {
                InVolume::Opened(reader) if inspected.own.is_none() => {
                    reader.path_of(&inspected.listed.key).ok()
                }
                _ => None,
            };
            let Inspected { listed, seen, .. } = inspected;
            tally.count(&listed, path, verdict);
            progress(&tally);
            unanswered = match seen {
                Seen::Closed(error) if passes(&error) && unanswered + 1 >= UNANSWERED_MAX => {
                    return Err(error);
                }
                Seen::Closed(error) if passes(&error) => unanswered + 1,
                _ => 0,
            };
        }
        Ok(tally)
    }

    async fn judge(&self, inspected: &Inspected) -> Verdict {
        let (key, own) = (&inspected.listed.key, inspected.own.as_ref());
        let looked = match &inspected.seen {
            Seen::Gone => return Verdict::Gone,
            // Under a customer's key: of KMS there is none.
            Seen::Closed(error) if error.lacks_customer_key() => return Verdict::Not,
            Seen::Closed(error) => {
                return Verdict::Unknown(format!("it cannot be looked at: {error}"));
            }
            Seen::Looked(looked) => looked,
        };
        match self.by_server(&looked.info.encryption) {
            Verdict::Not => self.by_client(key, own, looked).await,
            verdict => verdict,
        }
    }
}

/// Whether the server may answer a moment later.
fn passes(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TimedOut | ErrorKind::Unavailable | ErrorKind::Throttled
    )
}
