//! Being asked to stop while a repair or a move has the source for itself: whoever is killed with
//! a lease keeps other machines out until two terms have passed.

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// From when it is made on, a signal ends what is under way and not the process.
pub(super) struct Stop([Signal; 3]);

impl Stop {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be waited for");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Does the work, unless it is to stop. `done` is what it does to objects, as in "repaired".
///
/// # Errors
/// Those of the work, and that it was stopped.
pub(super) async fn unless<T>(
    stop: Option<&mut Stop>,
    done: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let Some(stop) = stop else {
        return work.await;
    };
    tokio::select! {
        worked = work => worked,
        () = stop.asked() => Err(anyhow!(
            "stopped before all was done: what was {done} stays so, and running it again does the rest"
        )),
    }
}
