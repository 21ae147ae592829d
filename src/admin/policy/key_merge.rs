//! The statements about the use of a KMS key in the policy that the key has: pure.
//!
//! A key without anybody who may change its policy is lost to its account: only AWS's support
//! brings it back. So nothing here is about administration. Statements that let somebody
//! administer the key stay word for word, whoever put them there and whatever their Sid is, and
//! what would leave nobody is refused.

use serde_json::Value;

use super::merge::{self, MergeError, Merged};
use super::{Mode, Place, Policy, kms_key};

/// Why a key's policy is left as it is. Each is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyMergeError {
    #[error(
        "the policy of the key {key} cannot be read ({why}), so it is not touched: look at it with `aws kms get-key-policy`"
    )]
    Unreadable { key: String, why: String },
    #[error(
        "the policy of the key {key} has the version {version:?}, in which the prefix cannot be written, since it has a character that means something in policies: make it \"2012-10-17\" first"
    )]
    OldLanguage { key: String, version: String },
    #[error(
        "the statement {sid:?} of the policy of the key {key} would be replaced, and lets somebody administer the key, who would be locked out: nothing was changed; put that right into a statement of its own first"
    )]
    LocksOut { key: String, sid: String },
    #[error(
        "the policy of the key {key} lets nobody change it (kms:PutKeyPolicy), as far as its statements tell: nothing was changed; let the account administer the key first, as the first statement does that `cloakfs policy kms-key` prints"
    )]
    NobodyAdministers { key: String },
}

/// Puts the use of the key by `principals` into `existing`, in place of what was said of the same
/// place. `None` where the mode has no key of AWS's.
///
/// # Errors
/// When the policy has another form than AWS's, or somebody would be locked out.
pub fn merge(
    existing: &str,
    place: &Place,
    mode: &Mode,
    read_only: bool,
    principals: &[String],
) -> Option<Result<Merged, KeyMergeError>> {
    let key = mode.key().filter(|key| key.place().is_some())?.arn();
    let ours = Policy::new(kms_key::uses(place, mode, read_only, principals));
    let replaced = kms_key::sids(place, read_only);
    let merged = merge::merge(Some(existing), &ours, &replaced, place.needs_escapes());
    Some(match merged {
        Ok(merged) => refuse_to_lock_out(key, merged),
        Err(MergeError::Unreadable(why)) => Err(KeyMergeError::Unreadable {
            key: key.to_owned(),
            why,
        }),
        Err(MergeError::OldLanguage(version)) => Err(KeyMergeError::OldLanguage {
            key: key.to_owned(),
            version,
        }),
    })
}

fn refuse_to_lock_out(key: &str, merged: Merged) -> Result<Merged, KeyMergeError> {
    let mut replaced = merged.changes.iter();
    let administers = |value: &Option<Value>| value.as_ref().is_some_and(administers);
    if let Some(change) = replaced.find(|change| administers(&change.before)) {
        return Err(KeyMergeError::LocksOut {
            key: key.to_owned(),
            sid: change.sid.clone(),
        });
    }
    let statements = merged.policy["Statement"].as_array();
    if !statements.is_some_and(|all| all.iter().any(self::administers)) {
        return Err(KeyMergeError::NobodyAdministers {
            key: key.to_owned(),
        });
    }
    Ok(merged)
}

/// Whether it lets somebody change the policy. One with a condition may hold for nobody, and so
/// counts for nothing.
fn administers(statement: &Value) -> bool {
    let names_somebody = match &statement["Principal"] {
        Value::String(_) => true,
        Value::Object(kinds) => kinds.contains_key("AWS"),
        _ => false,
    };
    let actions = &statement["Action"];
    let mut actions = actions
        .as_array()
        .map_or(std::slice::from_ref(actions), Vec::as_slice)
        .iter()
        .filter_map(Value::as_str);
    statement["Effect"] == "Allow"
        && statement.get("Condition").is_none()
        && names_somebody
        && actions.any(covers_administration)
}

