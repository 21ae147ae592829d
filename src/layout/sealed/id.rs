//! Random identifiers of the format: 16 bytes, fresh from the operating system.

use std::fmt;

use crate::base::secret::fill_random;

macro_rules! id {
    ($(#[$doc:meta])* $id:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id([u8; 16]);

        impl $id {
            #[must_use]
            pub fn random() -> Self {
                let mut bytes = [0; 16];
                fill_random(&mut bytes);
                Self(bytes)
            }

            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// 32 lower-case hexadecimal digits.
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($id), "({})"), self)
            }
        }
    };
}

id!(
    /// A volume, wherever it is replicated to.
    VolumeId
);
id!(
    /// An inode: stays through renames and rewrites, and is new for a clone.
    FileId
);
id!(
    /// The versions and clones of a content that share a content key.
    ContentId
);
id!(
    /// One body. A record opens the footer of no other.
    BodyId
);
