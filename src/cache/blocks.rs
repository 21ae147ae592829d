//! The cache with its waiting: one lock around the table, never held across an await, and one
//! task for each fetch.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::table::{Claim, Piece, Table};
use super::{CacheStats, FileTag};
use crate::base::range::ByteRange;

/// Where missing bytes come from: one version of one file.
pub trait BlockSource: Send + Sync + 'static {
    /// Shared by all who wait for the same fetch.
    type Error: Clone + From<BrokenFetch> + Send + Sync + 'static;

    /// Exactly the bytes of `range`, which is not empty and lies within the file. Has its own
    /// deadline: the cache sets none.
    fn fetch(&self, range: ByteRange) -> BoxFuture<'_, Result<Bytes, Self::Error>>;
}

/// A fetch that gave neither the bytes nor an error of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenFetch {
    #[error(
        "the source answered a request for {range} with {got} bytes instead of {}; nothing of it was used", range.len()
    )]
    WrongLength { range: ByteRange, got: u64 },
    #[error(
        "the fetch of {range} ended without an answer, because its task failed or the mount is shutting down"
    )]
    Abandoned { range: ByteRange },
}

/// A bounded cache of file blocks in memory. Clones share it.
pub struct BlockCache<E> {
    table: Arc<Mutex<Table<Flight<E>>>>,
}

/// A fetch under way, to be waited for.
type Flight<E> = watch::Receiver<Option<Result<Bytes, E>>>;
type Answer<E> = watch::Sender<Option<Result<Bytes, E>>>;

/// The duty to settle a claim and to answer those who wait: done when dropped, so that a fetch
/// whose task fails or is stopped frees its blocks, too.
struct Landing<E: Clone + From<BrokenFetch>> {
    table: Arc<Mutex<Table<Flight<E>>>>,
    claim: Claim,
    answer: Answer<E>,
    result: Option<Result<Bytes, E>>,
}

impl<E: Clone + From<BrokenFetch> + Send + Sync + 'static> BlockCache<E> {
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self {
            table: Arc::new(Mutex::new(Table::new(capacity_bytes))),
        }
    }

    /// The bytes of `range` as far as they lie within the file, in one piece: from memory, from
    /// fetches under way, and from `source`. Ready at once when all of it is in memory.
    ///
    /// # Errors
    /// What the source said, or [`BrokenFetch`].
    pub async fn read(
        &self,
        tag: FileTag,
        file_len: u64,
        range: ByteRange,
        source: Arc<dyn BlockSource<Error = E>>,
    ) -> Result<Bytes, E> {
        let Some(range) = range.intersection(ByteRange::new(0, file_len)) else {
            return Ok(Bytes::new());
        };
        let mut answers = Vec::new();
        let (pieces, claims) =
            lock(&self.table).read(tag, file_len, range, || new_flight(&mut answers));
        self.depart(claims, answers, source);
        let mut runs = Vec::with_capacity(pieces.len());
        for piece in pieces {
            runs.push(match piece {
                Piece::Kept(covered, bytes) => (covered, bytes),
                Piece::Awaited(covered, flight) => (covered, arrival(covered, flight).await?),
            });
        }
        Ok(assemble(range, &runs))
    }

    /// The bytes of `range` as far as they lie within the file, if all of them are in memory.
    #[must_use]
    pub fn try_read(&self, tag: FileTag, file_len: u64, range: ByteRange) -> Option<Bytes> {
        let Some(range) = range.intersection(ByteRange::new(0, file_len)) else {
            return Some(Bytes::new());
        };
        let pieces = lock(&self.table).read_kept(tag, file_len, range)?;
        let runs: Vec<_> = pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Kept(covered, bytes) => Some((covered, bytes)),
                Piece::Awaited(..) => None,
            })
            .collect();
        Some(assemble(range, &runs))
    }

    /// Starts to fetch what is missing of `range` and returns at once. Does less, or nothing,
    /// while fetches under way take half of the capacity. Errors stay silent: a later read asks
    /// again and gets its own.
    pub fn prefetch(
        &self,
        tag: FileTag,
        file_len: u64,
        range: ByteRange,
        source: Arc<dyn BlockSource<Error = E>>,
    ) {
        let Some(range) = range.intersection(ByteRange::new(0, file_len)) else {
            return;
        };
        let mut answers = Vec::new();
        let claims = lock(&self.table).prefetch(tag, file_len, range, || new_flight(&mut answers));
        self.depart(claims, answers, source);
    }

    /// Drops what is kept of a file. Whoever waits for a fetch of it still gets its bytes.
    pub fn forget(&self, tag: FileTag) {
        lock(&self.table).forget(tag);
    }

    #[must_use]
    pub fn stats(&self) -> CacheStats {
        lock(&self.table).stats()
    }

    fn depart(
        &self,
        claims: Vec<Claim>,
        answers: Vec<Answer<E>>,
        source: Arc<dyn BlockSource<Error = E>>,
    ) {
        let sources = std::iter::repeat_n(source, claims.len());
        for ((claim, answer), source) in claims.into_iter().zip(answers).zip(sources) {
            let landing = Landing {
                table: Arc::clone(&self.table),
                claim,
                answer,
                result: None,
            };
            tokio::spawn(fly(landing, source));
        }
    }
}

