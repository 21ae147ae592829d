//! A store that fails as it is told to, and counts what is asked of it.
//!
//! [`Fault`] decorates a real store. Rules say which calls fail and how: before the store sees
//! them, after it has carried them out (a lost response), late, or never. Rules are tried in
//! the order in which they were added, and the first that applies to a call decides. What is
//! left to chance comes from a seed. Every call is counted, whatever becomes of it, with the
//! bytes that it would move over the network: tests assert the cost of an operation with
//! [`Fault::calls`].

mod calls;
mod store;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use calls::Calls;

use super::{ErrorKind, Operation, Result, Store, StoreError};
use crate::base::jitter::Jitter;

#[derive(Debug)]
pub struct Fault {
    inner: Arc<dyn Store>,
    rules: Mutex<Vec<Armed>>,
    calls: Mutex<Calls>,
    chance: Jitter,
    next_rule: AtomicU64,
}

/// Names a rule, so that it can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

/// Which calls are hit, how often, and what happens to them.
#[derive(Clone, Debug)]
pub struct Rule {
    operation: Option<Operation>,
    keys: Keys,
    /// Matching calls that are let through first.
    skip: u64,
    times: Times,
    effect: Effect,
}

#[derive(Clone, Debug)]
enum Keys {
    All,
    Beginning(String),
    Containing(String),
    Exactly(String),
}

#[derive(Clone, Copy, Debug)]
enum Times {
    Always,
    Next(u64),
    /// Of a million.
    Chance(u32),
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails and the store never sees it.
    FailBefore(ErrorKind),
    /// The store carries it out, and the answer is lost.
    FailAfter(ErrorKind),
    /// It is refused as by a KMS key that is disabled, or by an object of another key; the store
    /// never sees it.
    RefuseKey,
    /// It is refused as for an object under a customer's key that was not given; the store never
    /// sees it.
    AskForKey,
    /// It is refused for its name, which is too long; the store never sees it.
    RefuseName,
    /// It begins so much later.
    Delay(Duration),
    /// The store carries it out at once, and the answer comes so much later.
    DelayAfter(Duration),
    /// It never ends and the store never sees it.
    HangBefore,
    /// The store carries it out, and the caller never hears.
    HangAfter,
}

impl Rule {
    /// Hits every call.
    #[must_use]
    pub const fn new(effect: Effect) -> Self {
        Self {
            operation: None,
            keys: Keys::All,
            skip: 0,
            times: Times::Always,
            effect,
        }
    }

