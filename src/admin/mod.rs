//! Rank 6: what is done to the objects of a source without a mount.
//!
//! [`inspect`] walks a prefix and tells of each object what it is: everything here that has to do
//! with all objects begins there. [`own`] tells what the objects below the reserved prefix are,
//! and [`uploads`] which multipart uploads are under way. [`audit`] compares all of it with what
//! must be; [`check`] tells what mounts that died have left, and mends it.
//! Nothing here prints or reads an argument; `cli` does.

pub mod audit;
pub mod check;
#[cfg(test)]
mod fixture;
pub mod inspect;
pub mod own;
pub mod uploads;
