//! The mount's memory for dirty data: a budget of bytes and the order in which cells were last
//! written.
//!
//! A [`Lease`] is part of the budget; it travels with the buffer that it pays for and is given
//! back when that is dropped, so the sum can never be wrong. The pool knows nothing about what
//! the bytes are: who needs room asks for the [`Pool::oldest`] cells and evicts them.
//!
//! Invariant: the sum of all leases is at most the limit. A single lease is never longer than
//! the limit: whoever makes the pool sees to it that a few whole cells fit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Names one cell of one file of the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CellId {
    pub file: u64,
    pub cell: u64,
}

/// See the module's text. `T` is how the owner of a cell is reached.
#[derive(Debug)]
pub(super) struct Pool<T> {
    budget: Arc<Budget>,
    cells: Mutex<LruCache<CellId, T>>,
}

#[derive(Debug)]
struct Budget {
    limit: u64,
    used: Mutex<u64>,
    changed: Notify,
}

/// Bytes of the budget.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl<T: Clone> Pool<T> {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            budget: Arc::new(Budget {
                limit: limit_bytes,
                used: Mutex::new(0),
                changed: Notify::new(),
            }),
            cells: Mutex::new(LruCache::unbounded()),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.budget.limit
    }

    pub(super) fn used(&self) -> u64 {
        *lock(&self.budget.used)
    }

    /// A lease of `bytes`, if there is room for it now.
    pub(super) fn try_reserve(&self, bytes: u64) -> Option<Lease> {
        assert!(
            bytes <= self.budget.limit,
            "one lease is longer than the whole budget"
        );
        let mut used = lock(&self.budget.used);
        if bytes > self.budget.limit - *used {
            return None;
        }
        *used += bytes;
        Some(Lease {
            budget: Arc::clone(&self.budget),
            bytes,
        })
    }

    /// Wakes when a lease came back or a cell became evictable. To miss nothing, enable it
    /// before looking.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.budget.changed.notified()
    }

    /// Something became evictable.
    pub(super) fn notify(&self) {
        self.budget.changed.notify_waiters();
    }

    /// The cell was written just now.
    pub(super) fn touch(&self, cell: CellId, owner: impl FnOnce() -> T) {
        let mut cells = lock(&self.cells);
        if cells.get(&cell).is_none() {
            cells.put(cell, owner());
            drop(cells);
            self.notify();
        }
    }

    /// The cell holds no memory any more.
    pub(super) fn forget(&self, cell: CellId) {
        lock(&self.cells).pop(&cell);
    }

    /// Up to `count` cells, the longest unwritten first.
    pub(super) fn oldest(&self, count: usize) -> Vec<(CellId, T)> {
        let cells = lock(&self.cells);
        let oldest = cells.iter().rev().take(count);
        oldest.map(|(id, owner)| (*id, owner.clone())).collect()
    }
}

impl Lease {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back all but `bytes`.
    pub(super) fn cut(mut self, bytes: u64) -> Self {
        assert!(bytes <= self.bytes, "a lease is cut, not grown");
        self.give_back(self.bytes - bytes);
        self
    }

    fn give_back(&mut self, bytes: u64) {
        if bytes > 0 {
            self.bytes -= bytes;
            *lock(&self.budget.used) -= bytes;
            self.budget.changed.notify_waiters();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// Nothing here panics while it holds a lock, so a poisoned one is still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(cell: u64) -> CellId {
        CellId { file: 1, cell }
    }

    #[test]
    fn leases_never_pass_the_limit_and_come_back() {
        let pool: Pool<()> = Pool::new(100);
        let first = pool.try_reserve(60).unwrap();
        assert!(pool.try_reserve(41).is_none());
        let second = pool.try_reserve(40).unwrap().cut(30);
        assert_eq!((second.bytes(), pool.used()), (30, 90));
        drop((first, second));
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn the_longest_unwritten_cell_is_first() {
        let pool = Pool::new(100);
        for cell in [1, 2, 3, 1] {
            pool.touch(id(cell), || ());
        }
        let order: Vec<u64> = pool.oldest(2).iter().map(|(id, ())| id.cell).collect();
        assert_eq!(order, [2, 3]);
        pool.forget(id(2));
        assert_eq!(pool.oldest(9).len(), 2);
    }
}
