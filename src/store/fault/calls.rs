//! What was asked of a store.

use std::collections::HashMap;
use std::fmt;

use crate::store::Operation;

/// Calls by operation, and bytes of bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    by_operation: HashMap<Operation, u64>,
    /// Bytes of bodies sent by PutObject and UploadPart.
    pub bytes_up: u64,
    /// Bytes of bodies received from GetObject.
    pub bytes_down: u64,
}

impl Calls {
    /// Calls of one operation.
    #[must_use]
    pub fn of(&self, operation: Operation) -> u64 {
        self.by_operation.get(&operation).copied().unwrap_or(0)
    }

    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_operation.values().sum()
    }

    /// What came after `earlier`, a state of the same counter.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let by_operation = self
            .by_operation
            .iter()
            .map(|(operation, calls)| (*operation, calls - earlier.of(*operation)))
            .filter(|(_, calls)| *calls > 0)
            .collect();
        Self {
            by_operation,
            bytes_up: self.bytes_up - earlier.bytes_up,
            bytes_down: self.bytes_down - earlier.bytes_down,
        }
    }

    pub(super) fn count(&mut self, operation: Operation) {
        *self.by_operation.entry(operation).or_default() += 1;
    }
}

/// `PutObject 2, HeadObject 1; 10 bytes up, 0 down`, for the words of a failed assertion.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls: Vec<_> = self
            .by_operation
            .iter()
            .map(|(operation, calls)| format!("{operation} {calls}"))
            .collect();
        calls.sort();
        write!(
            f,
            "{}; {} bytes up, {} down",
            calls.join(", "),
            self.bytes_up,
            self.bytes_down
        )
    }
}
