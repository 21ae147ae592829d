//! What is refused of the options of encryption, before any server is asked.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::{Answer, Place, is_mounted};

/// In the foreground and in the background.
pub const WAYS: [&[&str]; 2] = [&[], &["--foreground"]];
pub const KEY_HEX: &str = "8f3c1d5e7a9b0246f1e2d3c4b5a697881122334455667788990aabbccddeeff0";

/// A bucket of nowhere, with these options, must be refused in both ways.
#[track_caller]
pub fn refused(place: &Place, options: &[&str], code: i32, sentence: &str) {
    for way in WAYS {
        let answer = place.run(&[&["mount", "s3://bucket", "mnt"], options, way].concat());
        answer.refused(code, sentence);
    }
    assert!(!is_mounted(&place.path("mnt")));
}

#[test]
fn options_that_do_not_go_together_are_a_wrong_command_line() {
    let place = Place::new();
    for (options, sentence) in [
        (
            &["--kms-key", "k"][..],
            "--kms-key is for --encryption sse-kms and cse-kms, and no mode was given; give one of them, or leave --kms-key out",
        ),
        (
            &["--encryption", "sse-s3", "--kms-context", "a=b"],
            "--kms-context is for --encryption sse-kms and cse-kms, and the mode is sse-s3; give one of them, or leave --kms-context out",
        ),
        (
            &["--encryption", "sse-c", "--bucket-key"],
            "--bucket-key is for --encryption sse-kms, and the mode is sse-c; give --encryption sse-kms, or leave --bucket-key out",
        ),
        (
            &["-o", "dsse,encryption=none"],
            "--dsse is for --encryption sse-kms, and the mode is none; give --encryption sse-kms, or leave --dsse out",
        ),
        (
            &["--kms-endpoint-url", "https://h"],
            "--kms-endpoint-url is for --encryption sse-kms and cse-kms, and no mode was given; give one of them, or leave --kms-endpoint-url out",
        ),
        (
            &["--encryption", "sse-kms", "--key-file", "k"],
            "--key-file is for --encryption sse-c and cse-c, and the mode is sse-kms; give one of them, or leave --key-file out",
        ),
        (
            &["--encryption", "sse-c"],
            "--encryption sse-c needs your key: give --key-file FILE; a new one is made with: cloakfs keys generate FILE",
        ),
        (
            &["--encryption", "sse-kms", "--bucket-key", "--dsse"],
            "--bucket-key and --dsse exclude each other: S3 has no bucket keys for two layers of encryption; leave one of them out",
        ),
        (
            &["--encryption", "sse-kms", "--kms-context", "tenant"],
            "--kms-context: \"tenant\" is not a pair: write the encryption context as NAME=VALUE",
        ),
        (
            &[
                "--encryption",
                "sse-kms",
                "-o",
                "kms_context=a=1,kms_context=a=2",
            ],
            "--kms-context: the encryption context names \"a\" twice, with different values: give one",
        ),
    ] {
        refused(&place, options, 2, sentence);
    }
}

#[test]
fn modes_that_are_not_there_are_refused_with_those_that_are() {
    for mode in ["cse", "aes", "SSE-C"] {
        let answer = Place::new().run(&["mount", "s3://bucket", "mnt", "--encryption", mode]);
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert!(
            answer
                .stderr
                .contains("[possible values: none, sse-s3, sse-kms, sse-c, cse-kms, cse-c]"),
            "{answer:?}"
        );
    }
}

/// Wherever the endpoint comes from: whoever is between could choose the key.
#[test]
fn kms_is_not_asked_over_plain_http() {
    let place = Place::new();
    let far = "HTTP://kms.invalid";
    let kms = ["--encryption", "sse-kms", "--kms-key", "alias/a"];
    refused(
        &place,
        &[&kms[..], &["--kms-endpoint-url", far]].concat(),
        2,
        "--kms-endpoint-url HTTP://kms.invalid is plain http, where others could answer with a key of theirs; give an endpoint with https://, or one on this machine",
    );
    for way in WAYS {
        let mut command = place.command();
        command
            .args([&["mount", "s3://bucket", "mnt"], &kms[..], way].concat())
            .env("AWS_ENDPOINT_URL_KMS", far)
            .env("AWS_ENDPOINT_URL_S3", "https://127.0.0.1:1")
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s");
        Answer::of(&mut command).refused(
            1,
            "KMS would be asked over plain http at http://kms.invalid, where others could answer with a key of theirs: give an https:// endpoint with --kms-endpoint-url or AWS_ENDPOINT_URL_KMS",
        );
    }
}

