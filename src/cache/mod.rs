//! Rank 1: blocks of files in memory, fetched once and kept while they are used. Opaque bytes:
//! the cache knows neither S3 nor keys.
//!
//! A file version is a [`FileTag`]; its bytes are kept on a grid of [`BLOCK_BYTES`]. Blocks that
//! a call misses are grouped into *runs*, each fetched by one request of at most
//! [`RUN_BYTES_MAX`] and kept, evicted and accounted for as one buffer: a read inside a run is
//! a slice of it and copies nothing, and what is freed by an eviction is what was counted.
//!
//! Assumes that a tag stands for one immutable content (a changed length drops what was kept
//! under it), that a source's answer owns a buffer of about its own length, and that `read` and
//! `prefetch` run inside a tokio runtime.
//!
//! Invariants: no block is in two runs, so that one is never fetched twice at a time; kept and
//! reserved bytes exceed the capacity only by what reads that wait at this moment need; prefetch
//! never makes them exceed it. A fetch runs in a task of its own: it outlives a reader that
//! gives up. Errors reach everybody who waits for that fetch and are not kept. Bytes handed out
//! live on after an eviction for as long as their holder keeps them.

mod blocks;
mod table;

pub use blocks::{BlockCache, BlockSource, BrokenFetch};

/// The grid of the cache in bytes; only the last block of a file is shorter.
pub const BLOCK_BYTES: u64 = 128 << 10;

/// Longest request to a source in bytes; requests do not cross multiples of it.
pub const RUN_BYTES_MAX: u64 = 8 << 20;

/// One version of one file. Whoever hands out tags gives another one to another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileTag(pub u64);

/// What the cache did since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Blocks that a read found in memory.
    pub hits: u64,
    /// Blocks that a read had to wait for.
    pub misses: u64,
    /// Kept and being fetched, with the bookkeeping.
    pub bytes: u64,
    pub capacity: u64,
    /// Bytes that sources gave.
    pub fetched_bytes: u64,
    /// Blocks dropped to make room for others.
    pub evictions: u64,
}
