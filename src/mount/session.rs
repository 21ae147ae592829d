//! The life of one mount: from the first request to the last byte stored.
//!
//! It ends in one of these ways, and everything unwritten is uploaded in each:
//! - `cloakfs umount` uploads first and unmounts then, so that a failure leaves it mounted;
//! - SIGTERM or SIGINT: upload, unmount (lazily where it is in use), and end; a second signal
//!   ends at once;
//! - umount(8) or fusermount3: the kernel ends the session and we upload what is left.
//!
//! An upload that fails, or makes no progress for the mount's timeout, is logged with what was
//! lost, and the daemon then exits with an error.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::SessionACL;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::adapter::Adapter;
use super::claim::Claim;
use super::control::protocol::{OperationCount, Progress, Status};
use super::control::server::{BindError, ControlServer, ControlSocket, Controlled};
use super::dispatch::OperationCounts;
use super::mounting::{self, KernelOptions, MountError, Mounted, UnmountError};
use super::mountpoint::Mountpoint;
use crate::base::progress;
use crate::fs::{FileSystem, FsError, SyncProgress};
use crate::telemetry::log::Log;

/// Threads that read requests: more than this many do not help, since they never wait.
const THREADS_MAX: usize = 8;

/// What a mount is, for the kernel and for `cloakfs status`.
pub struct Setup {
    /// As it was given: `s3://bucket/prefix`.
    pub source: String,
    pub mode: String,
    /// What the store cannot do and what that costs.
    pub notes: Vec<String>,
    pub mountpoint: Mountpoint,
    pub kernel: KernelOptions,
    /// The longest time without progress.
    pub timeout: Duration,
    /// A hangup of the terminal ends it.
    pub foreground: bool,
    /// The store's figures at the time of the call.
    pub store_status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("source", &self.source)
            .field("mountpoint", &self.mountpoint)
            .finish_non_exhaustive()
    }
}

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
    #[error("a second signal ended the mount before everything was uploaded; what was not is lost")]
    Interrupted,
}

/// Why not everything could be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("not everything could be uploaded: {0}")]
    Failed(#[from] FsError),
    #[error(
        "uploading made no progress for {} s and was given up", .0.as_secs()
    )]
    Stuck(Duration),
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

/// What the control socket answers from.
#[derive(Debug)]
struct Shared {
    fs: Arc<FileSystem>,
    setup: Setup,
    counts: Arc<OperationCounts>,
    log: Log,
    since: Instant,
    unmount: mpsc::Sender<UnmountRequest>,
}

#[derive(Debug)]
struct UnmountRequest {
    progress: watch::Sender<Progress>,
    done: oneshot::Sender<Result<(), String>>,
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
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
    });
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

