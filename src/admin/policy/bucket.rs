//! The policy of a bucket that refuses what is not encrypted as it should be.
//!
//! Each requirement is a Deny, which no Allow outweighs. `s3:PutObject` is the action of
//! PutObject, CopyObject, CreateMultipartUpload, UploadPart, UploadPartCopy and
//! CompleteMultipartUpload alike, and the conditions compare the headers of the request: of a copy
//! those for its target. Amazon judges the parts of an upload by how it was begun. A header that
//! is missing differs from every value, so `StringNotEquals` needs no second statement for it.

use serde_json::json;

use super::{Effect, Mode, Place, Policy, Sid, Statement};

/// What a bucket can be made to require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// No request over plain http.
    Tls,
    /// Every upload asks for the mode.
    Mode,
    /// Every upload names the mode's key of KMS by its ARN.
    Key,
    /// Every upload asks for some encryption: by the server's keys or by the client's.
    Encrypted,
}

impl Requirement {
    pub const ALL: [Self; 4] = [Self::Tls, Self::Mode, Self::Key, Self::Encrypted];

    const fn sid(self) -> &'static str {
        match self {
            Self::Tls => "RequireTls",
            Self::Mode => "RequireMode",
            Self::Key => "RequireKey",
            Self::Encrypted => "DenyUnencrypted",
        }
    }

    /// What is required of a bucket for a mode where nobody says otherwise: all that a mount of
    /// the mode satisfies, said once.
    #[must_use]
    pub fn of(mode: &Mode) -> Vec<Self> {
        let mut all = vec![Self::Tls];
        if asks_the_server(mode) {
            all.push(Self::Mode);
        }
        if matches!(mode, Mode::SseKms(kms) if kms.key.is_some()) {
            all.push(Self::Key);
        }
        all
    }

    /// Whether the uploads of a mount of the mode satisfy it.
    #[must_use]
    pub fn suits(self, mode: &Mode) -> bool {
        match self {
            Self::Tls => true,
            Self::Mode | Self::Encrypted => asks_the_server(mode),
            Self::Key => matches!(mode, Mode::SseKms(kms) if kms.key.is_some()),
        }
    }
}

/// Whether its uploads carry headers that a bucket's policy can look at.
const fn asks_the_server(mode: &Mode) -> bool {
    matches!(mode, Mode::SseS3 | Mode::SseKms(_) | Mode::SseC)
}

const MODE: &str = "s3:x-amz-server-side-encryption";
const KMS_KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const CUSTOMER: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

/// The statements that require all of `requirements`, in their order; those that do not suit the
/// mode are left out.
#[must_use]
pub fn policy(place: &Place, mode: &Mode, requirements: &[Requirement]) -> Policy {
    let mut wanted: Vec<Requirement> = requirements.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let statements = wanted
        .into_iter()
        .filter(|requirement| requirement.suits(mode))
        .map(|requirement| statement(place, mode, requirement));
    Policy::new(statements.collect())
}

/// The Sids of every statement that there may be for the place: those that a new policy for it
/// replaces.
#[must_use]
pub fn sids(place: &Place) -> Vec<Sid> {
    Requirement::ALL
        .map(|requirement| Sid::new(requirement.sid(), &place.prefix))
        .into()
}

fn statement(place: &Place, mode: &Mode, requirement: Requirement) -> Statement {
    let sid = Sid::new(requirement.sid(), &place.prefix);
    if requirement == Requirement::Tls {
        // Of a prefix only its objects: what is beside it is not ours to judge.
        let mut resource = vec![place.objects_arn()];
        if place.prefix.is_empty() {
            resource.insert(0, place.bucket_arn());
        }
        return Statement::new(sid, Effect::Deny, &["s3:*"], resource)
            .of(json!("*"))
            .with("Bool", "aws:SecureTransport", ["false"]);
    }
    let put = Statement::new(
        sid,
        Effect::Deny,
        &["s3:PutObject"],
        vec![place.objects_arn()],
    )
    .of(json!("*"));
    match (requirement, mode) {
        (Requirement::Mode, Mode::SseS3) => put.with("StringNotEquals", MODE, ["AES256"]),
        (Requirement::Mode, Mode::SseKms(kms)) => {
            let value = if kms.dsse { "aws:kms:dsse" } else { "aws:kms" };
            put.with("StringNotEquals", MODE, [value])
        }
        (Requirement::Mode, Mode::SseC) => put.with("Null", CUSTOMER, ["true"]),
        (Requirement::Key, Mode::SseKms(kms)) => {
            let key = kms.key.as_ref().expect("it suits modes with a key");
            put.with("StringNotEquals", KMS_KEY, [key.arn()])
        }
        // Both: all conditions of a statement must hold.
        (Requirement::Encrypted, _) => {
            put.with("Null", MODE, ["true"])
                .with("Null", CUSTOMER, ["true"])
        }
        (requirement, mode) => {
            unreachable!("{requirement:?} does not suit {}", mode.name())
        }
    }
}
