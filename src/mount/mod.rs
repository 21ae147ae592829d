//! Rank 6: the kernel's side. Mounting, the fuser adapter, the session's life, the control
//! socket, and the daemon. The only user of fuser.
//!
//! The order at start-up is fixed, and [`crate::cli`] keeps it:
//! 1. [`daemon::fork`], while the process has one thread and knows no secret;
//! 2. [`daemon::harden`];
//! 3. [`claim::Claim::take`], so that one daemon at most serves a mountpoint;
//! 4. [`mounting::mount`], once the filesystem is ready to answer;
//! 5. [`session::Session::serve`], until the mount is gone.
//!
//! Invariants:
//! - Nothing here waits for the kernel while the kernel may be waiting for us: the mountpoint
//!   is looked at before it is mounted, and never after.
//! - A process that asks something of the mount always gets an answer, also when the operation
//!   panics or the daemon ends ([`dispatch`]).
//! - The daemon does not end with unwritten data that it did not report ([`session`]).

mod adapter;
pub mod claim;
pub mod control;
pub mod daemon;
mod dispatch;
pub mod flags;
mod fusermount;
pub mod mountinfo;
pub mod mounting;
pub mod mountpoint;
pub mod namespace;
pub mod overlap;
pub mod readiness;
pub mod session;
pub mod state;
pub mod unmounting;

pub use adapter::Adapter;
pub use dispatch::OperationCounts;
