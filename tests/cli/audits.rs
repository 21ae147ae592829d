//! `audit` and `check` of a local directory: what they print, how they end, and what many objects
//! cost.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::wait::until;
use super::{Answer, Place};

/// Objects of the large directory: `AUDIT_OBJECTS`, or what a short run takes.
fn objects() -> usize {
    let wanted = std::env::var("AUDIT_OBJECTS");
    wanted.map_or(20_000, |objects| objects.parse().unwrap())
}

/// So that a repair takes a while.
const MANY_PROBES: usize = 3_000;

/// What an audit of more objects may take besides, in KiB; the names alone are more.
const GROWTH_KIB_MAX: i64 = 12 << 10;

impl Place {
    fn audit(&self, options: &[&str]) -> Answer {
        let store = self.store();
        self.run(&[&["audit", &store], options].concat())
    }

    fn check(&self, options: &[&str]) -> Answer {
        let store = self.store();
        self.run(&[&["check", &store], options].concat())
    }

    /// Files through a mount.
    pub fn write(&self, options: &[&str], names: &[&str]) {
        let answer = self.mount(options);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        for name in names {
            fs::write(self.path("mnt") + "/" + name, "content").unwrap();
        }
        self.unmount();
    }

    /// So many copies of the object of a file, as a copy of the store's directory has them: 500 in
    /// each directory, of which the store itself keeps the names of one in memory.
    pub fn copies(&self, of: &str, count: usize) {
        let store = self.path("store");
        // An object's file ends in `%`.
        let original = fs::read(format!("{store}/{of}%")).unwrap();
        for number in 0..count {
            let directory = format!("{store}/{:04}", number / 500);
            if number % 500 == 0 {
                fs::create_dir(&directory).unwrap();
            }
            fs::write(format!("{directory}/{of}-{number:06}%"), &original).unwrap();
        }
    }
}

fn lines(answer: &Answer) -> Vec<Value> {
    let lines = answer.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn an_audit_ends_with_0_where_all_is_well_with_1_where_it_is_not_and_with_2_where_it_makes_no_sense()
 {
    let place = Place::with_volume();
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    place.write(&own, &["a", "b"]);
    let clean = place.audit(&own);
    assert_eq!(clean.code, Some(0), "{clean:?}");
    let said: Vec<_> = clean.stdout.lines().map(str::trim_start).collect();
    let begin = [
        &format!("source    {}", place.store()),
        "required  cse-c",
        "objects   4 (",
        "2 cse-c (",
        "clean",
    ];
    assert_eq!(said.len(), begin.len(), "{clean:?}");
    for (line, begin) in said.iter().zip(begin) {
        assert!(line.starts_with(begin), "{clean:?}");
    }
    let other = place.audit(&["--encryption", "none"]);
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stdout.starts_with("FINDING  "), "{other:?}");
    assert!(
        other.stdout.ends_with("\nfindings  2 other-mode\n"),
        "{other:?}"
    );
    assert!(!other.stderr.contains("cloakfs: something"), "{other:?}");
    let json = lines(&place.audit(&["--encryption", "none", "--json"]));
    assert_eq!(json.len(), 3);
    assert_eq!(json[0]["finding"], "other-mode");
    assert_eq!(json[0]["mode"], "cse-c");
    assert_eq!(json[2]["summary"]["findings"]["other-mode"], 2);
    assert_eq!(json[2]["clean"], false);
    place.audit(&["--encryption", "cse-kms"]).refused(
        2,
        "--encryption cse-kms needs a key of KMS: give --kms-key with its id, its ARN, alias/NAME or an alias's ARN",
    );
    let nowhere = place.run(&["audit", "nowhere"]);
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    let help = place.run(&["audit", "--help"]);
    assert!(
        help.stdout.contains("one\nHEAD") || help.stdout.contains("one HEAD"),
        "{help:?}"
    );
}

