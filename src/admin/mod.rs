//! Rank 6: what an administrator does with keys, a bucket or a volume, without a mount.
//!
//! Nothing here reads arguments or prints; what a person is to hear while it is done goes to a
//! function of the caller's.
//!
//! [`import`]: a customer's own key into KMS.

pub mod import;
