//! Bringing everything below a prefix under another key or another encryption, where it is.
//!
//! A [`Move`] goes through all objects: it looks at each, has [`plan`] say what is to be done,
//! does it, and looks again, until a look says that nothing is to be done. That look is also what
//! verifies a copy on the server. So there is no state besides the objects: a move that was ended
//! in the middle is begun again, and passes over what is done already.
//!
//! Two volumes of one prefix take part: the *old* one is what the objects are of now, the *new*
//! one what they are to be of, each with its store, layout and keys. The new store has all keys of
//! customers, the old one's too.
//!
//! Invariants:
//! 1. **Each object can be read with the old key or the new one at any time**: it changes from one
//!    to the other by one conditional write, and what is written under another key is read back
//!    before the old object is deleted.
//! 2. **Whoever else writes does not lose**: a condition that does not hold means that the object
//!    is looked at anew.
//! 3. **The record of a client-side volume outlasts its objects**: it is there before the first is
//!    sealed, and ends (or changes its root for good) after a walk that found nothing left to do
//!    ([`Summary::is_done`]), which the caller sees to.
//! 4. Memory is bounded by the objects that are worked at at once, a few segments for each.

pub mod plan;
pub mod sides;
mod stream;
#[cfg(test)]
mod tests;
mod work;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::StreamExt;
use lru::LruCache;

pub use plan::{Cost, Target};

use super::audit::Required;
use super::inspect::Inspector;
use crate::base::jitter::Jitter;
use crate::layout::sealed::WrappedKey;
use crate::store::{ErrorKind, Store, StoreError};
use crate::volume::{Volume, VolumeError};
use plan::Root;

/// Objects that are copied on the server at once.
const COPIES_PARALLEL: usize = 32;
/// Objects whose content passes through this machine at once.
const STREAMS_PARALLEL: usize = 8;
/// How often an object is looked at anew that somebody else changes.
const TRIES: u32 = 8;
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// What is kept to be told.
const TOLD_MAX: usize = 1_000;
/// Failures in a row after which nothing more is tried.
const FAILURES_MAX: u32 = 16;
/// Wrapped keys of which it is remembered whose they are.
const WRAPPED_KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Walks until nothing is found that somebody else has written meanwhile.
const WALKS_MAX: u32 = 4;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Move {
    pub old: Arc<Volume>,
    pub new: Arc<Volume>,
    /// The new volume's.
    pub store: Arc<dyn Store>,
    /// Empty, or ends in `/`.
    pub prefix: String,
    pub target: Target,
    /// The server's encryption that plain objects are to have.
    pub required: Required,
    /// Plain objects that have it are copied, too: what a server does not tell of them, as the
    /// encryption context, is as it is asked for then.
    pub copies_all: bool,
}

/// What a move tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// How many objects and bytes there are, by the listing.
    Begins {
        objects: u64,
        bytes: u64,
    },
    Progress(&'a Summary),
    /// An object that is not as it is to be, and why.
    Left(&'a Left),
}

/// An object that a move left as it was.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Left {
    pub object: String,
    /// What follows its name in a sentence.
    pub why: String,
}

/// What became of everything.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Summary {
    /// Looked at in the first walk.
    pub objects: u64,
    pub bytes: u64,
    /// Brought under the new key, or to be, in a dry run.
    pub moved: u64,
    /// Objects of a client-side volume that were under the new key before.
    pub passed: u64,
    /// The bucket keeps what was replaced or deleted as older versions.
    pub keeps_versions: bool,
    /// What it took, or would take.
    pub cost: Cost,
    /// Objects that are not as they are to be.
    pub left_count: u64,
    /// The first of them.
    pub left: Vec<Left>,
    /// A last walk found nothing to do.
    pub is_proven: bool,
}

impl Summary {
    /// Everything is as it is to be, and was seen to be.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_proven && self.left_count == 0
    }
}

/// What became of one object.
struct Settled {
    moved: bool,
    passed: bool,
    has_version: bool,
    bytes: u64,
    cost: Cost,
    left: Option<Left>,
    /// It is the server that fails, and not this object.
    failed: bool,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// It is to be looked at again.
    #[error("somebody else changes it")]
    Changed,
    /// What follows its name in a sentence.
    #[error("{0}")]
    Refused(String),
}

impl StepError {
    /// Whether it is as likely with every other object.
    fn is_of_server(&self) -> bool {
        match self {
            Self::Changed | Self::Refused(_) => false,
            Self::Volume(error) => is_of_server(error.kind()),
        }
    }

    /// Whether another look may help.
    fn is_change(&self) -> bool {
        match self {
            Self::Changed => true,
            Self::Refused(_) => false,
            Self::Volume(error) => matches!(
                error.kind(),
                ErrorKind::Precondition | ErrorKind::NotFound | ErrorKind::Conflict
            ),
        }
    }
}

