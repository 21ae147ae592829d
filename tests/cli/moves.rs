//! `reencrypt` of a local directory, and how it ends when it is told to.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::wait::until;
use super::{Place, exists};

/// So that it takes a while.
const FILES: usize = 2_000;

#[test]
fn a_move_that_is_stopped_leaves_no_registration_and_goes_on_later() {
    let place = Place::new();
    place.write(&["--encryption", "none"], &["a"]);
    place.copies("a", FILES);
    let (key, store) = (place.path("key"), place.store());
    let made = place.run(&["keys", "generate", &key]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let reserved = place.path("store/.cloakfs");
    // Under its encrypted name each is elsewhere.
    let left = || fs::read_dir(place.path("store/0000")).map_or(0, Iterator::count);
    let options = ["--to", "cse-c", "--to-key-file", &key];
    let moving = [&["reencrypt", &store, "--encryption", "none"], &options[..]].concat();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let before = left();
        let working = place
            .command()
            .args(&moving)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until(Duration::from_mins(1), || (left() < before).then_some(())).expect("it has begun");
        let pid = libc::pid_t::try_from(working.id()).unwrap();
        // SAFETY: it takes numbers, and the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        let ended = working.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        let words = "cloakfs: stopped before all was done: what was moved stays so, and running it again does the rest\n";
        assert!(stderr.ends_with(words), "{stderr}");
        assert!(left() > 0, "it was stopped in the middle");
        let registered = fs::read_dir(format!("{reserved}/mounts"));
        assert_eq!(registered.map_or(0, Iterator::count), 0);
        assert!(!exists(&format!("{reserved}/lease%")));
    }
    let again = place.run(&moving);
    assert_eq!((again.code, left()), (Some(0), 0), "{again:?}");
    assert!(again.stdout.ends_with("done\n"), "{again:?}");
}
