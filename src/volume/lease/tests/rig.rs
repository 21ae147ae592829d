//! Mounts of one bucket, each on a machine of its own unless it is said otherwise.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::super::record::Record;
use super::super::{Claimant, Fence, Gate, LeaseError, Origin, Place, Presence, Term};
use crate::base::jitter::Jitter;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;
use crate::store::retry::{Retry, RetryPolicy};
use crate::store::{ErrorKind, ObjectKey, Operation, PutOptions, Store, StoreError};

pub(super) const TIMEOUT: Duration = Duration::from_mins(1);
pub(super) const TERM: Duration = Duration::from_mins(3);
pub(super) const LEASE: &str = "p/.cloakfs/lease";

pub(super) struct Bucket {
    pub(super) mem: Arc<MemStore>,
    pub(super) state: TempDir,
}

/// A mount's side of it.
pub(super) struct Host {
    pub(super) fault: Arc<Fault>,
    pub(super) gate: Arc<Gate>,
    pub(super) place: Place,
    pub(super) claimant: Claimant,
}

impl Bucket {
    pub(super) fn new() -> Self {
        Self {
            mem: Arc::new(MemStore::seeded(1)),
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// With a state directory of its own, and another start of the system.
    pub(super) fn host(&self, name: &str) -> Host {
        self.host_in(name, &self.state.path().join(name))
    }

    pub(super) fn host_in(&self, name: &str, locks: &Path) -> Host {
        let fault = Arc::new(Fault::new(Arc::clone(&self.mem) as _));
        let retry = Retry::new(
            Arc::clone(&fault) as _,
            RetryPolicy::with_timeout(TIMEOUT),
            Jitter::seeded(1),
        );
        Host {
            fault,
            gate: Arc::new(Gate::default()),
            place: Place {
                store: Arc::new(retry),
                prefix: "p/".to_owned(),
                server: String::new(),
                source: "s3://bucket/p".to_owned(),
                locks: locks.to_owned(),
            },
            claimant: Claimant {
                origin: Origin {
                    host: name.to_owned(),
                    boot: format!("boot of {name}"),
                    pid: 7,
                    since: 1_764_000_000,
                    moves: false,
                },
                term: Term::new(None, TIMEOUT).unwrap(),
                waits: false,
            },
        }
    }

    pub(super) fn put_lease(&self, record: &Record) -> impl Future<Output = ()> {
        let (mem, body) = (Arc::clone(&self.mem), Bytes::from(record.encode()));
        async move {
            let options = PutOptions::default();
            mem.put(&key(LEASE), body, options).await.unwrap();
        }
    }
}

impl Host {
    pub(super) async fn exclusive(&self) -> Result<Presence, LeaseError> {
        let (place, claimant) = (self.place.clone(), self.claimant.clone());
        Presence::exclusive(place, claimant, Arc::clone(&self.gate), |_| {}).await
    }

    pub(super) async fn shared(&self) -> Result<Presence, LeaseError> {
        let (place, claimant) = (self.place.clone(), self.claimant.clone());
        Presence::shared(place, claimant, Arc::clone(&self.gate), |_| {}).await
    }

    pub(super) fn waits(mut self) -> Self {
        self.claimant.waits = true;
        self
    }

    /// One attempt at a change, as it is below the retries.
    pub(super) async fn change(&self, name: &str) -> Result<(), StoreError> {
        let fence = Fence::new(Arc::clone(&self.fault) as _, Arc::clone(&self.gate));
        let options = PutOptions::default();
        let key = key(name);
        let put = fence.put(&key, Bytes::from_static(b"x"), options);
        put.await.map(drop)
    }

    pub(super) fn fails(&self, operation: Operation, kind: ErrorKind) {
        self.fault
            .inject(Rule::new(Effect::FailBefore(kind)).on(operation));
    }
}

pub(super) fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

pub(super) fn refused(presence: Result<Presence, LeaseError>) -> String {
    presence.expect_err("it is refused").to_string()
}

pub(super) const HELD: &str = "s3://bucket/p is mounted with --consistency exclusive by host \"one\" (process 7, since Mon, 24 Nov 2025 16:00:00 GMT); unmount it there, or, if that machine is gone, give --wait-for-lease: what is not renewed for 360 s is taken over";
