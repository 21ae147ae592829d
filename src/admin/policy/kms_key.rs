//! What may be done with the key of KMS: in the policy of whoever mounts, and in the key's own.
//!
//! In `sse-kms` S3 uses the key on behalf of whoever asks S3, so it is allowed through S3 alone
//! (`kms:ViaService`), and for the objects of the prefix: S3 puts their ARN into the encryption
//! context, or the bucket's where a bucket key is used, and then S3 does not say whether the
//! user's own pairs are in it. In `cse-kms` cloakfs itself asks KMS, with the pairs and the name
//! of the volume. `kms:DescribeKey`, by which a mount checks the key, has no context.

use serde_json::json;

use super::{Effect, Mode, Place, Policy, Sid, SseKms, Statement};
use crate::base::context::EncryptionContext;

/// Whose policy the statements are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A user's or a role's: the key is named.
    Identity,
    /// The key's own: who may is named, and the key is `*`.
    Key { principals: Vec<String> },
}

/// The policy of the key: its account administers it by its own policies, and `principals` (ARNs
/// of users and roles) use it as a mount of the mode does. `None` where the mode has no key, or one
/// that is not AWS's. Of a key that has a policy [`super::key_merge`] changes the use alone.
#[must_use]
pub fn policy(
    place: &Place,
    mode: &Mode,
    read_only: bool,
    principals: &[String],
) -> Option<Policy> {
    let at = mode.key()?.place()?;
    let root = format!("arn:{}:iam::{}:root", at.partition, at.account);
    let administration = Statement::new(
        Sid::new("KeyAdministration", ""),
        Effect::Allow,
        &["kms:*"],
        vec!["*".to_owned()],
    )
    .of(json!({ "AWS": root }));
    let mut statements = vec![administration];
    statements.extend(uses(place, mode, read_only, principals));
    Some(Policy::new(statements))
}

/// Of [`policy`] the statements about the use of the key.
pub(super) fn uses(
    place: &Place,
    mode: &Mode,
    read_only: bool,
    principals: &[String],
) -> Vec<Statement> {
    let purpose = Purpose::Key {
        principals: principals.to_vec(),
    };
    use_of(place, mode, read_only, &purpose)
}

/// The Sids of [`uses`]: those that new ones for the same place replace. Who only reads has
/// statements of their own, beside those of who writes.
pub(super) fn sids(place: &Place, read_only: bool) -> Vec<Sid> {
    names(read_only).map(|name| key_sid(name, place)).to_vec()
}

/// Of the use of the key and of the look at it.
const fn names(read_only: bool) -> [&'static str; 2] {
    if read_only {
        ["ReadWithKey", "LookAtKeyToRead"]
    } else {
        ["UseKey", "LookAtKey"]
    }
}

/// A key serves many buckets: in its policy the Sid stands for the bucket too.
fn key_sid(name: &str, place: &Place) -> Sid {
    Sid::new(name, &format!("{}/{}", place.bucket, place.prefix))
}

/// The statements that allow a mount to use the mode's key; none for a mode without one.
pub(super) fn use_of(
    place: &Place,
    mode: &Mode,
    read_only: bool,
    purpose: &Purpose,
) -> Vec<Statement> {
    let Some(key) = mode.key() else { return vec![] };
    // A key of another server's is not governed by policies of AWS.
    let Some(at) = key.place() else { return vec![] };
    let resource = match purpose {
        Purpose::Identity => key.arn().to_owned(),
        Purpose::Key { .. } => "*".to_owned(),
    };
    let allow = |what: &str, actions: &[&str]| {
        let sid = match purpose {
            Purpose::Identity => Sid::new(what, &place.prefix),
            Purpose::Key { .. } => key_sid(what, place),
        };
        let statement = Statement::new(sid, Effect::Allow, actions, vec![resource.clone()]);
        match purpose {
            Purpose::Identity => statement,
            Purpose::Key { principals } => {
                let principals = match principals.as_slice() {
                    [one] => json!(one),
                    many => json!(many),
                };
                statement.of(json!({ "AWS": principals }))
            }
        }
    };
    // Multipart uploads are read back by S3 while they are written.
    let actions: &[&str] = if read_only {
        &["kms:Decrypt"]
    } else {
        &["kms:Decrypt", "kms:GenerateDataKey"]
    };
    let [used, looked] = match purpose {
        Purpose::Identity => names(false),
        Purpose::Key { .. } => names(read_only),
    };
    let used = allow(used, actions);
    let used = match mode {
        Mode::SseKms(kms) => through_s3(used, place, kms, &at.region),
        Mode::CseKms {
            context, volume, ..
        } => by_itself(used, context, volume.as_deref()),
        Mode::None | Mode::SseS3 | Mode::SseC | Mode::CseC => {
            unreachable!("{} has no key of KMS", mode.name())
        }
    };
    vec![used, allow(looked, &["kms:DescribeKey"])]
}

fn through_s3(used: Statement, place: &Place, kms: &SseKms, region: &str) -> Statement {
    let domain = match place.partition.as_str() {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    let used = used.with(
        "StringEquals",
        "kms:ViaService",
        [format!("s3.{region}.{domain}")],
    );
    let arn = "kms:EncryptionContext:aws:s3:arn";
    if kms.bucket_key {
        // Objects that were written without a bucket key have their own.
        return used.with("StringLike", arn, [place.bucket_arn(), place.objects_arn()]);
    }
    let used = used.with("StringLike", arn, [place.objects_arn()]);
    with_pairs(used, &kms.context)
}

fn by_itself(used: Statement, context: &EncryptionContext, volume: Option<&str>) -> Statement {
    let used = with_pairs(used, context);
    match volume {
        Some(id) => used.with("StringEquals", in_context(VOLUME), [id]),
        None => used.with("Null", in_context(VOLUME), ["false"]),
    }
}

/// The pair of the context that names the volume (docs/FORMAT.md, section 4).
const VOLUME: &str = EncryptionContext::VOLUME;

fn in_context(name: &str) -> String {
    format!("kms:EncryptionContext:{name}")
}

fn with_pairs(mut used: Statement, context: &EncryptionContext) -> Statement {
    for (name, value) in context.pairs() {
        // What would be a variable of the policy language.
        let value = value.replace("${", "${$}{");
        used = used.with("StringEquals", in_context(name), [value]);
    }
    used
}
