//! Rank 6: what an administrator does with a volume, without a mount. Nothing here reads
//! arguments or prints.
//!
//! [`export`]: the files of a volume as objects of the Amazon S3 Encryption Client.

pub mod export;
