//! What the objects below the reserved prefix are: by their keys alone, pure.

use crate::base::limits::RESERVED_PREFIX;
use crate::layout::sealed::volume::OBJECTS;

/// One of cloakfs's own objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// A copy of the volume record of a client-side volume.
    VolumeRecord,
    /// The attributes of the root of a whole bucket.
    Root,
    /// Of the one mount that has the volume to itself.
    Lease,
    /// Of a mount that shares it.
    Registration,
    /// A directory rename under way.
    Intent,
    /// What a mount keeps while it works.
    Private(Private),
    /// Of a mount that was finding out what the server can do.
    Probe,
    /// Nothing that this program makes.
    Unknown,
}

/// The folder of one mount's private objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Private {
    pub purpose: Purpose,
    /// [`crate::volume::Volume::mount_id`] of who made it.
    pub mount: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The content of files that were deleted while they were open.
    Open,
    /// Large files on their way in.
    Staging,
}

impl Own {
    /// What a key is; `None` where it does not lie below the reserved prefix of the volume at
    /// `prefix`.
    #[must_use]
    pub fn of(prefix: &str, key: &str) -> Option<Self> {
        let name = key.strip_prefix(prefix)?.strip_prefix(RESERVED_PREFIX)?;
        Some(match name.split_once('/') {
            None if OBJECTS.contains(&name) => Self::VolumeRecord,
            None if name == "lease" => Self::Lease,
            Some(("root", "")) => Self::Root,
            Some(("mounts", id)) if is_id(id, 32) => Self::Registration,
            Some(("intents", id)) if is_id(id, 32) => Self::Intent,
            Some(("probe", id)) if is_id(id.strip_suffix("-copy").unwrap_or(id), 32) => Self::Probe,
            Some(("open", rest)) => Self::private(Purpose::Open, rest),
            Some(("staging", rest)) => Self::private(Purpose::Staging, rest),
            _ => Self::Unknown,
        })
    }

    fn private(purpose: Purpose, rest: &str) -> Self {
        match rest.split_once('/') {
            Some((mount, id)) if is_id(mount, 16) && is_id(id, 32) => {
                let mount = mount.to_owned();
                Self::Private(Private { purpose, mount })
            }
            _ => Self::Unknown,
        }
    }

    /// In a client-side volume it is sealed like any file; the others are in clear in every mode,
    /// and tell nothing of what files hold.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Root | Self::Intent | Self::Private(_))
    }
}

impl Private {
    /// What the keys in the folder begin with, below the volume's prefix.
    #[must_use]
    pub fn folder(&self) -> String {
        let purpose = self.purpose.name();
        format!("{RESERVED_PREFIX}{purpose}/{}/", self.mount)
    }
}

impl Purpose {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Staging => "staging",
        }
    }
}

/// As this program writes them: digits of another case are somebody else's.
fn is_id(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == digits && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_below_the_reserved_prefix_is_what_a_mount_puts_there_or_unknown() {
        let (mount, id) = ("0123456789abcdef", "0123456789abcdef0123456789abcdef");
        let private = |purpose| {
            let mount = mount.to_owned();
            Own::Private(Private { purpose, mount })
        };
        for (name, own) in [
            ("volume-a".to_owned(), Own::VolumeRecord),
            ("lease".to_owned(), Own::Lease),
            ("root/".to_owned(), Own::Root),
            (format!("mounts/{id}"), Own::Registration),
            (format!("intents/{id}"), Own::Intent),
            (format!("probe/{id}"), Own::Probe),
            (format!("probe/{id}-copy"), Own::Probe),
            (format!("open/{mount}/{id}"), private(Purpose::Open)),
            (format!("staging/{mount}/{id}"), private(Purpose::Staging)),
            (format!("staging/{mount}/mine"), Own::Unknown),
            (format!("open/{}/{id}", mount.to_uppercase()), Own::Unknown),
            (format!("open/{mount}/{}", id.to_uppercase()), Own::Unknown),
            (format!("staging/{id}/{id}"), Own::Unknown),
            (format!("open/{mount}"), Own::Unknown),
            ("volume-c".to_owned(), Own::Unknown),
            ("lease/x".to_owned(), Own::Unknown),
            (String::new(), Own::Unknown),
        ] {
            let key = format!("p/.cloakfs/{name}");
            assert_eq!(Own::of("p/", &key), Some(own), "{key}");
        }
        for other in ["p/a", "p/a/.cloakfs/lease", "p/.cloakfs", ".cloakfs/lease"] {
            assert_eq!(Own::of("p/", other), None, "{other}");
        }
        let Own::Private(folder) = private(Purpose::Open) else {
            unreachable!()
        };
        assert_eq!(folder.folder(), ".cloakfs/open/0123456789abcdef/");
    }
}
