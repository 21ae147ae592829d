//! The flags of mount(2) by fstab's names. Pure.
//!
//! Flags that mean nothing to a FUSE filesystem, such as those of access times, are not among them.

/// The flags of mount(2) that mean something for this filesystem, with fstab's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountFlags(libc::c_ulong);

/// fstab's name, the bit, and whether the name sets or clears it.
const FLAG_NAMES: [(&str, libc::c_ulong, bool); 10] = [
    ("ro", libc::MS_RDONLY, true),
    ("rw", libc::MS_RDONLY, false),
    ("nosuid", libc::MS_NOSUID, true),
    ("suid", libc::MS_NOSUID, false),
    ("nodev", libc::MS_NODEV, true),
    ("dev", libc::MS_NODEV, false),
    ("noexec", libc::MS_NOEXEC, true),
    ("exec", libc::MS_NOEXEC, false),
    ("sync", libc::MS_SYNCHRONOUS, true),
    ("async", libc::MS_SYNCHRONOUS, false),
];

impl MountFlags {
    /// No set-user-id programs and no devices: a bucket is written by others too.
    pub const DEFAULT: Self = Self(libc::MS_NOSUID | libc::MS_NODEV);

    /// Every name that [`Self::set`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FLAG_NAMES.iter().map(|(name, ..)| *name)
    }

    /// Applies one of fstab's names; `false` where it is none.
    pub fn set(&mut self, name: &str) -> bool {
        let Some((_, bit, sets)) = FLAG_NAMES.iter().find(|(known, ..)| *known == name) else {
            return false;
        };
        if *sets {
            self.0 |= bit;
        } else {
            self.0 &= !bit;
        }
        true
    }

    #[must_use]
    pub const fn is_read_only(self) -> bool {
        self.0 & libc::MS_RDONLY != 0
    }

    /// The name that lifts a protection of [`Self::DEFAULT`], if one is lifted: for root only.
    #[must_use]
    pub fn lifted_protection(self) -> Option<&'static str> {
        FLAG_NAMES
            .iter()
            .find(|(_, bit, sets)| !sets && Self::DEFAULT.0 & bit != 0 && self.0 & bit == 0)
            .map(|(name, ..)| *name)
    }

    pub(super) const fn bits(self) -> libc::c_ulong {
        self.0
    }

    /// The names of the bits that are set.
    pub(super) fn set_names(self) -> impl Iterator<Item = &'static str> {
        FLAG_NAMES
            .iter()
            .filter(move |(_, bit, sets)| *sets && self.0 & bit != 0)
            .map(|(name, ..)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_and_cleared_by_fstab_name() {
        let mut flags = MountFlags::DEFAULT;
        assert!(!flags.is_read_only());
        for name in ["ro", "noexec", "suid", "rw", "ro"] {
            assert!(flags.set(name), "{name}");
        }
        assert!(!flags.set("fast"));
        assert!(flags.is_read_only());
        assert_eq!(
            flags.set_names().collect::<Vec<_>>(),
            ["ro", "nodev", "noexec"]
        );
        assert_eq!(flags.lifted_protection(), Some("suid"));
        assert!(flags.set("nosuid"));
        assert_eq!(flags.lifted_protection(), None);
    }
}
