//! What everything in a client-side volume hangs on: a master key, or a key of KMS.

use crate::crypto::MasterKey;

/// The root of a client-side volume. It wraps data keys and does nothing else.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub enum Root {
    /// `cse-c`
    Master(MasterKey),
}
