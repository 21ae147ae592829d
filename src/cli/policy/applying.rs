//! Putting a setting: what changes is shown and asked about, and what is there afterwards is
//! looked at.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;
use serde_json::{Value, json};

use super::config::{Put, Subject};
use super::{Way, settings, verifying};
use crate::admin::policy::bucket::{self, Requirement};
use crate::admin::policy::merge::{self, Merged};
use crate::admin::policy::proof::{LeftUpload, Outcome, Proofs};
use crate::admin::policy::{Mode, Place, Policy, default};
use crate::cli::output;
use crate::store::s3::{RequestedEncryption, S3Store};
use crate::store::settings::{BucketSettings as _, DefaultEncryption};

/// A bucket's policy that is to be there.
pub(super) struct BucketPolicy<'a> {
    pub place: &'a Place,
    pub mode: &'a Mode,
    pub required: &'a [Requirement],
    pub policy: &'a Policy,
}

impl BucketPolicy<'_> {
    pub(super) fn merged_into(&self, existing: Option<&str>) -> anyhow::Result<Merged> {
        let replaced = bucket::sids(self.place);
        let escapes = self.place.needs_escapes();
        Ok(merge::merge(existing, self.policy, &replaced, escapes)?)
    }
}

pub(super) async fn bucket(
    subject: &Subject,
    way: &mut Way,
    wanted: &BucketPolicy<'_>,
    put: Put,
) -> anyhow::Result<()> {
    let store = settings::bucket(subject, way, RequestedEncryption::None, vec![]).await?;
    let mut report = json!({ "policy": wanted.policy });
    if put.apply {
        let changes = put_policy(subject, &store, wanted, put).await?;
        report["applied"] = changes;
    }
    if !put.verify {
        return tell(put, &report);
    }
    let proofs = verifying::bucket(subject, way, &store, wanted).await?;
    conclude(subject, put, report, &proofs)
}

async fn put_policy(
    subject: &Subject,
    store: &S3Store,
    wanted: &BucketPolicy<'_>,
    put: Put,
) -> anyhow::Result<Value> {
    let before = settings::ask(subject, store, store.policy()).await?;
    let merged = wanted.merged_into(before.as_deref())?;
    let told = changes_of(&merged);
    if merged.changes.is_empty() {
        progress(
            put,
            "the bucket's policy has it all already: nothing is changed",
        );
        return Ok(told);
    }
    show(put, &merged.difference());
    confirm(
        put,
        &format!("Put this into the policy of {}?", bucket_of(subject)),
    )?;
    let now = settings::ask(subject, store, store.policy()).await?;
    // Some servers write lists in another order each time.
    let unchanged = match (&before, &now) {
        (None, None) => true,
        (Some(before), Some(now)) => merge::is_same(before, now),
        _ => false,
    };
    if !unchanged {
        bail!(
            "the policy of {} was changed by somebody else meanwhile, and is left as it is: try again",
            bucket_of(subject)
        );
    }
    let text = merged.policy.to_string();
    settings::ask(subject, store, store.put_policy(&text)).await?;
    let after = settings::ask(subject, store, store.policy()).await?;
    if !after.is_some_and(|after| merge::is_same(&after, &text)) {
        bail!(
            "{} took the policy and has another one now: look at it with `aws s3api get-bucket-policy`",
            bucket_of(subject)
        );
    }
    progress(put, "the bucket's policy is in place");
    Ok(told)
}

/// For a program.
pub(super) fn changes_of(merged: &Merged) -> Value {
    let changes: Vec<Value> = merged
        .changes
        .iter()
        .map(|change| json!({ "sid": change.sid, "before": change.before, "after": change.after }))
        .collect();
    json!({ "changes": changes, "kept": merged.kept })
}

pub(super) async fn default_encryption(
    subject: &Subject,
    way: &mut Way,
    wanted: &DefaultEncryption,
    put: Put,
) -> anyhow::Result<()> {
    let store = settings::bucket(subject, way, RequestedEncryption::None, vec![]).await?;
    let mut report = json!({ "default_encryption": default::to_json(wanted) });
    if put.apply {
        report["applied"] = put_default(subject, &store, wanted, put).await?;
    }
    if !put.verify {
        return tell(put, &report);
    }
    let proofs = verifying::default_encryption(subject, way, store, wanted).await?;
    conclude(subject, put, report, &proofs)
}

