//! tests/format/decrypt.py, which knows docs/FORMAT.md and none of this code.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

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

/// What decrypt.py says of each object: a line of its input less `body`, and the body.
pub fn decrypt<'a>(objects: impl IntoIterator<Item = (Value, &'a [u8])>) -> Vec<Value> {
    let scratch = tempfile::tempdir().expect("a directory");
    let (mut input, mut count) = (String::new(), 0);
    for (mut line, bytes) in objects {
        let body = scratch.path().join(count.to_string());
        std::fs::write(&body, bytes).expect("writing a body");
        line["body"] = body.to_str().expect("a path in UTF-8").into();
        writeln!(input, "{line}").expect("writing to memory");
        count += 1;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/decrypt.py");
    let mut child = Command::new(python())
        .arg("-I")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting Python");
    let mut stdin = child.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    writer.join().expect("no panic").expect("writing its input");
    assert!(output.status.success(), "decrypt.py failed");
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), count);
    answers
}
