//! Random identifiers.

use std::fmt;
use std::str::FromStr;

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

impl FromStr for CommitId {
    type Err = NotACommitId;

    /// Reads what [`fmt::Display`] wrote.
    fn from_str(text: &str) -> Result<Self, NotACommitId> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 16];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(NotACommitId);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(NotACommitId);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).map_err(|_| NotACommitId)?;
        }
        Ok(Self(bytes))
    }
}

/// Not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a commit id")]
pub struct NotACommitId;

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
    use super::CommitId;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = CommitId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "00", &id.to_string()[1..], &format!("{id}0")] {
            assert!(wrong.parse::<CommitId>().is_err(), "{wrong}");
        }
        assert!("zz".repeat(16).parse::<CommitId>().is_err());
    }
}
