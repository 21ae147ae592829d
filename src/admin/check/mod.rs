//! Whether a volume is consistent: what mounts that died have left, what no path can name, what
//! somebody has to decide.
//!
//! [`state::survey`] looks at cloakfs's own objects, at uploads and at the journals of this
//! machine; [`tree::survey`] goes through the keys of everything else, page by page. Both only
//! look. Each [`Finding`] has a stable name, says what it is, and what becomes of it:
//!
//! - [`Class::Repairable`]: [`repair::repair`] does it, by the same steps as the next mount;
//! - [`Class::NeedsYou`]: nobody but a person can tell what is right;
//! - [`Class::InUse`]: a mount that lives, or may live, is using it. That is no flaw.
//!
//! Invariants:
//! 1. A repair deletes nothing but what cloakfs made for itself, at keys that only cloakfs makes
//!    ([`super::own`]), and that no living mount has: its maker is dead by its lock on this
//!    machine, or this process has the volume alone, by a lease that no other mount has outlived
//!    ([`crate::volume::lease`]). Whatever bears the name of a file is left to people; so are
//!    conflict copies, which are files.
//! 2. What is repaired is found out anew: a finding is repaired when a second survey does not
//!    find it any more, and what was repaired is found by no later one.
//! 3. Neither survey asks for anything but listings, and the few small objects below the reserved
//!    prefix.

mod conflict;
pub mod repair;
pub mod state;
#[cfg(test)]
mod tests;
pub mod tree;

use serde::Serialize;

/// What is not as it should be. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// A copy of the volume record is missing, broken or older than the other, or none is whole.
    VolumeRecord,
    /// A directory is half renamed.
    UnfinishedRename,
    /// A mount of this machine ended with uploads or renames of files under way.
    DeadMount,
    /// What a mount kept for itself while it worked.
    OrphanedContent,
    /// The lease of a mount.
    Lease,
    /// The registration of a mount.
    Registration,
    /// An upload below the reserved prefix.
    OrphanedUpload,
    /// An upload of a file, of cloakfs or of another program.
    UnfinishedUpload,
    /// What a mount was finding out about the server with.
    Probe,
    /// Files that were closed and are not in the bucket yet.
    UnsentFiles,
    /// Something below the reserved prefix that cloakfs did not put there.
    UnknownObject,
    /// One of two versions of a file.
    ConflictCopy,
    /// A file and a directory have one name, and the file is hidden.
    NameTwice,
    /// No path can name it.
    HiddenObject,
    /// Its name does not decrypt.
    UndecryptableName,
}

impl Trouble {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VolumeRecord => "volume-record",
            Self::UnfinishedRename => "unfinished-rename",
            Self::DeadMount => "dead-mount",
            Self::OrphanedContent => "orphaned-content",
            Self::Lease => "lease",
            Self::Registration => "registration",
            Self::OrphanedUpload => "orphaned-upload",
            Self::UnfinishedUpload => "unfinished-upload",
            Self::Probe => "probe",
            Self::UnsentFiles => "unsent-files",
            Self::UnknownObject => "unknown-object",
            Self::ConflictCopy => "conflict-copy",
            Self::NameTwice => "name-twice",
            Self::HiddenObject => "hidden-object",
            Self::UndecryptableName => "undecryptable-name",
        }
    }
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Repairable,
    NeedsYou,
    InUse,
}

impl Class {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repairable => "repairable",
            Self::NeedsYou => "needs you",
            Self::InUse => "in use",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub finding: Trouble,
    pub class: Class,
    /// A key, the beginning of several, or what else names it.
    pub object: String,
    /// What a mount calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it is: a sentence.
    pub text: String,
    /// What to do about it, or what --repair does.
    pub remedy: String,
    /// It was found, and a repair has ended it.
    pub repaired: bool,
}

impl Finding {
    #[must_use]
    pub fn new(
        finding: Trouble,
        class: Class,
        object: impl Into<String>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            finding,
            class,
            object: object.into(),
            path: None,
            text: text.into(),
            remedy: remedy.into(),
            repaired: false,
        }
    }

    /// Something is left to be done.
    #[must_use]
    pub fn is_flaw(&self) -> bool {
        self.class != Class::InUse && !self.repaired
    }

    /// The same thing, whatever is said of it by now.
    fn is_same(&self, other: &Self) -> bool {
        self.finding == other.finding && self.object == other.object
    }
}
