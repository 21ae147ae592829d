//! Getting a lease: free, or from a mount that is dead.

use std::time::Duration;

use super::gate::Gate;
use super::place::{Found, Place};
use super::record::{Origin, Record};
use super::watch::{Verdict, Watch};
use super::{LeaseError, Term, lock};
use crate::store::{ETag, ErrorKind, ObjectKey, WriteCondition};

/// Writes that somebody else's came before, or whose fate stayed open.
const ATTEMPTS: u32 = 8;
/// A lease that is waited for is looked at this often in its patience, within limits.
const LOOKS: u32 = 24;
const LOOK_MIN: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Who claims, and how.
#[derive(Clone, Debug)]
pub struct Claimant {
    pub origin: Origin,
    pub term: Term,
    /// Whoever has the volume is waited for, until he goes or is dead.
    pub waits: bool,
}

/// A lease that was got.
#[derive(Debug)]
pub(super) struct Taken {
    pub etag: ETag,
    pub counter: u64,
    /// When the request that took it was begun.
    pub begun: Duration,
}

/// Between two looks at something that is given so long.
pub(super) async fn pause(patience: Duration) {
    tokio::time::sleep((patience / LOOKS).clamp(LOOK_MIN, LOOK_MAX)).await;
}

impl Claimant {
    /// Whether what was found is of a mount that is dead: for sure, by its lock, or because it
    /// stood still for its patience.
    pub(super) fn is_dead(
        &self,
        place: &Place,
        watch: &mut Watch<ETag>,
        found: &Found,
        asked: Duration,
        answered: Duration,
    ) -> bool {
        let record = found.record.as_ref();
        let patience = self.patience(record);
        watch.look(found.etag.clone(), asked, answered, patience) == Verdict::Dead
            || record.is_some_and(|record| lock::is_dead(&place.locks, record, &self.origin))
    }

    /// How long a mount's record is given; where it cannot be read, as long as one of ours.
    pub(super) fn patience(&self, record: Option<&Record>) -> Duration {
        record.map_or_else(|| Term::patience(self.term.term), Record::patience)
    }

    /// Takes the lease at `key` for the mount that `record` tells of. `watch` is of what was seen
    /// there before.
    ///
    /// # Errors
    /// [`LeaseError::Held`] where somebody has it and is not waited for.
    pub(super) async fn take(
        &self,
        place: &Place,
        key: &ObjectKey,
        gate: &Gate,
        record: &mut Record,
        watch: &mut Watch<ETag>,
        on_wait: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Taken, LeaseError> {
        let mut sent = Vec::new();
        let (mut attempts, mut has_told) = (0, false);
        loop {
            let asked = gate.now();
            let found = place.read(key).await.map_err(LeaseError::Unreadable)?;
            let condition = match found {
                None => WriteCondition::IfAbsent,
                Some(found) => {
                    let own = found.is_of(&record.mount).map(|own| own.counter);
                    let own = own.and_then(|own| sent.iter().find(|(counter, _)| *counter == own));
                    if let Some((counter, begun)) = own {
                        return Ok(Taken {
                            etag: found.etag,
                            counter: *counter,
                            begun: *begun,
                        });
                    }
                    if !self.is_dead(place, watch, &found, asked, gate.now()) {
                        let held = LeaseError::Held {
                            volume: place.source.clone(),
                            by: found.who(),
                            patience: self.patience(found.record.as_ref()),
                        };
                        if !self.waits {
                            return Err(held);
                        }
                        if !std::mem::replace(&mut has_told, true) {
                            on_wait(&format!("waiting for {} to unmount", found.who()));
                        }
                        pause(self.patience(found.record.as_ref())).await;
                        continue;
                    }
                    tracing::info!("the lease of {} is taken over: it is dead", found.who());
                    if let Some(record) = &found.record {
                        lock::forget(&place.locks, &record.mount);
                    }
                    WriteCondition::IfMatch(found.etag)
                }
            };
            record.counter += 1;
            let begun = gate.now();
            sent.push((record.counter, begun));
            attempts += 1;
            match place.write(key, record, condition).await {
                Ok(etag) => {
                    return Ok(Taken {
                        etag,
                        counter: record.counter,
                        begun,
                    });
                }
                // Another look tells whose it is.
                Err(error) if attempts < ATTEMPTS && may_be_another(error.kind()) => {}
                Err(error) => return Err(LeaseError::Unwritable(error)),
            }
        }
    }

    /// Waits until no other mount shares the volume; sweeps the registrations of dead ones.
    ///
    /// # Errors
    /// [`LeaseError::Shared`] where there is one that is not waited for.
    pub(super) async fn outlast_the_others(
        &self,
        place: &Place,
        gate: &Gate,
        on_wait: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), LeaseError> {
        let mut watches = std::collections::BTreeMap::new();
        let mut has_told = false;
        loop {
            let asked = gate.now();
            let listed = place.registered().await.map_err(LeaseError::Unreadable)?;
            let answered = gate.now();
            let mut alive = Vec::new();
            let mut patience = Duration::ZERO;
            for object in listed {
                let Ok(key) = ObjectKey::new(object.key.clone()) else {
                    continue;
                };
                let (watch, record) = watches.entry(object.key).or_insert((Watch::new(), None));
                if record.is_none() {
                    *record = match place.read(&key).await {
                        Ok(None) => continue,
                        Ok(Some(found)) => found.record,
                        Err(error) => {
                            tracing::warn!("a registration cannot be read: {error}");
                            None
                        }
                    };
                }
                let found = Found {
                    record: record.clone(),
                    etag: object.etag,
                };
                if self.is_dead(place, watch, &found, asked, answered) {
                    tracing::info!("the registration of {} is swept: it is dead", found.who());
                    place.delete(&key).await.map_err(LeaseError::Unwritable)?;
                    if let Some(record) = &found.record {
                        lock::forget(&place.locks, &record.mount);
                    }
                } else {
                    patience = patience.max(self.patience(found.record.as_ref()));
                    alive.push(found.who());
                }
            }
            if alive.is_empty() {
                return Ok(());
            }
            let by = alive.join(", ");
            if !self.waits {
                return Err(LeaseError::Shared {
                    volume: place.source.clone(),
                    by,
                    patience,
                });
            }
            if !std::mem::replace(&mut has_told, true) {
                on_wait(&format!("waiting for {by} to unmount"));
            }
            pause(patience).await;
        }
    }
}

/// The write may not be what the object holds, or may be.
const fn may_be_another(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Precondition
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::TimedOut
            | ErrorKind::Unavailable
    )
}
