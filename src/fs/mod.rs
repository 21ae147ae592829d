//! Rank 5: the filesystem. Inodes, dentries, handles and one file for each operation family,
//! over [`crate::volume`] and [`crate::write`]; no fuser types.

pub mod readahead;
mod types;

pub use types::*;