/// Shared by all that work at a move.
struct Work {
    it: Move,
    inspector: Inspector,
    whose: Mutex<LruCache<WrappedKey, Root>>,
    pauses: Jitter,
}

impl Move {
    fn work(self) -> Work {
        Work {
            inspector: Inspector::new(Arc::clone(&self.store), &self.prefix),
            whose: Mutex::new(LruCache::new(WRAPPED_KEPT)),
            pauses: Jitter::from_os(),
            it: self,
        }
    }

    fn changes_layout(&self) -> bool {
        self.old.is_sealed() || self.new.is_sealed()
    }

    /// Says what [`Self::run`] would do, and does nothing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn rehearse(
        self,
        tell: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Summary, StoreError> {
        self.work().walks(true, tell).await
    }

    /// Brings everything under the new key. What could not be is in the summary.
    ///
    /// # Errors
    /// When the prefix cannot be listed to its end, or the server stops answering.
    pub async fn run(
        self,
        tell: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Summary, StoreError> {
        self.work().walks(false, tell).await
    }
}

impl Work {
    async fn walks(
        self,
        rehearses: bool,
        tell: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Summary, StoreError> {
        let work = Arc::new(self);
        let mut summary = Summary::default();
        let (mut objects, mut bytes): (u64, u64) = (0, 0);
        let mut listed = work.inspector.listed();
        while let Some(object) = listed.next().await {
            objects += 1;
            bytes += object?.size;
        }
        summary.cost.list += objects.div_ceil(1000).max(1);
        tell(Event::Begins { objects, bytes });
        let walks = if rehearses { 1 } else { WALKS_MAX };
        for walk in 0..walks {
            summary.left_count = 0;
            summary.left.clear();
            let moved = work.walk(rehearses, walk == 0, &mut summary, tell).await?;
            if moved == 0 {
                summary.is_proven = true;
            }
            if moved == 0 || !work.it.changes_layout() {
                break;
            }
        }
        summary.is_proven |= !work.it.changes_layout();
        if rehearses {
            // A walk that finds nothing to do, and the last one, when nobody else is there.
            let proves = u64::from(summary.moved > 0 && work.it.changes_layout());
            let looks = Cost {
                list: objects.div_ceil(1000).max(1) * 2 + proves * objects.div_ceil(1000).max(1),
                head: (1 + proves) * objects,
                ..Cost::default()
            };
            summary.cost.add(&looks);
        }
        for left in &summary.left {
            tell(Event::Left(left));
        }
        Ok(summary)
    }

    /// Goes through everything once; how many objects needed something.
    async fn walk(
        self: &Arc<Self>,
        rehearses: bool,
        counts: bool,
        summary: &mut Summary,
        tell: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<u64, StoreError> {
        let parallel = if self.it.changes_layout() {
            STREAMS_PARALLEL
        } else {
            COPIES_PARALLEL
        };
        let mut settled = self
            .inspector
            .listed()
            .map(|listed| {
                let work = Arc::clone(self);
                async move {
                    match listed {
                        Ok(listed) => Ok(Box::pin(work.settle(listed, rehearses)).await),
                        Err(error) => Err(error),
                    }
                }
            })
            .buffer_unordered(parallel);
        let (mut moved, mut failures): (u64, u32) = (0, 0);
        let mut walked: u64 = 0;
        while let Some(next) = settled.next().await {
            let settled = next?;
            walked += 1;
            if counts {
                summary.objects += 1;
                summary.bytes += settled.bytes;
                summary.passed += u64::from(settled.passed);
            }
            summary.keeps_versions |= settled.moved && settled.has_version;
            summary.cost.add(&settled.cost);
            moved += u64::from(settled.moved);
            summary.moved += u64::from(settled.moved);
            failures = if settled.failed { failures + 1 } else { 0 };
            if let Some(left) = settled.left {
                summary.left_count += 1;
                if failures >= FAILURES_MAX {
                    return Err(StoreError::new(
                        ErrorKind::Unavailable,
                        crate::store::Operation::ListObjects,
                        left.object,
                        format!(
                            "{FAILURES_MAX} objects in a row could not be moved, and nothing more was tried; of the last one: it {}",
                            left.why
                        ),
                    ));
                }
                if summary.left.len() < TOLD_MAX {
                    summary.left.push(left);
                }
            }
            tell(Event::Progress(summary));
        }
        summary.cost.list += walked.div_ceil(1000).max(1);
        Ok(moved)
    }
}

const fn is_of_server(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Throttled
    )
}

/// A panic elsewhere leaves what is remembered right.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
