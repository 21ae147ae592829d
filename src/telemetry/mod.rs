//! Rank 1: logging and counters.
//!
//! [`log`] sends what the process logs to one place that the user chose; [`recent`] keeps the
//! last errors for `cloakfs status`, which is all there is where no log can be read; [`counter`]
//! counts. None of them ever sees key material: the types that hold it cannot be formatted, and
//! debug output of other crates, which may hold request headers, is never logged.

pub mod counter;
pub mod log;
pub mod recent;

#[cfg(test)]
mod tests;
