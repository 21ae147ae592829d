//! The life of one mount: from the first request to the last byte stored.
//!
//! It ends in one of these ways, and everything unwritten is uploaded in each:
//! - `cloakfs umount` uploads first and unmounts then, so that a failure leaves it mounted;
//! - SIGTERM or SIGINT: upload, unmount (lazily where it is in use), and end; a second signal
//!   ends at once;
//! - umount(8) or fusermount3: the kernel ends the session and we upload what is left, such as
//!   what a failed close has left behind.
//!
//! With the mount gone nobody else can try again: so what fails then is tried again for as long
//! as the mount's timeout. What is not stored by then, or makes no progress for that time, is
//! logged file by file as lost, and the daemon exits with an error; in write-back mode what was
//! closed is not lost but in the journal, and the next mount uploads it.

mod connection;
mod flush;
mod pages;
mod setup;
mod shared;
mod signals;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

pub use flush::FlushError;
use flush::Lost;
pub use setup::Setup;

use super::adapter::Adapter;
use super::claim::Claim;
use super::control::protocol::Progress;
use super::control::server::{BindError, ControlServer, ControlSocket};
use super::dispatch::OperationCounts;
use super::mounting::{MountError, Mounted, UnmountError};
use crate::fs::FileSystem;
use crate::telemetry::log::Log;

use connection::mount_and_answer;
use shared::{Shared, UnmountRequest, names};
use signals::{Signals, Wake};

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Control(#[from] BindError),
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("the kernel's FUSE connection for {mountpoint} failed: {source}")]
    Connection {
        mountpoint: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    #[error("{0}")]
    Unsaved(#[from] FlushError),
    #[error(
        "{} files have changes that are not stored and are lost: {}",
        .files.len(),
        names(.files)
    )]
    Uncommitted { files: Vec<String> },
    #[error(
        "{} files are not uploaded yet; the journal keeps them, and the next mount of the same \
         source on this machine uploads them: {}",
        .files.len(),
        names(.files)
    )]
    Journaled { files: Vec<String> },
    #[error("{first}; then {second}")]
    Both {
        first: Box<SessionError>,
        second: Box<SessionError>,
    },
    #[error(
        "a second signal ended the mount before everything was uploaded; what was not, and is in no journal, is lost"
    )]
    Interrupted,
}

/// A live mount.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    mounted: Mounted,
    control: ControlServer,
    signals: Signals,
    unmount_requests: mpsc::Receiver<UnmountRequest>,
    ended: oneshot::Receiver<io::Result<()>>,
    _claim: Claim,
}

/// Mounts `fs` and begins to answer the kernel. `socket` is where control is listened for.
pub async fn start(
    fs: Arc<FileSystem>,
    setup: Setup,
    socket: &Path,
    claim: Claim,
    log: Log,
) -> Result<Session, SessionError> {
    let signals = Signals::install().map_err(SessionError::Signals)?;
    let socket = ControlSocket::bind(socket)?;
    let counts = Arc::new(OperationCounts::default());
    let runtime = tokio::runtime::Handle::current();
    let adapter = Adapter::new(Arc::clone(&fs), runtime, Arc::clone(&counts));
    let (mounted, ended) = mount_and_answer(adapter, &setup).await?;
    let (unmount, unmount_requests) = mpsc::channel(1);
    let shared = Arc::new(Shared {
        fs,
        setup,
        counts,
        log,
        since: Instant::now(),
        unmount,
        lost: Lost::default(),
    });
    shared.watch_the_lease();
    tracing::info!(
        "{} is mounted at {}",
        shared.setup.source,
        shared.setup.mountpoint
    );
    Ok(Session {
        control: socket.serve(Arc::clone(&shared)),
        shared,
        mounted,
        signals,
        unmount_requests,
        ended,
        _claim: claim,
    })
}

