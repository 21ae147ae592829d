//! Writes that can tell whose object is in the bucket after the answer was lost.
//!
//! Each write carries a [`CommitId`] in its metadata. When a write fails in a way that leaves
//! open whether it was carried out, or a condition fails that the write itself may have broken
//! (a conditional complete that succeeded answers 412 to its own repetition), one HEAD of the
//! key decides:
//! - our own id is there: the write was carried out, and the HEAD's ETag and version are its
//!   answer, if what it says of the encryption is what was asked for ([`Store::check_written`]);
//! - the condition still holds: the write was not carried out, and is sent again;
//! - otherwise somebody else's write is there, and ours is lost.
//!
//! So the answers mean:
//!
//! | answer | this write |
//! |---|---|
//! | `Ok` | was carried out and is the newest |
//! | [`ErrorKind::Precondition`], [`ErrorKind::NotFound`] | is not what the key holds: look at what is there |
//! | [`ErrorKind::Conflict`] | was not carried out: others write the key at this moment |
//! | [`ErrorKind::TimedOut`], [`ErrorKind::Unavailable`] | may have been carried out, and the HEAD failed too |
//! | [`ErrorKind::Corrupt`] | was carried out, but under another encryption or with an answer that cannot be right |
//! | anything else | was not carried out |
//!
//! A write that was carried out and replaced by another before the HEAD counts as lost, which
//! is the safe side: the caller keeps its bytes. Nothing hangs: the store below has its own
//! deadline for each request, and repetitions are counted.
//!
//! Assumes that [`super::retry`] below does not repeat conditional writes whose fate is open.

use std::time::Duration;

use bytes::Bytes;

use super::{
    CopyAttributes, CopySource, Elsewhere, ErrorKind, HeadOptions, ObjectAttributes, ObjectInfo,
    ObjectKey, PartReceipt, PutOptions, Result, Store, StoreError, UploadId, WriteCondition,
    Written,
};
use crate::base::id::CommitId;
use crate::base::jitter::Jitter;

/// How often a write is sent again after a HEAD showed that it was not carried out. The pauses
/// between are random, up to 0.2, 0.4, ... 6.4 s.
const RESENDS_MAX: u32 = 6;
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Puts an object that carries `id`.
pub async fn put(
    store: &dyn Store,
    key: &ObjectKey,
    body: Bytes,
    mut options: PutOptions,
    id: CommitId,
) -> Result<Written> {
    mark(&mut options.attributes, id);
    let condition = options.condition.clone();
    let send = || store.put(key, body.clone(), options.clone());
    settle(store, key, &condition, id, send).await
}

/// Completes an upload that was created with `id` in its metadata (see [`mark`]).
pub async fn complete(
    store: &dyn Store,
    key: &ObjectKey,
    upload: &UploadId,
    parts: &[PartReceipt],
    condition: WriteCondition,
    id: CommitId,
) -> Result<Written> {
    let send = || store.complete_multipart(key, upload, parts, condition.clone());
    settle(store, key, &condition, id, send).await
}

/// Completes an upload at another key, where it gets `id` into its metadata.
pub async fn complete_elsewhere(
    store: &dyn Store,
    key: &ObjectKey,
    upload: &UploadId,
    parts: &[PartReceipt],
    mut to: Elsewhere,
    condition: WriteCondition,
    id: CommitId,
) -> Result<Written> {
    mark(&mut to.attributes, id);
    let send = || store.complete_elsewhere(key, upload, parts, to.clone(), condition.clone());
    settle(store, &to.key, &condition, id, send).await
}

