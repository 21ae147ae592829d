use proptest::prelude::*;

use super::super::bucket::{self, Requirement};
use super::super::{KmsKey, Mode, Place, SseKms};
use super::*;

fn place(prefix: &str) -> Place {
    Place {
        partition: "aws".to_owned(),
        bucket: "b".to_owned(),
        prefix: prefix.to_owned(),
    }
}

fn kms(key: &str) -> Mode {
    Mode::SseKms(SseKms {
        key: Some(KmsKey::new(key)),
        ..SseKms::default()
    })
}

/// The policy of a mode merged into what is there.
fn merged(existing: Option<&str>, prefix: &str, mode: &Mode) -> Result<Merged, MergeError> {
    let place = place(prefix);
    let ours = bucket::policy(&place, mode, &Requirement::of(mode));
    merge(
        existing,
        &ours,
        &bucket::sids(&place),
        place.needs_escapes(),
    )
}

fn sids(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    statements
        .map(|statement| statement["Sid"].as_str().unwrap_or("-"))
        .collect()
}

const THEIRS: &str = r#"{
    "Version": "2008-10-17",
    "Id": "of somebody else",
    "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/public/*" },
        { "Sid": "RequireMode", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::b/*" }
    ]
}"#;

#[test]
fn statements_of_others_stay_as_they_are() {
    let first = merged(Some(THEIRS), "", &Mode::SseS3).unwrap();
    let theirs: Value = serde_json::from_str(THEIRS).unwrap();
    for field in ["Version", "Id"] {
        assert_eq!(first.policy[field], theirs[field]);
    }
    for at in 0..2 {
        assert_eq!(first.policy["Statement"][at], theirs["Statement"][at]);
    }
    assert_eq!(
        sids(&first.policy),
        [
            "-",
            "RequireMode",
            "CloakfsRequireTls",
            "CloakfsRequireMode"
        ]
    );
    assert_eq!((first.kept, first.changes.len()), (2, 2));
    assert!(first.changes.iter().all(|change| change.before.is_none()));
}

#[test]
fn another_mode_takes_the_place_of_the_older_one_and_leaves_nothing_of_it() {
    let first = merged(None, "", &kms("arn:aws:kms:r:1:key/k")).unwrap();
    assert_eq!(first.policy["Version"], "2012-10-17");
    let names = [
        "CloakfsRequireTls",
        "CloakfsRequireMode",
        "CloakfsRequireKey",
    ];
    assert_eq!(sids(&first.policy), names);
    let second = merged(Some(&first.policy.to_string()), "", &Mode::SseC).unwrap();
    assert_eq!(
        sids(&second.policy),
        ["CloakfsRequireTls", "CloakfsRequireMode"]
    );
    let changed: Vec<_> = second
        .changes
        .iter()
        .map(|change| (&*change.sid, change.after.is_some()))
        .collect();
    assert_eq!(
        changed,
        [("CloakfsRequireMode", true), ("CloakfsRequireKey", false)]
    );
    let difference = second.difference();
    assert!(
        difference.contains("-     \"StringNotEquals\""),
        "{difference}"
    );
    assert!(difference.contains("+     \"Null\""), "{difference}");
    assert!(difference.ends_with("there are no other statements"));
}

#[test]
fn two_prefixes_do_not_touch_each_other() {
    let first = merged(None, "a/", &Mode::SseS3).unwrap();
    let both = merged(Some(&first.policy.to_string()), "b/", &Mode::SseC).unwrap();
    assert_eq!((both.kept, both.changes.len()), (2, 2));
    for at in 0..2 {
        assert_eq!(both.policy["Statement"][at], first.policy["Statement"][at]);
    }
}

#[test]
fn what_a_server_has_rewritten_is_the_same_policy() {
    let ours = merged(None, "", &Mode::SseS3).unwrap().policy;
    let rewritten = r#"{"Statement":[
        {"Sid":"CloakfsRequireTls","Effect":"Deny","Principal":{"AWS":["*"]},"Action":["s3:*"],"Resource":["arn:aws:s3:::b/*","arn:aws:s3:::b"],"Condition":{"Bool":{"aws:SecureTransport":[false]}}},
        {"Sid":"CloakfsRequireMode","Effect":"Deny","Principal":{"AWS":"*"},"Action":["s3:PutObject"],"Resource":["arn:aws:s3:::b/*"],"Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":["AES256"]}}}
    ],"Version":"2012-10-17"}"#;
    assert!(is_same(&ours.to_string(), rewritten));
    assert_eq!(
        merged(Some(rewritten), "", &Mode::SseS3).unwrap().changes,
        []
    );
    assert!(!is_same(
        &ours.to_string(),
        &rewritten.replace("AES256", "aws:kms")
    ));
    assert!(
        !is_same("{", "{"),
        "what cannot be read is the same as nothing"
    );
}

#[test]
fn one_statement_need_be_no_list() {
    let one = r#"{"Version":"2012-10-17","Statement":{"Sid":"x","Effect":"Deny"}}"#;
    let merged = merged(Some(one), "", &Mode::CseC).unwrap();
    assert_eq!(sids(&merged.policy), ["x", "CloakfsRequireTls"]);
}

#[test]
fn what_cannot_be_merged_into_is_left_alone() {
    for (existing, sentence) in [
        (
            "[]",
            "the policy that is there cannot be read (it is no JSON object), so it is not touched: look at it with `aws s3api get-bucket-policy`",
        ),
        (
            "{",
            "the policy that is there cannot be read (EOF while parsing an object at line 1 column 1), so it is not touched: look at it with `aws s3api get-bucket-policy`",
        ),
    ] {
        let error = merged(Some(existing), "", &Mode::SseS3).unwrap_err();
        assert_eq!(error.to_string(), sentence);
    }
    for (existing, version) in [(THEIRS, "2008-10-17"), ("{}", "2008-10-17")] {
        assert_eq!(
            merged(Some(existing), "a*/", &Mode::SseS3)
                .unwrap_err()
                .to_string(),
            format!(
                "the policy that is there has the version \"{version}\", in which the prefix cannot be written, since it has a character that means something in policies: make it \"2012-10-17\" first"
            )
        );
    }
    assert!(merged(None, "a*/", &Mode::SseS3).is_ok());
}

proptest! {
    #[test]
    fn merging_twice_changes_nothing_more(others in prop::collection::vec("[a-z]{1,8}", 0..4), prefix in "([a-z*]{1,3}/){0,2}") {
        let statements: Vec<_> = others.iter().map(|sid| json!({ "Sid": sid, "Effect": "Allow" })).collect();
        let existing = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let once = merged(Some(&existing), &prefix, &Mode::SseC).unwrap();
        prop_assert_eq!(once.kept, others.len());
        let twice = merged(Some(&once.policy.to_string()), &prefix, &Mode::SseC).unwrap();
        prop_assert_eq!(&twice.policy, &once.policy);
        prop_assert_eq!(twice.changes, vec![]);
    }
}
