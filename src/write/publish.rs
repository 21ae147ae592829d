//! Publishing: where the store completes an upload at any key, what a file streamed to becomes the
//! target itself, and its content is written once. Elsewhere the private upload is completed
//! first and copied (see [`super::commit`]).
//!
//! A publication that failed is undone but for its tail, and the next one, perhaps at another
//! name, completes the same upload; only where the answer was lost the target is looked at
//! before anything else is done.

use std::sync::Arc;

use super::commit::Planned;
use super::content::Table;
use super::executor::Kind;
use super::file::DirtyFile;
use super::planner::{Plan, PlanLimits};
use super::staging::StagedSlot;
use super::stream::Stream;
use super::{Base, Result};
use crate::layout::path::VolumePath;
use crate::volume::{Committed, Condition, ObjectMeta, ObjectRef, Part};

impl DirtyFile {
    /// Makes the stream's upload the object at `target`; `None` where a commit has to go another
    /// way. The caller has the gate alone, and the stream is paused.
    pub(super) async fn publish(
        self: &Arc<Self>,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Option<Committed>> {
        self.settle_publication().await?;
        let Some(stream) = self.publishable() else {
            return Ok(None);
        };
        match self.publish_stream(&stream, target, meta, condition).await {
            Err(error) if error.is_upload_gone() => {
                if self.state().table.has_remote() {
                    return Err(error.of_upload());
                }
                // The upload is gone, and every byte is here still.
                self.drop_stream();
                Ok(None)
            }
            done => done,
        }
    }

    async fn publish_stream(
        self: &Arc<Self>,
        stream: &Stream,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Option<Committed>> {
        let Some((receipts, size)) = self.send_all(stream).await? else {
            return Ok(None);
        };
        let upload = stream.begun();
        let published = upload
            .complete_elsewhere(&receipts, size, target, meta, condition)
            .await;
        let committed = match published {
            Ok(committed) => committed,
            Err(error) => {
                let mut state = self.state();
                if error.kind().leaves_open() {
                    state.publication = Some(target.clone());
                } else {
                    state.table.not_completed();
                }
                return Err(error.into());
            }
        };
        let base = Base {
            object: ObjectRef::Path(target.clone()),
            version: committed.version.clone(),
            size,
        };
        self.stored_as(base, Table::committed);
        Ok(Some(committed))
    }

    /// Finds out whether a publication was carried out whose answer was lost. The caller has the
    /// gate alone.
    pub(super) async fn settle_publication(&self) -> Result<()> {
        let Some(target) = self.state().publication.clone() else {
            return Ok(());
        };
        let volume = &self.engine.volume;
        let found = match volume.stat_file(&target).await {
            Ok(found) => found,
            // Somebody else's.
            Err(error) if error.object_error().is_some() => None,
            Err(error) => return Err(error.into()),
        };
        let ours = match found {
            Some(stat) if volume.may_be_ours(&target, &stat)? => stat.version,
            _ => None,
        };
        let mut state = self.state();
        state.publication = None;
        let (Some(version), Some((_, size))) = (ours, state.table.unanswered()) else {
            state.table.not_completed();
            return Ok(());
        };
        let base = Base {
            object: ObjectRef::Path(target),
            version,
            size,
        };
        drop(state);
        self.stored_as(base, Table::checkpointed);
        Ok(())
    }

    /// The stream, if the store can make it the target and the commit needs it.
    fn publishable(&self) -> Option<Arc<Stream>> {
        if !self.engine.volume.completes_elsewhere() {
            return None;
        }
        let state = self.state();
        let table = &state.table;
        let needed = table.has_remote() || table.size() > self.engine.stream_after;
        // A private object on its way has to arrive first.
        let free = table.unanswered().is_none();
        state.stream.clone().filter(|_| needed && free)
    }

    /// Brings the whole content into the stream's upload, whose completion is asked for next: the
    /// receipts of its parts, and its length in bytes. `None` where there is nothing to upload.
    pub(super) async fn send_all(
        self: &Arc<Self>,
        stream: &Stream,
    ) -> Result<Option<(Vec<Part>, u64)>> {
        let limits = PlanLimits {
            put_bytes_max: 0,
            ..self.engine.limits
        };
        let Planned { size, plan, origin } = self.plan(&limits, Kind::Private).await?;
        let Plan::Multipart(steps) = plan else {
            return Ok(None);
        };
        let base = self.state().table.needed_base().cloned();
        let upload = stream.upload(&self.engine, base.as_ref()).await?;
        let receipts = self
            .carry_out(&upload, &steps, &origin, Kind::Private)
            .await?;
        self.state().table.completing(receipts.clone());
        Ok(Some((receipts, size)))
    }

    /// An object that is no private one has the content: `note` tells the table so, and what led
    /// there goes.
    pub(super) fn stored_as(
        &self,
        base: Base,
        note: impl FnOnce(&mut Table<StagedSlot>, Base) -> Vec<u64>,
    ) {
        let mut state = self.state();
        let gone = note(&mut state.table, base);
        self.forget(&state, gone);
        state.stream = None;
        let private = state.private.take();
        drop(state);
        self.clear_away(None, private);
    }
}
