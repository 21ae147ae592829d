//! Key files that are refused or cannot be read, and keys in place of their paths.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::encryption::{KEY_HEX, WAYS, refused};
use super::wait::until;
use super::{Answer, Place};

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_key_file_that_is_no_safe_place_for_a_key_is_refused() {
    let place = Place::new();
    let write = |name: &str, content: &str, mode| {
        let path = place.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let good = write("good", KEY_HEX, 0o600);
    let open = write("open", KEY_HEX, 0o640);
    let short = write("short", "abcdef\n", 0o400);
    let two = write("two", &format!("{KEY_HEX}\n{KEY_HEX}\n"), 0o600);
    let none = place.path("none");
    for (file, reason) in [
        (
            &open,
            "is open to its group or to others (mode 0640): close it with `chmod 600`, and use another key if somebody may have read it",
        ),
        (
            &short,
            "has a line 1 that is no key: it is 6 characters long, and a key is 64 hex digits or 44 characters of base64",
        ),
        (&none, "does not exist: check its path"),
    ] {
        let sentence = format!("the key file {file} {reason}");
        let own = ["--encryption", "sse-c", "--key-file", file];
        refused(&place, &own, 1, &sentence);
        let older = ["--encryption", "sse-s3", "--read-key-file", file];
        refused(&place, &older, 1, &sentence);
        let both = [
            "--encryption",
            "sse-c",
            "--key-file",
            &good,
            "--read-key-file",
            file,
        ];
        refused(&place, &both, 1, &sentence);
    }
    refused(
        &place,
        &["--encryption", "sse-c", "--key-file", &two],
        1,
        &format!(
            "the key file {two} holds 2 keys, and there can be only one here: leave in it the key to write with, and give the older ones with --read-key-file"
        ),
    );
}

#[test]
fn a_key_file_below_the_mountpoint_is_refused() {
    let place = Place::new();
    let sentence = format!(
        "the key file {} lies under the mountpoint {}, so cloakfs would wait for itself; choose a place outside of the mountpoint",
        place.path("mnt/key"),
        place.path("mnt")
    );
    refused(
        &place,
        &["--encryption", "sse-c", "--key-file", "mnt/key"],
        1,
        &sentence,
    );
    refused(&place, &["--read-key-file", "mnt/key"], 1, &sentence);
}

/// A key in place of a file's name is not shown again.
#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    let place = Place::new();
    for way in WAYS {
        let options = ["--encryption", "sse-c", "--key-file", KEY_HEX];
        let answer = place.run(&[&["mount", "s3://bucket", "mnt"], &options[..], way].concat());
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(!answer.stderr.contains(&KEY_HEX[..8]), "{answer:?}");
        assert!(
            answer.stderr.contains("is no file but looks like a key"),
            "{answer:?}"
        );
    }
}

/// Relative to the mountpoint, which the message about such paths would show.
#[test]
fn a_key_in_place_of_a_path_is_not_repeated_where_the_mountpoint_is_here() {
    let place = Place::new();
    for option in ["--key-file", "--read-key-file"] {
        for way in WAYS {
            let mut command = place.command();
            command
                .current_dir(place.path("mnt"))
                .args(["mount", "s3://bucket", ".", "--encryption"])
                .args(if option == "--key-file" {
                    ["sse-c"]
                } else {
                    ["none"]
                })
                .args([option, KEY_HEX])
                .args(way);
            let answer = Answer::of(&mut command);
            assert_eq!(answer.code, Some(1), "{answer:?}");
            assert!(!answer.stderr.contains(&KEY_HEX[..8]), "{answer:?}");
            assert!(
                answer.stderr.contains("is no file but looks like a key"),
                "{answer:?}"
            );
        }
    }
}

/// A named pipe that is held open for writing, and into which nothing is written.
fn silent_pipe(place: &Place) -> (String, fs::File) {
    let path = place.path("pipe");
    let made = Command::new("mkfifo").args(["-m", "600", &path]).status();
    assert!(made.unwrap().success());
    let writer = fs::File::options().read(true).write(true).open(&path);
    (path, writer.unwrap())
}

#[test]
fn a_pipe_into_which_nobody_writes_is_not_waited_for_without_end() {
    let place = Place::new();
    let (pipe, _writer) = silent_pipe(&place);
    let sentence = format!(
        "the key file {pipe} was not read to its end within 1 s: whoever writes into a pipe must write the key and close it; for a file, check the disk that it is on"
    );
    let sse_c = [
        "--timeout",
        "1",
        "--encryption",
        "sse-c",
        "--key-file",
        &pipe,
    ];
    refused(&place, &sse_c, 1, &sentence);
    refused(
        &place,
        &["--timeout", "1", "--read-key-file", &pipe],
        1,
        &sentence,
    );
}

/// Whoever presses ^C may mount again at once.
#[test]
fn who_gives_up_waiting_leaves_no_process_behind() {
    let place = Place::new();
    let (pipe, _writer) = silent_pipe(&place);
    let mut command = place.command();
    let mut waiting = command
        .args(["mount", "s3://bucket", "mnt", "--encryption", "sse-c"])
        .args(["--key-file", &pipe])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reads = || {
        let children = format!("/proc/{0}/task/{0}/children", waiting.id());
        let child = fs::read_to_string(children).unwrap_or_default();
        let descriptors = fs::read_dir(format!("/proc/{}/fd", child.trim())).ok()?;
        let mut open = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.any(|target| target == Path::new(&pipe))
            .then_some(child)
    };
    let daemon = until(DEADLINE, reads).expect("a process that reads the key");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let gone = until(DEADLINE, || {
        let state = fs::read_to_string(format!("/proc/{}/stat", daemon.trim())).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
    assert!(gone.is_some(), "it still reads the key");
    let again = ["--encryption", "sse-c", "--key-file", "none"];
    let reason = format!(
        "the key file {} does not exist: check its path",
        place.path("none")
    );
    refused(&place, &again, 1, &reason);
}