impl Session {
    /// Serves until the mount is gone and everything is stored. Unmounts first when
    /// `is_wanted` is false: nobody waits for the mount any more.
    pub async fn serve(mut self, is_wanted: bool) -> Result<(), SessionError> {
        let mut waiting = Vec::new();
        let ended = if is_wanted {
            self.until_it_ends(&mut waiting).await
        } else {
            self.stop().await
        };
        if let Err(error) = &ended {
            tracing::error!("{error}");
        }
        // The socket goes first: whoever hears that the unmount is done may mount again.
        self.control.close();
        let outcome = finish(ended, self.settle()).await;
        // Whoever hears that the unmount is done may mount elsewhere at once. After a second
        // signal the next mount finds the lock of a dead one.
        if let Some(presence) = &self.shared.setup.presence
            && !matches!(outcome, Err(SessionError::Interrupted))
        {
            presence.leave().await;
        }
        for done in waiting {
            let _client_left = done.send(outcome.as_ref().copied().map_err(ToString::to_string));
        }
        self.control.drain().await;
        tracing::info!(
            "{} is unmounted from {}",
            self.shared.setup.source,
            self.shared.setup.mountpoint
        );
        outcome
    }

    /// Returns when the kernel has ended the session, or we gave up waiting for that.
    async fn until_it_ends(
        &mut self,
        waiting: &mut Vec<oneshot::Sender<Result<(), String>>>,
    ) -> Result<(), SessionError> {
        let mut patience = tokio::time::Instant::now();
        loop {
            tokio::select! {
                ended = &mut self.ended => return self.after_the_end(ended),
                () = tokio::time::sleep_until(patience), if !waiting.is_empty() => {
                    for done in waiting.drain(..) {
                        let _client_left = done.send(Err(self.still_open()));
                    }
                }
                signal = self.signals.next() => match signal {
                    Wake::Stop => return self.stop().await,
                    Wake::Hangup if self.shared.setup.foreground => return self.stop().await,
                    Wake::Hangup => self.reopen_log(),
                },
                Some(request) = self.unmount_requests.recv() => {
                    match self.unmount(&request.progress).await {
                        Ok(()) => {
                            waiting.push(request.done);
                            patience = tokio::time::Instant::now() + self.shared.setup.timeout;
                        }
                        Err(Refusal::Stopped) => {
                            waiting.push(request.done);
                            return self.stop().await;
                        }
                        Err(Refusal::Failed(reason)) => {
                            let _client_left = request.done.send(Err(reason));
                        }
                    }
                }
            }
        }
    }

    /// It had been unmounted lazily, and its last users are slow to leave.
    fn still_open(&self) -> String {
        format!(
            "{} is unmounted, but programs still have files of it open; its daemon ends when they close them",
            self.shared.setup.mountpoint
        )
    }

    /// On request: upload, then unmount, or say why not.
    async fn unmount(&mut self, progress: &watch::Sender<Progress>) -> Result<(), Refusal> {
        let shared = Arc::clone(&self.shared);
        let flushed = tokio::select! {
            flushed = shared.flush(|done| { progress.send_replace(done.into()); }) => flushed,
            () = self.signals.stop() => return Err(Refusal::Stopped),
        };
        flushed.map_err(|error| Refusal::Failed(error.to_string()))?;
        self.remove_mount(false)
            .await
            .map_err(|error| Refusal::Failed(error.to_string()))
    }