    /// Only calls of this kind.
    #[must_use]
    pub const fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only keys, and prefixes of listings, that begin with `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: impl Into<String>) -> Self {
        self.keys = Keys::Beginning(prefix.into());
        self
    }

    /// Only this key, and this prefix of a listing.
    #[must_use]
    pub fn exactly(mut self, key: impl Into<String>) -> Self {
        self.keys = Keys::Exactly(key.into());
        self
    }

    /// Only keys, and prefixes of listings, that contain `text`.
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.keys = Keys::Containing(text.into());
        self
    }

    /// Lets the first `calls` that match through.
    #[must_use]
    pub const fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// Hits `calls` calls and is then spent.
    #[must_use]
    pub const fn times(mut self, calls: u64) -> Self {
        self.times = Times::Next(calls);
        self
    }

    /// Hits so many of a million matching calls, by the seed.
    #[must_use]
    pub const fn per_million(mut self, calls: u32) -> Self {
        self.times = Times::Chance(calls);
        self
    }

    fn matches(&self, operation: Operation, object: &str) -> bool {
        let key = match &self.keys {
            Keys::All => true,
            Keys::Beginning(prefix) => object.starts_with(prefix.as_str()),
            Keys::Exactly(key) => object == key,
            Keys::Containing(text) => object.contains(text.as_str()),
        };
        key && self.operation.is_none_or(|only| only == operation)
    }
}

#[derive(Debug)]
struct Armed {
    id: RuleId,
    rule: Rule,
    hits: u64,
}

impl Armed {
    /// Counts a matching call; whether it is hit.
    fn hit(&mut self, chance: &Jitter) -> bool {
        if self.rule.skip > 0 {
            self.rule.skip -= 1;
            return false;
        }
        let hit = match &mut self.rule.times {
            Times::Always => true,
            Times::Next(0) => false,
            Times::Next(left) => {
                *left -= 1;
                true
            }
            Times::Chance(per_million) => chance.next_u64() % 1_000_000 < u64::from(*per_million),
        };
        self.hits += u64::from(hit);
        hit
    }
}

impl Fault {
    /// Without rules it only counts.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self::seeded(inner, 0)
    }

    /// `seed` decides what [`Rule::per_million`] hits.
    #[must_use]
    pub fn seeded(inner: Arc<dyn Store>, seed: u64) -> Self {
        Self {
            inner,
            rules: Mutex::default(),
            calls: Mutex::default(),
            chance: Jitter::seeded(seed),
            next_rule: AtomicU64::new(0),
        }
    }

    /// Adds a rule after those that are there.
    pub fn inject(&self, rule: Rule) -> RuleId {
        let id = RuleId(self.next_rule.fetch_add(1, Ordering::Relaxed));
        lock(&self.rules).push(Armed { id, rule, hits: 0 });
        id
    }

    /// Takes a rule back; how many calls it hit. `None` when it is not there any more.
    pub fn remove(&self, id: RuleId) -> Option<u64> {
        let mut rules = lock(&self.rules);
        let at = rules.iter().position(|armed| armed.id == id)?;
        Some(rules.remove(at).hits)
    }

    /// Takes all rules back.
    pub fn clear(&self) {
        lock(&self.rules).clear();
    }

    /// What was asked so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        lock(&self.calls).clone()
    }

    fn effect(&self, operation: Operation, object: &str) -> Option<Effect> {
        lock(&self.rules)
            .iter_mut()
            .filter(|armed| armed.rule.matches(operation, object))
            .find_map(|armed| armed.hit(&self.chance).then_some(armed.rule.effect))
    }

    /// Runs one call under the rules.
    async fn run<T>(
        &self,
        operation: Operation,
        object: &str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        lock(&self.calls).count(operation);
        match self.effect(operation, object) {
            None => call.await,
            Some(Effect::FailBefore(kind)) => {
                Err(injected(kind, operation, object, "before the request"))
            }
            Some(Effect::RefuseKey) => Err(key_refused(operation, object)),
            Some(Effect::AskForKey) => Err(key_asked_for(operation, object)),
            Some(Effect::RefuseName) => Err(name_refused(operation, object)),
            Some(Effect::FailAfter(kind)) => {
                // An answer is lost whether it was good or bad.
                drop(call.await);
                Err(injected(kind, operation, object, "after the request"))
            }
            Some(Effect::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                call.await
            }
            Some(Effect::DelayAfter(duration)) => {
                let answer = call.await;
                tokio::time::sleep(duration).await;
                answer
            }
            Some(Effect::HangBefore) => std::future::pending().await,
            Some(Effect::HangAfter) => {
                drop(call.await);
                std::future::pending().await
            }
        }
    }

    fn sent(&self, bytes: u64) {
        lock(&self.calls).bytes_up += bytes;
    }

    fn received(&self, bytes: u64) {
        lock(&self.calls).bytes_down += bytes;
    }
}

fn injected(kind: ErrorKind, operation: Operation, object: &str, when: &str) -> StoreError {
    StoreError::new(
        kind,
        operation,
        object,
        format!("a failure injected {when}"),
    )
}

fn key_refused(operation: Operation, object: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Denied,
        operation,
        object,
        "the key of the object is disabled; enable it to go on (injected)",
    )
    .with_code("KMS.DisabledException")
    .about_encryption()
}

fn key_asked_for(operation: Operation, object: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Denied,
        operation,
        object,
        "the object is under a customer's key; give it with --read-key-file (injected)",
    )
    .with_code("InvalidRequest")
    .about_customer_key()
}

fn name_refused(operation: Operation, object: &str) -> StoreError {
    let message = "the key is too long (injected)";
    StoreError::new(ErrorKind::Invalid, operation, object, message).with_code("KeyTooLongError")
}

/// A panic elsewhere leaves counters and rules that are still right.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
