//! Every object that this code writes is decrypted by decrypt.py, and what is changed is not.

use std::path::Path;

use serde_json::Value;

use crate::cases::{self, Case};
use crate::independent;

/// What decrypt.py says of each case.
pub fn decrypt(cases: &[Case]) -> Vec<Value> {
    independent::decrypt(
        cases
            .iter()
            .map(|case| (case.sealed.clone(), case.body.as_slice())),
    )
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
