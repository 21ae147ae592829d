//! The POSIX test suite pjdfstest on a mount of a local directory, beside the same suite on the
//! local disk.
//!
//! `expected-failures.txt` lists what does not pass yet. It only ever shrinks: a case that fails
//! and is not listed fails the test, and so does a listed one that passes. Cases that call link(2)
//! are left out of both sides: cloakfs has no hard links yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::customer_key::CustomerKey;
use crate::mount::{Mount, Source};
use crate::process::finish;
use crate::s3_server::announced;
use crate::sealed::cse_c;

const DEADLINE: Duration = Duration::from_mins(10);

const EXPECTED_FAILURES: &str = include_str!("expected-failures.txt");

/// The cases that call link(2), by the beginning of their names.
const LINK_CASES: [&str; 5] = [
    "link::",
    "rename::preserve_metadata::",
    "rename::to_multiply_linked::",
    "unlink::unchanged_ctime_failed::",
    "unlink::update_ctime_success::",
];

/// Cases whose outcome is chance, counted as not passing. A file that is being executed is opened
/// with `O_RDONLY|O_TRUNC`: under `FUSE_ATOMIC_O_TRUNC` the kernel sends the truncation before it
/// looks whether the file may be written, so the program may lose its pages and end, and then the
/// open succeeds. Without that flag the kernel would truncate by a change of size without a
/// handle, which would put the empty file into the bucket before its new content is there.
const BY_CHANCE: [&str; 1] = ["open::etxtbsy"];

/// Of the cases that pass on the local disk, so many pass on a mount.
const PERCENT_MIN: usize = 90;

/// Users to switch to, each with its own group of the same number: two of these that exist.
const USERS: [(&str, &str); 4] = [
    ("nobody", "nogroup"),
    ("daemon", "daemon"),
    ("bin", "bin"),
    ("games", "games"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

type Verdicts = BTreeMap<String, Verdict>;

/// Switches users, so it needs root, and a mount that serves all of them.
mod as_root {
    use super::*;

    #[test]
    fn what_passes_on_the_local_disk_passes_on_a_mount() {
        compare("none", |_| Vec::new());
    }

    #[test]
    fn what_passes_on_the_local_disk_passes_on_an_exclusive_mount() {
        compare("none, exclusive", |_| {
            vec!["--consistency".into(), "exclusive".into()]
        });
    }

    #[test]
    fn what_passes_on_the_local_disk_passes_on_a_client_side_mount() {
        compare("cse-c", |place| {
            let mut options = cse_c(&CustomerKey::new(70).file(place));
            options.push("--create".into());
            options
        });
    }

    /// Mounts with the options that `choose` makes of a directory for what they need.
    #[expect(clippy::print_stdout, reason = "the ratio is a figure to read")]
    fn compare(mode: &str, choose: impl FnOnce(&Path) -> Vec<String>) {
        let place = tempfile::tempdir().expect("a directory");
        let store = place.path().join("store");
        let disk = place.path().join("disk");
        fs::create_dir(&store).expect("a store");
        fs::create_dir(&disk).expect("a directory of the local disk");
        for path in [place.path(), &disk] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("opening a directory to other users");
        }
        let configuration = place.path().join("pjdfstest.toml");
        fs::write(&configuration, configuration_text()).expect("writing the configuration");

        let (baseline, _) = run_suite(&configuration, &disk);
        let mut source = Source::dir(&store);
        source.options = choose(place.path());
        let mount = Mount::new(&source, &["--allow-other"]);
        let (mounted, output) = run_suite(&configuration, &mount.path());
        drop(mount);

        let judged = judge(&baseline, &mounted, &expected_failures());
        println!(
            "pjdfstest, {mode}: {} of {} cases that pass on the local disk pass on the mount ({} are known not to; those that call link(2) are not counted)",
            judged.passed,
            judged.cases,
            expected_failures().len()
        );
        assert!(
            judged.complaints.is_empty(),
            "{}\n\nthe suite's output on the mount:\n{output}",
            judged.complaints.join("\n")
        );
    }
}

/// The comparison of a run with the baseline and the list.
#[derive(Debug, Default)]
struct Judgement {
    /// That pass on the local disk and do not call link(2).
    cases: usize,
    /// Of those, on the mount.
    passed: usize,
    complaints: Vec<String>,
}

fn judge(baseline: &Verdicts, mounted: &Verdicts, expected: &[&str]) -> Judgement {
    let mut judgement = Judgement::default();
    for (case, verdict) in baseline {
        let links = LINK_CASES.iter().any(|prefix| case.starts_with(prefix));
        if links || *verdict != Verdict::Passed {
            continue;
        }
        judgement.cases += 1;
        let passed = mounted.get(case) == Some(&Verdict::Passed);
        if BY_CHANCE.contains(&case.as_str()) {
            continue;
        }
        judgement.passed += usize::from(passed);
        match (passed, expected.contains(&case.as_str())) {
            (true, true) => judgement.complaints.push(format!(
                "{case} passes now: take it off tests/pjdfstest/expected-failures.txt"
            )),
            (false, false) => judgement.complaints.push(format!(
                "{case} passes on the local disk and not on the mount ({:?})",
                mounted.get(case)
            )),
            _ => {}
        }
    }
    for case in expected {
        if baseline.get(*case) != Some(&Verdict::Passed) {
            judgement.complaints.push(format!(
                "{case} is in expected-failures.txt but does not pass on the local disk either"
            ));
        }
    }
    if judgement.passed * 100 < judgement.cases * PERCENT_MIN || judgement.cases == 0 {
        judgement.complaints.push(format!(
            "only {} of {} cases pass on the mount; at least {PERCENT_MIN} % must",
            judgement.passed, judgement.cases
        ));
    }
    judgement
}

fn expected_failures() -> Vec<&'static str> {
    let lines = EXPECTED_FAILURES.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// pjdfstest's configuration: the features of Linux, and two users that exist here.
fn configuration_text() -> String {
    let known = |file: &str, name: &str| {
        let lines = fs::read_to_string(file).expect("reading the users or groups");
        lines
            .lines()
            .any(|line| line.split(':').next() == Some(name))
    };
    let users: Vec<String> = USERS
        .iter()
        .filter(|(user, group)| known("/etc/passwd", user) && known("/etc/group", group))
        .take(2)
        .map(|(user, group)| format!("[\"{user}\", \"{group}\"]"))
        .collect();
    assert_eq!(
        users.len(),
        2,
        "pjdfstest needs two of these users and groups: {USERS:?}"
    );
    format!(
        "[features]\nposix_fallocate = {{}}\nrename_ctime = {{}}\nutime_now = {{}}\n\
         utimensat = {{}}\n[settings]\nnaptime = 0.01\n[dummy_auth]\nentries = [{}]\n",
        users.join(", ")
    )
}

/// The verdict of every case, and the suite's words.
fn run_suite(configuration: &Path, path: &Path) -> (Verdicts, String) {
    let suite = PathBuf::from(announced("CLOAKFS_TEST_TOOLS")).join("bin/pjdfstest");
    let finished = finish(
        Command::new(suite)
            .arg("--configuration-file")
            .arg(configuration)
            .arg("--path")
            .arg(path)
            .env("NO_COLOR", "1"),
        DEADLINE,
    );
    let verdicts = verdicts(&finished.stdout);
    assert!(
        finished.stdout.contains("Summary") && !verdicts.is_empty(),
        "pjdfstest on {} did not come to its end: {finished:?}",
        path.display()
    );
    (verdicts, finished.stdout)
}

/// Reads lines of a case's name and its verdict, and passes over the others.
fn verdicts(output: &str) -> Verdicts {
    let case = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, verdict) = (words.next()?, words.next()?);
        let verdict = match verdict {
            "ok" => Verdict::Passed,
            "FAILED" => Verdict::Failed,
            "skipped" => Verdict::Skipped,
            _ => return None,
        };
        (name.contains("::") && words.next().is_none()).then(|| (name.to_owned(), verdict))
    };
    output.lines().filter_map(case).collect()
}

