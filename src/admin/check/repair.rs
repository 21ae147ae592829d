//! What is safe to do about what was found.

use std::sync::Arc;

use futures_util::stream::StreamExt;

use super::state::{Others, StateError};
use super::{Class, Finding, Trouble};
use crate::admin::inspect::Inspector;
use crate::admin::own::Own;
use crate::admin::uploads;
use crate::base::limits::RESERVED_PREFIX;
use crate::store::{DeleteOptions, ErrorKind, ListedObject, ObjectKey, Store, StoreError};
use crate::volume::lease::{Claimant, Gate, Life, Place, take_away};
use crate::volume::{MountState, Volume};

/// Takes away the leases and registrations of mounts that are dead. Before this process joins
/// the volume itself: what is left then is of the living.
///
/// # Errors
/// When the store does not do it.
pub async fn evict(
    place: &Place,
    claimant: &Claimant,
    others: &mut Others,
) -> Result<(), StateError> {
    for tenant in &others.tenants {
        if tenant.life == Life::Dead && !take_away(place, claimant, tenant).await? {
            tracing::info!("{} was renewed after all, and stays", tenant.who);
        }
    }
    others.tenants.retain(|tenant| tenant.life != Life::Dead);
    Ok(())
}

/// Clears away what dead mounts left, and finishes their renames. Where this process has the
/// volume alone, that is everything that a mount keeps below the reserved prefix. Gives what
/// could not be done, a sentence each. `gate` knows whether it has it still.
///
/// # Errors
/// When the store or the disk does not do it.
pub async fn repair(
    store: &Arc<dyn Store>,
    prefix: &str,
    volume: &Arc<Volume>,
    others: &Others,
    gate: &Gate,
) -> Result<Vec<String>, StateError> {
    let failed = volume.clear_after_the_dead(others.alone).await?;
    if !others.alone {
        return Ok(failed);
    }
    let reserved = format!("{prefix}{RESERVED_PREFIX}");
    let mut listed = Inspector::new(Arc::clone(store), &reserved).listed();
    while let Some(object) = listed.next().await {
        let object = object?;
        let is_orphan = match Own::of(prefix, &object.key) {
            Some(Own::Private(folder)) => volume.state_of(&folder.mount) != MountState::Living,
            Some(Own::Probe) => true,
            _ => false,
        };
        if is_orphan {
            delete(store.as_ref(), volume, &object).await?;
        }
    }
    for pending in uploads::pending(store.as_ref(), prefix).await? {
        let (own, key) = (Own::of(prefix, &pending.key), ObjectKey::new(&*pending.key));
        if let (Some(Own::Private(folder)), Ok(key)) = (own, key)
            && volume.state_of(&folder.mount) != MountState::Living
        {
            // Aborting is let through a fence, for uploads of one's own: these are not. After the
            // lease another mount may be at them.
            if !gate.is_open() {
                return Err(StateError::Ended);
            }
            store.abort_multipart(&key, &pending.upload).await?;
        }
    }
    Ok(failed)
}

/// Deletes what was listed, and nothing that came in its place where the server can tell.
async fn delete(
    store: &dyn Store,
    volume: &Volume,
    listed: &ListedObject,
) -> Result<(), StoreError> {
    let Ok(key) = ObjectKey::new(&*listed.key) else {
        return Ok(());
    };
    let if_match = volume
        .capabilities()
        .conditional_delete
        .then(|| listed.etag.clone());
    let options = DeleteOptions {
        if_match,
        version: None,
    };
    match store.delete(&key, options).await {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Precondition) => {
            Ok(())
        }
        done => done,
    }
}

/// What came of it: of two surveys, before and after. What is left is told as it was seen last:
/// a mount may have come since, or gone.
#[must_use]
pub fn settle(before: Vec<Finding>, after: &[Finding]) -> Vec<Finding> {
    let is_new = |finding: &&Finding| !before.iter().any(|known| known.is_same(finding));
    let new: Vec<_> = after.iter().filter(is_new).cloned().collect();
    let settled = before.into_iter().map(|finding| {
        if let Some(left) = after.iter().find(|left| left.is_same(&finding)) {
            return left.clone();
        }
        let repaired = finding.repaired
            || (finding.class == Class::Repairable && finding.finding != Trouble::VolumeRecord);
        Finding {
            repaired,
            ..finding
        }
    });
    settled.chain(new).collect()
}
