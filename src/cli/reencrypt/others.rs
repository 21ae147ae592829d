//! Who else has the source while everything in it is moved.
//!
//! Mounts may: whoever writes beside a move does not lose. A second move may not. Where names
//! are encrypted an object gets another key, and the old one is deleted once the new one was read
//! back. A move that goes the other way takes the new one for what is to be deleted, after it has
//! found the old one to be the same: between the two, the file would be gone.

use std::sync::Arc;

use anyhow::bail;

use crate::cli::consistency::Joining;
use crate::cli::output;
use crate::store::probe::Capabilities;
use crate::volume::lease::{self, Claimant, Gate, LeaseError, Life, Place, Presence, Tenant};

/// Refuses a source that somebody has alone, as far as that is known already.
///
/// # Errors
/// When somebody has it, or the store does not tell.
pub(super) async fn refuse_alone(joining: &Joining, described: &str) -> anyhow::Result<()> {
    let others = lease::tenants(&joining.place, &joining.claimant).await?;
    let alone = others
        .iter()
        .find(|other| other.is_lease && other.may_live());
    match alone {
        None => Ok(()),
        Some(other) if other.moves => bail!(another(described, other)),
        Some(other) => bail!(
            "{described} is mounted with --consistency exclusive by {}, and nothing may be changed besides it: unmount it there, or, if that machine is gone, have `cloakfs check --repair --wait` find that out",
            other.who
        ),
    }
}

/// Registers a move, and tells of the mounts that are there.
///
/// # Errors
/// When somebody has the source alone or moves it, or the store does not tell.
pub(super) async fn join(
    mut joining: Joining,
    described: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Arc<Presence>, Claimant)> {
    joining.claimant.origin.moves = true;
    let (place, claimant) = (joining.place.clone(), joining.claimant.clone());
    refuse_alone(&joining, described).await?;
    // Written before it is looked: of two that come at once each sees the other.
    let presence = joining.join(|_| ()).await?;
    notes.extend(presence.note().map(ToOwned::to_owned));
    match meet(&place, &claimant, described).await {
        Ok(()) => Ok((presence, claimant)),
        Err(error) => {
            presence.leave().await;
            Err(error)
        }
    }
}

async fn meet(place: &Place, claimant: &Claimant, described: &str) -> anyhow::Result<()> {
    let others = lease::tenants(place, claimant).await?;
    let others = others
        .into_iter()
        .filter(|other| !other.is_own && other.may_live());
    let (mut moves, mounts): (Vec<_>, Vec<_>) = others.partition(|other| other.moves);
    for other in &moves {
        if let Life::MayLive(patience) = other.life {
            output::note(&format!(
                "waiting for up to {} s to see whether the cloakfs reencrypt of {described} by {} is at work still",
                patience.as_secs(),
                other.who
            ));
        }
    }
    lease::outlast(place, claimant, &mut moves).await?;
    if let Some(other) = moves.iter().find(|other| other.may_live()) {
        bail!(another(described, other));
    }
    for other in mounts {
        output::note(&format!(
            "{described} is mounted by {}: with its key it cannot read what is moved (EACCES), and what it writes stays under its key until this is run again without it",
            other.who
        ));
    }
    Ok(())
}

fn another(described: &str, other: &Tenant) -> String {
    format!(
        "{described} is brought under another key or encryption by {} already, and two at once would undo each other's work: let that one end, or end it, and run this again",
        other.who
    )
}

/// What keeps a move from having the source for itself at its end.
pub(super) enum Alone {
    /// Nobody. The lease, where the server keeps one.
    Yes(Option<Presence>),
    /// Who has it.
    No(String),
}

/// Takes the source for itself: a mount that began meanwhile would write what nobody opens
/// afterwards.
///
/// # Errors
/// When the store does not tell, or does not take the lease.
pub(super) async fn alone(
    place: &Place,
    claimant: &Claimant,
    gate: &Arc<Gate>,
    able: &Capabilities,
) -> Result<Alone, LeaseError> {
    if able.conditional_create && able.conditional_replace {
        let (place, claimant, gate) = (place.clone(), claimant.clone(), Arc::clone(gate));
        return match Presence::exclusive(place, claimant, gate, |_| ()).await {
            Ok(presence) => Ok(Alone::Yes(Some(presence))),
            Err(LeaseError::Shared { by, .. } | LeaseError::Held { by, .. }) => Ok(Alone::No(by)),
            Err(error) => Err(error),
        };
    }
    // A server that keeps no lease; it is known at least who is there.
    let others = lease::tenants(place, claimant).await?;
    let other = others
        .into_iter()
        .find(|other| !other.is_own && other.may_live());
    Ok(other.map_or(Alone::Yes(None), |other| Alone::No(other.who)))
}
