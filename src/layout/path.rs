//! Names and paths within a volume, and the keys they are stored under.
//!
//! A file `a/b` of a volume with the prefix `p/` is the object `p/a/b`; a directory `a` is the
//! object `p/a/` (its marker), or nothing but the keys below it. Keys under `p/.cloakfs/` are
//! cloakfs's own. In a volume with encrypted names each component is what
//! [`Names`](super::sealed::Names) makes of it; `.cloakfs` stays as it is.
//!
//! Assumes that S3 takes any UTF-8 of up to 1,024 bytes as a key. Invariants: a [`VolumePath`]
//! has only components that a [`PlainName`] can be, so that a path made here names exactly one
//! key; the same key always comes back as the same name. Keys of other tools that no path can
//! name (`a//b`, `..`, long components) are told from the rest by [`Directory::object`] and
//! [`Directory::common_prefix`], each with its reason; they are never made into a path.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::base::limits::{KEY_BYTES_MAX, NAME_BYTES_MAX};

mod mapper;

pub use mapper::{Directory, KeyMapper};

use super::sealed::names::{ENCRYPTED_NAME_BYTES_MAX, StoredNameError};

/// Longest prefix of a volume: one component of full length still fits behind it.
const VOLUME_PREFIX_BYTES_MAX: usize = KEY_BYTES_MAX - NAME_BYTES_MAX - 1;

/// One component of a path: UTF-8 of 1 to 255 bytes, neither `.` nor `..`, without `/` and NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainName(String);

/// A file or directory of a volume: components joined with `/`, none at either end. The root
/// is empty. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumePath(Arc<str>);

/// Why something cannot be a name in this volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// `ENAMETOOLONG`
    #[error(
        "the name is too long: a component has at most {NAME_BYTES_MAX} bytes ({ENCRYPTED_NAME_BYTES_MAX} where names are encrypted), and the whole object key, with the volume's prefix, at most {KEY_BYTES_MAX}; use shorter names or fewer directories"
    )]
    TooLong,
    /// `EILSEQ`
    #[error(
        "the name is not valid UTF-8, and S3 has no other keys; rename it to UTF-8 before copying it here"
    )]
    NotUtf8,
    /// `EINVAL`
    #[error(
        "no object can have this name: it is empty, \".\" or \"..\", or has a slash or a NUL byte in it"
    )]
    Invalid,
}

/// A volume prefix that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    #[error("the prefix {0:?} does not end in \"/\": a volume's prefix is empty or a directory")]
    NoSlash(String),
    #[error(
        "the prefix {0:?} has more than {VOLUME_PREFIX_BYTES_MAX} bytes, which leaves no room for file names in keys of {KEY_BYTES_MAX}; mount a shorter one"
    )]
    TooLong(String),
}

/// What a listed key or common prefix is to the directory that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// An entry of the directory.
    Child(PlainName),
    /// The directory's own marker object.
    Marker,
    /// cloakfs's own state, which is not an entry.
    Reserved,
    /// A key that no path can name.
    Hidden(HiddenReason),
}

/// Why an object is in the bucket but not in the directory: a sentence to put after its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HiddenReason {
    #[error(
        "has an empty component (\"//\", or \"/\" at the start), which no path can name; rename it with an S3 tool to see it here"
    )]
    EmptyComponent,
    #[error(
        "has a component \".\" or \"..\", which means another directory in every path; rename it with an S3 tool to see it here"
    )]
    DotComponent,
    #[error(
        "has a component of more than 255 bytes, the longest file name; rename it with an S3 tool to see it here"
    )]
    NameTooLong,
    #[error(
        "has a NUL byte in its name, which no path can have; rename it with an S3 tool to see it here"
    )]
    NulByte,
    #[error(
        "has the name \".cloakfs\", which cloakfs keeps for its own state; rename it with an S3 tool to see it here"
    )]
    ReservedName,
    #[error(
        "has the same name as a directory, and a path can name only one of them; rename one of them with an S3 tool to see both"
    )]
    ShadowedByDirectory,
    #[error(
        "was listed by the server in a directory that it does not lie in; the server's listing is wrong: report it to whoever runs it"
    )]
    NotInDirectory,
    /// In a volume with encrypted names.
    #[error(transparent)]
    Undecryptable(#[from] StoredNameError),
}

impl PlainName {
    pub fn new(name: &OsStr) -> Result<Self, NameError> {
        let name = name.to_str().ok_or(NameError::NotUtf8)?;
        match flaw(name) {
            None => Ok(Self(name.to_owned())),
            Some(HiddenReason::NameTooLong) => Err(NameError::TooLong),
            Some(_) => Err(NameError::Invalid),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::new(&self.0)
    }
}

impl VolumePath {
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn join(&self, name: &PlainName) -> Self {
        if self.is_root() {
            Self(Arc::from(name.as_str()))
        } else {
            Self(Arc::from(format!("{}/{}", self.0, name.0)))
        }
    }

    /// The directory it is in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(Arc::from(parent))),
            None if self.is_root() => None,
            None => Some(Self::root()),
        }
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0
            .rsplit('/')
            .next()
            .filter(|component| !component.is_empty())
    }

    /// Whether it is `ancestor` or lies below it.
    #[must_use]
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.below(ancestor).is_some()
    }

    /// Where it is after the directory or file `from` was renamed to `to`; `None` where it does
    /// not lie at or below `from`.
    #[must_use]
    pub fn rebase(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.below(from)?;
        Some(match (to.is_root(), rest.is_empty()) {
            (_, true) => to.clone(),
            (true, false) => Self(Arc::from(rest)),
            (false, false) => Self(Arc::from(format!("{}/{rest}", to.0))),
        })
    }

    /// What comes after `ancestor`, without a leading slash.
    fn below(&self, ancestor: &Self) -> Option<&str> {
        if ancestor.is_root() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&*ancestor.0)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }
}

fn child(component: &str) -> Listed {
    match flaw(component) {
        None => Listed::Child(PlainName(component.to_owned())),
        Some(reason) => Listed::Hidden(reason),
    }
}

/// Why a component cannot be a file name.
fn flaw(component: &str) -> Option<HiddenReason> {
    if component.is_empty() || component.contains('/') {
        Some(HiddenReason::EmptyComponent)
    } else if matches!(component, "." | "..") {
        Some(HiddenReason::DotComponent)
    } else if component.len() > NAME_BYTES_MAX {
        Some(HiddenReason::NameTooLong)
    } else if component.contains('\0') {
        Some(HiddenReason::NulByte)
    } else {
        None
    }
}

/// Reads what [`VolumePath::as_str`] wrote.
impl FromStr for VolumePath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !text.is_empty() {
            for component in text.split('/') {
                PlainName::new(OsStr::new(component))?;
            }
        }
        Ok(Self(Arc::from(text)))
    }
}

macro_rules! show {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

show!(PlainName);
show!(VolumePath);

#[cfg(test)]
mod tests;
