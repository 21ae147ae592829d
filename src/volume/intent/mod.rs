//! Directory renames that survive the mount which makes them.
//!
//! A directory is renamed object by object. Before the first copy an *intent* is written, an
//! object below the reserved prefix that says from where, to where and by whom; it goes when the
//! rename has ended. What a dead mount left half done is finished by the next mount (see
//! [`finish`]), and a living rename, however slow, is left to its owner.
//!
//! Invariants:
//! 1. The marker of the old directory is there before the intent is, and is what goes last: a
//!    rename whose old marker is gone has ended, and what is at the old name then is new.
//! 2. The owner renews the intent, and sends nothing once [`TERM`] has passed since its last
//!    renewal began. Nobody takes an intent over that changed within twice the term, by its own
//!    clock, unless the owner is known to be dead. So two never work at one rename, as long as a
//!    request takes less than a term. Should they all the same (a virtual machine that was paused,
//!    an owner that an exclusive mount could not see), nothing is lost: an owner undoes nothing
//!    before it has renewed the intent once more ([`RenameIntent::confirm`]).
//! 3. An intent is taken over by a conditional write: one of several wins.

mod compare;
mod finish;
mod record;
mod survey;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::lease::clock::Clock;
use super::{Condition, Result, Version, Volume, VolumeError};
use crate::base::id::CommitId;
use crate::layout::path::VolumePath;
use crate::store::ErrorKind;
pub use finish::RenameObserver;
use record::IntentRecord;
pub use survey::{ToldRename, UnfinishedRename};

/// How long an intent holds without being renewed.
const TERM: Duration = Duration::from_mins(3);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_mins(1);
/// Between two tries of a renewal.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// A directory rename that this mount makes. Dropping it leaves the rename to the next mount.
#[derive(Debug)]
pub struct RenameIntent {
    volume: Arc<Volume>,
    held: Arc<Held>,
    renewing: JoinHandle<()>,
}

/// An intent object of this mount's.
#[derive(Debug)]
struct Held {
    name: String,
    record: IntentRecord,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    version: Version,
    renewals: u64,
    /// When the last renewal that succeeded began, by the clock.
    renewed: Duration,
    /// Somebody else took it over or away.
    lost: bool,
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Made,
    /// An earlier one, whose answer was lost, was made after all.
    Found,
    /// Somebody else has the intent, or nobody.
    Lost,
}

impl Volume {
    /// Writes down that the directory at `from` is about to become `to`. Its marker is there.
    ///
    /// # Errors
    /// When it cannot be written: nothing may be renamed then.
    pub async fn intend_rename(
        self: &Arc<Self>,
        from: &VolumePath,
        to: &VolumePath,
    ) -> Result<RenameIntent> {
        let name = format!("intents/{}", CommitId::random());
        let record = IntentRecord::new(from, to, self.journal.owner(), TERM);
        self.hold_intent(name, record, &Condition::IfAbsent).await
    }

    /// Writes an intent as this mount's own and keeps renewing it.
    async fn hold_intent(
        self: &Arc<Self>,
        name: String,
        record: IntentRecord,
        condition: &Condition,
    ) -> Result<RenameIntent> {
        let clock = Clock::new();
        let renewed = clock.now();
        let version = self.put_intent(&name, &record, condition).await?;
        let held = Arc::new(Held {
            state: Mutex::new(State {
                version,
                renewals: record.renewals,
                renewed,
                lost: false,
            }),
            clock,
            name,
            record,
        });
        let renewing = tokio::spawn(renew(Arc::downgrade(self), Arc::clone(&held)));
        Ok(RenameIntent {
            volume: Arc::clone(self),
            held,
            renewing,
        })
    }
}

impl RenameIntent {
    /// Checks that the rename is still this mount's to make: before each change.
    ///
    /// # Errors
    /// When the intent could not be renewed for too long, or another mount finishes the rename.
    pub fn check(&self) -> Result<()> {
        let state = self.held.state();
        let message = if state.lost {
            "its rename was taken over by another mount, which finishes it"
        } else if self.held.clock.now().saturating_sub(state.renewed) >= TERM {
            "its rename could not be renewed in the bucket for three minutes, so it is left to \
             the next mount, which finishes it"
        } else {
            return Ok(());
        };
        let from = &self.held.record.from;
        Err(VolumeError::other(from, ErrorKind::Unavailable, message))
    }

