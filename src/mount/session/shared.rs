//! What the session and its control socket share.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use super::flush::{FlushError, Lost, flush, flush_in_the_end};
use super::{SessionError, Setup, pages};
use crate::base::secret;
use crate::fs::{FileSystem, SyncProgress};
use crate::mount::control::protocol::{Consistency, OperationCount, Progress, Status};
use crate::mount::control::server::Controlled;
use crate::mount::dispatch::OperationCounts;
use crate::telemetry::log::Log;

/// What the control socket answers from.
#[derive(Debug)]
pub(super) struct Shared {
    pub fs: Arc<FileSystem>,
    pub setup: Setup,
    pub counts: Arc<OperationCounts>,
    pub log: Log,
    pub since: Instant,
    pub unmount: mpsc::Sender<UnmountRequest>,
    /// What nobody has been told of yet.
    pub lost: Lost,
}

#[derive(Debug)]
pub(super) struct UnmountRequest {
    pub progress: watch::Sender<Progress>,
    pub done: oneshot::Sender<Result<(), String>>,
}

impl Shared {
    /// Uploads everything, as long as something moves, for somebody who hears how that went.
    pub(super) async fn flush(
        &self,
        on_progress: impl Fn(SyncProgress) + Send + Sync,
    ) -> Result<(), FlushError> {
        let kept_back = self.call_in_pages().await;
        let flushed = flush(&self.fs, self.setup.timeout, &Lost::default(), on_progress).await;
        flushed.and(kept_back)
    }

    /// The same before the end, of which only the log and [`Self::flush_in_the_end`] tell.
    pub(super) async fn flush_unasked(&self) -> Result<(), FlushError> {
        let kept_back = self.call_in_pages().await;
        let flushed = flush(&self.fs, self.setup.timeout, &self.lost, |_| {}).await;
        flushed.and(kept_back)
    }

    async fn call_in_pages(&self) -> Result<(), FlushError> {
        if !self.fs.is_exclusive() {
            return Ok(());
        }
        let mountpoint = self.setup.mountpoint.path().to_owned();
        pages::call_in(mountpoint, self.setup.timeout).await
    }

    /// Uploads everything when nobody can ask for that again.
    pub(super) async fn flush_in_the_end(&self) -> Result<(), FlushError> {
        flush_in_the_end(&self.fs, self.setup.timeout, &self.lost).await
    }

    /// Refuses changes from when the lease is lost.
    pub(super) fn watch_the_lease(self: &Arc<Self>) {
        if let Some(presence) = self.setup.presence.clone() {
            let fs = Arc::downgrade(&self.fs);
            tokio::spawn(async move {
                let why = presence.lost().await;
                if let Some(fs) = fs.upgrade() {
                    fs.refuse_changes_because(why);
                }
            });
        }
    }

    fn consistency(&self) -> Consistency {
        let standing = self.setup.presence.as_ref().map(|it| it.standing());
        let (renewed, lost) = standing.map_or((None, None), |it| (it.renewed, it.lost));
        Consistency {
            renewed_secs: renewed.map(|renewed| renewed.as_secs()),
            lost,
            ..self.setup.consistency.clone()
        }
    }

    /// Logs what the daemon is about to lose, by name.
    pub(super) fn report_unstored(&self) {
        for path in self.fs.unsaved_paths() {
            tracing::error!("what was last written to {path:?} is not stored, and is lost now");
        }
    }

    /// What is not uploaded, where all of it is in the journal: then nothing is lost.
    pub(super) fn kept_in_journal(&self) -> Option<SessionError> {
        let files = self.fs.journaled_paths();
        if files.is_empty() || !self.fs.unsaved_paths().is_empty() {
            return None;
        }
        let error = SessionError::Journaled { files };
        tracing::warn!("{error}");
        Some(error)
    }
}

impl Controlled for Shared {
    fn mountpoint(&self) -> &Path {
        self.setup.mountpoint.path()
    }

    fn status(&self) -> Status {
        let operations = self.counts.snapshot().into_iter();
        Status {
            release: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            source: self.setup.source.clone(),
            encryption: self.setup.encryption.clone(),
            mountpoint: self.setup.mountpoint.path().to_owned(),
            consistency: self.consistency(),
            read_only: self.setup.kernel.flags.is_read_only(),
            uptime_secs: self.since.elapsed().as_secs(),
            notes: self.setup.notes.clone(),
            // Secrets that come later may be refused what the first were allowed.
            warnings: secret::locking().note().into_iter().collect(),
            operations: operations
                .map(|(name, (all, waited))| (name.to_owned(), OperationCount { all, waited }))
                .collect(),
            filesystem: serde_json::to_value(self.fs.status())
                .unwrap_or_else(|error| serde_json::Value::String(error.to_string())),
            store: (self.setup.store_status)(),
            errors: self.log.recent().total(),
            last_errors: self.log.recent().last(),
        }
    }

    async fn sync(self: Arc<Self>, progress: watch::Sender<Progress>) -> Result<(), String> {
        self.flush(|done| {
            progress.send_replace(done.into());
        })
        .await
        .map_err(|error| error.to_string())
    }

    async fn unmount(self: Arc<Self>, progress: watch::Sender<Progress>) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        let ending = || "the mount is ending already".to_owned();
        self.unmount
            .send(UnmountRequest { progress, done })
            .await
            .map_err(|_| ending())?;
        outcome.await.unwrap_or_else(|_| Err(ending()))
    }
}

impl From<SyncProgress> for Progress {
    fn from(done: SyncProgress) -> Self {
        Self {
            files_done: done.files_done,
            files: done.files,
            bytes_done: done.bytes_done,
            bytes: done.bytes,
            moves: 0,
        }
    }
}

/// The first names of a list.
pub(super) fn names(files: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = files
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    if files.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}
