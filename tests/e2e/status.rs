//! What `cloakfs status` says of a mount's encryption, for people and in JSON.

use serde_json::{Value, json};

use crate::customer_key::CustomerKey;
use crate::localstack::LocalStack;
use crate::minio::Minio;
use crate::mount::{Mount, Source};

/// The line for people, and the fields that the mode has in JSON.
fn told(source: &Source, options: &[&str]) -> (String, Value) {
    let mount = Mount::new(source, options);
    let text = mount.cloakfs("status", &[]).stdout;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("encryption "));
    let line = line.unwrap_or_else(|| panic!("{text}")).trim().to_owned();
    let status = mount.cloakfs("status", &["--json"]).stdout;
    let mut status: Value = serde_json::from_str(&status).expect("status in JSON");
    let fields = status.as_object_mut().expect("an object");
    let names = ["mode", "kms_key", "kms_context", "bucket_key", "key_md5"];
    fields.retain(|name, _| names.contains(&name.as_str()));
    (line, status)
}

#[test]
fn an_alias_is_shown_as_the_key_that_it_names() {
    let kms = LocalStack::kms();
    let key = kms.create();
    let alias = format!("alias/status-{}", std::process::id());
    kms.alias(&alias, &key);
    let source = LocalStack::shared().bucket("status").source_with_kms();
    let options = [
        "--encryption",
        "sse-kms",
        "--kms-key",
        &alias,
        "--kms-context",
        "tenant=a",
        "-o",
        "kms_context=app=b,bucket_key",
    ];
    assert_eq!(
        told(&source, &options),
        (
            format!(
                "sse-kms under {} with context app=b, tenant=a, bucket key",
                key.arn
            ),
            json!({
                "mode": "sse-kms",
                "kms_key": key.arn,
                "kms_context": {"app": "b", "tenant": "a"},
                "bucket_key": true,
            })
        )
    );
}

#[test]
fn a_customers_key_is_shown_by_its_check_value() {
    let place = tempfile::tempdir().expect("a directory");
    let key = CustomerKey::new(12);
    let file = key.file(place.path()).display().to_string();
    let source = Minio::shared().bucket("status").source();
    assert_eq!(
        told(&source, &["--encryption", "sse-c", "--key-file", &file]),
        (
            format!("sse-c under the key with MD5 {}", key.md5()),
            json!({"mode": "sse-c", "key_md5": key.md5()})
        )
    );
    assert_eq!(
        told(&source, &["--encryption", "none"]),
        ("none".to_owned(), json!({"mode": "none"}))
    );
}
