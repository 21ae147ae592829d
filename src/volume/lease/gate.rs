//! Whether this mount may change anything at this moment: what the renewals know, for every
//! request that asks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::Clock;
use super::holder::{Holder, Leave};

/// Shared by a [`super::Fence`] and whoever renews the lease.
#[derive(Debug)]
pub struct Gate {
    clock: Clock,
    state: Mutex<Option<State>>,
    /// Why nothing may be changed any more.
    lost: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    /// Changes keep to it. A registration only says that the mount is there.
    is_lease: bool,
}

/// The answer to a request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// There is no lease to keep to.
    Free,
    /// It may begin, and must have ended when the lease has.
    Guarded,
    /// The last renewal is so long ago.
    Late(Duration),
    Lost(String),
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            state: Mutex::new(None),
            lost: watch::Sender::new(None),
        }
    }
}

impl Gate {
    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// From now on there is something to renew; where it is a lease, changes keep to it.
    pub(super) fn guard(&self, holder: Holder, is_lease: bool) {
        *self.state() = Some(State { holder, is_lease });
    }

    /// What the holder makes of it; `None` where nothing is held.
    pub(super) fn with<T>(&self, ask: impl FnOnce(&mut Holder, Duration) -> T) -> Option<T> {
        let now = self.clock.now();
        self.state()
            .as_mut()
            .map(|state| ask(&mut state.holder, now))
    }

    pub(super) fn pass(&self) -> Pass {
        if let Some(why) = &*self.lost.borrow() {
            return Pass::Lost(why.clone());
        }
        let now = self.clock.now();
        let state = self.state();
        match state.as_ref().filter(|state| state.is_lease) {
            None => Pass::Free,
            Some(State { holder, .. }) => match holder.leave(now) {
                Leave::Until(_) => Pass::Guarded,
                Leave::Late | Leave::Lost => Pass::Late(now.saturating_sub(holder.renewed())),
            },
        }
    }

    /// Whether something may be changed at this moment, also what a fence lets through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.pass(), Pass::Free | Pass::Guarded)
    }

    /// For how long a request that has begun may still be under way.
    pub(super) fn rest(&self) -> Duration {
        if self.lost.borrow().is_some() {
            return Duration::ZERO;
        }
        self.with(|holder, now| holder.end().saturating_sub(now))
            .unwrap_or(Duration::MAX)
    }

    /// For good. The first reason stays.
    pub(super) fn lose(&self, why: String) {
        let _known = self.with(|holder, _| holder.lose());
        self.lost.send_if_modified(|lost| {
            let is_new = lost.is_none();
            if is_new {
                *lost = Some(why);
            }
            is_new
        });
    }

    /// Why nothing may be changed any more, if that is so.
    #[must_use]
    pub fn is_lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }

    /// Waits until nothing may be changed any more; why.
    pub async fn lost(&self) -> String {
        let mut lost = self.lost.subscribe();
        let lost = lost.wait_for(Option::is_some).await;
        match lost.as_deref() {
            Ok(Some(why)) => why.clone(),
            Ok(None) | Err(_) => unreachable!("the sender lives, and the condition was met"),
        }
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