    /// After a signal: upload, unmount whatever uses it, and wait for the last users, all as far
    /// as the timeout allows.
    async fn stop(&mut self) -> Result<(), SessionError> {
        tracing::info!("stopping: uploading what is not uploaded yet");
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            flushed = shared.flush_unasked() => {
                if let Err(error) = flushed {
                    tracing::error!("{error}; trying once more after the unmount");
                }
            }
            () = self.signals.stop() => return Err(self.interrupted()),
        }
        let mountpoint = &self.shared.setup.mountpoint;
        if let Err(error) = self.remove_mount(false).await {
            match error {
                UnmountError::Busy { .. } => {
                    tracing::warn!("programs still use {mountpoint}; it is unmounted lazily");
                }
                UnmountError::Failed { .. } => tracing::warn!("{error}; trying lazily"),
            }
            if let Err(error) = self.remove_mount(true).await {
                tracing::error!("{error}");
            }
        }
        let timeout = self.shared.setup.timeout;
        tokio::select! {
            ended = &mut self.ended => self.after_the_end(ended),
            () = self.signals.stop() => Err(self.interrupted()),
            () = tokio::time::sleep(timeout) => {
                tracing::warn!("programs still have files open after {} s", timeout.as_secs());
                Ok(())
            }
        }
    }

    fn interrupted(&self) -> SessionError {
        tracing::error!("ending at once as asked by a second signal");
        self.shared.report_unstored();
        SessionError::Interrupted
    }

    fn after_the_end(
        &self,
        ended: Result<io::Result<()>, oneshot::error::RecvError>,
    ) -> Result<(), SessionError> {
        let outcome = ended.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        outcome.map_err(|source| {
            let _dead_anyway = self.mounted.unmount(true);
            SessionError::Connection {
                mountpoint: self.shared.setup.mountpoint.path().to_owned(),
                source,
            }
        })
    }

    /// Uploads what is left and tidies the bucket. Programs may still have files open: what they
    /// change from here on is refused, since it could not be stored any more.
    async fn settle(&mut self) -> Result<(), SessionError> {
        let shared = Arc::clone(&self.shared);
        let timeout = shared.setup.timeout;
        tokio::select! {
            refused = tokio::time::timeout(timeout, shared.fs.refuse_changes()) => {
                if refused.is_err() {
                    tracing::warn!("changes are still being made after {} s", timeout.as_secs());
                }
            }
            () = self.signals.stop() => return Err(self.interrupted()),
        }
        let flushed = tokio::select! {
            flushed = shared.flush_in_the_end() => flushed,
            () = self.signals.stop() => return Err(self.interrupted()),
        };
        if let Err(error) = flushed {
            tracing::error!("{error}");
            shared.report_unstored();
            return Err(shared.kept_in_journal().unwrap_or(error.into()));
        }
        if tokio::time::timeout(timeout, shared.fs.shut_down())
            .await
            .is_err()
        {
            tracing::warn!(
                "copies of files that were removed while open may be left under .cloakfs/open; the next mount sweeps them"
            );
        }
        let files = shared.fs.unsaved_paths();
        if files.is_empty() {
            return Ok(());
        }
        shared.report_unstored();
        let error = SessionError::Uncommitted { files };
        tracing::error!("{error}");
        Err(error)
    }

    async fn remove_mount(&self, lazily: bool) -> Result<(), UnmountError> {
        let mounted = self.mounted.clone();
        match tokio::task::spawn_blocking(move || mounted.unmount(lazily)).await {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn reopen_log(&self) {
        match self.shared.log.reopen() {
            Ok(true) => tracing::info!("the log file was opened anew"),
            Ok(false) => {}
            Err(error) => tracing::error!("{error}"),
        }
    }
}

/// Settles however the session ended, also when the kernel's connection failed: only a second
/// signal gives up what is not stored.
async fn finish(
    ended: Result<(), SessionError>,
    settle: impl Future<Output = Result<(), SessionError>>,
) -> Result<(), SessionError> {
    match ended {
        Ok(()) => settle.await,
        Err(SessionError::Interrupted) => Err(SessionError::Interrupted),
        Err(first) => Err(match settle.await {
            Ok(()) => first,
            Err(second) => SessionError::Both {
                first: Box::new(first),
                second: Box::new(second),
            },
        }),
    }
}

enum Refusal {
    /// A signal came first.
    Stopped,
    Failed(String),
}

#[cfg(test)]
mod tests;