    /// Renews the intent now, before anything is undone: what looks like a failure may be the work
    /// of another mount that took the rename over while this one stood still, and has deleted
    /// the old names.
    ///
    /// # Errors
    /// When it is not this mount's any more, or nobody can tell.
    pub async fn confirm(&self) -> Result<()> {
        self.check()?;
        // Twice, where the renewal in the background was faster.
        for _ in 0..2 {
            match self.held.renew(&self.volume).await? {
                Renewal::Made => return Ok(()),
                Renewal::Found => {}
                Renewal::Lost => return self.check(),
            }
        }
        Ok(())
    }

    /// The rename has ended, or was undone: the intent goes, if it is still this mount's.
    ///
    /// # Errors
    /// When it cannot be deleted. The next mount finds that nothing is left to do, unless the
    /// rename was undone: then it makes it.
    pub async fn ended(self) -> Result<()> {
        self.renewing.abort();
        let (held, volume) = (&self.held, &self.volume);
        let key = volume.private_key(&held.name);
        let mut etag = held.state().version.etag.clone();
        loop {
            match volume.delete_if(&key, Some(&etag), |_| true).await {
                Err(error) if error.kind() == ErrorKind::Precondition => {
                    match volume.read_intent(&held.name).await? {
                        // A renewal whose answer nobody waited for.
                        Some(found)
                            if found.record.owner == held.record.owner
                                && found.version.etag != etag =>
                        {
                            etag = found.version.etag;
                        }
                        Some(found) if found.record.owner == held.record.owner => {
                            return Err(error);
                        }
                        _ => return Ok(()),
                    }
                }
                done => return done,
            }
        }
    }
}

impl Drop for RenameIntent {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl Held {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of the next renewal, and the version that it replaces.
    fn next(&self) -> (IntentRecord, Version) {
        let state = self.state();
        let mut record = self.record.clone();
        record.renewals = state.renewals + 1;
        (record, state.version.clone())
    }

    /// Renews the intent once.
    ///
    /// # Errors
    /// When it could not be, or nobody can tell whose it is by now.
    async fn renew(&self, volume: &Volume) -> Result<Renewal> {
        let (record, version) = self.next();
        let begun = self.clock.now();
        let replaces = Condition::IfVersion(version);
        match volume.put_intent(&self.name, &record, &replaces).await {
            Ok(version) => {
                self.renewed(record.renewals, version, begun);
                return Ok(Renewal::Made);
            }
            Err(error) if is_lost(error.kind()) => {}
            Err(error) => return Err(error),
        }
        match volume.read_intent(&self.name).await {
            Ok(Some(found)) if found.record.owner == record.owner => {
                // When it began is not known: as early as the last one that is.
                let renewed = self.state().renewed;
                self.renewed(found.record.renewals, found.version, renewed);
                Ok(Renewal::Found)
            }
            Err(error) if error.kind() != ErrorKind::Corrupt => Err(error),
            Ok(_) | Err(_) => {
                self.state().lost = true;
                Ok(Renewal::Lost)
            }
        }
    }

    /// A renewal that began at `begun` was made.
    fn renewed(&self, renewals: u64, version: Version, begun: Duration) {
        let mut state = self.state();
        state.renewals = renewals;
        state.version = version;
        state.renewed = begun;
    }
}

/// Renews an intent until it is lost or its owner ends this.
async fn renew(volume: Weak<Volume>, held: Arc<Held>) {
    let mut pause = RENEWAL;
    loop {
        tokio::time::sleep(pause).await;
        let Some(volume) = volume.upgrade() else {
            return;
        };
        pause = match held.renew(&volume).await {
            Ok(Renewal::Made) => RENEWAL,
            Ok(Renewal::Found) => RENEWAL_PAUSE,
            Ok(Renewal::Lost) => {
                let from = &held.record.from;
                tracing::error!("the rename of {from:?} is not ours any more");
                return;
            }
            Err(error) => {
                tracing::warn!("the intent of a rename is not renewed yet: {error}");
                RENEWAL_PAUSE
            }
        };
    }
}

const fn is_lost(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Precondition | ErrorKind::NotFound)
}
