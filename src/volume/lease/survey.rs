//! The mounts that a bucket tells of, as somebody sees them who is none: who lives, who is dead
//! for sure, and of whom only time tells.

use std::time::Duration;

use super::LeaseError;
use super::claim::{Claimant, pause};
use super::clock::Clock;
use super::lock;
use super::place::{Found, Place};
use super::record::Record;
use super::watch::{Verdict, Watch};
use crate::base::id::CommitId;
use crate::store::{ETag, ErrorKind, ObjectKey, StoreError, WriteCondition};

/// A mount by its lease or registration.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub key: ObjectKey,
    /// It has the volume to itself; else it shares it.
    pub is_lease: bool,
    /// As [`super::Origin::moves`].
    pub moves: bool,
    /// It is of the process that asks.
    pub is_own: bool,
    /// For a person.
    pub who: String,
    pub life: Life,
    found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is of this machine and holds its lock, or was renewed while it was watched.
    Lives,
    /// Nothing is known; what stands still for so long is dead.
    MayLive(Duration),
    /// Nobody holds its lock any more, or it stood still for its patience.
    Dead,
}

/// Everyone that the bucket tells of.
///
/// # Errors
/// When the store does not tell.
pub async fn tenants(place: &Place, claimant: &Claimant) -> Result<Vec<Tenant>, LeaseError> {
    let mut tenants = Vec::new();
    let lease = place.lease()?;
    if let Some(found) = read(place, &lease).await? {
        tenants.push(Tenant::new(place, claimant, lease, true, found));
    }
    for listed in place.registered().await.map_err(LeaseError::Unreadable)? {
        let Ok(key) = ObjectKey::new(listed.key) else {
            continue;
        };
        if let Some(found) = read(place, &key).await? {
            tenants.push(Tenant::new(place, claimant, key, false, found));
        }
    }
    Ok(tenants)
}

/// Watches those that may live until of each it is known whether it does. Those that go
/// meanwhile are in the list no more.
///
/// # Errors
/// When the store does not tell.
pub async fn outlast(
    place: &Place,
    claimant: &Claimant,
    tenants: &mut Vec<Tenant>,
) -> Result<(), LeaseError> {
    let clock = Clock::new();
    let mut watches: Vec<Watch<ETag>> = tenants.iter().map(|_| Watch::new()).collect();
    loop {
        let mut longest = None;
        let mut at = 0;
        while at < tenants.len() {
            let tenant = &mut tenants[at];
            let Life::MayLive(patience) = tenant.life else {
                at += 1;
                continue;
            };
            let asked = clock.now();
            let Some(found) = read(place, &tenant.key).await? else {
                tenants.remove(at);
                watches.remove(at);
                continue;
            };
            if found.etag != tenant.found.etag {
                tenant.life = Life::Lives;
            } else if watches[at].look(found.etag.clone(), asked, clock.now(), patience)
                == Verdict::Dead
                || is_dead(place, claimant, &found)
            {
                tenant.life = Life::Dead;
            } else {
                longest = longest.max(Some(patience));
            }
            at += 1;
        }
        match longest {
            None => return Ok(()),
            Some(patience) => pause(patience).await,
        }
    }
}

/// Takes away the object of a mount that is dead, by a conditional write first: should it live
/// after all and have renewed its object, nothing happens. False in that case.
///
/// # Errors
/// When the store does not do it.
pub async fn take_away(
    place: &Place,
    claimant: &Claimant,
    tenant: &Tenant,
) -> Result<bool, StoreError> {
    debug_assert_eq!(tenant.life, Life::Dead);
    let ours = Record::new(
        claimant.origin.clone(),
        CommitId::random().to_string(),
        claimant.term,
        0,
    );
    let unchanged = WriteCondition::IfMatch(tenant.found.etag.clone());
    match place.write(&tenant.key, &ours, unchanged).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::Precondition | ErrorKind::NotFound) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    place.delete(&tenant.key).await?;
    if let Some(record) = &tenant.found.record {
        lock::forget(&place.locks, &record.mount);
    }
    Ok(true)
}

impl Tenant {
    fn new(
        place: &Place,
        claimant: &Claimant,
        key: ObjectKey,
        is_lease: bool,
        found: Found,
    ) -> Self {
        let record = found.record.as_ref();
        let is_held =
            record.is_some_and(|record| lock::is_held(&place.locks, record, &claimant.origin));
        let life = if is_held {
            Life::Lives
        } else if is_dead(place, claimant, &found) {
            Life::Dead
        } else {
            Life::MayLive(claimant.patience(found.record.as_ref()))
        };
        Self {
            key,
            is_lease,
            moves: record.is_some_and(|record| record.moves),
            is_own: record.is_some_and(|record| record.is_of(&claimant.origin)),
            who: found.who(),
            life,
            found,
        }
    }

    #[must_use]
    pub fn may_live(&self) -> bool {
        self.life != Life::Dead
    }
}

/// For sure, by its lock.
fn is_dead(place: &Place, claimant: &Claimant, found: &Found) -> bool {
    let record = found.record.as_ref();
    record.is_some_and(|record| lock::is_dead(&place.locks, record, &claimant.origin))
}

async fn read(place: &Place, key: &ObjectKey) -> Result<Option<Found>, LeaseError> {
    place.read(key).await.map_err(LeaseError::Unreadable)
}
