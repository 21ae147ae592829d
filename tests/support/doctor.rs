//! What `cloakfs doctor` finds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::mount::{CLOAKFS, Source};
use super::process::{DEADLINE, Finished, finish};

/// What it found, by the name of the check; of a check with several findings the worst.
#[derive(Debug)]
pub struct Findings {
    by_check: BTreeMap<String, (String, String)>,
}

/// Runs it as a person would and for a program, and checks that both say the same.
#[track_caller]
pub fn doctor(source: &Source, options: &[&str]) -> Findings {
    let told = cloakfs(source, &["doctor"], &[options, &["--json"]].concat());
    let report: Value = serde_json::from_str(&told.stdout)
        .unwrap_or_else(|error| panic!("the report is not JSON ({error}): {told:?}"));
    let mut by_check = BTreeMap::new();
    for finding in report["findings"].as_array().expect("findings") {
        let text = |name: &str| finding[name].as_str().expect("a text").to_owned();
        let (check, status, message) = (text("check"), text("status"), text("message"));
        let rank = |status: &str| {
            ["skipped", "ok", "warn", "fail"]
                .iter()
                .position(|it| *it == status)
        };
        let worse = by_check
            .get(&check)
            .is_none_or(|(before, _): &(String, String)| rank(before) < rank(&status));
        if worse {
            by_check.insert(check, (status, message));
        }
    }
    let failed = by_check.values().any(|(status, _)| status == "fail");
    assert_eq!(report["healthy"], !failed, "{report}");
    assert_eq!(told.status.code(), Some(i32::from(failed)), "{told:?}");
    Findings { by_check }
}

/// Runs `cloakfs COMMAND... SOURCE` with the source's options and these.
pub fn cloakfs(source: &Source, command: &[&str], options: &[&str]) -> Finished {
    let state = tempfile::tempdir().expect("a directory");
    finish(
        source
            .command(CLOAKFS, state.path())
            .args(command)
            .arg(&source.name)
            .args(&source.options)
            .args(options),
        DEADLINE,
    )
}

impl Findings {
    /// `ok`, `warn`, `fail` or `skipped`.
    #[track_caller]
    pub fn status(&self, check: &str) -> &str {
        &self.of(check).0
    }

    #[track_caller]
    pub fn message(&self, check: &str) -> &str {
        &self.of(check).1
    }

    #[track_caller]
    fn of(&self, check: &str) -> &(String, String) {
        let found = self.by_check.get(check);
        found.unwrap_or_else(|| panic!("nothing about {check}: {:#?}", self.by_check))
    }

    /// The checks with this status.
    pub fn with(&self, status: &str) -> Vec<&str> {
        let all = self.by_check.iter();
        all.filter(|(_, (found, _))| found == status)
            .map(|(check, _)| check.as_str())
            .collect()
    }
}
