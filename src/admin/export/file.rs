//! One file: read at one version, sealed as one message, written in one request or part by part.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::{Export, ExportError, Progress};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::crypto::s3ec::Sealing;
use crate::layout::path::VolumePath;
use crate::layout::s3ec::{CONTENT_BYTES_MAX, Envelope};
use crate::store::{
    ErrorKind, HeadOptions, ObjectAttributes, ObjectKey, PartNumber, PartReceipt, PutOptions,
    StoreError, UploadId, WriteCondition, commit,
};
use crate::volume::{ObjectRef, Stat, Version, VolumeError};

/// What is read, sealed and sent at a time: 64 GiB are 8,192 parts.
const PART_BYTES: u64 = 8 << 20;
/// Parts that are read ahead of the one that is sealed, which is sent alone: the tag is over
/// their order. Of each file 24 MiB are in memory.
const AHEAD: usize = 2;

const CONTENT_TYPE: &str = "application/octet-stream";

impl Export {
    pub(super) async fn file(
        &self,
        path: &VolumePath,
        stat: &Stat,
        progress: &Progress,
    ) -> Result<(), ExportError> {
        if stat.size > CONTENT_BYTES_MAX {
            return Err(ExportError::TooLong(stat.size));
        }
        let key = ObjectKey::new(format!("{}{path}", self.prefix));
        let key = key.map_err(|error| ExportError::Name(error.to_string()))?;
        let version = stat.version.as_ref();
        let version = version.ok_or_else(|| VolumeError::gone(0))?;
        if !self.force && self.is_there(&key).await? {
            // Told before anything is read, wrapped or sent; the write tells, too.
            return Err(ExportError::IsThere);
        }
        let (cipher, envelope) = self.wrap.new_object().await?;
        let attributes = attributes(&envelope);
        let sealing = cipher.seal();
        let written = if stat.size <= PART_BYTES {
            self.whole(&key, path, stat, version, attributes, sealing)
                .await
        } else {
            self.parts(&key, path, stat, version, attributes, sealing)
                .await
        };
        match written {
            Err(ExportError::Target(error)) if error.kind() == ErrorKind::Precondition => {
                Err(ExportError::IsThere)
            }
            Ok(()) => {
                progress.bytes.fetch_add(stat.size, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn condition(&self) -> WriteCondition {
        if self.force {
            WriteCondition::None
        } else {
            WriteCondition::IfAbsent
        }
    }

    async fn read(
        &self,
        path: &VolumePath,
        version: &Version,
        range: ByteRange,
    ) -> Result<Bytes, VolumeError> {
        let object = ObjectRef::Path(path.clone());
        self.volume.read(&object, version, range).await
    }

    async fn whole(
        &self,
        key: &ObjectKey,
        path: &VolumePath,
        stat: &Stat,
        version: &Version,
        attributes: ObjectAttributes,
        mut sealing: Sealing<'_>,
    ) -> Result<(), ExportError> {
        let whole = ByteRange::new(0, stat.size);
        let mut body = self.read(path, version, whole).await?.to_vec();
        sealing.update(&mut body);
        body.extend_from_slice(&sealing.finish());
        let options = PutOptions {
            attributes,
            condition: self.condition(),
        };
        let (store, id) = (self.target.as_ref(), CommitId::random());
        commit::put(store, key, body.into(), options, id).await?;
        Ok(())
    }

    async fn parts(
        &self,
        key: &ObjectKey,
        path: &VolumePath,
        stat: &Stat,
        version: &Version,
        mut attributes: ObjectAttributes,
        sealing: Sealing<'_>,
    ) -> Result<(), ExportError> {
        let id = CommitId::random();
        commit::mark(&mut attributes, id);
        let upload = self.target.create_multipart(key, attributes).await?;
        let sent = self
            .send(key, &upload, path, stat, version, sealing, id)
            .await;
        if sent.is_err() {
            let aborted = self.target.abort_multipart(key, &upload).await;
            if let Err(error) = aborted {
                tracing::warn!(object = %key, "an unfinished upload stays in the bucket: {error}");
            }
        }
        sent
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides of a copy, and how"
    )]
    async fn send(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        path: &VolumePath,
        stat: &Stat,
        version: &Version,
        mut sealing: Sealing<'_>,
        id: CommitId,
    ) -> Result<(), ExportError> {
        let count = stat.size.div_ceil(PART_BYTES);
        let ranges = (0..count).map(|at| {
            let start = at * PART_BYTES;
            ByteRange::new(start, stat.size.min(start + PART_BYTES))
        });
        let mut read = stream::iter(ranges)
            .map(|range| self.read(path, version, range))
            .buffered(AHEAD);
        let mut receipts = Vec::new();
        while let Some(plain) = read.next().await {
            let mut body = plain?.to_vec();
            sealing.update(&mut body);
            let number = receipts.len() + 1;
            if number as u64 == count {
                body.extend_from_slice(&sealing.finish());
                receipts.push(self.part(key, upload, number, body).await?);
                break;
            }
            receipts.push(self.part(key, upload, number, body).await?);
        }
        let store = self.target.as_ref();
        commit::complete(store, key, upload, &receipts, self.condition(), id).await?;
        Ok(())
    }

    async fn part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: usize,
        body: Vec<u8>,
    ) -> Result<PartReceipt, StoreError> {
        let number = u32::try_from(number).ok().and_then(PartNumber::new);
        let number = number.expect("64 GiB are 8,192 parts");
        self.target
            .upload_part(key, upload, number, body.into())
            .await
    }

    async fn is_there(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        match self.target.head(key, HeadOptions::default()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            // It may be allowed to write alone. Then the condition of the write tells.
            Err(error) if error.kind() == ErrorKind::Denied => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn attributes(envelope: &Envelope) -> ObjectAttributes {
    ObjectAttributes {
        metadata: envelope.encode(),
        content_type: Some(CONTENT_TYPE.to_owned()),
    }
}
