//! Rank 2: where keys come from.
//!
//! [`file`]: a customer's own keys, from files that only they can read. [`kms`]: what a KMS key
//! is, whether S3 can use it, and data keys. [`passphrase`]: what unwraps a master key. [`root`]: what the keys of a client-side volume hang on.

pub mod file;
pub mod kms;
pub mod passphrase;
pub mod root;
