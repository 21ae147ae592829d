//! Carrying out a plan: parts in parallel, within the mount's window.
//!
//! A failure starts no further part. What runs then depends on whose upload it is: parts at
//! the target's key are cancelled, since their upload is aborted anyway; parts of a private
//! upload are waited for, since it lives on and a late answer must not replace a newer part.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::file::DirtyFile;
use super::planner::sealed::SealedFile;
use super::planner::{PartSource, PartStep};
use super::{Base, Result, WriteError};
use crate::base::limits;
use crate::base::range::ByteRange;
use crate::store::PartNumber;
use crate::volume::{Part, SealedPart, StoredSegments, Upload};

/// Whose upload it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At the target's key, for this commit only.
    Direct,
    /// A private one that outlives a failure; the table keeps the receipts.
    Private,
}

/// What the bytes come from that are not dirty.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub base: Option<Base>,
    /// In a client-side volume: which segments of the base are stored. None where no byte of it
    /// is needed.
    pub stored: Option<Arc<StoredSegments>>,
}

impl Origin {
    fn stored(&self) -> Option<&StoredSegments> {
        self.stored.as_deref()
    }
}

impl DirtyFile {
    /// Does the steps that have no receipt yet; the receipts of all, ascending. The caller has
    /// the gate alone.
    pub(super) async fn carry_out(
        &self,
        upload: &Arc<Upload>,
        steps: &[PartStep],
        origin: &Origin,
        kind: Kind,
    ) -> Result<Vec<Part>> {
        let mut receipts = Vec::with_capacity(steps.len());
        let mut waiting = Vec::new();
        for step in steps {
            match self.receipt_of(step, kind) {
                Some(receipt) => receipts.push(receipt),
                None => waiting.push(*step),
            }
        }
        let mut waiting = waiting.into_iter();
        let mut running = JoinSet::new();
        let mut failure = None;
        loop {
            while failure.is_none() && running.len() < self.engine.parallel {
                let Some(step) = waiting.next() else { break };
                let (file, upload) = (self.shared(), Arc::clone(upload));
                running.spawn(file.step(upload, step, origin.clone(), kind));
            }
            match running.join_next().await {
                None => break,
                Some(Ok(Ok(receipt))) => receipts.push(receipt),
                Some(Ok(Err(error))) => {
                    failure.get_or_insert(error);
                    if kind == Kind::Direct {
                        running.shutdown().await;
                    }
                }
                Some(Err(died)) => resume_unwind(died.into_panic()),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        receipts.sort_unstable_by_key(|receipt| receipt.number);
        Ok(receipts)
    }

    fn receipt_of(&self, step: &PartStep, kind: Kind) -> Option<Part> {
        if kind == Kind::Direct || step.how == PartSource::Copy {
            return None;
        }
        let part = self.engine.limits.grid.part_at(step.range.start());
        self.state().table.receipt(part, step.range)
    }

    async fn step(
        self: Arc<Self>,
        upload: Arc<Upload>,
        step: PartStep,
        origin: Origin,
        kind: Kind,
    ) -> Result<Part> {
        let turn = Arc::clone(&self.engine.window).acquire_owned().await;
        let _turn = turn.expect("the semaphore is never closed");
        match step.how {
            PartSource::Copy => {
                let base = origin
                    .base
                    .expect("only a file with a base has parts to copy");
                let (object, version) = (&base.object, &base.version);
                let copied = upload
                    .copy_part(step.number, object, version, step.range)
                    .await;
                copied.map_err(|error| WriteError::of_base(Arc::new(error)))
            }
            PartSource::Upload if kind == Kind::Direct => {
                self.upload_part(&upload, step.number, step.range, origin.stored())
                    .await
            }
            PartSource::Upload => {
                let part = self.engine.limits.grid.part_at(step.range.start());
                self.state().table.begin_part(part);
                let sent = self
                    .upload_part(&upload, step.number, step.range, origin.stored())
                    .await;
                let receipt = sent.as_ref().ok().cloned();
                self.state().table.end_part(part, step.range, receipt);
                self.engine.pool.notify();
                sent
            }
        }
    }

    /// Uploads the bytes of `range` as one part: as they are, or the messages of its segments.
    /// `range` is below the size, nothing in it is remote.
    pub(super) async fn upload_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        range: ByteRange,
        stored: Option<&StoredSegments>,
    ) -> Result<Part> {
        let Some(stored) = stored.filter(|_| upload.seals()) else {
            let body = self.body(range).await?;
            return Ok(upload.upload_part(number, body).await?);
        };
        let messages = self.messages(range, stored);
        let wholes: Vec<_> = messages.iter().map(|range| self.whole(*range)).collect();
        // The messages, and a segment that has to be put together before it is sealed.
        let mut bytes = SealedPart::stored_bytes(&messages);
        if wholes.iter().any(Option::is_none) {
            bytes += limits::SEGMENT_BYTES;
        }
        let _permit = self.engine.reserve_body(bytes).await;
        let mut part = SealedPart::for_segments(&messages);
        for (range, whole) in messages.into_iter().zip(wholes) {
            let plain = match whole {
                Some(plain) => plain,
                None => self.assemble(range).await?.into(),
            };
            part = upload.seal(part, range.start(), plain).await;
        }
        Ok(upload.upload_sealed(number, part).await?)
    }

    fn messages(&self, range: ByteRange, stored: &StoredSegments) -> Vec<ByteRange> {
        let state = self.state();
        let file = SealedFile {
            base: state.table.planner_base(),
            stored,
            dirty: state.table.dirty(),
            size: state.table.size(),
        };
        file.messages(range)
    }
}
