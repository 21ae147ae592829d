//! Commits and checkpoints: the whole content of a file becomes one object.
//!
//! Both run in a task of their own, so that a caller who goes away leaves nothing half done,
//! and both have the file's gate alone: what is written is the file as it was at one moment.

use std::panic::resume_unwind;
use std::sync::Arc;

use super::content::Table;
use super::executor::{Kind, Origin};
use super::extents::ExtentSet;
use super::file::DirtyFile;
use super::planner::sealed::SealedFile;
use super::planner::{self, PartSource, PartStep, Plan, PlanLimits};
use super::stream::{Stream, private_meta};
use super::{Base, Result, WriteError};
use crate::base::range::ByteRange;
use crate::layout::path::VolumePath;
use crate::store::ErrorKind;
use crate::volume::{Committed, Condition, ObjectMeta, ObjectRef, Part, UploadTarget};

/// A plan and what it was made from.
pub(super) struct Planned {
    pub size: u64,
    pub plan: Plan,
    pub origin: Origin,
}

impl DirtyFile {
    /// Makes the object at `target` this file's content, with these attributes, if the
    /// condition holds. Writes wait meanwhile; afterwards nothing is dirty and the base is the
    /// new version.
    ///
    /// # Errors
    /// What the bucket answered; [`WriteError::is_conflict`](super::WriteError::is_conflict)
    /// when the condition does not hold. The file is as before then, and another commit, also
    /// to another target, can succeed.
    pub async fn commit(
        &self,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let (file, target, meta, condition) = (
            self.shared(),
            target.clone(),
            meta.clone(),
            condition.clone(),
        );
        let task = tokio::spawn(async move {
            let _alone = file.gate.write().await;
            file.pause_stream().await;
            let done = file.commit_alone(&target, &meta, &condition).await;
            file.resume();
            done
        });
        task.await
            .unwrap_or_else(|died| resume_unwind(died.into_panic()))
    }

    /// Puts the whole content into a private object and makes that the base: afterwards no
    /// memory or staging is used, and everything can be read.
    pub(super) async fn checkpoint(&self) -> Result<()> {
        let file = self.shared();
        let task = tokio::spawn(async move {
            let _alone = file.gate.write().await;
            file.pause_stream().await;
            let done = file.checkpoint_alone().await;
            file.resume();
            done
        });
        task.await
            .unwrap_or_else(|died| resume_unwind(died.into_panic()))
    }

    /// Uploads may start again, and cells that a failed commit was sending are evictable.
    pub(super) fn resume(&self) {
        self.state().paused = false;
        self.engine.pool.notify();
    }

    async fn commit_alone(
        self: &Arc<Self>,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        if let Some(published) = self.publish(target, meta, condition).await? {
            return Ok(published);
        }
        self.end_stream().await?;
        let limits = &self.engine.limits;
        let Planned { size, plan, origin } = self.plan(limits, Kind::Direct).await?;
        let committed = match plan {
            Plan::Put { .. } => self.put(size, target, meta, condition).await?,
            Plan::Nothing if size <= self.engine.limits.put_bytes_max => {
                self.put(size, target, meta, condition).await?
            }
            Plan::Nothing => {
                let steps = self.copies(size, &origin);
                self.send(&steps, size, &origin, target, meta, condition)
                    .await?
            }
            Plan::Multipart(steps) => {
                self.send(&steps, size, &origin, target, meta, condition)
                    .await?
            }
        };
        let base = Base {
            object: ObjectRef::Path(target.clone()),
            version: committed.version.clone(),
            size,
        };
        self.stored_as(base, Table::committed);
        Ok(committed)
    }

    /// Brings everything that the stream's upload holds into the base, or drops the upload
    /// where nothing depends on it.
    async fn end_stream(self: &Arc<Self>) -> Result<()> {
        let (stream, needed) = {
            let state = self.state();
            let Some(stream) = state.stream.clone() else {
                return Ok(());
            };
            let needed = state.table.has_remote() || state.table.size() > self.engine.stream_after;
            (stream, needed)
        };
        if needed {
            return self.checkpoint_through(stream).await;
        }
        self.drop_stream();
        Ok(())
    }

