//! The ways to name a KMS key: its id, its ARN, an alias, an alias's ARN. Pure.

use std::fmt;

use super::error::{Operation, Subject};
use crate::aws::Endpoint;

/// A key as somebody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyName {
    text: String,
    is_alias: bool,
    arn: Option<Arn>,
}

/// The place that an ARN names: `arn:PARTITION:kms:REGION:ACCOUNT:RESOURCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arn {
    pub partition: String,
    pub region: String,
    pub account: String,
}

impl KeyName {
    /// Whatever is neither an alias nor an ARN is an id: what is none, KMS does not know.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim();
        let (arn, resource) = match split_arn(text) {
            Some((arn, resource)) => (Some(arn), resource),
            None => (None, text),
        };
        Self {
            is_alias: resource.starts_with("alias/"),
            text: text.to_owned(),
            arn,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_alias(&self) -> bool {
        self.is_alias
    }

    pub(super) const fn arn(&self) -> Option<&Arn> {
        self.arn.as_ref()
    }

    /// What a request about it is about.
    pub(super) const fn subject(&self, operation: Operation, endpoint: Endpoint) -> Subject<'_> {
        Subject {
            operation,
            key: self,
            endpoint,
        }
    }

    /// Whether an answer of KMS about the key `answered`, its ARN as KMS writes it, is about this
    /// one. Which key an alias leads to, nobody but KMS knows.
    pub(super) fn is_answered_by(&self, answered: &str) -> bool {
        if answered == self.text {
            return true;
        }
        let id = || split_arn(answered)?.1.strip_prefix("key/");
        self.arn.is_none() && !self.is_alias && id() == Some(&self.text)
    }

    /// Whether it has the form of an id: `8-4-4-4-12` hex digits, or that of a multi-region key.
    pub(super) fn looks_like_id(&self) -> bool {
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(id) = self.text.strip_prefix("mrk-") {
            return id.len() == 32 && hex(id);
        }
        let groups: Vec<&str> = self.text.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.into_iter().all(hex)
    }
}

impl fmt::Display for KeyName {
    /// `the KMS key "…"` or `the KMS alias "…"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_alias { "alias" } else { "key" };
        write!(f, "the KMS {what} \"{}\"", self.text)
    }
}

impl Arn {
    /// The place in an ARN of KMS.
    pub(super) fn parse(text: &str) -> Option<Self> {
        split_arn(text).map(|(arn, _)| arn)
    }
}

fn split_arn(text: &str) -> Option<(Arn, &str)> {
    let mut parts = text.splitn(6, ':');
    let (head, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    if head != "arn" || service != "kms" || region.is_empty() {
        return None;
    }
    let arn = Arn {
        partition: partition.to_owned(),
        region: region.to_owned(),
        account: account.to_owned(),
    };
    Some((arn, resource))
}

/// The partition that AWS's regions of this name are in.
#[must_use]
pub fn partition_of(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_way_to_name_a_key_is_told() {
        for (text, is_alias, region, looks_like_id) in [
            ("1234abcd-12ab-34cd-56ef-1234567890ab", false, None, true),
            ("mrk-1234abcd12ab34cd56ef1234567890ab", false, None, true),
            ("mrk-1234", false, None, false),
            ("my-key", false, None, false),
            ("alias/my-key", true, None, false),
            ("alias", false, None, false),
            (
                "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                false,
                Some("eu-west-1"),
                false,
            ),
            (
                "arn:aws-cn:kms:cn-north-1:111122223333:alias/a:b",
                true,
                Some("cn-north-1"),
                false,
            ),
            // MinIO's own form: no place in it.
            ("arn:aws:kms:my-key", false, None, false),
            ("arn:aws:s3:::bucket", false, None, false),
        ] {
            let name = KeyName::parse(text);
            assert_eq!(name.is_alias(), is_alias, "{text}");
            assert_eq!(name.arn().map(|arn| &*arn.region), region, "{text}");
            assert_eq!(name.looks_like_id(), looks_like_id, "{text}");
            assert_eq!(name.as_str(), text);
        }
        assert_eq!(
            KeyName::parse(" alias/a\n").to_string(),
            "the KMS alias \"alias/a\""
        );
    }

    #[test]
    fn regions_are_in_their_partitions() {
        for (region, partition) in [
            ("eu-west-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-northwest-1", "aws-cn"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition_of(region), partition);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_some_name(text in "\\PC{0,60}") {
            let name = KeyName::parse(&text);
            prop_assert_eq!(name.as_str(), text.trim());
        }

        #[test]
        fn an_arn_gives_its_place(partition in "[a-z-]{1,9}", region in "[a-z0-9-]{1,9}", account in "[0-9]{12}", resource in "(key|alias)/[a-z:/-]{1,9}") {
            let name = KeyName::parse(&format!("arn:{partition}:kms:{region}:{account}:{resource}"));
            prop_assert_eq!(name.is_alias(), resource.starts_with("alias/"));
            prop_assert_eq!(name.arn(), Some(&Arn { partition, region, account }));
        }
    }
}
