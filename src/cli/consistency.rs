//! `--consistency`: who else may change what is mounted, and how that is settled at mount.

use std::sync::Arc;

use anyhow::bail;

use super::arguments::{ConsistencyArgument, MountArguments};
use super::config::ConfigError;
use super::environment::host_name;
use super::open::Opened;
use crate::fs;
use crate::mount::control::protocol;
use crate::mount::state::StateDir;
use crate::volume::Volume;
use crate::volume::lease::{Claimant, Gate, LeaseError, Origin, Place, Presence, Term, sweep};

/// As it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consistency {
    pub exclusive: bool,
    pub term: Term,
    /// Whoever has the volume is waited for.
    pub waits: bool,
}

impl Consistency {
    /// # Errors
    /// A term that is too short, and a mount that wants to be alone and writes nothing.
    pub(super) fn new(arguments: &MountArguments, read_only: bool) -> Result<Self, ConfigError> {
        let exclusive = arguments.consistency == ConsistencyArgument::Exclusive;
        if exclusive && read_only {
            return Err(ConfigError::ExclusiveReadOnly);
        }
        Ok(Self {
            exclusive,
            term: Term::new(arguments.lease_term, arguments.timeout)?,
            waits: arguments.wait_for_lease,
        })
    }

    /// What the filesystem may believe.
    pub(super) const fn of_filesystem(self) -> fs::Consistency {
        if self.exclusive {
            fs::Consistency::Exclusive
        } else {
            fs::Consistency::Shared
        }
    }

    /// For status.
    pub(super) fn describe(self) -> protocol::Consistency {
        protocol::Consistency {
            mode: if self.exclusive {
                "exclusive"
            } else {
                "shared"
            }
            .to_owned(),
            term_secs: Some(self.term.term.as_secs()),
            ..protocol::Consistency::default()
        }
    }
}

/// Opens the volume, alone or among the others that have it: one that wants to be alone is so
/// before it changes anything, and one that shares registers meanwhile.
pub(super) async fn open_among_others(
    joining: Option<Joining>,
    opening: impl Future<Output = anyhow::Result<Arc<Volume>>>,
    on_wait: impl Fn(&str) + Send + Sync,
) -> anyhow::Result<(Option<Arc<Presence>>, Arc<Volume>)> {
    let Some(joining) = joining else {
        return Ok((None, opening.await?));
    };
    let exclusive = joining.exclusive.then(|| joining.place.source.clone());
    // One after the other: opening finishes what dead mounts left, and nothing may be changed
    // where another mount has the volume to itself.
    let presence = joining.join(on_wait).await?;
    let opened = opening.await.and_then(|volume| {
        let able = volume.capabilities();
        match exclusive {
            Some(source) if !able.write.is_allowed() => bail!(
                "{source} cannot be mounted with --consistency exclusive, since nothing can be written there: {}",
                able.lacking().join("; ")
            ),
            Some(source) if !able.conditional_create || !able.conditional_replace => bail!(
                "--consistency exclusive needs a server that honours If-None-Match and If-Match on PutObject, and that of {source} does not; mount it with --consistency shared"
            ),
            _ => Ok(volume),
        }
    });
    match opened {
        Ok(volume) => Ok((Some(presence), volume)),
        Err(error) => {
            presence.leave().await;
            Err(error)
        }
    }
}

/// A mount that is about to be among the others of its volume.
pub(super) struct Joining {
    pub place: Place,
    pub claimant: Claimant,
    pub gate: Arc<Gate>,
    exclusive: bool,
}

impl Joining {
    pub(super) fn new(
        asked: Consistency,
        opened: &Opened,
        source: String,
        state: &StateDir,
    ) -> Self {
        Self {
            place: Place {
                store: Arc::clone(&opened.unfenced),
                prefix: opened.about.prefix.clone(),
                server: opened.about.server.clone(),
                source,
                locks: state.path().join("leases"),
            },
            claimant: Claimant {
                origin: Origin::here(host_name()),
                term: asked.term,
                waits: asked.waits,
            },
            gate: Arc::clone(&opened.gate),
            exclusive: asked.exclusive,
        }
    }

    /// Takes the lease, or registers. `on_wait` hears what is waited for.
    pub(super) async fn join(
        self,
        on_wait: impl Fn(&str) + Send + Sync,
    ) -> Result<Arc<Presence>, LeaseError> {
        let Self {
            place,
            claimant,
            gate,
            exclusive,
        } = self;
        let dead = place.clone();
        let presence = if exclusive {
            Presence::exclusive(place, claimant, gate, on_wait).await?
        } else {
            Presence::shared(place, claimant, gate, on_wait).await?
        };
        // Nobody waits for what dead mounts of this machine have left.
        tokio::spawn(async move { sweep(&dead).await });
        Ok(Arc::new(presence))
    }
}
