//! Rank 2: paths and keys, attributes and object metadata. Pure: no I/O, no clock.

pub mod attributes;
pub mod path;
pub mod plain;
pub mod s3ec;
pub mod sealed;
