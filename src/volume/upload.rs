//! Multipart uploads: journalled before they begin, so that a mount that dies leaves none
//! behind for good.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::journal::Ticket;
use super::{
    Committed, Condition, ObjectMeta, ObjectRef, Result, UploadTarget, Version, Volume, VolumeError,
};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::store::commit;
use crate::store::{CopySource, ObjectAttributes, ObjectKey, PartNumber, PartReceipt, UploadId};

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
    ticket: Ticket,
}

impl Volume {
    /// Begins an upload whose attributes are fixed now.
    pub async fn begin_upload(
        self: &Arc<Self>,
        target: &UploadTarget,
        meta: &ObjectMeta,
    ) -> Result<Upload> {
        let key = match target {
            UploadTarget::Path(path) => self.file_key(path)?,
            UploadTarget::Private(name) => self.private_key(name),
        };
        let attributes = self.encode(&key, meta)?;
        self.begin_upload_at(key, attributes).await
    }

    async fn begin_upload_at(
        self: &Arc<Self>,
        key: ObjectKey,
        mut attributes: ObjectAttributes,
    ) -> Result<Upload> {
        let commit = CommitId::random();
        attributes
            .metadata
            .insert(CommitId::METADATA_NAME.to_owned(), commit.to_string());
        let ticket = self.journal.begin(&key)?;
        let id = self.store.create_multipart(&key, attributes).await;
        let id = id.map_err(|error| VolumeError::store(&key, error))?;
        self.journal.created(&ticket, &id);
        Ok(Upload {
            volume: Arc::clone(self),
            key,
            id,
            commit,
            ticket,
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

    /// A copy of an object that is too large for one request.
    pub(super) async fn copy_in_parts(
        self: &Arc<Self>,
        source: CopySource,
        size: u64,
        target: ObjectKey,
        attributes: ObjectAttributes,
        condition: &Condition,
    ) -> Result<Committed> {
        let upload = self.begin_upload_at(target, attributes).await?;
        let upload_ref = &upload;
        let source = &source;
        let piece = COPY_PART_BYTES.min(self.copied_part_bytes_max(size));
        let parts = stream::iter((0..size.div_ceil(piece)).map(|index| async move {
            let start = index * piece;
            let range = ByteRange::new(start, size.min(start + piece));
            let number = u32::try_from(index + 1).ok().and_then(PartNumber::new);
            let number = number.ok_or_else(|| {
                VolumeError::invalid(&upload_ref.key, "the object is larger than S3 allows")
            })?;
            let source = CopySource {
                range: Some(range),
                ..source.clone()
            };
            upload_ref.copy_part_from(number, source).await
        }))
        .buffered(PARALLEL_COPIES)
        .try_collect::<Vec<_>>()
        .await;
        let done = match parts {
            Ok(parts) => upload.complete(&parts, condition).await,
            Err(error) => Err(error),
        };
        if done.is_err() {
            upload.abort().await;
        }
        done
    }
}

impl Upload {
    /// Uploads one part; a number that was used before is replaced.
    pub async fn upload_part(&self, number: PartNumber, body: Bytes) -> Result<PartReceipt> {
        let receipt = self
            .volume
            .store
            .upload_part(&self.key, &self.id, number, body)
            .await;
        receipt.map_err(|error| VolumeError::store(&self.key, error))
    }

    /// Makes one part out of a range of an existing version, on the server.
    pub async fn copy_part(
        &self,
        number: PartNumber,
        source: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<PartReceipt> {
        let source = self.volume.copy_source(source, version, Some(range))?;
        self.copy_part_from(number, source).await
    }

    async fn copy_part_from(&self, number: PartNumber, source: CopySource) -> Result<PartReceipt> {
        let receipt = self
            .volume
            .store
            .copy_part(&self.key, &self.id, number, source)
            .await;
        receipt.map_err(|error| VolumeError::store(&self.key, error))
    }

    /// Makes the object visible, if the condition holds.
    pub async fn complete(
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
        let written = written
            .inspect_err(|error| self.volume.note_doubt(self.commit, error))
            .map_err(|error| VolumeError::store(&self.key, error))?;
        self.volume.journal.ended(&self.ticket);
        self.volume.modes.settled(&self.key);
        Ok(Committed {
            version: written.into(),
            commit: self.commit.to_string(),
        })
    }

    /// Drops the upload and its parts. When the store does not answer, the journal keeps it for
    /// the next mount.
    pub async fn abort(&self) {
        match self.volume.store.abort_multipart(&self.key, &self.id).await {
            Ok(()) => self.volume.journal.ended(&self.ticket),
            Err(error) => {
                tracing::warn!(
                    object = %self.key,
                    "an unfinished upload stays in the bucket until the next mount: {error}"
                );
            }
        }
    }
}