/// Mounts, shakes hands with the kernel and starts the threads that answer it. The receiver
/// hears when they have ended.
async fn mount_and_answer(
    adapter: Adapter,
    setup: &Setup,
) -> Result<(Mounted, oneshot::Receiver<io::Result<()>>), SessionError> {
    let (source, mountpoint) = (setup.source.clone(), setup.mountpoint.clone());
    let kernel = setup.kernel.clone();
    let mount = move || {
        let (mounted, descriptor) = mounting::mount(&source, &mountpoint, &kernel)?;
        let connection = |source| SessionError::Connection {
            mountpoint: mountpoint.path().to_owned(),
            source,
        };
        // The kernel enforces allow_other itself; fuser's own check would drop FLUSH and SETATTR
        // of other users.
        let session =
            fuser::Session::from_fd(adapter, descriptor, SessionACL::All, session_config())
                .map_err(connection);
        let (send, ended) = oneshot::channel();
        let answering = session.and_then(|session| {
            std::thread::Builder::new()
                .name("fuse".to_owned())
                .spawn(move || send.send(session.run()))
                .map_err(connection)
        });
        match answering {
            Ok(_detached) => Ok((mounted, ended)),
            Err(error) => {
                let _first_error_counts = mounted.unmount(true);
                Err(error)
            }
        }
    };
    // It waits for the helper and the kernel, which a task may not.
    match tokio::task::spawn_blocking(mount).await {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn session_config() -> fuser::Config {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let mut config = fuser::Config::default();
    config.n_threads = Some(processors.clamp(2, THREADS_MAX));
    // Each thread gets a queue of its own, where the device may be opened once more.
    config.clone_fd = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .is_ok();
    config
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
        let outcome = match ended {
            Ok(()) => self.settle().await,
            error => error,
        };
        for done in waiting {
            let _client_left =
                done.send(outcome.as_ref().map(|()| ()).map_err(ToString::to_string));
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
            flushed = shared.flush(|_| {}) => {
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
        let status = self.shared.filesystem_status();
        tracing::error!("ending at once as asked; the filesystem's state is {status}");
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

    /// Uploads what is left and tidies the bucket.
    async fn settle(&mut self) -> Result<(), SessionError> {
        let shared = Arc::clone(&self.shared);
        let flushed = tokio::select! {
            flushed = shared.flush(|_| {}) => flushed,
            () = self.signals.stop() => return Err(self.interrupted()),
        };
        if let Err(error) = flushed {
            let status = shared.filesystem_status();
            tracing::error!("{error}; the filesystem's state is {status}");
            return Err(error.into());
        }
        if tokio::time::timeout(shared.setup.timeout, shared.fs.shut_down())
            .await
            .is_err()
        {
            tracing::warn!(
                "copies of files that were removed while open may be left under .cloakfs/open; the next mount sweeps them"
            );
        }
        Ok(())
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

enum Refusal {
    /// A signal came first.
    Stopped,
    Failed(String),
}

impl Shared {
    /// Uploads everything, as long as something moves.
    async fn flush(
        &self,
        on_progress: impl Fn(SyncProgress) + Send + Sync,
    ) -> Result<(), FlushError> {
        flush(&self.fs, self.setup.timeout, on_progress).await
    }

    fn filesystem_status(&self) -> serde_json::Value {
        serde_json::to_value(self.fs.status())
            .unwrap_or_else(|error| serde_json::Value::String(error.to_string()))
    }
}

/// Uploads everything, unless nothing moves for `timeout`.
async fn flush(
    fs: &Arc<FileSystem>,
    timeout: Duration,
    on_progress: impl Fn(SyncProgress) + Send + Sync,
) -> Result<(), FlushError> {
    let moving = progress::Progress::start();
    let work = fs.sync_all(|done| {
        moving.touch();
        on_progress(done);
    });
    match while_moving(&moving, timeout, moving.scope(work)).await {
        Some(outcome) => Ok(outcome?),
        None => Err(FlushError::Stuck(timeout)),
    }
}

/// Runs `work`, unless nothing moves for `limit`: then `None`.
async fn while_moving<T>(
    moving: &progress::Progress,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let deadline = moving.last() + limit;
        tokio::select! {
            done = &mut work => return Some(done),
            () = tokio::time::sleep_until(deadline) => {
                if moving.idle() >= limit {
                    return None;
                }
            }
        }
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
            mode: self.setup.mode.clone(),
            mountpoint: self.setup.mountpoint.path().to_owned(),
            read_only: self.setup.kernel.flags.is_read_only(),
            uptime_secs: self.since.elapsed().as_secs(),
            notes: self.setup.notes.clone(),
            operations: operations
                .map(|(name, (all, waited))| (name.to_owned(), OperationCount { all, waited }))
                .collect(),
            filesystem: self.filesystem_status(),
            store: (self.setup.store_status)(),
            errors: self.log.recent().total(),
            last_errors: self.log.recent().last(),
        }
    }

    fn sync(
        &self,
        progress: watch::Sender<Progress>,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let fs = Arc::clone(&self.fs);
        let timeout = self.setup.timeout;
        async move {
            let report = |done: SyncProgress| {
                progress.send_replace(done.into());
            };
            flush(&fs, timeout, report)
                .await
                .map_err(|error| error.to_string())
        }
    }

    fn unmount(
        &self,
        progress: watch::Sender<Progress>,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let requests = self.unmount.clone();
        async move {
            let (done, outcome) = oneshot::channel();
            let ending = || "the mount is ending already".to_owned();
            requests
                .send(UnmountRequest { progress, done })
                .await
                .map_err(|_| ending())?;
            outcome.await.unwrap_or_else(|_| Err(ending()))
        }
    }
}

impl From<SyncProgress> for Progress {
    fn from(done: SyncProgress) -> Self {
        Self {
            files_done: done.files_done,
            files: done.files,
            bytes_done: done.bytes_done,
            bytes: done.bytes,
        }
    }
}

enum Wake {
    Stop,
    Hangup,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::Hangup,
        }
    }

    async fn stop(&mut self) {
        while !matches!(self.next().await, Wake::Stop) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_moves_may_take_long_and_what_does_not_is_given_up() {
        let limit = Duration::from_secs(60);
        let moving = progress::Progress::start();
        let slow = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                moving.touch();
            }
        };
        assert_eq!(while_moving(&moving, limit, slow).await, Some(()));
        let began = tokio::time::Instant::now();
        let stuck = std::future::pending::<()>();
        assert_eq!(while_moving(&moving, limit, stuck).await, None);
        assert!(began.elapsed() <= Duration::from_secs(61));
    }
}
