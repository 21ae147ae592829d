use std::ffi::OsString;

use super::super::arguments::{Arguments, Command};
use super::super::config::{MountConfig, StoreConfig};
use super::*;

fn encryption(options: &str) -> Result<Encryption, String> {
    let typed: Vec<OsString> = format!("cloakfs mount s3://bucket /m {options}")
        .split_whitespace()
        .map(Into::into)
        .collect();
    let Command::Mount(arguments) = Arguments::read(&typed).unwrap().command else {
        panic!("{options}");
    };
    match MountConfig::from_arguments(&arguments) {
        Ok(config) => match config.store {
            StoreConfig::S3(settings) => Ok(settings.encryption),
            StoreConfig::Dir(settings) => panic!("{}", settings.path.display()),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn mode(options: &str) -> ServerSide {
    encryption(options).unwrap().mode
}

#[test]
fn a_mode_holds_what_belongs_to_it() {
    assert_eq!(mode(""), ServerSide::BucketDefault);
    assert_eq!(mode("--encryption none"), ServerSide::BucketDefault);
    assert_eq!(mode("-o encryption=sse-s3"), ServerSide::SseS3);
    assert_eq!(
        mode("--encryption sse-kms"),
        ServerSide::SseKms(SseKms {
            key: None,
            context: None,
            layers: Layers::One { bucket_key: false },
        })
    );
    assert_eq!(
        mode("-o encryption=sse-kms,kms_key=alias/k,kms_context=a=b,bucket_key --kms-context c=d"),
        ServerSide::SseKms(SseKms {
            key: Some(KmsKey::Alias("alias/k".to_owned())),
            context: Some(EncryptionContext::parse(["a=b", "c=d"]).unwrap()),
            layers: Layers::One { bucket_key: true },
        })
    );
    assert!(matches!(
        mode("--encryption sse-kms --dsse --kms-key k"),
        ServerSide::SseKms(SseKms {
            key: Some(KmsKey::Itself(_)),
            layers: Layers::Two,
            ..
        })
    ));
    assert_eq!(
        mode("--encryption sse-c --key-file /k"),
        ServerSide::SseC {
            key_file: "/k".into()
        }
    );
}

#[test]
fn paths_are_absolute_and_older_keys_go_with_every_mode() {
    let here = std::env::current_dir().unwrap();
    for options in [
        "",
        "--encryption sse-s3",
        "--encryption sse-kms",
        "--encryption sse-c --key-file /k",
    ] {
        let encryption =
            encryption(&format!("{options} --read-key-file 1 --read-key-file /2")).unwrap();
        assert_eq!(encryption.read_key_files, [here.join("1"), "/2".into()]);
    }
    let with_key = encryption("--encryption sse-c --key-file k --read-key-file /1").unwrap();
    assert_eq!(
        with_key.key_files().collect::<Vec<_>>(),
        [here.join("k").as_path(), Path::new("/1")]
    );
}

#[test]
fn an_option_of_another_mode_is_refused() {
    let kms = ["sse-kms", "cse-kms"];
    let sealed = ["cse-kms", "cse-c"];
    for (option, modes) in [
        ("--kms-key k", &kms[..]),
        ("--kms-context a=b", &kms),
        ("--bucket-key", &["sse-kms"]),
        ("--dsse", &["sse-kms"]),
        ("--kms-endpoint-url https://h", &kms),
        ("--key-file k", &["sse-c", "cse-c"]),
        ("--create", &sealed),
        ("--names plain", &sealed),
        ("--data-key-reuse 1", &sealed),
    ] {
        let name = option.split(' ').next().unwrap();
        let (all, advice) = match modes {
            [mode] => ((*mode).to_owned(), format!("--encryption {mode}")),
            several => (several.join(" and "), "one of them".to_owned()),
        };
        assert_eq!(
            encryption(option).unwrap_err(),
            format!(
                "{name} is for --encryption {all}, and no mode was given; give {advice}, or leave {name} out"
            )
        );
        for other in ["none", "sse-s3", "sse-kms", "sse-c", "cse-kms", "cse-c"] {
            if modes.contains(&other) {
                continue;
            }
            assert_eq!(
                encryption(&format!("--encryption {other} {option}")).unwrap_err(),
                format!(
                    "{name} is for --encryption {all}, and the mode is {other}; give {advice}, or leave {name} out"
                )
            );
        }
    }
    assert_eq!(
        encryption("--encryption cse-c --read-key-file k").unwrap_err(),
        "--read-key-file has keys that the server reads older objects with (SSE-C), and the mode is cse-c; leave it out"
    );
}

#[test]
fn what_makes_no_sense_within_a_mode_is_refused() {
    for (options, sentence) in [
        (
            "--encryption sse-c",
            "--encryption sse-c needs your key: give --key-file FILE; a new one is made with: cloakfs keys generate FILE",
        ),
        (
            "--encryption sse-kms --bucket-key --dsse",
            "--bucket-key and --dsse exclude each other: S3 has no bucket keys for two layers of encryption; leave one of them out",
        ),
        (
            "--encryption sse-kms --kms-context tenant",
            "--kms-context: \"tenant\" is not a pair: write the encryption context as NAME=VALUE",
        ),
        (
            "--encryption sse-kms --kms-context a=1 -o kms_context=a=2",
            "--kms-context: the encryption context names \"a\" twice, with different values: give one",
        ),
        (
            "--encryption sse-kms --kms-key=",
            "--kms-key \"\" is not the name of a key: write its id, its ARN, alias/NAME or an alias's ARN",
        ),
        (
            "--encryption sse-kms --kms-key alias/",
            "--kms-key \"alias/\" is not the name of a key: write its id, its ARN, alias/NAME or an alias's ARN",
        ),
    ] {
        assert_eq!(encryption(options).unwrap_err(), sentence);
    }
}

#[test]
fn plain_http_is_refused_where_a_key_or_s3_needs_more() {
    let http = "--endpoint-url HTTP://h:9000";
    assert_eq!(
        encryption(&format!("--encryption sse-c --key-file k {http}")).unwrap_err(),
        "--encryption sse-c sends a key with requests, and HTTP://h:9000 is plain http, where others could read it; give an endpoint with https://"
    );
    assert_eq!(
        encryption(&format!("--encryption sse-s3 --read-key-file k {http}")).unwrap_err(),
        "--read-key-file sends a key with requests, and HTTP://h:9000 is plain http, where others could read it; give an endpoint with https://"
    );
    assert_eq!(
        encryption(&format!("--encryption sse-kms {http}")).unwrap_err(),
        "--encryption sse-kms makes S3 demand an encrypted connection, and HTTP://h:9000 is plain http; give an endpoint with https://"
    );
    assert!(encryption(&format!("--encryption sse-s3 {http}")).is_ok());
    assert!(encryption(&format!("{http} --encryption none")).is_ok());
}

#[test]
fn an_alias_is_told_from_a_key() {
    for (text, is_alias) in [
        ("alias/k", true),
        ("arn:aws:kms:eu-west-1:111122223333:alias/k", true),
        ("arn:aws:kms:eu-west-1:111122223333:key/alias/k", false),
        ("arn:aws:kms:my-key", false),
        ("my-key", false),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", false),
    ] {
        let key = KmsKey::parse(text).unwrap();
        assert_eq!(key.as_str(), text);
        assert_eq!(matches!(key, KmsKey::Alias(_)), is_alias, "{text}");
    }
    for wrong in ["", "two words", "kéy", "a\nb", "arn:aws:kms:r:1:alias/"] {
        assert!(KmsKey::parse(wrong).is_err(), "{wrong:?}");
    }
}
