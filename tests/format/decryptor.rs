//! Every object that this code writes is decrypted by decrypt.py, and what is changed is not.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cases::{self, Case};

/// Python with the package `cryptography`, from scripts/setup-test-tools.
fn python() -> PathBuf {
    let tools = std::env::var_os("CLOAKFS_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools"),
        PathBuf::from,
    );
    let python = tools.join("decryptor/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/setup-test-tools decryptor",
        python.display()
    );
    python
}

/// What decrypt.py says of each case.
pub fn decrypt(cases: &[Case]) -> Vec<Value> {
    let scratch = tempfile::tempdir().unwrap();
    let mut input = String::new();
    for (index, case) in cases.iter().enumerate() {
        let body = scratch.path().join(index.to_string());
        std::fs::write(&body, &case.body).unwrap();
        let mut line = case.sealed.clone();
        line["body"] = body.to_str().unwrap().into();
        writeln!(input, "{line}").unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/decrypt.py");
    let mut child = Command::new(python())
        .args(["-I", script.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "decrypt.py failed");
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

#[test]
fn every_object_is_decrypted_from_the_page_alone() {
    let cases = cases::all();
    assert_eq!(cases.len(), 4 * 16 + 7);
    for (case, answer) in cases.iter().zip(decrypt(&cases)) {
        assert_eq!(answer, case.expected, "{}", case.name);
    }
    if let Some(directory) = std::env::var_os("CLOAKFS_TEST_NEW_FIXTURES") {
        crate::fixtures::write(Path::new(&directory), &cases);
    }
}

/// That the decryptor agrees would mean little if it took anything.
#[test]
fn the_decryptor_refuses_what_was_changed() {
    let case = cases::two_segments();
    let with_body = |body: Vec<u8>| Case {
        name: String::new(),
        sealed: case.sealed.clone(),
        body,
        expected: Value::Null,
    };
    let mut changed: Vec<Case> = (0..case.body.len())
        .map(|at| {
            let mut body = case.body.clone();
            body[at] ^= 1;
            with_body(body)
        })
        .collect();
    changed.push(with_body(Vec::new()));
    changed.push(with_body(case.body[1..].to_vec()));
    changed.push(with_body([&[0], case.body.as_slice()].concat()));
    let mut moved = with_body(case.body.clone());
    moved.sealed["key"] = "elsewhere".into();
    changed.push(moved);
    for (index, answer) in decrypt(&changed).iter().enumerate() {
        assert!(answer["refused"].is_string(), "change {index}: {answer}");
    }
}
