//! `cloakfs keys import --wrap-only` where no KMS is needed, with openssl on the other side, and keys
//! that go nowhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::keys::{KEY_HEX, openssl, private};
use super::{Answer, Place, exists};

/// What openssl makes and opens, for each wrapping key and algorithm that KMS has.
#[test]
fn a_key_is_wrapped_as_openssl_unwraps_it() {
    let place = Place::new();
    let raw: Vec<u8> = (0..32).map(|at| (at * 7) ^ 0x5a).collect();
    private(&place, "key", &raw);
    for bits in [2048, 3072, 4096] {
        openssl(
            &place,
            &format!("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out private"),
        );
        openssl(&place, "pkey -in private -pubout -outform DER -out public");
        let fingerprint = openssl(&place, "dgst -sha256 -r public");
        let fingerprint = fingerprint.split(' ').next().unwrap();
        for (algorithm, md) in [
            (None, "sha256"),
            (Some("RSAES_OAEP_SHA_256"), "sha256"),
            (Some("RSAES_OAEP_SHA_1"), "sha1"),
        ] {
            let directory = place.path("out");
            fs::create_dir(&directory).unwrap();
            let line = "keys import --wrap-only --wrapping-key public --key-file key --output out";
            let mut line: Vec<&str> = line.split(' ').collect();
            line.extend(
                algorithm
                    .iter()
                    .flat_map(|algorithm| ["--algorithm", algorithm]),
            );
            let answer = place.run(&line);
            assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
            let told = format!(
                "{directory}/EncryptedKeyMaterial.bin is the key in {} (check value ",
                place.path("key")
            );
            assert!(answer.stdout.starts_with(&told), "{answer:?}");
            assert!(answer.stdout.contains(fingerprint), "{answer:?}");
            let wrapped = fs::read(format!("{directory}/EncryptedKeyMaterial.bin")).unwrap();
            assert_eq!(wrapped.len() * 8, bits);
            openssl(
                &place,
                &format!(
                    "pkeyutl -decrypt -in out/EncryptedKeyMaterial.bin -out opened -inkey private -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{md} -pkeyopt rsa_mgf1_md:{md}"
                ),
            );
            assert_eq!(fs::read(place.path("opened")).unwrap(), raw);
            // Nothing is written over.
            place.run(&line).refused(
                1,
                &format!(
                    "{directory}/EncryptedKeyMaterial.bin is there already, and is not overwritten: name another file"
                ),
            );
            fs::remove_dir_all(directory).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_wrapped_or_wrapped_for_is_told() {
    let place = Place::new();
    let key = private(&place, "key", KEY_HEX);
    openssl(&place, "genrsa -out private 2048");
    openssl(&place, "pkey -in private -pubout -out pem");
    openssl(&place, "pkey -in private -pubout -outform DER -out public");
    openssl(&place, "genrsa -out small 1024");
    openssl(&place, "pkey -in small -pubout -outform DER -out short");
    fs::write(place.path("open"), KEY_HEX).unwrap();
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(place.path("long"), vec![0; 70_000]).unwrap();
    let wrap = |wrapping_key: &str, key: &str| {
        place.run(&[
            "keys",
            "import",
            "--wrap-only",
            "--wrapping-key",
            wrapping_key,
            "--key-file",
            key,
        ])
    };
    let path = |name: &str| place.path(name);
    for (wrapping_key, key, sentence) in [
        (
            "pem",
            "key",
            format!(
                "the wrapping key {} is in PEM, and a wrapping key is DER: convert it with `openssl pkey -pubin -outform DER`",
                path("pem")
            ),
        ),
        (
            "key",
            "key",
            format!(
                "the wrapping key {key} is no public RSA key in DER (SubjectPublicKeyInfo): give the file as KMS gave it, WrappingPublicKey.bin"
            ),
        ),
        (
            "long",
            "key",
            format!(
                "{} is longer than 65536 bytes: check that it is the right file",
                path("long")
            ),
        ),
        (
            "none",
            "key",
            format!(
                "{} cannot be read: No such file or directory (os error 2)",
                path("none")
            ),
        ),
        (
            "public",
            "open",
            format!(
                "the key file {} is open to its group or to others (mode 0644): close it with `chmod 600`, and use another key if somebody may have read it",
                path("open")
            ),
        ),
    ] {
        wrap(wrapping_key, key).refused(1, &sentence);
    }
    let short = wrap("short", "key");
    assert_eq!(short.code, Some(1), "{short:?}");
    assert!(!exists(&path("EncryptedKeyMaterial.bin")));
    let mut elsewhere = place.command();
    elsewhere
        .args(["keys", "import", "--wrap-only", "--wrapping-key", "public"])
        .args(["--key-file", "key", "--output", "none"]);
    Answer::of(&mut elsewhere).refused(
        1,
        &format!(
            "{} is no directory: give one that is there with --output",
            path("none")
        ),
    );
    let answer = wrap("public", KEY_HEX);
    assert!(!answer.stderr.contains(&KEY_HEX[..8]), "{answer:?}");
}

/// There is no KMS here: it would be told if one was asked.
#[test]
fn what_is_no_wrapped_key_is_sent_nowhere() {
    let place = Place::new();
    private(&place, "key", [7; 32]);
    private(&place, "hex", KEY_HEX);
    private(&place, "token", "token");
    private(&place, "empty", "");
    private(&place, "wrapped", [7; 512]);
    let send = |wrapped: &str, token: &str| {
        let mut command = place.command();
        command
            .args(["keys", "import", "--alias", "alias/a", "--wrapped", wrapped])
            .args(["--token", token, "--endpoint-url", "http://127.0.0.1:1"])
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s");
        Answer::of(&mut command)
    };
    send("key", "token").refused(
        1,
        &format!(
            "{} holds 32 bytes, which is a key and not a wrapped one, and was sent nowhere: give it with --key-file, or wrap it first with --wrap-only",
            place.path("key")
        ),
    );
    send("hex", "token").refused(
        1,
        &format!(
            "{} holds 64 bytes, and a wrapped key is as long as its wrapping key: 256, 384 or 512; give EncryptedKeyMaterial.bin as it was made",
            place.path("hex")
        ),
    );
    send("wrapped", "empty").refused(
        1,
        &format!(
            "{} is empty, and an import token is not: give ImportToken.bin as KMS gave it",
            place.path("empty")
        ),
    );
    send("wrapped", "token").refused(
        1,
        "the KMS alias \"alias/a\" cannot be looked at: KMS cannot be asked: 127.0.0.1:1 refused the connection: check that the server is running and that the endpoint's host and port are right",
    );
}
