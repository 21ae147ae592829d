//! `cloakfs keys` where no KMS is needed: keys that are made, and what is a wrong command line.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Answer, Place};

pub const KEY_HEX: &str = "8f3c1d5e7a9b0246f1e2d3c4b5a697881122334455667788990aabbccddeeff0";

/// A file that only its owner can read.
pub fn private(place: &Place, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = place.path(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

pub fn openssl(place: &Place, line: &str) -> String {
    let answer = Answer::of(
        place
            .environment(Command::new("openssl"))
            .args(line.split(' ')),
    );
    assert_eq!(answer.code, Some(0), "{line}: {answer:?}");
    answer.stdout
}

#[test]
fn a_new_key_is_random_private_and_never_written_over() {
    let place = Place::new();
    let mut seen = std::collections::BTreeSet::new();
    for (form, len) in [
        (&[][..], 32),
        (&["--form", "raw"], 32),
        (&["--form", "hex"], 65),
        (&["--form", "base64"], 45),
    ] {
        let name = format!("key{}", seen.len());
        let answer = place.run(&[&["keys", "generate", &name], form].concat());
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        let path = place.path(&name);
        let content = fs::read(&path).unwrap();
        assert_eq!(content.len(), len);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let check = answer
            .stdout
            .strip_prefix(&format!(
                "{path} holds a new key, whose check value is "
            ))
            .and_then(|rest| {
                rest.strip_suffix("\nkeep a copy elsewhere: without the key nothing that it encrypts can be read\n")
            })
            .unwrap_or_else(|| panic!("{answer:?}"));
        // MD5 in base64, as S3 has it.
        assert_eq!(check.len(), 24);
        assert!(seen.insert(check.to_owned()), "twice the same key");
        if len == 32 {
            let digest = openssl(&place, &format!("dgst -md5 -r {name}"));
            let digest: Vec<u8> = digest.as_bytes()[..32]
                .chunks(2)
                .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            let md5 = STANDARD.encode(digest);
            assert_eq!(check, md5);
        }
        place.run(&["keys", "generate", &name]).refused(
            1,
            &format!("{path} is there already, and is not overwritten: name another file"),
        );
        assert_eq!(fs::read(&path).unwrap(), content);
        // It is a key, to everything here that takes one.
        let store = format!("dir:{}", place.path(&format!("store{}", seen.len())));
        fs::create_dir(store.trim_start_matches("dir:")).unwrap();
        let made = place.run(&["init", &store, "--encryption", "cse-c", "--key-file", &name]);
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    let nowhere = place.run(&["keys", "generate", "none/key"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    // A key where a file's name should be.
    let answer = place.run(&["keys", "generate", KEY_HEX]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(!answer.stderr.contains(&KEY_HEX[..8]), "{answer:?}");
}

#[test]
fn options_that_do_not_go_together_are_a_wrong_command_line() {
    let place = Place::new();
    let key = ["--key-file", "k"];
    let alias = ["--alias", "alias/a"];
    let wrap = ["--wrap-only", "--wrapping-key", "w"];
    for (options, sentence) in [
        (
            &[&key[..]][..],
            "the key in KMS is not named: give --alias alias/NAME, for which one is made where there is none, or --kms-key",
        ),
        (
            &[&alias],
            "there is nothing to import: give your key with --key-file, or what was wrapped elsewhere with --wrapped and --token",
        ),
        (
            &[&["--alias", "mine"], &key],
            "--alias \"mine\" is not the name of an alias: write alias/NAME, with letters, digits, /, _ and - in NAME",
        ),
        (
            &[&["--alias", "alias/aws/s3"], &key],
            "--alias \"alias/aws/s3\" is a name that AWS keeps for its own keys: choose one without aws/",
        ),
        (
            &[&["--kms-key", "a key"], &key],
            "--kms-key \"a key\" is not the name of a key: write its id, its ARN, alias/NAME or an alias's ARN",
        ),
        (
            &[&alias, &["--wrapped", "w"]],
            "--wrapped needs --token: the wrapped key and the import token belong together",
        ),
        (
            &[&alias, &["--token", "t"]],
            "--token needs --wrapped: the wrapped key and the import token belong together",
        ),
        (
            &[&alias, &key, &["--wrapped", "w", "--token", "t"]],
            "--key-file is not for this: with --wrapped the key was wrapped before, as the token says; leave --key-file out",
        ),
        (
            &[
                &alias,
                &[
                    "--wrapped",
                    "w",
                    "--token",
                    "t",
                    "--algorithm",
                    "RSAES_OAEP_SHA_1",
                ],
            ],
            "--algorithm is not for this: with --wrapped the key was wrapped before, as the token says; leave --algorithm out",
        ),
        (
            &[&alias, &key, &["--wrapping-key", "w"]],
            "--wrapping-key is not for this: KMS is asked for a wrapping key, and with --wrap-only no key of yours is imported; leave --wrapping-key out",
        ),
        (
            &[&alias, &key, &["--output", "."]],
            "--output is not for this: only --wrap-only writes files; leave --output out",
        ),
        (
            &[&alias, &key, &["--wrap-only"]],
            "--key-file is not for this: --wrap-only without --wrapping-key writes what is needed to wrap a key elsewhere; leave --key-file out",
        ),
        (
            &[&alias, &["--wrap-only", "--expires", "2999-01-01"]],
            "--expires is not for this: --wrap-only imports nothing; leave --expires out",
        ),
        (
            &[&wrap],
            "--wrap-only with --wrapping-key wraps your key: give the file that holds it with --key-file",
        ),
        (
            &[&wrap, &key, &alias],
            "--alias is not for this: --wrap-only with --wrapping-key wraps for that key and asks no KMS; leave --alias out",
        ),
        (
            &[&wrap, &key, &["--token", "t"]],
            "--token is not for this: --wrap-only imports nothing; leave --token out",
        ),
        (
            &[&alias, &key, &["--kms-endpoint-url", "http://kms.invalid"]],
            "--kms-endpoint-url http://kms.invalid is plain http, where others could answer with a key of theirs; give an endpoint with https://, or one on this machine",
        ),
    ] {
        let line = [&["keys", "import"][..], &options.concat()].concat();
        place.run(&line).refused(2, sentence);
    }
    for line in [
        &["keys"][..],
        &["keys", "import", "--algorithm", "RSAES_PKCS1_V1_5"],
        &["keys", "import", "--wrapping-key-spec", "RSA_1024"],
        &["keys", "generate"],
        &["keys", "show"],
    ] {
        assert_eq!(place.run(line).code, Some(2), "{line:?}");
    }
}

/// Before anything is read or sent: there is no key file, and no KMS.
#[test]
fn a_date_that_kms_would_not_take_is_a_wrong_command_line() {
    let place = Place::new();
    let import = ["keys", "import", "--key-file", "k", "--alias", "alias/a"];
    let expires = |date: &str| place.run(&[&import[..], &["--expires", date]].concat());
    expires("soon").refused(
        2,
        "--expires \"soon\" is no date: write YYYY-MM-DD, which is the day's first second in UTC, or a time as in 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00",
    );
    expires("2001-02-03").refused(
        2,
        "--expires 2001-02-03T00:00:00Z is over: give a date to come, or leave --expires out for material that stays",
    );
    let far = expires("2999-01-01");
    assert_eq!(far.code, Some(2), "{far:?}");
    assert!(
        far.stderr.starts_with("cloakfs: --expires 2999-01-01T00:00:00Z is more than 365 days ahead, and KMS takes no later date than that: give "),
        "{far:?}"
    );
}

#[test]
fn kms_is_asked_where_it_is_known_to_be() {
    let place = Place::new();
    private(&place, "key", KEY_HEX);
    let asked = |environment: &[(&str, &str)], options: &[&str]| {
        let mut command = place.command();
        command
            .args(["keys", "show", "alias/a"])
            .args(options)
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s")
            .envs(environment.iter().copied());
        Answer::of(&mut command)
    };
    let at = |port: u16| {
        format!(
            "the KMS alias \"alias/a\" cannot be looked at: KMS cannot be asked: 127.0.0.1:{port} refused the connection: check that the server is running and that the endpoint's host and port are right"
        )
    };
    let (one, two) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    for (environment, options, port) in [
        (&[][..], &["--endpoint-url", one][..], 1),
        (&[], &["--endpoint-url", one, "--kms-endpoint-url", two], 2),
        (&[("AWS_ENDPOINT_URL_KMS", one)], &[], 1),
        (
            &[("AWS_ENDPOINT_URL_KMS", one)],
            &["--endpoint-url", two],
            2,
        ),
    ] {
        asked(environment, options).refused(1, &at(port));
    }
    asked(&[("AWS_ENDPOINT_URL_S3", one)], &[]).refused(
        1,
        "no KMS is known beside http://127.0.0.1:1, which is not Amazon's: give --kms-endpoint-url",
    );
}

/// A key of which it is said that it was not made is not there: nobody would look after it.
#[test]
fn where_the_name_of_a_key_cannot_be_synced_there_is_no_key() {
    let place = Place::new();
    let directory = place.path("dir");
    fs::create_dir(&directory).unwrap();
    let allow = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    // Names can be made in it, and it cannot be opened.
    allow(0o300);
    let cloakfs = env!("CARGO_BIN_EXE_cloakfs");
    let mut command = if fs::metadata(place.path("mnt")).unwrap().uid() == 0 {
        // Permissions hold for root, too, without its capabilities.
        let mut command = place.environment(Command::new("setpriv"));
        command.args(["--inh-caps=-all", "--bounding-set=-all", cloakfs]);
        command
    } else {
        place.command()
    };
    let answer = Answer::of(command.args(["keys", "generate", "dir/key"]));
    allow(0o700);
    answer.refused(
        1,
        &format!("{directory}/key cannot be written: Permission denied (os error 13)"),
    );
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}
