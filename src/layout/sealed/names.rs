//! Names as they are stored (section 9), plain or encrypted.
//!
//! Invariant: a path has exactly one stored path, and a stored name that opens is the one that
//! its name seals to: AES-SIV is deterministic and base64url is decoded strictly.

use std::ffi::OsStr;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::limits::NAME_BYTES_MAX;
use crate::crypto::NameKey;
use crate::crypto::name::SIV_BYTES;
use crate::layout::path::{NameError, PlainName, VolumePath};

/// Longest name that is at most 255 bytes when encrypted and in base64.
pub const ENCRYPTED_NAME_BYTES_MAX: usize =
    NAME_BYTES_MAX / 4 * 3 + NAME_BYTES_MAX % 4 * 3 / 4 - SIV_BYTES;

/// How the names of a volume are stored.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub enum Names {
    Plain,
    Encrypted(Box<NameKey>),
}

/// Where a file or directory is stored: stored names joined with `/`, none at either end. The
/// root is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredPath(String);

/// An object's key less the volume's prefix. Ends in `/`, or is empty, for a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredKey(String);

/// Why a stored name is not a name of this volume: what follows it in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoredNameError {
    #[error(
        "cannot be decrypted: it is not an encrypted name; it was put there by another program, which can move it away"
    )]
    NotEncoded,
    #[error(
        "cannot be decrypted: its name was changed, or it was moved here from another directory; move it back to where it was"
    )]
    NotAuthentic,
    #[error("has a name that no path can have, though it was encrypted with the key")]
    NotAName,
}

impl Names {
    /// Longest name that can be stored, as statfs(2) reports it.
    #[must_use]
    pub const fn name_bytes_max(&self) -> usize {
        match self {
            Self::Plain => NAME_BYTES_MAX,
            Self::Encrypted(_) => ENCRYPTED_NAME_BYTES_MAX,
        }
    }

    /// # Errors
    /// When the name is longer than [`Self::name_bytes_max`].
    pub fn seal(&self, parent: &StoredPath, name: &PlainName) -> Result<String, NameError> {
        let name = name.as_str();
        match self {
            Self::Plain => Ok(name.to_owned()),
            Self::Encrypted(_) if name.len() > ENCRYPTED_NAME_BYTES_MAX => Err(NameError::TooLong),
            Self::Encrypted(key) => {
                Ok(URL_SAFE_NO_PAD.encode(key.seal(parent.as_str(), name.as_bytes())))
            }
        }
    }

    /// # Errors
    /// When it is not what a name in this directory is stored as.
    pub fn open(&self, parent: &StoredPath, stored: &str) -> Result<PlainName, StoredNameError> {
        let Self::Encrypted(key) = self else {
            return PlainName::new(OsStr::new(stored)).map_err(|_| StoredNameError::NotAName);
        };
        let sealed = URL_SAFE_NO_PAD
            .decode(stored)
            .map_err(|_| StoredNameError::NotEncoded)?;
        let name = key
            .open(parent.as_str(), &sealed)
            .map_err(|_| StoredNameError::NotAuthentic)?;
        str::from_utf8(&name)
            .ok()
            .filter(|name| name.len() <= ENCRYPTED_NAME_BYTES_MAX)
            .and_then(|name| PlainName::new(OsStr::new(name)).ok())
            .ok_or(StoredNameError::NotAName)
    }

    /// # Errors
    /// When a component is too long.
    pub fn stored_path(&self, path: &VolumePath) -> Result<StoredPath, NameError> {
        let mut components = path.as_str().split('/').filter(|name| !name.is_empty());
        components.try_fold(StoredPath::root(), |parent, component| {
            let name = PlainName::new(OsStr::new(component))?;
            Ok(parent.join(&self.seal(&parent, &name)?))
        })
    }
}

impl StoredPath {
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// `stored` is what [`Names::seal`] gave, or a component of a listed key.
    #[must_use]
    pub fn join(&self, stored: &str) -> Self {
        if self.0.is_empty() {
            Self(stored.to_owned())
        } else {
            Self(format!("{}/{stored}", self.0))
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stored key of a file or the like here.
    #[must_use]
    pub fn file_key(&self) -> StoredKey {
        StoredKey(self.0.clone())
    }

    /// The stored key of a directory's marker here.
    #[must_use]
    pub fn directory_key(&self) -> StoredKey {
        if self.0.is_empty() {
            StoredKey(String::new())
        } else {
            StoredKey(format!("{}/", self.0))
        }
    }
}

impl StoredKey {
    /// From a whole key and the volume's prefix; `None` where it does not lie in the volume.
    #[must_use]
    pub fn below(prefix: &str, key: &str) -> Option<Self> {
        key.strip_prefix(prefix).map(|rest| Self(rest.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }
}

macro_rules! show {
    ($text:ident) => {
        impl fmt::Display for $text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

show!(StoredPath);
show!(StoredKey);
