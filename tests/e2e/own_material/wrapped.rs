//! The commands of AWS's guide for keys that are elsewhere.

use std::fs;
use std::path::Path;

use super::{Keys, have_the_same_material};
use crate::localstack::LocalStack;
use crate::mount::CLOAKFS;
use crate::process::sh;

/// The commands of AWS's guide, in both directions.
#[test]
fn what_openssl_wraps_is_imported_and_what_is_wrapped_here_too() {
    let keys = Keys::new();
    let material = keys.generate("key");
    let direct = keys.alias("direct");
    keys.done(&["import", "--key-file", "key", "--alias", &direct]);
    let direct = LocalStack::kms().behind(&direct);
    keys.generate("other");
    let other = keys.alias("other");
    keys.done(&["import", "--key-file", "other", "--alias", &other]);
    let other = LocalStack::kms().behind(&other);
    assert!(have_the_same_material(&direct, &direct));
    assert!(!have_the_same_material(&direct, &other), "the probe tells");

    for (index, (algorithm, spec, md)) in [
        ("RSAES_OAEP_SHA_256", "RSA_4096", "sha256"),
        ("RSAES_OAEP_SHA_256", "RSA_2048", "sha256"),
        ("RSAES_OAEP_SHA_1", "RSA_3072", "sha1"),
    ]
    .into_iter()
    .enumerate()
    {
        for by in ["openssl", "cloakfs"] {
            let (alias, out) = (
                keys.alias(&format!("{by}-{index}")),
                format!("{by}-{index}"),
            );
            fs::create_dir(keys.path(&out)).expect("a directory");
            let told = keys.done(&[
                "import",
                "--wrap-only",
                "--alias",
                &alias,
                "--algorithm",
                algorithm,
                "--wrapping-key-spec",
                spec,
                "--output",
                &out,
            ]);
            let fingerprint = sh(
                &keys.path(&out),
                "sha256sum WrappingPublicKey.bin | cut -d ' ' -f 1",
                &[],
            );
            let wrapping = format!("is the wrapping key, {spec}, with the SHA-256 {fingerprint}");
            assert!(told.contains(&wrapping), "{told}");
            let line = if by == "openssl" {
                // As it is told, with the key's file in place of its stand-in.
                let line = told.lines().find(|line| line.contains("openssl pkeyutl"));
                let line = line.unwrap_or_else(|| panic!("{told}"));
                assert!(line.contains(&format!("rsa_oaep_md:{md}")), "{line}");
                line.trim().replace("-in KEY", "-in ../key")
            } else {
                let line = told
                    .lines()
                    .find(|line| line.contains("--wrap-only --wrapping-key"));
                let line = line.unwrap_or_else(|| panic!("{told}"));
                line.trim()
                    .replace("--key-file KEY", "--key-file ../key")
                    .replacen("cloakfs", CLOAKFS, 1)
            };
            sh(&keys.path(&out), &line, &[]);
            let (wrapped, token) = (
                format!("{out}/EncryptedKeyMaterial.bin"),
                format!("{out}/ImportToken.bin"),
            );
            let told = keys.done(&[
                "import",
                "--wrapped",
                &wrapped,
                "--token",
                &token,
                "--alias",
                &alias,
            ]);
            assert!(
                told.contains("the key encrypts, and decrypts what it encrypted\nkeep the key that was wrapped where it is safe"),
                "{told}"
            );
            let key = LocalStack::kms().behind(&alias);
            assert!(have_the_same_material(&key, &direct), "{by} {algorithm}");
            assert_no_trace(&keys.path(&out), &material);
        }
    }
}

/// In no file but its own.
fn assert_no_trace(directory: &Path, material: &[u8]) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let content = fs::read(&path).expect("reading");
        assert!(
            !content.windows(8).any(|part| part == &material[..8]),
            "{}",
            path.display()
        );
    }
}
