//! Rank 2: where keys come from.
//!
//! [`file`]: a customer's own keys, from files that only they can read. [`kms`]: what a KMS key
//! is, and whether S3 can use it.

pub mod file;
pub mod kms;