    /// Drops the stream's upload; no byte is only there.
    pub(super) fn drop_stream(&self) {
        let stream = {
            let mut state = self.state();
            state.table.forget_uploads();
            state.stream.take()
        };
        self.clear_away(stream, None);
    }

    async fn checkpoint_alone(self: &Arc<Self>) -> Result<()> {
        self.settle_publication().await?;
        // Twice, when the first only finds out that an earlier checkpoint was carried out.
        while let Some(stream) = self.stream_of_dirty() {
            self.checkpoint_through(stream).await?;
        }
        Ok(())
    }

    fn stream_of_dirty(&self) -> Option<Arc<Stream>> {
        let mut state = self.state();
        if state.table.dirty().is_empty() || state.table.size() == 0 {
            return None;
        }
        let stream = state
            .stream
            .get_or_insert_with(|| Stream::new(&self.engine));
        Some(Arc::clone(stream))
    }

    /// A checkpoint; through a new upload when the stream's is gone from the bucket (lifecycle
    /// rules and people abort old ones) and all of its bytes are here still.
    async fn checkpoint_through(self: &Arc<Self>, stream: Arc<Stream>) -> Result<()> {
        let failed = match self.checkpoint_to(&stream).await {
            Err(error) if self.gives_up(&error) => error,
            done => return done,
        };
        let fresh = {
            let mut state = self.state();
            if state.table.has_remote() {
                return Err(failed.of_upload());
            }
            state.table.forget_uploads();
            let fresh = Stream::new(&self.engine);
            state.stream = Some(Arc::clone(&fresh));
            fresh
        };
        self.clear_away(Some(stream), None);
        self.checkpoint_to(&fresh).await
    }

    /// Whether a new upload is the way on, if all bytes are here. In a client-side volume an
    /// upload is completed in one way only, so one that cannot be is of no more use.
    fn gives_up(&self, error: &WriteError) -> bool {
        match error.kind() {
            Some(ErrorKind::NotFound) => true,
            Some(ErrorKind::Invalid | ErrorKind::Corrupt) => {
                self.engine.volume.is_sealed() && self.state().table.unanswered().is_some()
            }
            _ => false,
        }
    }

    /// Completes the stream's upload. Where an earlier answer is missing, or in a client-side
    /// volume an earlier completion failed, the same completion is asked for again, and what was
    /// written since stays dirty.
    async fn checkpoint_to(self: &Arc<Self>, stream: &Arc<Stream>) -> Result<()> {
        let unanswered = self.state().table.unanswered();
        if let Some((receipts, size)) = unanswered {
            return self.complete(stream, &receipts, size).await;
        }
        let Some((receipts, size)) = self.send_all(stream).await? else {
            // The file was cut back to what the base is, or to nothing.
            self.drop_stream();
            return Ok(());
        };
        self.complete(stream, &receipts, size).await
    }

    async fn complete(&self, stream: &Arc<Stream>, receipts: &[Part], size: u64) -> Result<()> {
        let upload = stream.begun();
        stream.completing();
        let meta = private_meta();
        let completed = match upload
            .complete(receipts, size, &meta, &Condition::None)
            .await
        {
            Ok(completed) => completed,
            Err(error) => {
                let mut state = self.state();
                // Where every byte is here still, another upload can become what was asked for.
                let corrupt = error.kind() == ErrorKind::Corrupt && !state.table.has_remote();
                // A sealed upload has one tail: it is completed as it was, or never.
                if !upload.seals() && (corrupt || !may_be_done(error.kind())) {
                    state.table.not_completed();
                }
                return Err(error.into());
            }
        };
        let base = Base {
            object: ObjectRef::Private(stream.name.clone()),
            version: completed.version,
            size,
        };
        let mut state = self.state();
        let gone = state.table.checkpointed(base);
        self.forget(&state, gone);
        let before = state.private.replace(stream.name.clone());
        state.stream = None;
        drop(state);
        self.clear_away(None, before);
        Ok(())
    }

