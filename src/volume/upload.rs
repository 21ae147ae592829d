//! Multipart uploads: journalled before they begin, so that a mount that dies leaves none
//! behind for good.

mod beginning;
mod elsewhere;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

pub(super) use beginning::Beginning;

use super::journal::Ticket;
use super::sealed::{Sealing, UploadRecord};
use super::{
    Committed, Condition, ObjectMeta, ObjectRef, Result, UploadTarget, Version, Volume, VolumeError,
};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::layout::sealed::{BodyId, Pin, SegmentIndex};
use crate::store::commit;
use crate::store::{
    CopySource, ETag, ErrorKind, ObjectKey, PartNumber, PartReceipt, StoreError, UploadId, Written,
};

/// Server-side part copies of one object that run at once.
const PARALLEL_COPIES: usize = 8;
/// Length of a copied part; several at once are faster than one of 5 GiB. 10,000 of them are
/// 9.7 TiB, more than any object has.
const COPY_PART_BYTES: u64 = 1 << 30;

/// A multipart upload under way. Dropping it leaves it in the journal, for the next mount.
#[derive(Debug)]
pub struct Upload {
    volume: Arc<Volume>,
    key: ObjectKey,
    id: UploadId,
    commit: CommitId,
    /// The body that it makes in a client-side volume.
    body: Option<BodyId>,
    ticket: Ticket,
    /// Parts that were sent and not answered. They may reach the store after an abort did, which
    /// then has the upload again.
    unanswered: AtomicUsize,
    /// In a client-side volume: what its parts and its tail are sealed with. `None` where the
    /// bytes that are sent are those of the object.
    sealing: Option<Arc<Sealing>>,
}

/// A part of one upload, and of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: PartNumber,
    pub(super) sent: Sent,
    /// The messages that it consists of, in a client-side volume. They travel with the receipt,
    /// so that a part that was sent again cannot have the pins of the bytes that it replaced.
    pub(super) pins: Arc<[(SegmentIndex, Pin)]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Receipt(ETag),
    /// Shorter than S3 takes a part that others follow: it is sent with the tail.
    Held(Bytes),
}

impl From<PartReceipt> for Part {
    fn from(receipt: PartReceipt) -> Self {
        Self {
            number: receipt.number,
            sent: Sent::Receipt(receipt.etag),
            pins: Arc::default(),
        }
    }
}

impl Volume {
    /// Begins an upload. In the plain layout its attributes are fixed now. `base` is the version
    /// whose parts it may copy; without one it is a content of its own. `condition` is that of
    /// the completion.
    pub async fn begin_upload(
        self: &Arc<Self>,
        target: &UploadTarget,
        meta: &ObjectMeta,
        base: Option<(&ObjectRef, &Version)>,
        condition: &Condition,
    ) -> Result<Upload> {
        let (key, name) = match target {
            UploadTarget::Path(path) => (self.file_key(path)?, path.to_string()),
            UploadTarget::Private(name) => (self.private_key(name), name.clone()),
        };
        if self.is_sealed() {
            let UploadRecord {
                sealing,
                attributes,
            } = self
                .record_of_upload(name, &key, meta, base, condition)
                .await?;
            let beginning = Beginning::sealed(attributes, sealing.body(), meta.commit_id());
            return self.begin_sealed_upload(key, beginning, sealing).await;
        }
        let attributes = self.encode(&key, meta)?;
        self.begin_upload_at(key, attributes.into()).await
    }

    /// Begins an upload whose parts are to be sealed.
    pub(super) async fn begin_sealed_upload(
        self: &Arc<Self>,
        key: ObjectKey,
        beginning: Beginning,
        sealing: Sealing,
    ) -> Result<Upload> {
        let mut upload = self.begin_upload_at(key, beginning).await?;
        upload.sealing = Some(Arc::new(sealing));
        Ok(upload)
    }