#[test]
fn verdicts_are_read_from_the_suites_output() {
    let output = "open::erofs_named          skipped\n\tRemounts are not allowed\n\
                  chmod::change_perm::dir    ok\nmkdir::eexist  FAILED\n\tassertion `a == b` failed\n\
                  \nSummary: 1 failed, 1 skipped, 1 passed, 0 expected failures, 3 total\n";
    let read = verdicts(output);
    assert_eq!(read.len(), 3);
    assert_eq!(read["open::erofs_named"], Verdict::Skipped);
    assert_eq!(read["chmod::change_perm::dir"], Verdict::Passed);
    assert_eq!(read["mkdir::eexist"], Verdict::Failed);
}

#[test]
fn the_list_can_only_shrink() {
    let all = |names: &[&str], verdict| -> Verdicts {
        names
            .iter()
            .map(|name| ((*name).to_owned(), verdict))
            .collect()
    };
    let many: Vec<String> = (0..20)
        .map(|number| format!("open::case_{number}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let baseline = all(&many, Verdict::Passed);
    let mut mounted = baseline.clone();
    assert_eq!(
        judge(&baseline, &mounted, &[]).complaints,
        Vec::<String>::new()
    );
    let complaints = judge(&baseline, &mounted, &["open::case_1"]).complaints;
    assert!(complaints[0].contains("take it off"), "{complaints:?}");

    mounted.insert("open::case_1".into(), Verdict::Failed);
    assert!(
        judge(&baseline, &mounted, &["open::case_1"])
            .complaints
            .is_empty()
    );
    let complaints = judge(&baseline, &mounted, &[]).complaints;
    assert!(complaints[0].contains("not on the mount"), "{complaints:?}");

    let complaints = judge(&baseline, &all(&many[..17], Verdict::Passed), &many[17..]).complaints;
    assert!(complaints[0].contains("at least 90 %"), "{complaints:?}");
}
