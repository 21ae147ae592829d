//! From paths to keys and back.

use std::ffi::OsStr;
use std::fmt;

use super::{HiddenReason, Listed, NameError, PlainName, PrefixError, VolumePath, child};
use super::{KEY_BYTES_MAX, VOLUME_PREFIX_BYTES_MAX};
use crate::base::limits::{NAME_BYTES_MAX, RESERVED_PREFIX};
use crate::layout::sealed::names::{Names, StoredPath};

/// Turns paths into keys below the volume's prefix and listed keys into names.
pub struct KeyMapper {
    /// Empty, or ends in `/`.
    prefix: String,
    names: Names,
}

/// A directory, to tell what listed keys are in it.
#[derive(Debug)]
pub struct Directory<'m> {
    mapper: &'m KeyMapper,
    stored: StoredPath,
    /// What all keys in it begin with.
    prefix: String,
}

impl KeyMapper {
    /// With plain names. `prefix` is empty or ends in `/`.
    pub fn new(prefix: &str) -> Result<Self, PrefixError> {
        Self::with_names(prefix, Names::Plain)
    }

    /// `prefix` is empty or ends in `/`; it is not encrypted.
    pub fn with_names(prefix: &str, names: Names) -> Result<Self, PrefixError> {
        if !prefix.is_empty() && !prefix.ends_with('/') {
            return Err(PrefixError::NoSlash(prefix.to_owned()));
        }
        if prefix.len() > VOLUME_PREFIX_BYTES_MAX {
            return Err(PrefixError::TooLong(prefix.to_owned()));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            names,
        })
    }

    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Longest name of a file.
    #[must_use]
    pub const fn name_bytes_max(&self) -> usize {
        self.names.name_bytes_max()
    }

    /// The key of a file, symlink or special file. The root is [`NameError::Invalid`].
    pub fn file_key(&self, path: &VolumePath) -> Result<String, NameError> {
        if path.is_root() {
            return Err(NameError::Invalid);
        }
        short_enough(format!("{}{}", self.prefix, self.names.stored_path(path)?))
    }

    /// The key of a directory's marker, which ends in `/`. The root of a volume without a
    /// prefix has none: [`NameError::Invalid`].
    pub fn dir_key(&self, path: &VolumePath) -> Result<String, NameError> {
        let key = self.dir_prefix(path)?;
        if key.is_empty() {
            return Err(NameError::Invalid);
        }
        short_enough(key)
    }

    /// What all keys in a directory begin with: the volume's prefix for the root.
    pub fn dir_prefix(&self, path: &VolumePath) -> Result<String, NameError> {
        Ok(self.directory(path)?.prefix)
    }

    /// The key of what is at `rest` below a directory; empty for its marker. As
    /// [`Directory::below`] gives it: where names are encrypted a path, with `/` at the end for a
    /// marker, and where they are not the text that keys have after [`Self::dir_prefix`].
    pub fn key_below(&self, path: &VolumePath, rest: &str) -> Result<String, NameError> {
        let directory = self.directory(path)?;
        let Names::Encrypted(_) = self.names else {
            return short_enough(format!("{}{rest}", directory.prefix));
        };
        let mut key = directory.prefix;
        let mut parent = directory.stored;
        let mut left = rest;
        while !left.is_empty() {
            let (name, more) = match left.split_once('/') {
                Some((name, more)) => (name, Some(more)),
                None => (left, None),
            };
            let stored = self
                .names
                .seal(&parent, &PlainName::new(OsStr::new(name))?)?;
            key.push_str(&stored);
            parent = parent.join(&stored);
            if more.is_some() {
                key.push('/');
            }
            left = more.unwrap_or_default();
        }
        short_enough(key)
    }

    /// A directory whose listed keys are to be named.
    pub fn directory(&self, path: &VolumePath) -> Result<Directory<'_>, NameError> {
        let stored = self.names.stored_path(path)?;
        let prefix = format!("{}{}", self.prefix, stored.directory_key());
        Ok(Directory {
            mapper: self,
            stored,
            prefix,
        })
    }

    /// The path of what is stored at a key, at any depth; of a directory's marker it ends in `/`.
    ///
    /// # Errors
    /// Why no path names it.
    pub fn path_of(&self, key: &str) -> Result<String, HiddenReason> {
        let Some(stored) = key.strip_prefix(&self.prefix) else {
            return Err(HiddenReason::NotInDirectory);
        };
        let mut path = String::with_capacity(stored.len());
        let mut parent = StoredPath::root();
        for component in stored.split_inclusive('/') {
            let name = component.strip_suffix('/').unwrap_or(component);
            match &self.names {
                Names::Plain => match child(name) {
                    Listed::Hidden(reason) => return Err(reason),
                    _ => path.push_str(name),
                },
                names @ Names::Encrypted(_) => {
                    path.push_str(names.open(&parent, name)?.as_str());
                    parent = parent.join(name);
                }
            }
            path.push_str(&component[name.len()..]);
        }
        if path.split('/').next() == Some(reserved_name()) {
            return Err(HiddenReason::ReservedName);
        }
        Ok(path)
    }

    /// The key of something of cloakfs's own, `<prefix>.cloakfs/<suffix>`.
    ///
    /// # Panics
    /// When `suffix` is empty or longer than a file name: it is made by cloakfs.
    #[must_use]
    pub fn reserved(&self, suffix: &str) -> String {
        assert!(
            !suffix.is_empty() && suffix.len() < NAME_BYTES_MAX - RESERVED_PREFIX.len(),
            "{suffix:?} is no suffix of a reserved key"
        );
        format!("{}{RESERVED_PREFIX}{suffix}", self.prefix)
    }

    /// Whether a key is one that [`Self::reserved`] makes.
    #[must_use]
    pub fn is_reserved_key(&self, key: &str) -> bool {
        key.strip_prefix(&self.prefix)
            .is_some_and(|rest| rest.starts_with(RESERVED_PREFIX))
    }

    /// Whether a path is `.cloakfs` at the root or lies below it: nobody may create, rename or
    /// look up such a one (`EPERM`).
    #[must_use]
    pub fn is_reserved(&self, path: &VolumePath) -> bool {
        path.as_str().split('/').next() == Some(reserved_name())
    }
}

