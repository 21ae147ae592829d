//! `cloakfs keys show --used-in`: what is under a key of LocalStack's KMS.

use std::fs;

use serde_json::Value;

use crate::localstack::{KmsKey, LocalStack};
use crate::mount::{CLOAKFS, Mount, Source};
use crate::process::{DEADLINE, Finished, finish};
use crate::s3_server::Bucket;
use crate::sealed::{Place, Root, Row, Sealed};

fn show(source: &Source, key: &str, more: &[&str]) -> Finished {
    let place = tempfile::tempdir().expect("a directory");
    let mut command = source.command(CLOAKFS, place.path());
    command
        .args(["keys", "show", key])
        .args(&source.options)
        .args(["--used-in", &source.name])
        .args(more);
    finish(&mut command, DEADLINE)
}

fn used(source: &Source, key: &KmsKey) -> Value {
    let told = show(source, &key.id, &["--json"]);
    assert!(told.status.success(), "{told:?}");
    let shown: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(shown["arn"], *key.arn, "{shown}");
    shown["used_in"].clone()
}

fn first(count: &Value) -> Vec<&str> {
    let first = count["first"].as_array().expect("names").iter();
    first
        .map(|named| named["object"].as_str().expect("a key"))
        .collect()
}

fn put_under(bucket: &Bucket, key: &KmsKey, name: &str) {
    let headers = [
        ("x-amz-server-side-encryption", "aws:kms".to_owned()),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            key.arn.clone(),
        ),
    ];
    bucket
        .client
        .with(headers)
        .put(name, "12345")
        .expect("a put");
}

#[test]
fn objects_of_s3s_own_encryption_are_counted_by_their_key() {
    let kms = LocalStack::kms();
    let (key, other) = (kms.create(), kms.create());
    let bucket = LocalStack::shared().bucket("key-usage");
    for number in 0..25 {
        put_under(&bucket, &key, &format!("mine/{number:02}"));
    }
    put_under(&bucket, &other, "theirs");
    bucket.client.put("plain", "12345");
    let source = bucket.source_with_kms();

    let found = used(&source, &key);
    assert_eq!(found["source"], *source.name);
    assert_eq!(
        (&found["objects"], &found["bytes"]),
        (&27.into(), &135.into())
    );
    let count = &found["used"];
    assert_eq!(
        (&count["objects"], &count["bytes"]),
        (&25.into(), &125.into())
    );
    assert_eq!(first(count).len(), 20);
    assert_eq!(first(count)[0], "mine/00");
    assert_eq!(found["not_known"]["objects"], 0, "{found}");
    assert_eq!(first(&used(&source, &other)["used"]), ["theirs"]);

    let told = show(&source, &key.arn, &[]);
    assert!(told.status.success(), "{told:?}");
    let line = format!(
        "used in      {}: 25 of 27 objects (125 B of 135 B)\n             mine/00\n",
        source.name
    );
    assert!(told.stdout.contains(&line), "{told:?}");
    assert!(
        told.stdout.ends_with("mine/19\n             and 5 more\n"),
        "{told:?}"
    );
    // A key that is disabled is still what they are under.
    kms.disable(&key);
    assert_eq!(used(&source, &key)["used"]["objects"], 25);
}

#[test]
fn a_client_side_volume_is_under_its_key_wherever_it_is() {
    for place in [Place::Directory, Place::LocalStack] {
        let sealed = Sealed::new(Row::new(place, Root::Kms, "encrypted"), "key-usage-cse");
        let mount: Mount = sealed.mount();
        fs::write(mount.path().join("file"), "content").expect("writing");
        drop(mount);
        let source = sealed.objects.source();
        let mut with_kms = sealed.source();
        // The way to KMS, and the context; `keys show` has the key in its own place.
        with_kms.name.clone_from(&source.name);
        let drop_option = |options: &mut Vec<String>, name: &str| {
            let at = options.iter().position(|option| option == name);
            at.map(|at| options.drain(at..at + 2).count())
        };
        drop_option(&mut with_kms.options, "--encryption").expect("a mode");
        drop_option(&mut with_kms.options, "--kms-key").expect("a key");
        let found = used(&with_kms, sealed.kms_key());
        assert_eq!(found["used"]["objects"], 3, "{found}");
        assert_eq!(found["not_known"]["objects"], 0, "{found}");
        // Beside the two copies of the record, in the order of the keys.
        let first = found["used"]["first"].as_array().expect("names");
        let named = first.iter().find(|named| named["path"] == "file");
        let named = named.unwrap_or_else(|| panic!("{found}"));
        assert_ne!(named["object"], "file", "{found}");

        let other = LocalStack::kms().create();
        let found = used(&with_kms, &other);
        assert_eq!(found["used"]["objects"], 0, "{found}");
        let notes = found["notes"].to_string();
        assert!(notes.contains("its record names the key"), "{notes}");

        // Without its context nobody can tell, and it is not said to be free of the key.
        while drop_option(&mut with_kms.options, "--kms-context").is_some() {}
        let found = used(&with_kms, sealed.kms_key());
        assert_eq!(found["not_known"]["objects"], 2, "{found}");
        let why = found["not_known"]["first"][0]["why"].as_str().expect("why");
        assert!(
            why.contains("give its pairs with --kms-context") && why.contains("names this key"),
            "{why}"
        );
    }
}
