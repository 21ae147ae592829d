//! Rank 4: turning the dirty bytes of open files into objects.
//!
//! [`extents`] knows which bytes are dirty, [`grid`] how a file is cut into parts, [`planner`]
//! decides what a commit uploads and what it copies on the server; all three are pure.
//! [`staging`] keeps dirty bytes, sealed, on the local disk.

pub mod extents;
pub mod grid;
mod naive;
pub mod planner;
pub mod staging;
pub use naive::*;