async fn put_default(
    subject: &Subject,
    store: &S3Store,
    wanted: &DefaultEncryption,
    put: Put,
) -> anyhow::Result<Value> {
    let before = settings::ask(subject, store, store.default_encryption()).await?;
    let after = default::over(wanted, before.as_ref());
    let [old, new] = [before.as_ref(), Some(&after)].map(|default| default.map(default::to_json));
    let told = json!({ "before": old, "after": new });
    if before.as_ref() == Some(&after) {
        progress(
            put,
            "it is the bucket's default already: nothing is changed",
        );
        return Ok(told);
    }
    let mut lines = vec![];
    for (sign, default) in [('-', &old), ('+', &new)] {
        if let Some(default) = default {
            let text = serde_json::to_string_pretty(default)?;
            lines.extend(text.lines().map(|line| format!("{sign} {line}")));
        }
    }
    show(put, &lines.join("\n"));
    let question = format!(
        "Make this the default encryption of {}?",
        bucket_of(subject)
    );
    confirm(put, &question)?;
    settings::ask(subject, store, store.put_default_encryption(&after)).await?;
    let found = settings::ask(subject, store, store.default_encryption()).await?;
    let is_there = found.is_some_and(|found| {
        found.algorithm == after.algorithm && found.bucket_key == after.bucket_key
    });
    if !is_there {
        bail!(
            "{} took the default encryption and has another one now: look at it with `aws s3api get-bucket-encryption`",
            bucket_of(subject)
        );
    }
    progress(put, "the bucket's default encryption is in place");
    Ok(told)
}

/// Tells what was tried; an error where the bucket does not keep to it.
fn conclude(subject: &Subject, put: Put, mut report: Value, proofs: &Proofs) -> anyhow::Result<()> {
    report["verified"] = json!({ "holds": proofs.is_good(), "tried": proofs });
    for proof in &proofs.proofs {
        let told = match &proof.outcome {
            Outcome::Denied => "denied, as it should be".to_owned(),
            Outcome::Accepted => "accepted, as it should be".to_owned(),
            Outcome::Stated => {
                "the policy denies it; not tried, since that would send a signed request in clear"
                    .to_owned()
            }
            Outcome::NotEnforced => "NOT ENFORCED".to_owned(),
            Outcome::Failed(why) => format!("FAILED: {why}"),
        };
        progress(put, &format!("{}: {told}", proof.request));
    }
    tell(put, &report)?;
    tell_what_is_left(subject, proofs);
    if proofs.is_good() {
        return Ok(());
    }
    let not_enforced = proofs
        .proofs
        .iter()
        .any(|proof| proof.outcome == Outcome::NotEnforced);
    if not_enforced {
        bail!(
            "NOT ENFORCED: {} accepts what it should not; a server other than Amazon S3 may keep policies without enforcing them on those who sign in, and Amazon takes some seconds after a change: then verify again",
            bucket_of(subject)
        );
    }
    let is_shown = proofs.proofs.iter().all(|proof| proof.outcome.is_good());
    if is_shown {
        bail!(
            "{} enforces it, and not all of the proof could be cleared away again",
            bucket_of(subject)
        );
    }
    bail!(
        "it could not be shown that {} enforces it",
        bucket_of(subject)
    )
}

/// Whatever else came of it.
fn tell_what_is_left(subject: &Subject, proofs: &Proofs) {
    let bucket = bucket_of(subject);
    for key in &proofs.left_behind {
        output::note(&format!(
            "an object of the proof could not be deleted: remove {key:?} from {bucket}"
        ));
    }
    for LeftUpload { key, upload } in &proofs.uploads_left {
        output::note(&format!(
            "an upload of the proof could not be aborted: `aws s3api abort-multipart-upload --bucket {} --key {key} --upload-id {upload}` does it",
            subject.location.bucket
        ));
    }
    if proofs.versions_left > 0 {
        output::note(&format!(
            "{bucket} keeps versions, and {} small ones of the proof below {}.cloakfs/probe/ stay, since these credentials may not delete versions (s3:DeleteObjectVersion)",
            proofs.versions_left, subject.location.prefix
        ));
    }
}

fn bucket_of(subject: &Subject) -> String {
    format!("s3://{}", subject.location.bucket)
}

pub(super) fn tell(put: Put, report: &Value) -> anyhow::Result<()> {
    if put.json {
        output::say(&serde_json::to_string_pretty(report)?);
    }
    Ok(())
}

/// For a person.
pub(super) fn progress(put: Put, line: &str) {
    if !put.json {
        output::say(line);
    }
}

/// What is about to change; beside the result where that is for a program.
pub(super) fn show(put: Put, text: &str) {
    if put.json {
        let _gone = writeln!(io::stderr().lock(), "{text}");
    } else {
        output::say(text);
    }
}

pub(super) fn confirm(put: Put, question: &str) -> anyhow::Result<()> {
    if put.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!(
            "nothing was changed, since nobody can be asked without a terminal: look at the change, and give --yes"
        );
    }
    let _gone = write!(io::stderr().lock(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    bail!("nothing was changed")
}
