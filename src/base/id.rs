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

    /// From the text that an object carries; `None` where it is none of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
        Some(Self(number.to_be_bytes()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text() {
        let id = CommitId::random();
        assert_eq!(CommitId::parse(&id.to_string()), Some(id));
        let odd = [
            "",
            "00",
            "+0000000000000000000000000000000",
            "é000000000000000000000000000000",
        ];
        assert!(odd.iter().all(|text| CommitId::parse(text).is_none()));
    }
}
