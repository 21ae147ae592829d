//! Completing an upload as another object than the one it was begun for, where the store can: what
//! was uploaded under a private key gets its name without being copied.

use super::{Part, Upload};
use crate::base::id::CommitId;
use crate::layout::path::VolumePath;
use crate::layout::sealed::BodyId;
use crate::store::{Elsewhere, PartReceipt, commit};
use crate::volume::sealed::UploadRecord;
use crate::volume::{Committed, Condition, ObjectMeta, Result, Volume};

impl Volume {
    /// Whether there is [`Upload::complete_elsewhere`].
    #[must_use]
    pub fn completes_elsewhere(&self) -> bool {
        self.store.limits().completes_elsewhere
    }
}

impl Upload {
    /// Makes what was uploaded the object of another path than the upload was begun for, if the
    /// condition holds; only where [`Volume::completes_elsewhere`] says so. An upload for which
    /// this failed can be completed again in any way, unless the error leaves open whether it
    /// was carried out.
    pub async fn complete_elsewhere(
        &self,
        parts: &[Part],
        size: u64,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let key = self.volume.file_key(target)?;
        let commit = meta.commit_id();
        let Some(sealing) = &self.sealing else {
            let receipts: Option<Vec<_>> = parts.iter().map(Part::receipt).collect();
            let receipts = receipts.expect("parts of the plain layout are sent at once");
            let attributes = self.volume.encode(&key, meta)?;
            let to = Elsewhere { key, attributes };
            return self.publish(&receipts, to, condition, (commit, None)).await;
        };
        // The content's own: its segments are uploaded. All else is this object's.
        let content = sealing.content();
        let UploadRecord {
            sealing,
            attributes,
        } = self
            .volume
            .record_of_content(target, &key, meta, content, condition)
            .await?;
        let receipts = self.send_tail(&sealing, parts, size, meta).await?;
        let (to, body) = (Elsewhere { key, attributes }, Some(sealing.body()));
        let key = to.key.clone();
        let done = self
            .publish(&receipts, to, condition, (commit, body))
            .await?;
        sealing.keep(&self.volume, &key, &done.version.etag).await;
        Ok(done)
    }

    async fn publish(
        &self,
        receipts: &[PartReceipt],
        to: Elsewhere,
        condition: &Condition,
        (commit, body): (CommitId, Option<BodyId>),
    ) -> Result<Committed> {
        let target = to.key.clone();
        let store = self.volume.store.as_ref();
        let condition = condition.to_store();
        let written =
            commit::complete_elsewhere(store, &self.key, &self.id, receipts, to, condition, commit)
                .await;
        self.completed(written, &target, commit, body)
    }
}
