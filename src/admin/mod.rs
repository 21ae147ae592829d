//! Rank 6: what an administrator does with keys, a bucket or a volume, without a mount.
//!
//! Nothing here reads arguments, prints or knows a mounted filesystem; what a person is to hear
//! while it is done goes to a function of the caller's. What is decided is decided by pure
//! functions; what is asked of a server goes through `store` and `keys`.
//!
//! [`import`]: a customer's own key into KMS. [`policy`]: what AWS must allow and deny for a
//! mode. [`doctor`]: what a mount needs.

pub mod doctor;
pub mod import;
pub mod policy;
