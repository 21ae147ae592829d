//! The words of policies: names of resources, Sids, and lists as AWS writes them.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use serde::{Serialize, Serializer};

/// The part of a bucket that a policy is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `aws`, or another of AWS's worlds: `aws-cn`, `aws-us-gov`.
    pub partition: String,
    pub bucket: String,
    /// Empty, or ends in `/`.
    pub prefix: String,
}

impl Place {
    #[must_use]
    pub fn bucket_arn(&self) -> String {
        format!("arn:{}:s3:::{}", self.partition, self.bucket)
    }

    /// Every object below the prefix.
    #[must_use]
    pub fn objects_arn(&self) -> String {
        format!("{}/{}*", self.bucket_arn(), escaped(&self.prefix))
    }

    /// Whether the text of a policy about it needs the version of the language that has escapes.
    #[must_use]
    pub fn needs_escapes(&self) -> bool {
        escaped(&self.prefix) != self.prefix
    }
}

/// A key's characters as they stand for themselves where `*`, `?` and `${` mean something.
pub(super) fn escaped(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for c in key.chars() {
        match c {
            '*' | '?' | '$' => {
                let _infallible = write!(text, "${{{c}}}");
            }
            c => text.push(c),
        }
    }
    text
}

/// What a statement is known by: letters and digits, as IAM wants them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sid(String);

/// How the Sid of each statement of cloakfs begins.
const OURS: &str = "Cloakfs";

impl Sid {
    /// `CloakfsWHAT`, and for a prefix 12 hexadecimal digits that stand for it, so that the
    /// statements of two prefixes do not replace each other.
    #[must_use]
    pub fn new(what: &str, prefix: &str) -> Self {
        let mut sid = format!("{OURS}{what}");
        if !prefix.is_empty() {
            for byte in &Md5::digest(prefix)[..6] {
                let _infallible = write!(sid, "{byte:02x}");
            }
        }
        Self(sid)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a condition's key is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values(pub Vec<String>);

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        one_or_many(&self.0, serializer)
    }
}

/// A list of one is written as that one.
pub(super) fn one_or_many<S: Serializer>(list: &[String], to: S) -> Result<S::Ok, S::Error> {
    match list {
        [one] => one.serialize(to),
        many => many.serialize(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_policies_give_a_meaning_stand_for_themselves() {
        let place = |prefix: &str| Place {
            partition: "aws".to_owned(),
            bucket: "b".to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(place("").objects_arn(), "arn:aws:s3:::b/*");
        assert_eq!(place("a b/").objects_arn(), "arn:aws:s3:::b/a b/*");
        assert_eq!(
            place("*/?$x/").objects_arn(),
            "arn:aws:s3:::b/${*}/${?}${$}x/*"
        );
        assert!(place("a$/").needs_escapes() && !place("a/").needs_escapes());
    }

    #[test]
    fn a_sid_tells_prefixes_apart_and_is_letters_and_digits() {
        assert_eq!(Sid::new("Read", "").as_str(), "CloakfsRead");
        let (a, b) = (Sid::new("Read", "a/"), Sid::new("Read", "ä/"));
        assert_ne!(a, b);
        for sid in [a, b] {
            assert_eq!(sid.as_str().len(), "CloakfsRead".len() + 12);
            assert!(
                sid.as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric())
            );
        }
    }
}