/// Copies an object, giving the copy these attributes and `id`, if the condition of the target
/// holds. A copy of an object to itself with `if_match` is a conditional write without one, too.
pub async fn copy(
    store: &dyn Store,
    key: &ObjectKey,
    source: CopySource,
    mut attributes: ObjectAttributes,
    condition: WriteCondition,
    id: CommitId,
) -> Result<Written> {
    mark(&mut attributes, id);
    let attributes = CopyAttributes::Replace(attributes);
    let guard = match (&condition, &source.if_match) {
        (WriteCondition::None, Some(etag)) if source.key == *key => {
            WriteCondition::IfMatch(etag.clone())
        }
        _ => condition.clone(),
    };
    let send = || {
        let (source, attributes) = (source.clone(), attributes.clone());
        store.copy(key, source, attributes, condition.clone())
    };
    settle(store, key, &guard, id, send).await
}

/// Puts `id` into the metadata that a multipart upload is created with.
pub fn mark(attributes: &mut ObjectAttributes, id: CommitId) {
    let name = CommitId::METADATA_NAME.to_owned();
    attributes.metadata.insert(name, id.to_string());
}

/// Whether the object carries `id`.
#[must_use]
pub fn is_marked(info: &ObjectInfo, id: CommitId) -> bool {
    info.attributes.metadata.get(CommitId::METADATA_NAME) == Some(&id.to_string())
}

/// What a failed write's error says about the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Nothing was written.
    None,
    /// The condition fails, perhaps because this very write was carried out before.
    Condition,
    /// The write may have been carried out.
    Open,
}

fn doubt(kind: ErrorKind) -> Doubt {
    match kind {
        ErrorKind::TimedOut | ErrorKind::Unavailable => Doubt::Open,
        ErrorKind::Precondition | ErrorKind::Conflict | ErrorKind::NotFound => Doubt::Condition,
        // A write whose answer was wrong is checked by whoever reads it, not taken for done.
        ErrorKind::Throttled | ErrorKind::Denied | ErrorKind::Corrupt | ErrorKind::Invalid => {
            Doubt::None
        }
    }
}

async fn settle<F: Future<Output = Result<Written>>>(
    store: &dyn Store,
    key: &ObjectKey,
    condition: &WriteCondition,
    id: CommitId,
    send: impl Fn() -> F,
) -> Result<Written> {
    let mut resends = 0;
    // What leaves open whether an earlier sending was carried out.
    let mut open: Option<StoreError> = None;
    loop {
        let error = match send().await {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        let doubt = doubt(error.kind());
        if doubt == Doubt::None {
            return Err(open.unwrap_or(error));
        }
        let found = match store.head(key, HeadOptions::default()).await {
            Ok(info) => Some(info),
            Err(head) if head.kind() == ErrorKind::NotFound => None,
            Err(head) => {
                tracing::warn!(
                    object = %key,
                    "{error}; whether it was carried out cannot be told: {head}"
                );
                return Err(error);
            }
        };
        if let Some(info) = found.as_ref().filter(|info| is_marked(info, id)) {
            store.check_written(error.operation(), key, info)?;
            return Ok(Written {
                etag: info.etag.clone(),
                version: info.version.clone(),
            });
        }
        if doubt == Doubt::Condition {
            return Err(error);
        }
        if !may_send_again(condition, found.as_ref()) {
            let operation = error.operation();
            return Err(StoreError::precondition(operation, key).with_source(error));
        }
        if resends == RESENDS_MAX {
            return Err(error);
        }
        let pause_max = FIRST_PAUSE_MAX * 2_u32.pow(resends);
        tokio::time::sleep(Jitter::from_os().up_to(pause_max)).await;
        resends += 1;
        open = Some(error);
    }
}

/// Without a condition there is nothing to compare with and nothing to lose: the write
/// overwrites whatever is there.
fn may_send_again(condition: &WriteCondition, found: Option<&ObjectInfo>) -> bool {
    match condition {
        WriteCondition::None => true,
        WriteCondition::IfAbsent => found.is_none(),
        WriteCondition::IfMatch(etag) => found.is_some_and(|info| info.etag == *etag),
    }
}

#[cfg(test)]
mod tests;