    /// Parts of an upload at the target's key have no numbers before, those of a private one do.
    pub(super) async fn plan(&self, limits: &PlanLimits, kind: Kind) -> Result<Planned> {
        let origin = self.origin(limits).await?;
        let state = self.state();
        let (table, size) = (&state.table, state.table.size());
        let limits = PlanLimits {
            copy_bytes_max: self.engine.limits_for(size).copy_bytes_max,
            ..*limits
        };
        let (base, dirty) = (table.planner_base(), table.dirty());
        let plan = match &origin.stored {
            None if kind == Kind::Direct => planner::free::plan(base, dirty, size, &limits)?,
            None => planner::plan(base, dirty, size, &limits)?,
            Some(stored) => {
                let file = SealedFile {
                    base,
                    stored,
                    dirty,
                    size,
                };
                match kind {
                    Kind::Direct => file.plan_free(&limits)?,
                    Kind::Private => file.plan(&limits)?,
                }
            }
        };
        Ok(Planned { size, plan, origin })
    }

    /// What a plan with these limits has to know of the base.
    async fn origin(&self, limits: &PlanLimits) -> Result<Origin> {
        let (base, needed) = {
            let state = self.state();
            let table = &state.table;
            let in_parts = table.size() > limits.put_bytes_max;
            let needed = table.needed_base().filter(|_| in_parts);
            (table.base().cloned(), needed.cloned())
        };
        let stored = match needed {
            _ if !self.engine.volume.is_sealed() => None,
            Some(base) => Some(Arc::new(self.engine.stored_segments(&base).await?)),
            None => Some(Arc::default()),
        };
        Ok(Origin { base, stored })
    }

    /// The whole base, part by part on the server.
    fn copies(&self, size: u64, origin: &Origin) -> Vec<PartStep> {
        let limits = self.engine.limits_for(size);
        match &origin.stored {
            None => planner::copies(size, limits.copy_bytes_max),
            Some(stored) => {
                let file = SealedFile {
                    base: Some(planner::Base::whole(size)),
                    stored,
                    dirty: &ExtentSet::new(),
                    size,
                };
                file.steps(&limits)
            }
        }
    }

    async fn put(
        &self,
        size: u64,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let whole = ByteRange::new(0, size);
        let (body, _sealed) = if self.engine.volume.is_sealed() {
            // What is sealed is in memory twice for a moment; reserved at once, because who
            // waits for a second reservation must not sit on a first.
            let permit = self.engine.reserve_body(2 * size).await;
            let body = match self.whole(whole) {
                Some(body) => body,
                None => self.assemble(whole).await?.into(),
            };
            (body, Some(permit))
        } else {
            (self.body(whole).await?, None)
        };
        Ok(self
            .engine
            .volume
            .put(target, meta, body, condition)
            .await?)
    }

    /// Through an upload at the target's key; a second one where somebody else aborted the first,
    /// since every byte is here or in the base.
    async fn send(
        &self,
        steps: &[PartStep],
        size: u64,
        origin: &Origin,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let once = || self.send_once(steps, size, origin, target, meta, condition);
        match once().await {
            Err(error) if error.is_upload_gone() => once().await,
            sent => sent,
        }
    }

    async fn send_once(
        &self,
        steps: &[PartStep],
        size: u64,
        origin: &Origin,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let target = UploadTarget::Path(target.clone());
        let copies = steps.iter().any(|step| step.how == PartSource::Copy);
        let base = origin.base.as_ref().filter(|_| copies);
        let upload = self
            .engine
            .begin_upload(&target, meta, base, condition)
            .await?;
        let sent = match self.carry_out(&upload, steps, origin, Kind::Direct).await {
            Ok(parts) => {
                let done = upload.complete(&parts, size, meta, condition).await;
                done.map_err(Into::into)
            }
            Err(error) => Err(error),
        };
        if sent.is_err() {
            self.engine.clean(async move { upload.abort().await });
        }
        sent
    }
}

/// Whether a completion may have been carried out, or a repetition of it may have met its own
/// result, although the answer is an error; see [`crate::store::commit`].
const fn may_be_done(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::TimedOut
        | ErrorKind::Unavailable
        | ErrorKind::NotFound
        | ErrorKind::Precondition
        | ErrorKind::Conflict
        | ErrorKind::Corrupt => true,
        ErrorKind::Throttled | ErrorKind::Denied | ErrorKind::Invalid => false,
    }
}
