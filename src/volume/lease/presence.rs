//! A mount among the others of its volume, from the beginning to the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::LeaseError;
use super::claim::{Claimant, pause};
use super::gate::Gate;
use super::holder::Holder;
use super::keeper::Keeper;
use super::lock::{self, LockFile};
use super::place::Place;
use super::record::Record;
use super::watch::Watch;
use crate::base::id::CommitId;
use crate::store::{ErrorKind, ObjectKey, StoreError, WriteCondition};

/// See the module's text. To be [left](Self::leave) in the end.
#[derive(Debug)]
pub struct Presence {
    gate: Arc<Gate>,
    keeping: Mutex<Option<(oneshot::Sender<()>, JoinHandle<Keeper>)>>,
    note: Option<String>,
    timeout: Duration,
}

/// What there is to tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Since the start of the last renewal; `None` where nothing is renewed.
    pub renewed: Option<Duration>,
    /// Why nothing may be changed any more.
    pub lost: Option<String>,
}

impl Presence {
    /// Takes the volume for one mount alone. `gate` lets its changes through from then on while
    /// the lease lasts. `on_wait` hears what is waited for.
    ///
    /// # Errors
    /// When somebody has it already and is not waited for, or the lease cannot be written.
    pub async fn exclusive(
        place: Place,
        claimant: Claimant,
        gate: Arc<Gate>,
        on_wait: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, LeaseError> {
        let key = place.lease()?;
        let (mut record, mut lock) = begin(&place, &claimant, |_| Ok(key.clone()))?;
        let mut watch = Watch::new();
        let take = claimant.take(&place, &key, &gate, &mut record, &mut watch, &on_wait);
        let taken = take.await;
        if taken.is_ok() || matches!(taken, Err(LeaseError::Unwritable(_))) {
            lock.stays();
        }
        let taken = taken?;
        gate.guard(Holder::new(claimant.term, taken.counter, taken.begun), true);
        let presence = Self::kept(Keeper {
            place: place.clone(),
            key,
            gate: Arc::clone(&gate),
            claimant: claimant.clone(),
            record,
            etag: taken.etag,
            is_lease: true,
            lock,
        });
        // After the lease is there: who registers from now on sees it.
        let others = claimant.outlast_the_others(&place, &gate, &on_wait);
        if let Err(error) = others.await {
            presence.leave().await;
            return Err(error);
        }
        Ok(presence)
    }

    /// Registers a mount that shares the volume. Where that is not allowed it goes on without,
    /// and [`Self::note`] says so.
    ///
    /// # Errors
    /// When somebody has the volume alone and is not waited for.
    pub async fn shared(
        place: Place,
        claimant: Claimant,
        gate: Arc<Gate>,
        on_wait: impl Fn(&str) + Send + Sync,
    ) -> Result<Self, LeaseError> {
        let (mut record, mut lock) = begin(&place, &claimant, |record| {
            place.registration(&record.mount)
        })?;
        let key = place.registration(&record.mount)?;
        record.counter = 1;
        let begun = gate.now();
        let written = place.write(&key, &record, WriteCondition::IfAbsent).await;
        if !matches!(&written, Err(error) if error.kind() == ErrorKind::Denied) {
            lock.stays();
        }
        let (etag, note) = match written {
            Ok(etag) => (Some(etag), None),
            Err(error) => (None, Some(unregistered(&error))),
        };
        // After the registration is there: who takes the volume from now on sees it.
        let refused = look_at_the_lease(&place, &claimant, &gate, &record, &on_wait).await;
        let timeout = claimant.term.timeout;
        let presence = match etag {
            Some(etag) => {
                gate.guard(Holder::new(claimant.term, 1, begun), false);
                Self::kept(Keeper {
                    place,
                    key,
                    gate,
                    claimant,
                    record,
                    etag,
                    is_lease: false,
                    lock,
                })
            }
            None => Self {
                gate,
                keeping: Mutex::new(None),
                note,
                timeout,
            },
        };
        if let Err(error) = refused {
            presence.leave().await;
            return Err(error);
        }
        Ok(presence)
    }

    fn kept(keeper: Keeper) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self {
            gate: Arc::clone(&keeper.gate),
            timeout: keeper.claimant.term.timeout,
            keeping: Mutex::new(Some((stop, tokio::spawn(keeper.keep(stopped))))),
            note: None,
        }
    }

