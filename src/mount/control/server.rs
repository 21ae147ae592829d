//! The daemon's side of the control socket.
//!
//! Work that a client asked for goes on when the client leaves. A client that connects and says
//! nothing is cut off.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::base::progress;

use super::protocol::{
    Command, Event, HEARTBEAT_SECS, Progress, REQUEST_BYTES_MAX, Request, Status, VERSION,
};

/// A client has this long to say what it wants.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// Connections that are still being answered when the daemon ends get this long.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// What the daemon can be asked.
pub trait Controlled: Send + Sync + 'static {
    fn mountpoint(&self) -> &Path;
    fn status(&self) -> Status;
    /// Uploads everything; reports to `progress`.
    fn sync(
        self: Arc<Self>,
        progress: watch::Sender<Progress>,
    ) -> impl Future<Output = Result<(), String>> + Send;
    /// Uploads everything, unmounts, and resolves when nothing of the mount is left.
    fn unmount(
        self: Arc<Self>,
        progress: watch::Sender<Progress>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the control socket {path} cannot be made: {source}; set CLOAKFS_STATE_DIR to a directory with a short path on a local disk"
)]
pub struct BindError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A bound socket, removed when dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl ControlSocket {
    /// Binds. Only for the holder of the mountpoint's [`super::super::claim::Claim`]: whatever
    /// is at `path` is then left over from a daemon that died, and is replaced.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError {
            path: path.to_owned(),
            source,
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            listener: Some(listener),
        })
    }

    /// Answers clients until the returned handle is told to end.
    pub fn serve<C: Controlled>(mut self, controlled: Arc<C>) -> ControlServer {
        let (open, drained) = mpsc::channel(1);
        let accepting = self.listener.take().map(|listener| {
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            let (controlled, open) = (Arc::clone(&controlled), open.clone());
                            tokio::spawn(async move {
                                if let Err(error) = converse(stream, controlled).await {
                                    tracing::debug!("a control connection ended: {error}");
                                }
                                drop(open);
                            });
                        }
                        Err(error) => {
                            tracing::warn!("the control socket failed: {error}");
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    }
                }
            })
        });
        ControlServer {
            socket: self,
            accepting,
            drained,
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

/// The running server.
#[derive(Debug)]
pub struct ControlServer {
    socket: ControlSocket,
    accepting: Option<tokio::task::JoinHandle<()>>,
    /// Closed when the last connection is.
    drained: mpsc::Receiver<()>,
}

impl ControlServer {
    /// Takes no more connections and removes the socket, so that the mountpoint is free for the
    /// next mount.
    pub fn close(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
        let _gone_already = std::fs::remove_file(&self.socket.path);
    }

    /// Lets the connections that are open have their last answers.
    pub async fn drain(mut self) {
        self.close();
        let _cut_off = timeout(DRAIN_DEADLINE, self.drained.recv()).await;
    }
}

async fn converse<C: Controlled>(stream: UnixStream, controlled: Arc<C>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    timeout(REQUEST_DEADLINE, reader.read_until(b'\n', &mut line)).await??;
    let command = match parse(&line, controlled.mountpoint()) {
        Ok(command) => command,
        Err(reason) => return send(&mut writer, &Event::Failed { reason }).await,
    };
    let (progress, watched) = watch::channel(Progress::default());
    match command {
        Command::Status => send(&mut writer, &Event::Status(Box::new(controlled.status()))).await,
        Command::Sync => follow(&mut writer, watched, controlled.sync(progress)).await,
        Command::Unmount => follow(&mut writer, watched, controlled.unmount(progress)).await,
    }
}

fn parse(line: &[u8], mountpoint: &Path) -> Result<Command, String> {
    /// Read first, so that a newer request is refused by its number.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let not_a_request = |error: serde_json::Error| format!("this is not a request: {error}");
    let Versioned { version } = serde_json::from_slice(line).map_err(not_a_request)?;
    if version != VERSION {
        return Err(format!(
            "the daemon of this mount speaks version {VERSION} of the control protocol and was asked in version {version}; use the cloakfs it was started with, or unmount with umount(8)"
        ));
    }
    let request: Request = serde_json::from_slice(line).map_err(not_a_request)?;
    if request.mountpoint != mountpoint {
        return Err(format!(
            "this daemon serves {}, not {}",
            mountpoint.display(),
            request.mountpoint.display()
        ));
    }
    Ok(request.command)
}

/// Runs `work` and tells how far it is, until it is done.
async fn follow(
    writer: &mut OwnedWriteHalf,
    mut watched: watch::Receiver<Progress>,
    work: impl Future<Output = Result<(), String>> + Send + 'static,
) -> io::Result<()> {
    let mut work = tokio::spawn(work);
    let mut heartbeat = interval(Duration::from_secs(HEARTBEAT_SECS));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            Ok(()) = watched.changed() => {}
            _ = heartbeat.tick() => {}
        }
        let progress = Progress {
            moves: progress::moves(),
            ..*watched.borrow_and_update()
        };
        send(writer, &Event::Progress(progress)).await?;
    };
    let event = match outcome {
        Ok(Ok(())) => Event::Done,
        Ok(Err(reason)) => Event::Failed { reason },
        Err(error) => Event::Failed {
            reason: format!("internal error, please report it: {error}"),
        },
    };
    send(writer, &event).await
}

async fn send(writer: &mut OwnedWriteHalf, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
