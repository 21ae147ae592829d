//! Whether a volume is shared, and who has it alone.
//!
//! Two kinds of small objects below the reserved prefix: the *lease* `lease`, of the one mount
//! that has the volume to itself, and the *registrations* `mounts/ID` of the mounts that share
//! it. Both hold a [`Record`] and are renewed, three times in a term, by a conditional write with
//! a growing counter.
//!
//! Invariants:
//! 1. **No clocks are compared.** A claimant takes a lease over when it has seen it unchanged for
//!    two of its terms by its own clock, and by a conditional write that fails if it changed
//!    after all. The holder begins no change later than the term less the timeout after the
//!    *start* of its last renewal, and has none under way after the term. So clocks may run at
//!    rates of up to one to two.
//! 2. **Each side writes before it looks.** A mount that shares registers, and looks for a lease
//!    then; one that wants the volume alone takes the lease, and looks for registrations then.
//!    Of two that come at once at least one sees the other.
//! 3. **What is not sure is alive.** Only a lock that nobody holds any more ([`lock`]) proves a
//!    death at once.
//! 4. **A lease that is lost stays lost.** The mount reads on, and changes nothing more.
//!
//! [`holder`] and [`watch`] are the rules, pure; [`Gate`] has the holder's state for whoever asks,
//! [`Fence`] asks it before each request that changes something; [`Presence`] is what a mount has.
//!
//! Only mounts of the same bucket and prefix know of each other.

mod claim;
pub(super) mod clock;
mod fence;
mod gate;
mod holder;
mod keeper;
mod lock;
mod place;
mod presence;
mod record;
mod survey;
mod term;
mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use claim::Claimant;
pub use fence::Fence;
pub use gate::Gate;
pub use place::Place;
pub use presence::{Presence, Standing, sweep};
pub use record::{Origin, Record};
pub use survey::{Life, Tenant, outlast, take_away, tenants};
pub use term::{Term, TermTooShort};

use crate::store::{KeyError, StoreError};

/// Why a volume cannot be had, alone or shared.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error(
        "{volume} is mounted with --consistency exclusive by {by}; unmount it there, or, if that machine is gone, give --wait-for-lease: what is not renewed for {} s is taken over", .patience.as_secs()
    )]
    Held {
        volume: String,
        by: String,
        patience: Duration,
    },
    #[error(
        "{volume} cannot be mounted with --consistency exclusive while it is mounted by {by}; unmount it there, or give --wait-for-lease: a mount that does not renew its registration for {} s counts as gone", .patience.as_secs()
    )]
    Shared {
        volume: String,
        by: String,
        patience: Duration,
    },
    #[error("whether somebody has the volume alone cannot be told: {0}")]
    Unreadable(#[source] StoreError),
    #[error("--consistency exclusive keeps a lease in the bucket, and it cannot be written: {0}")]
    Unwritable(#[source] StoreError),
    #[error("the volume's prefix leaves no room for a lease: {0}")]
    Key(#[source] KeyError),
    #[error(
        "the locks of this machine's mounts in {path} cannot be used: {source}; set CLOAKFS_STATE_DIR to a directory that you may write"
    )]
    Lock {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}