impl<E: Clone + From<BrokenFetch>> Drop for Landing<E> {
    fn drop(&mut self) {
        let range = self.claim.range;
        let result = self
            .result
            .take()
            .unwrap_or_else(|| Err(BrokenFetch::Abandoned { range }.into()));
        lock(&self.table).settle(&self.claim, result.as_ref().ok().cloned());
        self.answer.send_replace(Some(result));
    }
}

async fn fly<E>(mut landing: Landing<E>, source: Arc<dyn BlockSource<Error = E>>)
where
    E: Clone + From<BrokenFetch> + Send + Sync + 'static,
{
    let range = landing.claim.range;
    let fetched = source.fetch(range).await;
    landing.result = Some(fetched.and_then(|bytes| match bytes.len() as u64 {
        got if got == range.len() => Ok(bytes),
        got => Err(BrokenFetch::WrongLength { range, got }.into()),
    }));
}

fn new_flight<E>(answers: &mut Vec<Answer<E>>) -> Flight<E> {
    let (answer, flight) = watch::channel(None);
    answers.push(answer);
    flight
}

async fn arrival<E>(range: ByteRange, mut flight: Flight<E>) -> Result<Bytes, E>
where
    E: Clone + From<BrokenFetch>,
{
    let answer = flight.wait_for(Option::is_some).await;
    match answer.as_deref() {
        Ok(Some(result)) => result.clone(),
        Ok(None) | Err(_) => Err(BrokenFetch::Abandoned { range }.into()),
    }
}

/// Cuts `range` out of the runs that cover it, which are in order and without gaps.
fn assemble(range: ByteRange, runs: &[(ByteRange, Bytes)]) -> Bytes {
    let mut cuts = runs.iter().map(|(covered, bytes)| {
        let wanted = range
            .intersection(*covered)
            .expect("each run has some of the range");
        let at = |offset: u64| {
            usize::try_from(offset - covered.start()).expect("a run is a buffer in memory")
        };
        bytes.slice(at(wanted.start())..at(wanted.end()))
    });
    let first = cuts.next().unwrap_or_default();
    if runs.len() == 1 {
        return first;
    }
    let len = usize::try_from(range.len()).expect("what was asked for fits into memory");
    let mut whole = BytesMut::with_capacity(len);
    whole.extend_from_slice(&first);
    cuts.for_each(|cut| whole.extend_from_slice(&cut));
    whole.freeze()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing fails while the table is locked")
}

impl<E> Clone for BlockCache<E> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
        }
    }
}

impl<E> fmt::Debug for BlockCache<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