    /// What its user should know.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    #[must_use]
    pub fn standing(&self) -> Standing {
        let renewed = self
            .gate
            .with(|holder, now| now.saturating_sub(holder.renewed()));
        Standing {
            renewed,
            lost: self.gate.is_lost(),
        }
    }

    /// Waits until nothing may be changed any more; why.
    pub async fn lost(&self) -> String {
        self.gate.lost().await
    }

    /// Gives back what it has, as far as the timeout allows. Without its lease a mount changes
    /// nothing after that.
    pub async fn leave(&self) {
        let keeping = self
            .keeping
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((stop, task)) = keeping else {
            return;
        };
        let _ended_already = stop.send(());
        let leaving = async {
            match task.await {
                Ok(keeper) => keeper.give_back().await,
                Err(failed) => tracing::error!("the lease is not given back: {failed}"),
            }
        };
        if tokio::time::timeout(self.timeout, leaving).await.is_err() {
            tracing::warn!(
                "the lease or registration of this mount stays in the bucket: there was no answer"
            );
        }
    }
}

/// The record of a new mount, whose object `choose` names, and its lock.
fn begin(
    place: &Place,
    claimant: &Claimant,
    choose: impl FnOnce(&Record) -> Result<ObjectKey, LeaseError>,
) -> Result<(Record, LockFile), LeaseError> {
    let mount = CommitId::random().to_string();
    let mut record = Record::new(claimant.origin.clone(), mount, claimant.term, 0);
    let object = place.described(choose(&record)?.as_str());
    let lock = LockFile::hold(&place.locks, &record.mount, &object);
    let lock = lock.map_err(|source| LeaseError::Lock {
        path: place.locks.clone(),
        source,
    })?;
    record.lock = lock.inode;
    Ok((record, lock))
}

/// Refuses where somebody has the volume alone. What a dead mount left of that is taken away.
async fn look_at_the_lease(
    place: &Place,
    claimant: &Claimant,
    gate: &Gate,
    record: &Record,
    on_wait: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), LeaseError> {
    let key = place.lease()?;
    let (mut watch, mut has_told) = (Watch::new(), false);
    loop {
        let asked = gate.now();
        let found = match place.read(&key).await {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => found,
            // It may not look there, so nobody who does as it does writes there either.
            Err(error) if error.kind() == ErrorKind::Denied && !error.concerns_encryption() => {
                return Ok(());
            }
            Err(error) => return Err(LeaseError::Unreadable(error)),
        };
        if claimant.is_dead(place, &mut watch, &found, asked, gate.now()) {
            let mut record = record.clone();
            let taken = claimant.take(place, &key, gate, &mut record, &mut watch, on_wait);
            let _ours = taken.await?;
            return place.delete(&key).await.map_err(LeaseError::Unwritable);
        }
        let patience = claimant.patience(found.record.as_ref());
        if !claimant.waits {
            return Err(LeaseError::Held {
                volume: place.source.clone(),
                by: found.who(),
                patience,
            });
        }
        if !std::mem::replace(&mut has_told, true) {
            on_wait(&format!("waiting for {} to unmount", found.who()));
        }
        pause(patience).await;
    }
}

fn unregistered(error: &StoreError) -> String {
    format!(
        "this mount is not registered in the bucket, so a mount with --consistency exclusive does not see it: {error}"
    )
}

/// Takes away the registrations of this machine's mounts that have died, and the locks of those
/// that had a lease which is another's by now.
pub async fn sweep(place: &Place) {
    let dead = lock::of_the_dead(&place.locks, &place.registrations());
    for mount in dead {
        let Ok(key) = place.registration(&mount) else {
            continue;
        };
        match place.delete(&key).await {
            Ok(()) => lock::forget(&place.locks, &mount),
            Err(error) => tracing::warn!("the registration of a dead mount stays: {error}"),
        }
    }
    let Ok(key) = place.lease() else {
        return;
    };
    for mount in lock::of_the_dead(&place.locks, &place.described(key.as_str())) {
        let found = place.read(&key).await;
        if found.is_ok_and(|found| found.is_none_or(|found| found.is_of(&mount).is_none())) {
            lock::forget(&place.locks, &mount);
        }
    }
}
