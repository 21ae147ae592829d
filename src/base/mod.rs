//! Rank 0: ids, byte ranges, time, jitter, secrets, encryption contexts, limits and sizes.
//!
//! Nothing here does I/O, except that [`random`] and [`secret`] ask the operating system for
//! random bytes and [`time::Timestamp::now`] reads the wall clock.

pub mod context;
pub mod id;
pub mod jitter;
pub mod limits;
pub mod progress;
pub mod range;
pub mod secret;
pub mod size;
pub mod terminal;
pub mod time;
