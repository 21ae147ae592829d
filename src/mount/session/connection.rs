//! The mount's connection to the kernel.

use std::io;

use fuser::SessionACL;
use tokio::sync::oneshot;

use super::{SessionError, Setup};
use crate::mount::adapter::Adapter;
use crate::mount::mounting::{self, Mounted};

/// Threads that read requests: more than this many do not help, since they never wait.
const THREADS_MAX: usize = 8;

/// Mounts, shakes hands with the kernel and starts the threads that answer it. The receiver
/// hears when they have ended.
pub(super) async fn mount_and_answer(
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
        mounted.raise_read_ahead();
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