    async fn begin_upload_at(
        self: &Arc<Self>,
        key: ObjectKey,
        beginning: Beginning,
    ) -> Result<Upload> {
        let Beginning {
            mut attributes,
            body,
            commit,
        } = beginning;
        attributes
            .metadata
            .insert(CommitId::METADATA_NAME.to_owned(), commit.to_string());
        let ticket = self.journal.begin(&key)?;
        let id = self.store.create_multipart(&key, attributes).await;
        let id = id.map_err(|error| {
            if !error.kind().leaves_open() {
                self.journal.ended(&ticket);
            }
            VolumeError::store(&key, error)
        })?;
        self.journal.created(&ticket, &id);
        Ok(Upload {
            volume: Arc::clone(self),
            key,
            id,
            commit,
            body,
            ticket,
            unanswered: AtomicUsize::new(0),
            sealing: None,
        })
    }

    /// Longest part that an object of `size` bytes is to be copied in: what the store is sure to
    /// take, as far as the number of parts allows.
    #[must_use]
    pub fn copied_part_bytes_max(&self, size: u64) -> u64 {
        let limits = self.store.limits();
        let shortest = size.div_ceil(u64::from(limits.parts_max));
        limits.copied_part_bytes_max.max(shortest)
    }

    /// A copy of an object that is too large for one request, or of its first `size` bytes with
    /// another `tail` after them.
    pub(super) async fn copy_in_parts(
        self: &Arc<Self>,
        source: CopySource,
        size: u64,
        tail: Option<Bytes>,
        target: ObjectKey,
        beginning: Beginning,
        condition: &Condition,
    ) -> Result<Committed> {
        let upload = self.begin_upload_at(target, beginning).await?;
        let upload_ref = &upload;
        let source = &source;
        let piece = COPY_PART_BYTES.min(self.copied_part_bytes_max(size));
        let copies = size.div_ceil(piece);
        let part_bytes = match tail {
            // None of them is the last, which alone may be short.
            Some(_) => size.div_ceil(copies),
            None => piece,
        };
        let tail = tail.map(|tail| (copies, Err(tail)));
        let ranges = (0..copies).map(|index| {
            let start = index * part_bytes;
            let range = ByteRange::new(start, size.min(start + part_bytes));
            (index, Ok(range))
        });
        let parts = stream::iter(ranges.chain(tail).map(|(index, part)| async move {
            let number = u32::try_from(index + 1).ok().and_then(PartNumber::new);
            let number = number.ok_or_else(|| {
                VolumeError::invalid(&upload_ref.key, "the object is larger than S3 allows")
            })?;
            match part {
                Ok(range) => {
                    let source = CopySource {
                        range: Some(range),
                        ..source.clone()
                    };
                    upload_ref.copy_part_from(number, source).await
                }
                Err(bytes) => upload_ref.send_part(number, bytes).await,
            }
        }))
        .buffered(PARALLEL_COPIES)
        .try_collect::<Vec<_>>()
        .await;
        let done = match parts {
            Ok(parts) => upload.complete_with(&parts, condition).await,
            Err(error) => Err(error),
        };
        if done.is_err() {
            upload.abort().await;
        }
        done
    }
}

impl Upload {
    /// Uploads one part of the plain layout; a number that was used before is replaced.
    pub async fn upload_part(&self, number: PartNumber, body: Bytes) -> Result<Part> {
        self.assert_plain();
        self.send_part(number, body).await.map(Part::from)
    }

