//! `cloakfs policy kms-key --apply` on LocalStack's KMS, which keeps policies and enforces none.

use serde_json::{Value, json};

use crate::doctor_report::cloakfs;
use crate::localstack::{KmsKey, LocalStack};
use crate::mount::{CLOAKFS, Source};
use crate::process::Finished;
use crate::terminal::Terminal;

const COMMAND: [&str; 2] = ["policy", "kms-key"];

fn role(name: &str) -> String {
    format!("arn:aws:iam::000000000000:role/{name}")
}

/// What LocalStack, as AWS, gives a new key, and a statement of somebody else's.
fn with_theirs(key: &KmsKey) -> Value {
    let kms = LocalStack::kms();
    let mut policy = kms.policy(key);
    let theirs = json!({
        "Sid": "Theirs", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::000000000000:root" },
        "Action": "kms:ListGrants", "Resource": "*",
    });
    policy["Statement"]
        .as_array_mut()
        .expect("statements")
        .push(theirs);
    kms.put_policy(key, &policy);
    kms.policy(key)
}

fn statements(policy: &Value) -> &Vec<Value> {
    policy["Statement"].as_array().expect("statements")
}

fn source(bucket: &str) -> Source {
    let mut source = LocalStack::shared().bucket("key-policy").source_with_kms();
    source.name = format!("s3://{bucket}/team");
    source
}

fn run(source: &Source, key: &str, role: &str, more: &[&str]) -> Finished {
    let options = ["--encryption", "sse-kms", "--kms-key", key];
    let options = [&options[..], &["--principal", role], more].concat();
    cloakfs(source, &COMMAND, &options)
}

#[test]
fn the_use_of_a_key_is_put_beside_what_others_have_and_the_root_statement_stays() {
    let kms = LocalStack::kms();
    let key = kms.create();
    let before = with_theirs(&key);
    let source = source("one-bucket");
    let mounter = role("mounter");

    let unasked = run(&source, &key.arn, &mounter, &["--apply"]);
    assert_eq!(unasked.status.code(), Some(1), "{unasked:?}");
    assert!(
        unasked.stdout.contains("+   \"Sid\": \"CloakfsUseKey")
            && unasked
                .stdout
                .contains("2 other statements stay as they are"),
        "{unasked:?}"
    );
    assert!(
        unasked
            .stderr
            .ends_with("look at the change, and give --yes\n"),
        "{unasked:?}"
    );
    assert_eq!(kms.policy(&key), before);

    // By its id: KMS tells the ARN.
    let put = run(&source, &key.id, &mounter, &["--apply", "--yes"]);
    assert!(put.status.success(), "{put:?}");
    assert!(
        put.stdout.ends_with("the key's policy is in place\n"),
        "{put:?}"
    );
    let after = kms.policy(&key);
    assert_eq!(statements(&after)[..2], statements(&before)[..]);
    assert_eq!(statements(&after).len(), 4, "{after}");

    let again = run(&source, &key.arn, &mounter, &["--apply", "--yes"]);
    assert!(again.stdout.contains("nothing is changed"), "{again:?}");
    assert_eq!(kms.policy(&key), after);

    // Another bucket that the key is for, and who only reads, stand beside it.
    let other = self::source("another-bucket");
    for (source, more) in [
        (&other, &["--json"][..]),
        (&source, &["--read-only", "--json"]),
    ] {
        let put = run(
            source,
            &key.arn,
            &mounter,
            &[&["--apply", "--yes"], more].concat(),
        );
        assert!(put.status.success(), "{put:?}");
        let report: Value = serde_json::from_str(&put.stdout).expect("JSON");
        assert_eq!(report["key"], *key.arn, "{report}");
        let changes = report["applied"]["changes"].as_array().expect("changes");
        assert!(
            changes.len() == 2 && changes.iter().all(|change| change["before"].is_null()),
            "{report}"
        );
    }
    assert_eq!(statements(&kms.policy(&key)).len(), 8);

    // Another role in place of the one for the same place.
    let put = run(&source, &key.arn, &role("other"), &["--apply", "--yes"]);
    assert!(put.status.success(), "{put:?}");
    let now = kms.policy(&key);
    assert_eq!(statements(&now).len(), 8, "{now}");
    assert_eq!(statements(&now)[2]["Principal"]["AWS"], role("other"));
    assert_eq!(statements(&now)[..2], statements(&before)[..]);
}

#[test]
fn a_policy_that_nobody_could_change_any_more_is_not_put() {
    let kms = LocalStack::kms();
    let key = kms.create();
    let mut policy = kms.policy(&key);
    policy["Statement"][0]["Action"] = json!("kms:Describe*");
    kms.put_policy(&key, &policy);
    let told = run(
        &source("bucket"),
        &key.arn,
        &role("m"),
        &["--apply", "--yes"],
    );
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert_eq!(
        told.stderr,
        format!(
            "cloakfs: the policy of the key {} lets nobody change it (kms:PutKeyPolicy), as far as its statements tell: nothing was changed; let the account administer the key first, as the first statement does that `cloakfs policy kms-key` prints\n",
            key.arn
        )
    );
    assert_eq!(kms.policy(&key), policy);
}

#[test]
fn a_person_is_asked_and_a_key_that_is_not_there_is_told() {
    let kms = LocalStack::kms();
    let key = kms.create();
    let before = kms.policy(&key);
    let source = source("bucket");
    let state = tempfile::tempdir().expect("a directory");
    let principal = role("m");
    let answered = |line: &str| {
        let mut command = source.command(CLOAKFS, state.path());
        command
            .args(COMMAND)
            .arg(&source.name)
            .args(&source.options)
            .args(["--encryption", "sse-kms", "--kms-key", &key.arn])
            .args(["--principal", &principal, "--apply"]);
        let mut terminal = Terminal::start(&mut command);
        // It has the other side of the terminal open, too.
        drop(command);
        let question = format!("Put this into the policy of the key {}? [y/N] ", key.arn);
        terminal.answer(&question, line);
        terminal.finish()
    };
    let (status, shown) = answered("n");
    assert_eq!(status.code(), Some(1), "{shown}");
    assert_eq!(kms.policy(&key), before);
    let (status, shown) = answered("y");
    assert!(status.success(), "{shown}");
    assert_eq!(statements(&kms.policy(&key)).len(), 3);

    let missing = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let told = run(&source, missing, &principal, &["--apply", "--yes"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let server = LocalStack::shared().endpoint;
    assert_eq!(
        told.stderr,
        format!(
            "cloakfs: the KMS key \"{missing}\" is not known to KMS at {server}: check the key, its account and its region\n"
        )
    );
}
