//! Rank 7.
