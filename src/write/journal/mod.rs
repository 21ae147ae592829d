//! The journal of closed files: what a program was told is saved and the bucket does not have yet.
//!
//! With `--commit write-back`, close(2) returns when the changes are in the journal and the disk
//! has them. The upload follows; should the mount die before, the next mount of the same source
//! replays what is here.
//!
//! ```text
//! STATE/write-back/MOUNT-ID/       0700
//!     header                       source, mount, host, how the key is got; held (flock) for life
//!     00000001.log                 frames, up to 64 MiB; then the next
//! frame     = length (4 bytes, little-endian) ‖ sealed message
//! message   = length of the head (4 bytes, little-endian) ‖ head (JSON) ‖ file data
//! ```
//!
//! A frame's context is the source, the mount, the number of its log and its number in the log: no
//! frame passes for another, and none is missing between two. What an entry needs comes before the
//! event that makes it count ([`Event::Content`]), so an entry is there whole or not at all.
//!
//! Invariants:
//! 1. **Nothing is acknowledged before it is synced.** [`Journal::sync`] returns when the disk has
//!    everything up to that position; closers that wait together share one sync. After a sync that
//!    failed nothing is taken any more: what the disk has is not known.
//! 2. **What is read is what was written, a prefix of it, or an error.** Only the end of the last
//!    log may be torn: that was not acknowledged. Anything else that does not open is damage, and
//!    such a journal is kept and not replayed.
//! 3. **A log goes only after all earlier ones**, and only when none of its contents is pending. So
//!    what is left always tells enough: the event that ended a file is never gone before the file.
//! 4. **One owner.** Whoever holds the header's lock may read and write; a mount that finds it held
//!    leaves the journal alone.
//!
//! [`event`] is what is written down, [`frame`] how, [`fold`] what follows from it: the files that
//! are pending. [`directory`] finds and claims journals, [`dead`] reads one and [`export`] brings it out, [`writer`] is the
//! living one.

mod dead;
mod directory;
mod error;
mod event;
mod export;
mod fold;
mod frame;
mod writer;

#[cfg(test)]
mod tests;

pub use dead::Dead;
pub use directory::{Found, Header, Unclaimed, find};
pub use error::JournalError;
pub use event::{Closed, Event, FileNumber, Place};
pub use export::Exported;
pub use fold::Pending;
pub use writer::{Journal, Position};

/// A log that has this many bytes gets no more frames.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// File data of one frame.
pub const FRAME_DATA_BYTES_MAX: usize = 1 << 20;
