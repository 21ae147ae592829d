//! Keeping a lease or a registration: renewed until it is given back or somebody else has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::claim::Claimant;
use super::gate::{Gate, Pass};
use super::lock::LockFile;
use super::place::{Place, who};
use super::record::Record;
use crate::base::jitter::Jitter;
use crate::store::{DeleteOptions, ETag, ErrorKind, ObjectKey, StoreError, WriteCondition};

/// Timers stand still while the machine sleeps, so what is due is looked at this often.
const LOOK: Duration = Duration::from_secs(5);

/// The object of one mount.
#[derive(Debug)]
pub(super) struct Keeper {
    pub place: Place,
    pub key: ObjectKey,
    pub gate: Arc<Gate>,
    pub claimant: Claimant,
    pub record: Record,
    pub etag: ETag,
    /// The lease; else a registration.
    pub is_lease: bool,
    pub lock: LockFile,
}

enum Renewal {
    Done,
    /// It is still ours, or may be.
    Failed(StoreError),
    /// It is not there any more, or is another's.
    Gone(Option<Record>, bool),
}

impl Keeper {
    /// Renews until told to stop, or until there is nothing to renew.
    pub(super) async fn keep(mut self, mut stop: oneshot::Receiver<()>) -> Self {
        let jitter = Jitter::from_os();
        let mut fails = false;
        loop {
            let due = if fails {
                let pause = self.claimant.term.term / 12;
                self.gate.now() + jitter.up_to(pause.min(LOOK))
            } else {
                let due = self.gate.with(|holder, _| holder.due());
                due.unwrap_or_default()
            };
            tokio::select! {
                _ = &mut stop => return self,
                () = until(&self.gate, due) => {}
            }
            match self.renew().await {
                Renewal::Done => fails = false,
                Renewal::Failed(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::warn!("{} cannot be renewed: {error}; trying again", self.what());
                    }
                }
                Renewal::Gone(by, is_there) => {
                    let done = if self.is_lease {
                        self.lose(by.as_ref(), is_there);
                        true
                    } else {
                        self.register_again().await
                    };
                    if done {
                        return self;
                    }
                }
            }
        }
    }

    const fn what(&self) -> &'static str {
        if self.is_lease {
            "the lease of this mount"
        } else {
            "the registration of this mount"
        }
    }

    async fn renew(&mut self) -> Renewal {
        let counter = self.gate.with(super::holder::Holder::send);
        self.record.counter = counter.unwrap_or(self.record.counter + 1);
        let condition = WriteCondition::IfMatch(self.etag.clone());
        let written = self.place.write(&self.key, &self.record, condition).await;
        let error = match written {
            Ok(etag) => {
                self.found(etag, self.record.counter);
                return Renewal::Done;
            }
            Err(error) => error,
        };
        match self.place.read(&self.key).await {
            Ok(Some(found)) => match found.is_of(&self.record.mount) {
                Some(own) => {
                    let counter = own.counter;
                    self.found(found.etag, counter);
                    if counter == self.record.counter {
                        Renewal::Done
                    } else {
                        Renewal::Failed(error)
                    }
                }
                None => Renewal::Gone(found.record, true),
            },
            Ok(None) => Renewal::Gone(None, false),
            Err(read) => Renewal::Failed(read),
        }
    }

    fn found(&mut self, etag: ETag, counter: u64) {
        self.etag = etag;
        let _held = self.gate.with(|holder, _| holder.found(counter));
    }

    fn lose(&self, by: Option<&Record>, is_there: bool) {
        let how = if is_there {
            format!("{} took it over, since it was not renewed in time", who(by))
        } else {
            format!("somebody deleted its object {:?}", self.key.as_str())
        };
        let why = format!(
            "the lease of this mount is lost: {how}. Nothing that is changed here can be stored any more; unmount {} and mount it again",
            self.place.source
        );
        tracing::error!("{why}");
        self.gate.lose(why);
    }

    /// Somebody took this mount for dead. It goes on unless that was to have the volume alone.
    /// True when it does not.
    async fn register_again(&mut self) -> bool {
        let begun = self.gate.with(super::holder::Holder::send);
        self.record.counter = begun.unwrap_or(self.record.counter + 1);
        let condition = WriteCondition::IfAbsent;
        match self.place.write(&self.key, &self.record, condition).await {
            Ok(etag) => self.found(etag, self.record.counter),
            Err(error) => {
                tracing::warn!("this mount cannot be registered again: {error}");
                return false;
            }
        }
        let Ok(key) = self.place.lease() else {
            return true;
        };
        match self.place.read(&key).await {
            Ok(Some(found)) => {
                let why = format!(
                    "this mount stood still for so long that {} took it for dead, and has {} alone now. Nothing that is changed here can be stored any more; unmount it and mount it again",
                    found.who(),
                    self.place.source
                );
                tracing::error!("{why}");
                self.gate.lose(why);
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!("whether somebody has the volume alone cannot be told: {error}");
                false
            }
        }
    }

    /// Gives it back, if it is still ours. Without its lease a mount changes nothing after that.
    pub(super) async fn give_back(self) {
        let was_ours = !matches!(self.gate.pass(), Pass::Lost(_) | Pass::Late(_));
        let is_lost = self.gate.is_lost().is_some();
        if self.is_lease {
            self.gate.lose("the mount has ended".to_owned());
            if is_lost {
                return self.lock.remove();
            }
        }
        let options = DeleteOptions {
            if_match: Some(self.etag.clone()),
            version: None,
        };
        let deleted = match self.place.store.delete(&self.key, options).await {
            // There is no condition on this server. Nobody takes it over before it is due.
            Err(error) if error.kind() == ErrorKind::Invalid && was_ours => {
                self.place.delete(&self.key).await
            }
            deleted => deleted,
        };
        match deleted {
            Ok(()) => self.lock.remove(),
            Err(error) if matches!(error.kind(), ErrorKind::Precondition | ErrorKind::NotFound) => {
                self.lock.remove();
            }
            Err(error) => tracing::warn!(
                "{} stays in the bucket, and counts until it has stood still for {} s: {error}",
                self.what(),
                self.record.patience().as_secs()
            ),
        }
    }
}

/// Returns when the clock shows `due`.
async fn until(gate: &Gate, due: Duration) {
    loop {
        let rest = due.saturating_sub(gate.now());
        if rest.is_zero() {
            return;
        }
        tokio::time::sleep(rest.min(LOOK)).await;
    }
}
