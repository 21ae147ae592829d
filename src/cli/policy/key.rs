//! Putting the use of a key into the policy that the key has.

use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use tokio::time::Instant;

use super::Way;
use super::applying::{changes_of, confirm, progress, show, tell};
use super::config::{Put, Subject};
use crate::admin::policy::merge::{self, Merged};
use crate::admin::policy::{KmsKey, Mode, Place, key_merge};
use crate::keys::kms::Kms;

/// Between two looks at what may not be there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be in the policy of the mode's key.
pub(super) struct KeyPolicy<'a> {
    pub place: &'a Place,
    pub mode: &'a Mode,
    pub read_only: bool,
    pub principals: &'a [String],
}

impl KeyPolicy<'_> {
    fn merged_into(&self, existing: &str) -> anyhow::Result<Merged> {
        let Self {
            place,
            mode,
            read_only,
            principals,
        } = *self;
        let merged = key_merge::merge(existing, place, mode, read_only, principals);
        Ok(merged.expect("its key is one of AWS's")?)
    }
}

pub(super) async fn apply(
    subject: &Subject,
    way: &mut Way,
    wanted: &KeyPolicy<'_>,
    put: Put,
) -> anyhow::Result<()> {
    let arn = wanted.mode.key().map_or("", KmsKey::arn);
    let aws = way.aws(subject).await?;
    let Some(kms) = Kms::new(aws)? else {
        bail!(
            "no KMS is known beside {}, which is not Amazon's: give --kms-endpoint-url",
            aws.s3().describe("S3")
        );
    };
    let before = kms.key_policy(arn, subject.timeout).await?;
    let merged = wanted.merged_into(&before)?;
    let report = json!({ "key": arn, "applied": changes_of(&merged) });
    if merged.changes.is_empty() {
        progress(
            put,
            "the key's policy has it all already: nothing is changed",
        );
        return tell(put, &report);
    }
    show(put, &merged.difference());
    confirm(put, &format!("Put this into the policy of the key {arn}?"))?;
    // KMS knows no conditions on it: of two who change it at once the later one wins.
    let now = kms.key_policy(arn, subject.timeout).await?;
    if !merge::is_same(&before, &now) {
        bail!(
            "the policy of the key {arn} was changed by somebody else meanwhile, and is left as it is: try again"
        );
    }
    let text = merged.policy.to_string();
    kms.put_key_policy(arn, &text, subject.timeout).await?;
    see(&kms, arn, [&before, &text], subject.timeout).await?;
    progress(put, "the key's policy is in place");
    tell(put, &report)
}

/// Sees that the policy is there. For a moment KMS may tell the one that was there before.
async fn see(
    kms: &Kms,
    arn: &str,
    [before, put]: [&str; 2],
    timeout: Duration,
) -> anyhow::Result<()> {
    let end = Instant::now() + timeout;
    loop {
        let now = kms.key_policy(arn, timeout).await?;
        if merge::is_same(&now, put) {
            return Ok(());
        }
        if !merge::is_same(&now, before) || Instant::now() + PAUSE >= end {
            bail!(
                "KMS took the policy of the key {arn} and has another one now: look at it with `aws kms get-key-policy`"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}
