//! Random identifiers.

use std::fmt;

use super::secret;

/// Marks one content write or metadata copy. It is stored in the object's metadata as
/// `cloakfs-commit`, so that after a lost response a HEAD tells whose write the bucket holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId([u8; 16]);

impl CommitId {
    /// The metadata name that carries it (without the `x-amz-meta-` prefix).
    pub const METADATA_NAME: &'static str = "cloakfs-commit";

    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        secret::fill_random(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitId({self})")
    }
}