impl Directory<'_> {
    /// What all keys in it begin with: the volume's prefix for the root.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What an object in its listing (with the delimiter `/`) is.
    #[must_use]
    pub fn object(&self, key: &str) -> Listed {
        match key.strip_prefix(&self.prefix) {
            None => Listed::Hidden(HiddenReason::NotInDirectory),
            Some("") => Listed::Marker,
            Some(rest) if rest.contains('/') => Listed::Hidden(HiddenReason::NotInDirectory),
            Some(rest) if self.is_root() && rest == reserved_name() => {
                Listed::Hidden(HiddenReason::ReservedName)
            }
            Some(rest) => self.child(rest),
        }
    }

    /// What a common prefix in its listing (with the delimiter `/`) is.
    #[must_use]
    pub fn common_prefix(&self, common_prefix: &str) -> Listed {
        let component = common_prefix
            .strip_prefix(&self.prefix)
            .and_then(|rest| rest.strip_suffix('/'));
        match component {
            None => Listed::Hidden(HiddenReason::NotInDirectory),
            Some(name) if name.contains('/') => Listed::Hidden(HiddenReason::NotInDirectory),
            Some(name) if self.is_root() && name == reserved_name() => Listed::Reserved,
            Some(name) => self.child(name),
        }
    }

    /// What a key has after this directory, at any depth, for [`KeyMapper::key_below`]: the
    /// ciphertext of a name depends on its directory, so where names are encrypted the rest of a
    /// key is of no use at another place. `None` where it is not below.
    ///
    /// # Errors
    /// When one of its names does not decrypt.
    pub fn below(&self, key: &str) -> Option<Result<String, HiddenReason>> {
        let rest = key.strip_prefix(&self.prefix)?;
        let Names::Encrypted(_) = self.mapper.names else {
            return Some(Ok(rest.to_owned()));
        };
        let mut plain = String::new();
        let mut parent = self.stored.clone();
        for component in rest.split_inclusive('/') {
            let stored = component.trim_end_matches('/');
            match self.mapper.names.open(&parent, stored) {
                Ok(name) => plain.push_str(name.as_str()),
                Err(error) => return Some(Err(error.into())),
            }
            if component.ends_with('/') {
                plain.push('/');
            }
            parent = parent.join(stored);
        }
        Some(Ok(plain))
    }

    fn child(&self, stored: &str) -> Listed {
        match &self.mapper.names {
            Names::Plain => child(stored),
            names @ Names::Encrypted(_) => match names.open(&self.stored, stored) {
                Ok(name) if self.is_root() && name.as_str() == reserved_name() => {
                    Listed::Hidden(HiddenReason::ReservedName)
                }
                Ok(name) => Listed::Child(name),
                Err(error) => Listed::Hidden(error.into()),
            },
        }
    }

    fn is_root(&self) -> bool {
        self.stored.as_str().is_empty()
    }
}

/// The name of the reserved directory at the volume's root, without its slash.
fn reserved_name() -> &'static str {
    RESERVED_PREFIX.trim_end_matches('/')
}

fn short_enough(key: String) -> Result<String, NameError> {
    if key.len() > KEY_BYTES_MAX {
        Err(NameError::TooLong)
    } else {
        Ok(key)
    }
}

impl fmt::Debug for KeyMapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMapper")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