/// Wherever the endpoint comes from: nothing is sent.
#[test]
fn plain_http_is_refused_without_a_connection() {
    let place = Place::new();
    let key = place.path("key");
    fs::write(&key, KEY_HEX).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let modes = [
        &["--encryption", "sse-c", "--key-file", &key][..],
        &["--encryption", "sse-s3", "--read-key-file", &key],
        &["--encryption", "sse-kms"],
    ];
    for (mode, early, late) in [
        (
            modes[0],
            "--encryption sse-c sends a key with requests, and ENDPOINT is plain http, where others could read it; give an endpoint with https://",
            "sse-c would send the key in clear to ENDPOINT: give an https:// endpoint with --endpoint-url",
        ),
        (
            modes[1],
            "--read-key-file sends a key with requests, and ENDPOINT is plain http, where others could read it; give an endpoint with https://",
            "the keys to read with (SSE-C) would be sent in clear to ENDPOINT: give an https:// endpoint with --endpoint-url",
        ),
        (
            modes[2],
            "--encryption sse-kms makes S3 demand an encrypted connection, and ENDPOINT is plain http; give an endpoint with https://",
            "S3 takes requests for sse-kms over TLS only, which ENDPOINT is not: give an https:// endpoint with --endpoint-url",
        ),
    ] {
        let options = [mode, &["--endpoint-url", &endpoint]].concat();
        refused(&place, &options, 2, &early.replace("ENDPOINT", &endpoint));
        for way in WAYS {
            let mut command = place.command();
            command
                .args([&["mount", "s3://bucket", "mnt"], mode, way].concat())
                .env("AWS_ENDPOINT_URL_S3", &endpoint)
                .env("AWS_ACCESS_KEY_ID", "a")
                .env("AWS_SECRET_ACCESS_KEY", "s");
            Answer::of(&mut command).refused(1, &late.replace("ENDPOINT", &endpoint));
            command.env("AWS_ENDPOINT_URL_S3", endpoint.replacen("http", "HTTP", 1));
            Answer::of(&mut command).refused(1, &late.replace("ENDPOINT", &endpoint));
        }
    }
    let connected = listener.accept().map(|_| ());
    assert_eq!(
        connected.unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "somebody connected"
    );
}

#[test]
fn an_alias_that_nobody_can_resolve_is_refused() {
    let place = Place::new();
    for alias in [
        "alias/mine",
        "arn:aws:kms:eu-west-1:111122223333:alias/mine",
    ] {
        for way in WAYS {
            let options = ["--encryption", "sse-kms", "--kms-key", alias];
            let endpoint = ["--endpoint-url", "https://127.0.0.1:1"];
            let arguments = [
                &["mount", "s3://bucket", "mnt"],
                &options[..],
                &endpoint,
                way,
            ];
            let mut command = place.command();
            command
                .args(arguments.concat())
                .env("AWS_ACCESS_KEY_ID", "a")
                .env("AWS_SECRET_ACCESS_KEY", "s");
            Answer::of(&mut command).refused(
                1,
                &format!(
                    "https://127.0.0.1:1 cannot be asked which key {alias} is, since it is not Amazon's and no KMS is known beside it; give --kms-endpoint-url, or the key's ARN in place of the alias"
                ),
            );
        }
    }
}

/// What is wrong with the way to the bucket, its region among it, is told first: KMS would be
/// asked in the wrong place.
#[test]
fn the_bucket_is_asked_before_kms() {
    let place = Place::new();
    let kms = TcpListener::bind("127.0.0.1:0").unwrap();
    kms.set_nonblocking(true).unwrap();
    let kms_endpoint = format!("http://{}", kms.local_addr().unwrap());
    for way in WAYS {
        let mut command = place.command();
        command
            .args(["mount", "s3://bucket", "mnt", "--encryption", "sse-kms"])
            .args(["--kms-key", "alias/a", "--timeout", "5"])
            .args(["--endpoint-url", "https://127.0.0.1:1"])
            .args(["--kms-endpoint-url", &kms_endpoint])
            .args(way)
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s");
        let answer = Answer::of(&mut command);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        let reason = "127.0.0.1:1 refused the connection";
        assert!(answer.stderr.contains(reason), "{answer:?}");
    }
    let asked = kms.accept().map(|_| ()).unwrap_err();
    assert_eq!(asked.kind(), io::ErrorKind::WouldBlock, "KMS was asked");
}