#[test]
fn a_check_says_what_needs_somebody_and_what_it_has_mended() {
    let place = Place::with_volume();
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    let conflict = "a.conflict-host-20251121T080000Z";
    place.write(&own, &["a", conflict]);
    fs::remove_file(place.path("store") + "/.cloakfs/volume-b%").unwrap();
    let found = place.check(&own);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(
        found.stdout.contains("\nrepairable  volume-record "),
        "{found:?}"
    );
    assert!(
        found.stdout.contains("\nneeds you   conflict-copy "),
        "{found:?}"
    );
    assert!(
        found
            .stdout
            .ends_with("\nfindings  1 volume-record, 1 conflict-copy\n"),
        "{found:?}"
    );
    let repaired = place.check(&[&own[..], &["--repair", "--json"]].concat());
    assert_eq!(
        repaired.code,
        Some(1),
        "a person is still needed: {repaired:?}"
    );
    let json = lines(&repaired);
    assert_eq!(json[0]["finding"], "volume-record");
    assert_eq!(json[0]["repaired"], true);
    assert_eq!(json[1]["finding"], "conflict-copy");
    assert_eq!(json[1]["path"], conflict);
    assert_eq!(json[1]["repaired"], false);
    assert_eq!(json[2]["summary"]["repaired"], 1);
    let again = lines(&place.check(&[&own[..], &["--repair", "--json"]].concat()));
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!(again[0]["finding"], "conflict-copy");
}

/// Whoever is killed with a lease keeps other machines out for six minutes.
#[test]
fn a_repair_that_is_stopped_gives_the_source_back() {
    let place = Place::new();
    place.write(&["--encryption", "none"], &["a"]);
    let reserved = place.path("store/.cloakfs");
    let original = fs::read(place.path("store/a%")).unwrap();
    fs::create_dir_all(format!("{reserved}/probe")).unwrap();
    for number in 0..MANY_PROBES {
        fs::write(format!("{reserved}/probe/{number:032x}%"), &original).unwrap();
    }
    let left = || fs::read_dir(format!("{reserved}/probe")).map_or(0, Iterator::count);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let before = left();
        let repairing = place
            .command()
            .args(["check", &place.store(), "--repair"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let is_at_work = || {
            let leased = Path::new(&format!("{reserved}/lease%")).exists();
            (leased && left() < before).then_some(())
        };
        until(Duration::from_mins(1), is_at_work).expect("it has begun");
        let pid = libc::pid_t::try_from(repairing.id()).unwrap();
        // SAFETY: it takes numbers, and the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        let ended = repairing.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        let words = "cloakfs: stopped before all was done: what was repaired stays so, and running it again does the rest\n";
        assert!(stderr.ends_with(words), "{stderr}");
        assert!(left() > 0, "it was stopped in the middle");
        assert!(!Path::new(&format!("{reserved}/lease%")).exists());
    }
    let again = place.check(&["--repair"]);
    assert_eq!((again.code, left()), (Some(0), 0), "{again:?}");
}

/// What a command took at most, in KiB, as the kernel counted it.
#[expect(
    clippy::zombie_processes,
    reason = "it is waited for by the call that tells what it took"
)]
fn peak_kib(place: &Place, arguments: &[&str]) -> (i64, Option<i32>) {
    let child = place
        .command()
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: rusage is made of numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid);
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    (usage.ru_maxrss, code)
}

#[test]
#[expect(clippy::print_stderr, reason = "figures for docs/BENCHMARKS.md")]
fn many_objects_are_audited_and_checked_in_the_memory_of_few() {
    let (few, many) = (Place::new(), Place::new());
    for (place, count) in [(&few, 1_000), (&many, objects())] {
        place.write(&["--encryption", "none"], &["a"]);
        place.copies("a", count);
    }
    let store = |place: &Place| place.store();
    for (command, mode, code) in [
        ("audit", "none", 0),
        ("audit", "cse-c", 1),
        ("check", "none", 0),
    ] {
        let peak = |place: &Place| {
            let store = store(place);
            let mut arguments = vec![command, &store, "--encryption", mode];
            fs::write(place.path("key"), "a".repeat(64)).unwrap();
            let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(place.path("key"), only_mine).unwrap();
            if mode == "cse-c" {
                arguments.extend(["--key-file", "key"]);
            }
            let (peak, ended) = peak_kib(place, &arguments);
            assert_eq!(ended, Some(code), "{arguments:?}");
            peak
        };
        // How many arenas the allocator keeps depends on how the threads happened to run: what
        // grows with the objects is there every time.
        let of_few = peak(&few);
        let of_many = (0..3).map(|_| peak(&many)).min().unwrap();
        eprintln!(
            "{command} for {mode}: {of_few} KiB for 1,000 objects, {of_many} KiB for {}",
            objects()
        );
        assert!(
            of_many - of_few < GROWTH_KIB_MAX,
            "{of_few} KiB, then {of_many} KiB"
        );
    }
}
