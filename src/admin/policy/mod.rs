//! The texts by which AWS lets a mount of one mode do what it must and nothing else, and makes a
//! bucket refuse what is not encrypted so: the bucket's policy ([`bucket`]), the IAM policy of
//! whoever mounts ([`iam`]), the policy of the KMS key ([`kms_key`]) and the bucket's default
//! encryption ([`default`]). All of them are pure.
//!
//! [`merge`] puts statements into a policy that is there, [`key_merge`] into that of a key, and
//! [`proof`] shows by uploads whether a bucket keeps to it.
//!
//! Invariants:
//! 1. A policy is right by AWS's rules alone: a request is denied where any Deny matches; a
//!    condition with a negated operator matches where its key is missing. `tests/cli/policies` decides
//!    requests by them.
//! 2. Statements of cloakfs are known by their Sid, which names what they are for and the prefix;
//!    all others are somebody else's, and stay as they are.
//! 3. What a policy of [`iam`] allows is what the requests need that a mount sends: each kind of
//!    request has its permission ([`iam::permission`]), and there is no other source of actions.

pub mod bucket;
pub mod default;
pub mod iam;
pub mod key_merge;
pub mod kms_key;
pub mod merge;
pub mod proof;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::base::context::EncryptionContext;
pub use text::{Place, Sid};

/// The version of the policy language in which variables, and so escapes, are known.
const VERSION: &str = "2012-10-17";

/// What a mount asks for, as far as policies can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: the bucket's default applies.
    None,
    SseS3,
    SseKms(SseKms),
    SseC,
    CseKms {
        /// `None` where the policy is not about one key.
        key: Option<KmsKey>,
        context: EncryptionContext,
        /// The volume, where it is known: 32 hexadecimal digits.
        volume: Option<String>,
    },
    CseC,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseKms {
    /// `None`: S3's own (`aws/s3`).
    pub key: Option<KmsKey>,
    pub context: EncryptionContext,
    /// Asked for by the mount, or the bucket's default.
    pub bucket_key: bool,
    pub dsse: bool,
}

/// A key by its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKey {
    arn: String,
    at: Option<KeyPlace>,
}

/// Where a key of AWS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    pub partition: String,
    pub region: String,
    pub account: String,
}

impl KmsKey {
    /// `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`. An ARN of another form, as other servers have,
    /// has no place.
    #[must_use]
    pub fn new(arn: &str) -> Self {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let at = match parts[..] {
            ["arn", partition, "kms", region, account, resource]
                if resource.starts_with("key/") && !region.is_empty() && !account.is_empty() =>
            {
                Some(KeyPlace {
                    partition: partition.to_owned(),
                    region: region.to_owned(),
                    account: account.to_owned(),
                })
            }
            _ => None,
        };
        Self {
            arn: arn.to_owned(),
            at,
        }
    }

    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    #[must_use]
    pub const fn place(&self) -> Option<&KeyPlace> {
        self.at.as_ref()
    }
}

impl Mode {
    /// As `--encryption` names it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SseS3 => "sse-s3",
            Self::SseKms(_) => "sse-kms",
            Self::SseC => "sse-c",
            Self::CseKms { .. } => "cse-kms",
            Self::CseC => "cse-c",
        }
    }

    /// The key of KMS that it names.
    #[must_use]
    pub const fn key(&self) -> Option<&KmsKey> {
        match self {
            Self::SseKms(kms) => kms.key.as_ref(),
            Self::CseKms { key, .. } => key.as_ref(),
            Self::None | Self::SseS3 | Self::SseC | Self::CseC => None,
        }
    }
}

/// A policy in AWS's language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    pub statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub sid: Sid,
    pub effect: Effect,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Value>,
    #[serde(serialize_with = "text::one_or_many")]
    pub action: Vec<String>,
    #[serde(serialize_with = "text::one_or_many")]
    pub resource: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Conditions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    Allow,
    Deny,
}

/// By operator and key; all of them must hold, each by one of its values.
pub type Conditions = BTreeMap<&'static str, BTreeMap<String, text::Values>>;

impl Policy {
    #[must_use]
    pub(crate) fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: VERSION,
            statement,
        }
    }

    /// Indented, in the order in which AWS's own pages write it.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a policy is JSON")
    }
}

impl Statement {
    pub(crate) fn new(sid: Sid, effect: Effect, action: &[&str], resource: Vec<String>) -> Self {
        Self {
            sid,
            effect,
            principal: None,
            action: action.iter().map(ToString::to_string).collect(),
            resource,
            condition: Conditions::new(),
        }
    }

    pub(crate) fn with(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let values = text::Values(values.into_iter().map(Into::into).collect());
        let keys = self.condition.entry(operator).or_default();
        let before = keys.insert(key.into(), values);
        debug_assert!(before.is_none(), "each key is compared once");
        self
    }

    pub(crate) fn of(mut self, principal: Value) -> Self {
        self.principal = Some(principal);
        self
    }
}
