//! Proving a policy by uploads: who tries what.

use super::applying::BucketPolicy;
use super::config::Subject;
use super::{Way, settings};
use crate::admin::policy::Mode;
use crate::admin::policy::bucket::Requirement;
use crate::admin::policy::proof::{self, Outcome, Proof, Proofs, Writer};
use crate::base::secret::Secret;
use crate::store::s3::{CustomerKey, KmsRequest, RequestedEncryption, S3Store};
use crate::store::settings::{BucketSettings as _, DefaultEncryption};

pub(super) async fn bucket(
    subject: &Subject,
    way: &mut Way,
    store: &S3Store,
    wanted: &BucketPolicy<'_>,
) -> anyhow::Result<Proofs> {
    // Nothing is kept under it: what is uploaded is deleted again.
    let throw_away = CustomerKey::new(&Secret::random());
    let right = requested(wanted.mode, &throw_away);
    let read_keys = match &right {
        RequestedEncryption::SseC(key) => vec![key.clone()],
        _ => vec![],
    };
    let has_tls = store.endpoint().is_tls();
    let mut writers = vec![];
    for (asks_for, encryption) in wrong(wanted, has_tls) {
        let store = settings::bucket(subject, way, encryption, read_keys.clone()).await?;
        writers.push(Writer {
            store: settings::patient(store, subject),
            asks_for: asks_for.to_owned(),
        });
    }
    let asks_for = wanted.mode.name().to_owned();
    let right = settings::bucket(subject, way, right, vec![]).await?;
    let right = Writer {
        store: settings::patient(right, subject),
        asks_for,
    };
    let mut proofs = proof::uploads(&subject.location.prefix, &right, &writers).await;
    if wanted.required.contains(&Requirement::Tls) {
        proofs.proofs.push(tls(subject, store, wanted).await);
    }
    Ok(proofs)
}

/// A signed request in clear would be there for others to repeat: none is sent, and the policy's
/// own words are looked at.
async fn tls(subject: &Subject, store: &S3Store, wanted: &BucketPolicy<'_>) -> Proof {
    let outcome = match settings::ask(subject, store, store.policy()).await {
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(policy) => match wanted.merged_into(policy.as_deref()) {
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(merged) => {
                let is_missing = |sid: &str| merged.changes.iter().any(|change| change.sid == sid);
                let mut statements = wanted.policy.statement.iter();
                let tls = statements.find(|statement| statement.condition.contains_key("Bool"));
                if tls.is_none_or(|tls| is_missing(tls.sid.as_str())) {
                    Outcome::Failed("the bucket's policy has no such statement".to_owned())
                } else {
                    Outcome::Stated
                }
            }
        },
    };
    Proof {
        request: "any request over plain http".to_owned(),
        outcome,
    }
}

pub(super) async fn default_encryption(
    subject: &Subject,
    way: &mut Way,
    store: S3Store,
    wanted: &DefaultEncryption,
) -> anyhow::Result<Proofs> {
    // No key is sent in clear, not even one that nothing is kept under.
    let lets_in = wanted.blocks_customer_keys == Some(false) && store.endpoint().is_tls();
    let customer = if lets_in {
        let throw_away = CustomerKey::new(&Secret::random());
        let encryption = RequestedEncryption::SseC(throw_away);
        let store = settings::bucket(subject, way, encryption, vec![]).await?;
        Some(Writer {
            store: settings::patient(store, subject),
            asks_for: "sse-c".to_owned(),
        })
    } else {
        None
    };
    let plain = Writer {
        store: settings::patient(store, subject),
        asks_for: "no encryption asked for".to_owned(),
    };
    let prefix = &subject.location.prefix;
    Ok(proof::default(prefix, &plain, wanted, customer.as_ref()).await)
}

fn requested(mode: &Mode, throw_away: &CustomerKey) -> RequestedEncryption {
    match mode {
        Mode::None | Mode::CseKms { .. } | Mode::CseC => RequestedEncryption::None,
        Mode::SseS3 => RequestedEncryption::SseS3,
        Mode::SseC => RequestedEncryption::SseC(throw_away.clone()),
        Mode::SseKms(kms) => RequestedEncryption::SseKms(KmsRequest {
            key: kms.key.as_ref().map(|key| key.arn().to_owned()),
            context: Some(kms.context.clone()).filter(|context| !context.is_empty()),
            bucket_key: kms.bucket_key,
            dsse: kms.dsse,
        }),
    }
}

/// What must be denied, and what it is called.
fn wrong(wanted: &BucketPolicy<'_>, has_tls: bool) -> Vec<(&'static str, RequestedEncryption)> {
    let requires = |requirement| wanted.required.contains(&requirement);
    let (of_mode, of_key) = (requires(Requirement::Mode), requires(Requirement::Key));
    let mut wrong = vec![];
    if of_mode || of_key || requires(Requirement::Encrypted) {
        wrong.push(("no encryption asked for", RequestedEncryption::None));
    }
    if of_mode || of_key {
        if *wanted.mode != Mode::SseS3 {
            wrong.push(("sse-s3", RequestedEncryption::SseS3));
        }
        if *wanted.mode != Mode::SseC && has_tls {
            let key = CustomerKey::new(&Secret::random());
            wrong.push(("sse-c", RequestedEncryption::SseC(key)));
        }
    }
    if of_key && has_tls {
        let kms = KmsRequest::default();
        wrong.push(("sse-kms without the key", RequestedEncryption::SseKms(kms)));
    }
    wrong
}