    /// Makes one part out of a range of an existing version, on the server. In a client-side
    /// volume the range begins with a segment, and takes all segments that begin in it.
    pub async fn copy_part(
        &self,
        number: PartNumber,
        source: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<Part> {
        if let Some(sealing) = &self.sealing {
            let (stored, pins) = self
                .volume
                .messages_to_copy(sealing, source, version, range)
                .await?;
            let source = self.volume.copy_source(source, version, Some(stored))?;
            let receipt = self.copy_part_from(number, source).await?;
            return Ok(Part {
                pins,
                ..receipt.into()
            });
        }
        let source = self.volume.copy_source(source, version, Some(range))?;
        self.copy_part_from(number, source).await.map(Part::from)
    }

    /// Makes the object visible, if the condition holds: a file of `size` bytes. Where the
    /// answer is missing, the same completion may be asked for again; another one may not, once
    /// the tail of a client-side object was made.
    pub async fn complete(
        &self,
        parts: &[Part],
        size: u64,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let Some(sealing) = &self.sealing else {
            let receipts: Option<Vec<_>> = parts.iter().map(Part::receipt).collect();
            let receipts = receipts.expect("parts of the plain layout are sent at once");
            return self.complete_with(&receipts, condition).await;
        };
        let receipts = self.send_tail(sealing, parts, size, meta).await?;
        let done = self.complete_with(&receipts, condition).await?;
        sealing
            .keep(&self.volume, &self.key, &done.version.etag)
            .await;
        Ok(done)
    }

    fn assert_plain(&self) {
        assert!(
            self.sealing.is_none(),
            "what is uploaded to a client-side volume is sealed"
        );
    }

    pub(super) async fn send_part(&self, number: PartNumber, body: Bytes) -> Result<PartReceipt> {
        let store = &self.volume.store;
        let sent = store.upload_part(&self.key, &self.id, number, body);
        self.answer_of(sent).await
    }

    async fn copy_part_from(&self, number: PartNumber, source: CopySource) -> Result<PartReceipt> {
        let store = &self.volume.store;
        let sent = store.copy_part(&self.key, &self.id, number, source);
        self.answer_of(sent).await
    }

    /// Of a part; it counts as unanswered until then, also where nobody waits any more.
    async fn answer_of(
        &self,
        sent: impl Future<Output = crate::store::Result<PartReceipt>>,
    ) -> Result<PartReceipt> {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let receipt = sent.await;
        let silent = |error: &StoreError| {
            matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Unavailable)
        };
        if !receipt.as_ref().is_err_and(silent) {
            self.unanswered.fetch_sub(1, Ordering::Relaxed);
        }
        receipt.map_err(|error| VolumeError::store(&self.key, error))
    }

    async fn complete_with(
        &self,
        parts: &[PartReceipt],
        condition: &Condition,
    ) -> Result<Committed> {
        let written = commit::complete(
            self.volume.store.as_ref(),
            &self.key,
            &self.id,
            parts,
            condition.to_store(),
            self.commit,
        )
        .await;
        self.completed(written, &self.key, self.commit, self.body)
    }

    /// What the answer to a completion, as the object at `key` with this id and body, says.
    fn completed(
        &self,
        written: crate::store::Result<Written>,
        key: &ObjectKey,
        commit: CommitId,
        body: Option<BodyId>,
    ) -> Result<Committed> {
        let written = written
            .inspect_err(|error| self.volume.note_doubt(commit, body, error))
            .map_err(|error| VolumeError::store(key, error))?;
        self.volume.journal.ended(&self.ticket);
        self.volume.modes.settled(key);
        Ok(Committed {
            version: written.into(),
            commit: commit.to_string(),
        })
    }

    /// Drops the upload and its parts. When the store does not answer, or parts of it may be on
    /// their way still, the journal keeps it for the next mount, which drops it again.
    pub async fn abort(&self) {
        let late = self.unanswered.load(Ordering::Relaxed) > 0;
        match self.volume.store.abort_multipart(&self.key, &self.id).await {
            Ok(()) if late => tracing::debug!(object = %self.key, "parts may come after its abort"),
            Ok(()) => self.volume.journal.ended(&self.ticket),
            Err(error) => {
                tracing::warn!(
                    object = %self.key,
                    "an unfinished upload stays in the bucket until the next mount: {error}"
                );
            }
        }
    }

    pub(super) const fn key(&self) -> &ObjectKey {
        &self.key
    }

    pub(super) fn volume(&self) -> &Volume {
        &self.volume
    }

    pub(super) const fn sealing(&self) -> Option<&Arc<Sealing>> {
        self.sealing.as_ref()
    }
}

impl Part {
    /// `None` while it waits for the tail.
    pub(crate) fn receipt(&self) -> Option<PartReceipt> {
        match &self.sent {
            Sent::Receipt(etag) => Some(PartReceipt {
                number: self.number,
                etag: etag.clone(),
            }),
            Sent::Held(_) => None,
        }
    }
}
