//! `cloakfs policy`: its texts, and what they decide by AWS's rules.

mod decisions;
mod evaluator;
mod golden;
mod refusals;

use super::Place;

/// A key of AWS's.
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ROLE: &str = "arn:aws:iam::111122223333:role/mounter";
const VOLUME: &str = "00112233445566778899aabbccddeeff";

/// The text that the command prints.
#[track_caller]
fn printed(line: &[&str]) -> String {
    let answer = Place::new().run(&[&["policy"], line].concat());
    assert_eq!(answer.code, Some(0), "{line:?}: {answer:?}");
    answer.stdout
}