fn covers_administration(action: &str) -> bool {
    const ACTION: &str = "kms:putkeypolicy";
    let action = action.to_ascii_lowercase();
    match action.split_once('*') {
        Some((beginning, "")) => ACTION.starts_with(beginning),
        _ => action == ACTION,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{KmsKey, SseKms};
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const ROOT: &str = "arn:aws:iam::111122223333:root";
    const ROLE: &str = "arn:aws:iam::111122223333:role/mounter";

    fn place(bucket: &str) -> Place {
        Place {
            partition: "aws".to_owned(),
            bucket: bucket.to_owned(),
            prefix: "team/".to_owned(),
        }
    }

    fn mode() -> Mode {
        Mode::SseKms(SseKms {
            key: Some(KmsKey::new(KEY)),
            ..SseKms::default()
        })
    }

    fn merged(existing: &Value, bucket: &str, read_only: bool) -> Result<Merged, KeyMergeError> {
        let principals = [ROLE.to_owned()];
        let text = existing.to_string();
        merge(&text, &place(bucket), &mode(), read_only, &principals).expect("a key of AWS's")
    }

    fn root() -> Value {
        json!({
            "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": {"AWS": ROOT},
            "Action": "kms:*", "Resource": "*",
        })
    }

    fn policy(statements: &Value) -> Value {
        json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": statements})
    }

    fn sids(policy: &Value) -> Vec<&str> {
        let statements = policy["Statement"].as_array().unwrap().iter();
        statements.map(|it| it["Sid"].as_str().unwrap()).collect()
    }

    #[test]
    fn uses_of_two_places_and_of_readers_stand_beside_each_other_and_the_accounts_right_stays() {
        let mut now = policy(&json!([root()]));
        for (bucket, read_only) in [("a", false), ("b", false), ("a", true)] {
            let next = merged(&now, bucket, read_only).unwrap();
            assert_eq!(next.changes.len(), 2, "{next:?}");
            assert!(next.changes.iter().all(|change| change.before.is_none()));
            now = next.policy;
        }
        assert_eq!(now["Statement"][0], root());
        assert_eq!(now["Id"], "key-default-1");
        let all = sids(&now);
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (7, 7), "{all:?}");
        let again = merged(&now, "a", false).unwrap();
        assert_eq!(again.changes, []);
        assert_eq!(again.policy, now);
    }

    #[test]
    fn who_administers_is_not_locked_out() {
        let nobody = |policy: &Value| {
            assert_eq!(
                merged(policy, "a", false).unwrap_err().to_string(),
                format!(
                    "the policy of the key {KEY} lets nobody change it (kms:PutKeyPolicy), as far as its statements tell: nothing was changed; let the account administer the key first, as the first statement does that `cloakfs policy kms-key` prints"
                )
            );
        };
        nobody(&policy(&json!([])));
        for (field, value) in [
            ("Effect", json!("Deny")),
            ("Action", json!(["kms:Decrypt", "kms:Create*"])),
            (
                "Condition",
                json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
            ),
            ("Principal", json!({"Service": "s3.amazonaws.com"})),
        ] {
            let mut statement = root();
            statement[field] = value;
            nobody(&policy(&json!([statement])));
        }
        for (field, value) in [
            ("Action", json!(["kms:Describe*", "kms:put*"])),
            (
                "Principal",
                json!({"AWS": [ROLE, "arn:aws:iam::111122223333:role/admin"]}),
            ),
        ] {
            let mut statement = root();
            statement[field] = value;
            let statement = policy(&json!(statement));
            merged(&statement, "a", false).expect("somebody administers");
        }
        // Their statement under a name of ours.
        let ours = kms_key::sids(&place("a"), false)[0].as_str().to_owned();
        let mut mine = root();
        mine["Sid"] = json!(ours);
        assert_eq!(
            merged(&policy(&json!([mine, root()])), "a", false)
                .unwrap_err()
                .to_string(),
            format!(
                "the statement {ours:?} of the policy of the key {KEY} would be replaced, and lets somebody administer the key, who would be locked out: nothing was changed; put that right into a statement of its own first"
            )
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_touched() {
        let principals = [ROLE.to_owned()];
        let told = |existing: &str, place: &Place| {
            let merged = merge(existing, place, &mode(), false, &principals);
            merged.unwrap().unwrap_err().to_string()
        };
        assert_eq!(
            told("[]", &place("a")),
            format!(
                "the policy of the key {KEY} cannot be read (it is no JSON object), so it is not touched: look at it with `aws kms get-key-policy`"
            )
        );
        let starred = Place {
            prefix: "*/".to_owned(),
            ..place("a")
        };
        let old = json!({"Version": "2008-10-17", "Statement": [root()]});
        assert_eq!(
            told(&old.to_string(), &starred),
            format!(
                "the policy of the key {KEY} has the version \"2008-10-17\", in which the prefix cannot be written, since it has a character that means something in policies: make it \"2012-10-17\" first"
            )
        );
        assert!(merge("{}", &place("a"), &Mode::SseS3, false, &principals).is_none());
    }
}
