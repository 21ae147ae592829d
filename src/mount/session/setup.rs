//! What a session is made with.

use std::sync::Arc;
use std::time::Duration;

use crate::mount::control::protocol::{Consistency, Encryption};
use crate::mount::mounting::KernelOptions;
use crate::mount::mountpoint::Mountpoint;
use crate::volume::lease::Presence;

/// What a mount is, for the kernel and for `cloakfs status`.
pub struct Setup {
    /// As it was given: `s3://bucket/prefix`.
    pub source: String,
    pub encryption: Encryption,
    /// As it was asked for; how it stands, the presence tells.
    pub consistency: Consistency,
    /// This mount among the others of its volume; none that only reads.
    pub presence: Option<Arc<Presence>>,
    /// What the store cannot do and what that costs.
    pub notes: Vec<String>,
    pub mountpoint: Mountpoint,
    pub kernel: KernelOptions,
    /// The longest time without progress.
    pub timeout: Duration,
    /// A hangup of the terminal ends it.
    pub foreground: bool,
    /// The store's figures at the time of the call.
    pub store_status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("source", &self.source)
            .field("mountpoint", &self.mountpoint)
            .finish_non_exhaustive()
    }
}
