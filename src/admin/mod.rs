//! Rank 6: what an administrator does with keys, a bucket or a volume, without a mount.
//!
//! Nothing here reads arguments, prints or knows a mounted filesystem; what a person is to hear
//! while it is done goes to a function of the caller's. What is decided is decided by pure
//! functions; what is asked of a server goes through `store` and `keys`.
//!
//! - [`import`]: a customer's own key into KMS.
//! - [`policy`]: what AWS must allow and deny for a mode. [`doctor`]: what a mount needs.
//! - [`inspect`] walks a prefix and tells of each object what it is: everything here that has to
//!   do with all objects begins there. [`own`] tells what the objects below the reserved prefix
//!   are, and [`uploads`] which multipart uploads are under way.
//! - [`audit`] compares all of it with what must be; [`check`] tells what mounts that died have
//!   left, and mends it.
//! - [`reencrypt`] brings all of it under another key or encryption.
//! - [`usage`] tells which objects are under a key of KMS.
//! - [`export`]: the files of a volume as objects of the Amazon S3 Encryption Client.

pub mod audit;
pub mod check;
pub mod doctor;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod import;
pub mod inspect;
pub mod own;
pub mod policy;
pub mod reencrypt;
pub mod uploads;
pub mod usage;
