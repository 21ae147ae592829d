//! Such an object as one of the volume's own: what every change of it makes. All of it is read,
//! and so authentic, before any of it is written.

use std::fmt::Display;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Place, S3ecObject};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::layout::attributes::FileKind;
use crate::layout::sealed::SEGMENT_BYTES;
use crate::store::{ObjectInfo, ObjectKey, PartNumber};
use crate::volume::sealed::UploadRecord;
use crate::volume::upload::Beginning;
use crate::volume::{
    Committed, Condition, ObjectMeta, Part, Result, SealedPart, Upload, Volume, VolumeError,
};

/// Segments that are read, sealed and sent at once.
const PARALLEL: usize = 3;

impl Volume {
    /// Writes the content of a version at `key`, with these attributes and under this commit id,
    /// if the condition holds.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides of a copy, and how"
    )]
    pub(in crate::volume) async fn rewrite_s3ec(
        self: &Arc<Self>,
        id: CommitId,
        source: &Place,
        object: &Arc<S3ecObject>,
        name: &(dyn Display + Sync),
        key: ObjectKey,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        if meta.attributes.kind != FileKind::File {
            let message = format!(
                "it is a file, and would become a {:?}",
                meta.attributes.kind
            );
            return Err(VolumeError::invalid(name, &message));
        }
        let meta = ObjectMeta {
            commit: Some(id),
            ..meta.clone()
        };
        if object.size <= SEGMENT_BYTES {
            let whole = ByteRange::new(0, object.size);
            let plain = self.read_s3ec(source, object, whole).await?;
            return self.put_sealed(name, key, &meta, plain, condition).await;
        }
        // Nothing is begun for what is not authentic.
        self.s3ec_pieces(source, object).await?;
        let UploadRecord {
            sealing,
            attributes,
        } = self
            .record_of_upload(name, &key, &meta, None, condition)
            .await?;
        let beginning = Beginning::sealed(attributes, sealing.body(), id);
        let upload = self.begin_sealed_upload(key, beginning, sealing).await?;
        let done = self
            .send_s3ec(&upload, source, object, &meta, condition)
            .await;
        if done.is_err() {
            upload.abort().await;
        }
        done
    }

    /// Such an object of a directory that is renamed, as one of the volume's own at another key.
    pub(in crate::volume) async fn move_s3ec(
        self: &Arc<Self>,
        name: &(dyn Display + Sync),
        key: &ObjectKey,
        target: &ObjectKey,
        found: &Arc<S3ecObject>,
        info: ObjectInfo,
    ) -> Result<Committed> {
        let meta = self.meta_of_s3ec(key, found, info.last_modified);
        let source = Place {
            key: key.clone(),
            name: name.to_string(),
            etag: info.etag,
            version: None,
        };
        let (id, none) = (CommitId::random(), &Condition::None);
        self.rewrite_s3ec(id, &source, found, name, target.clone(), &meta, none)
            .await
    }

    async fn send_s3ec(
        &self,
        upload: &Upload,
        source: &Place,
        object: &Arc<S3ecObject>,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let size = object.size;
        let send = async |at: u64| -> Result<Part> {
            let start = at * SEGMENT_BYTES;
            let range = ByteRange::new(start, size.min(start + SEGMENT_BYTES));
            let plain = self.read_s3ec(source, object, range).await?;
            let part = SealedPart::for_segments(&[range]);
            let part = upload.seal(part, start, plain).await;
            let number = u32::try_from(at + 1).ok().and_then(PartNumber::new);
            let number = number.expect("64 GiB are 8,192 segments");
            upload.upload_sealed(number, part).await
        };
        let parts: Vec<Part> = stream::iter((0..size.div_ceil(SEGMENT_BYTES)).map(send))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        upload.complete(&parts, size, meta, condition).await
    }
}
