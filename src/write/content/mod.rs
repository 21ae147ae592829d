//! What a changed file holds: its size, which bytes are dirty, and where those bytes are.
//!
//! Pure bookkeeping: nothing here waits or does I/O. Dirty bytes are kept in *cells* of fixed
//! length; a *part* of the upload grid is one cell or several. A cell's bytes are in memory, in
//! staging, or *remote*: in an uploaded part of a multipart upload that is not complete, from
//! where nothing can be read until it is (a checkpoint).
//!
//! What a byte of the file is, at any time: dirty bytes are what was written last; others are
//! the base's below `base_valid` (the smallest size that the file was cut to since the base),
//! and zero above it.
//!
//! Invariants:
//! 1. Every dirty byte is in a cell, and a cell that is not remote covers its dirty bytes.
//! 2. A remote cell belongs to a part whose receipt is for the whole grid part as it is now;
//!    whatever would take that receipt away asks for a checkpoint first.
//! 3. A buffer that somebody else holds (an upload, a spill) is never changed: a writer gets a
//!    copy. The same allocation therefore means the same bytes.
//! 4. A part has at most one upload under way, so a late answer cannot replace newer bytes.

mod buffer;
mod parts;
mod places;
mod table;

#[cfg(test)]
mod tests;

pub(crate) use buffer::{Buffer, Shared, index};
pub(crate) use places::{Evicted, Missing};
pub(crate) use table::{Need, Supply, Table};
