//! The texts, word for word: what is in these files is what goes to AWS.

use std::fs;
use std::path::Path;

use super::super::{Answer, Place};
use super::{KEY, ROLE, VOLUME, printed};

#[test]
fn the_texts_are_those_in_the_files() {
    let kms = ["--encryption", "sse-kms", "--kms-key", KEY];
    let cse = [
        "--encryption",
        "cse-kms",
        "--kms-key",
        KEY,
        "--kms-context",
        "team=a",
    ];
    let (whole, prefix) = ("s3://my-bucket", "s3://my-bucket/team/a");
    let texts: [(&str, Vec<&str>); 16] = [
        ("bucket-none", vec!["bucket", whole, "--encryption", "none"]),
        (
            "bucket-sse-s3",
            vec!["bucket", whole, "--encryption", "sse-s3"],
        ),
        ("bucket-sse-kms", [&["bucket", prefix][..], &kms].concat()),
        (
            "bucket-sse-kms-dsse",
            vec!["bucket", whole, "--encryption", "sse-kms", "--dsse"],
        ),
        (
            "bucket-sse-c",
            vec!["bucket", whole, "--encryption", "sse-c"],
        ),
        (
            "bucket-encrypted",
            vec![
                "bucket",
                whole,
                "--encryption",
                "sse-c",
                "--require",
                "encrypted,tls",
            ],
        ),
        (
            "bucket-china",
            vec![
                "bucket",
                whole,
                "--encryption",
                "none",
                "--region",
                "cn-north-1",
            ],
        ),
        ("iam-none", vec!["iam", whole, "--encryption", "none"]),
        (
            "iam-sse-s3-read-only",
            vec!["iam", prefix, "--encryption", "sse-s3", "--read-only"],
        ),
        (
            "iam-sse-kms",
            [
                &["iam", prefix][..],
                &kms,
                &["--kms-context", "team=a", "--versioned"],
            ]
            .concat(),
        ),
        (
            "iam-sse-kms-bucket-key",
            [
                &["iam", prefix][..],
                &kms,
                &["--kms-context", "team=a", "--bucket-key"],
            ]
            .concat(),
        ),
        ("iam-sse-c", vec!["iam", prefix, "--encryption", "sse-c"]),
        ("iam-cse-kms", [&["iam", prefix][..], &cse].concat()),
        (
            "kms-key-sse-kms",
            [&["kms-key", prefix][..], &kms, &["--principal", ROLE]].concat(),
        ),
        (
            "kms-key-cse-kms",
            [
                &["kms-key", prefix][..],
                &cse,
                &["--principal", ROLE, "--volume", VOLUME, "--read-only"],
            ]
            .concat(),
        ),
        (
            "default-sse-kms",
            [&["default-encryption", whole][..], &kms, &["--bucket-key"]].concat(),
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/policies/golden");
    for (name, line) in &texts {
        let path = folder.join(format!("{name}.json"));
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let text = printed(line);
        assert_eq!(text, expected, "{}", path.display());
    }
    let files = fs::read_dir(&folder).expect("the folder").count();
    assert_eq!(files, texts.len(), "each file is of a text");
}

/// A bucket of China has other names of resources, also where a profile alone says so.
#[test]
fn the_partition_is_that_of_the_profiles_region() {
    let place = Place::new();
    let config = place.path("config");
    fs::write(&config, "[profile china]\nregion = cn-north-1\n").expect("writing");
    let line = ["policy", "bucket", "s3://my-bucket", "--encryption", "none"];
    let answer = Answer::of(
        place
            .command()
            .args(line)
            .args(["--profile", "china"])
            .env("AWS_CONFIG_FILE", &config),
    );
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let of_china = ["bucket", "s3://my-bucket", "--encryption", "none"];
    let of_china = printed(&[&of_china[..], &["--region", "cn-north-1"]].concat());
    assert!(of_china.contains("arn:aws-cn:s3:::my-bucket"), "{of_china}");
    assert_eq!(answer.stdout, of_china);
}
