//! Rank 6: what an administrator does with a bucket or a volume, without a mount.
//!
//! Nothing here reads arguments, prints or knows a mounted filesystem. What is decided is decided
//! by pure functions; what is asked of a server goes through `store` and `keys`.

pub mod doctor;
pub mod policy;
