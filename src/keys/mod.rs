//! Rank 2: where keys come from.
//!
//! [`file`]: a customer's own keys, from files that only they can read. [`kms`]: what a KMS key
//! is, and whether S3 can use it. [`root`]: what the keys of a client-side volume hang on.

pub mod file;
pub mod kms;
pub mod root;
