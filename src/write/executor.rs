//! Carrying out a plan: parts in parallel, within the mount's window.
//!
//! A failure starts no further part. What runs then depends on whose upload it is: parts at
//! the target's key are cancelled, since their upload is aborted anyway; parts of a private
//! upload are waited for, since it lives on and a late answer must not replace a newer part.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::file::DirtyFile;
use super::planner::{PartSource, PartStep};
use super::{Base, Result, WriteError};
use crate::store::PartReceipt;
use crate::volume::Upload;

/// Whose upload it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At the target's key, for this commit only.
    Direct,
    /// A private one that outlives a failure; the table keeps the receipts.
    Private,
}

impl DirtyFile {
    /// Does the steps that have no receipt yet; the receipts of all, ascending. The caller has
    /// the gate alone.
    pub(super) async fn carry_out(
        &self,
        upload: &Arc<Upload>,
        steps: &[PartStep],
        base: Option<&Base>,
        kind: Kind,
    ) -> Result<Vec<PartReceipt>> {
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
                let (file, upload, base) = (self.shared(), Arc::clone(upload), base.cloned());
                running.spawn(file.step(upload, step, base, kind));
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

    fn receipt_of(&self, step: &PartStep, kind: Kind) -> Option<PartReceipt> {
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
        base: Option<Base>,
        kind: Kind,
    ) -> Result<PartReceipt> {
        let turn = Arc::clone(&self.engine.window).acquire_owned().await;
        let _turn = turn.expect("the semaphore is never closed");
        match step.how {
            PartSource::Copy => {
                let base = base.expect("only a file with a base has parts to copy");
                let (object, version) = (&base.object, &base.version);
                let copied = upload
                    .copy_part(step.number, object, version, step.range)
                    .await;
                copied.map_err(|error| WriteError::of_base(Arc::new(error)))
            }
            PartSource::Upload if kind == Kind::Direct => {
                let body = self.body(step.range).await?;
                Ok(upload.upload_part(step.number, body).await?)
            }
            PartSource::Upload => {
                let part = self.engine.limits.grid.part_at(step.range.start());
                self.state().table.begin_part(part);
                let sent = match self.body(step.range).await {
                    Ok(body) => upload
                        .upload_part(step.number, body)
                        .await
                        .map_err(Into::into),
                    Err(error) => Err(error),
                };
                let receipt = sent.as_ref().ok().cloned();
                self.state().table.end_part(part, step.range, receipt);
                self.engine.pool.notify();
                sent
            }
        }
    }
}
