//! What everything in a client-side volume hangs on: a master key, or a key of KMS.

use super::kms::KmsRoot;
use crate::crypto::MasterKey;

/// The root of a client-side volume. It wraps data keys and does nothing else.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub enum Root {
    /// `cse-c`
    Master(MasterKey),
    /// `cse-kms`
    Kms(Box<KmsRoot>),
}

impl Root {
    /// The mode as `--encryption` names it.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Master(_) => "cse-c",
            Self::Kms(_) => "cse-kms",
        }
    }

    /// The key of KMS, as requests name it.
    #[must_use]
    pub fn kms_key(&self) -> Option<&str> {
        match self {
            Self::Master(_) => None,
            Self::Kms(kms) => Some(kms.key()),
        }
    }
}
