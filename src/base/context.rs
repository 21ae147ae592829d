//! An encryption context: the pairs that KMS binds to what it encrypts.
//!
//! Not secret: S3 stores them and CloudTrail logs them in clear. AWS KMS developer guide,
//! "Encryption context".

use std::collections::BTreeMap;
use std::fmt;

/// Non-empty names and values; never the names that AWS keeps for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

/// What is wrong with a pair. Each message is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    #[error("\"{0}\" is not a pair: write the encryption context as NAME=VALUE")]
    NoPair(String),
    #[error(
        "the encryption context \"{0}\" has no name or no value: write it as NAME=VALUE, neither of them empty"
    )]
    Empty(String),
    #[error(
        "the encryption context \"{0}\" has a name that begins with aws:, which AWS keeps for its own: choose another"
    )]
    Reserved(String),
    #[error(
        "the encryption context \"{0}\" has a name that begins with cloakfs:, which cloakfs adds itself: choose another"
    )]
    Own(String),
    #[error(
        "the encryption context \"{0}\" has a character that a log or a policy cannot hold: write printable ASCII"
    )]
    Unprintable(String),
    #[error("the encryption context names \"{0}\" twice, with different values: give one")]
    Twice(String),
    #[error(
        "the encryption context has {0} bytes as JSON, and KMS takes at most {BYTES_MAX}: shorten it"
    )]
    TooLong(usize),
}

/// KMS's own limit on the whole of it.
pub const BYTES_MAX: usize = 8192;
/// Names that begin so are not for users.
const OWN_NAMES: &str = "cloakfs:";

impl EncryptionContext {
    /// Names the volume that a data key belongs to.
    pub const VOLUME: &str = "cloakfs:volume";

    /// From `NAME=VALUE` texts; the first `=` separates.
    ///
    /// # Errors
    /// When one is no such pair, or names what another has named.
    pub fn parse<T: AsRef<str>>(pairs: impl IntoIterator<Item = T>) -> Result<Self, ContextError> {
        let mut context = BTreeMap::new();
        for pair in pairs {
            let pair = pair.as_ref();
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| ContextError::NoPair(pair.to_owned()))?;
            if name.is_empty() || value.is_empty() {
                return Err(ContextError::Empty(pair.to_owned()));
            }
            if name.to_ascii_lowercase().starts_with("aws:") {
                return Err(ContextError::Reserved(pair.to_owned()));
            }
            if name.to_ascii_lowercase().starts_with(OWN_NAMES) {
                return Err(ContextError::Own(pair.to_owned()));
            }
            if !pair.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err(ContextError::Unprintable(pair.to_owned()));
            }
            let before = context.insert(name.to_owned(), value.to_owned());
            if before.is_some_and(|before| before != value) {
                return Err(ContextError::Twice(name.to_owned()));
            }
        }
        let context = Self(context);
        match context.to_json().len() {
            long if long > BYTES_MAX => Err(ContextError::TooLong(long)),
            _ => Ok(context),
        }
    }

    /// These pairs and one that names the volume: what goes with the data keys of a client-side
    /// volume (docs/FORMAT.md, section 4).
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn for_volume(&self, volume: &[u8; 16]) -> Result<Self, ContextError> {
        let id = format!("{:032x}", u128::from_be_bytes(*volume));
        let mut pairs = self.0.clone();
        pairs.insert(Self::VOLUME.to_owned(), id);
        let context = Self(pairs);
        match context.to_json().len() {
            long if long > BYTES_MAX => Err(ContextError::TooLong(long)),
            _ => Ok(context),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// A JSON object of strings, names in byte order.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a map of strings is JSON")
    }
}

impl fmt::Display for EncryptionContext {
    /// `a=1, b=2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_context_is_refused_in_words() {
        for (pairs, sentence) in [
            (
                &["tenant"][..],
                "\"tenant\" is not a pair: write the encryption context as NAME=VALUE",
            ),
            (
                &["=x"],
                "the encryption context \"=x\" has no name or no value: write it as NAME=VALUE, neither of them empty",
            ),
            (
                &["x="],
                "the encryption context \"x=\" has no name or no value: write it as NAME=VALUE, neither of them empty",
            ),
            (
                &["aws:s3:arn=x"],
                "the encryption context \"aws:s3:arn=x\" has a name that begins with aws:, which AWS keeps for its own: choose another",
            ),
            (
                &["Cloakfs:volume=x"],
                "the encryption context \"Cloakfs:volume=x\" has a name that begins with cloakfs:, which cloakfs adds itself: choose another",
            ),
            (
                &["städte=x"],
                "the encryption context \"städte=x\" has a character that a log or a policy cannot hold: write printable ASCII",
            ),
            (
                &["a=1", "a=2"],
                "the encryption context names \"a\" twice, with different values: give one",
            ),
        ] {
            assert_eq!(
                EncryptionContext::parse(pairs).unwrap_err().to_string(),
                sentence
            );
        }
        let long = format!("a={}", "x".repeat(BYTES_MAX));
        assert_eq!(
            EncryptionContext::parse([long]).unwrap_err().to_string(),
            "the encryption context has 8200 bytes as JSON, and KMS takes at most 8192: shorten it"
        );
    }

    #[test]
    fn a_volumes_data_keys_are_bound_to_it() {
        let context = EncryptionContext::parse(["tenant=a"]).unwrap();
        assert_eq!(
            context.for_volume(&[0xa0; 16]).unwrap().to_string(),
            "cloakfs:volume=a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0, tenant=a"
        );
        let full = format!("a={}", "x".repeat(BYTES_MAX - 8));
        let full = EncryptionContext::parse([full]).unwrap();
        assert_eq!(full.to_json().len(), BYTES_MAX);
        assert_eq!(
            full.for_volume(&[0; 16]),
            Err(ContextError::TooLong(BYTES_MAX + 52))
        );
    }

    proptest! {
        #[test]
        fn the_order_of_pairs_does_not_matter(mut pairs in prop::collection::btree_map("[b-z]{1,5}", "[ -~]{1,9}", 0..5)) {
            pairs.insert("a".to_owned(), "b=c".to_owned());
            let mut texts: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let one = EncryptionContext::parse(&texts).unwrap();
            texts.reverse();
            prop_assert_eq!(EncryptionContext::parse(&texts).unwrap(), one.clone());
            let read: BTreeMap<String, String> = serde_json::from_str(&one.to_json()).unwrap();
            prop_assert_eq!(read, pairs);
        }
    }
}
