//! `cloakfs doctor` where the system itself lacks something, and what is refused before it looks.

use std::process::Command;

use super::refusals::as_ordinary_user;
use super::{Answer, Place};

/// The lines that begin with `FAIL`, without the rest of the columns' padding.
fn failed(answer: &Answer) -> Vec<String> {
    let lines = answer.stdout.lines();
    lines
        .filter_map(|line| line.strip_prefix("FAIL "))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn a_healthy_directory_has_a_line_for_each_check_and_keeps_nothing_of_them() {
    let place = Place::new();
    let answer = place.run(&["doctor", &place.store()]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(failed(&answer), [""; 0]);
    for check in [
        "FUSE",
        "fusermount3",
        "directory",
        "s3:PutObject",
        "multipart uploads",
    ] {
        let line = format!("ok    {check} ");
        assert!(answer.stdout.contains(&line), "{check}: {answer:?}");
    }
    let files = Command::new("find")
        // But for the store's own locks.
        .args([&place.path("store"), "-type", "f"])
        .args(["-not", "-path", "*/.%cloakfs-dir/*"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&files.stdout), "");
}

#[test]
fn what_ordinary_users_lack_is_found_with_what_to_do() {
    let no_helper = as_ordinary_user(0o666, Some("/nowhere"), "doctor STORE");
    assert_eq!(no_helper.code, Some(1), "{no_helper:?}");
    assert_eq!(
        failed(&no_helper),
        [
            "fusermount3 an ordinary user mounts with the helper fusermount3, which is not installed; install the package fuse3, or mount as root"
        ]
    );
    let closed = as_ordinary_user(0o600, None, "doctor STORE");
    assert_eq!(
        failed(&closed),
        [
            "FUSE only root may open /dev/fuse on this system, so ordinary users cannot mount; as root, give it its usual mode with: chmod 666 /dev/fuse"
        ]
    );
    let others = as_ordinary_user(0o666, None, "doctor STORE --allow-other");
    assert_eq!(
        failed(&others),
        [
            "user_allow_other --allow-other is not permitted to ordinary users here; add a line user_allow_other to /etc/fuse.conf, or mount as root"
        ]
    );
    // Who does not want it does not need it.
    let alone = as_ordinary_user(0o666, None, "doctor STORE");
    assert_eq!(alone.code, Some(0), "{alone:?}");
}

#[test]
fn a_system_without_fuse_fails_in_that_and_in_nothing_else() {
    let place = Place::new();
    let script = format!(
        "mount -t tmpfs none /dev && exec {} doctor {}",
        env!("CARGO_BIN_EXE_cloakfs"),
        place.store()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    let answer = Answer::of(&mut place.environment(command));
    assert_eq!(
        failed(&answer),
        [
            "FUSE this system has no /dev/fuse, which mounting needs; load the kernel's module with: modprobe fuse (in a container, start it with --device /dev/fuse)"
        ]
    );
    assert_eq!(
        answer.stderr,
        format!(
            "cloakfs: 1 check failed: {} cannot be mounted so, or not all of it works\n",
            place.store()
        )
    );
}

/// Nobody is asked on a terminal; from a descriptor it is taken, and tried.
#[test]
fn a_passphrase_is_tried_where_it_is_given_and_not_asked_for() {
    let place = Place::new();
    let store = place.store();
    let with = |command: &str, passphrase: &str| {
        let line = [
            command,
            &store,
            "--encryption",
            "cse-c",
            "--passphrase-fd",
            "3",
        ];
        place.with_passphrase(passphrase, &line)
    };
    let made = with("init", "correct horse");
    assert_eq!(made.code, Some(0), "{made:?}");
    let right = with("doctor", "correct horse");
    assert_eq!(right.code, Some(0), "{right:?}");
    assert!(
        right.stdout.contains("the key opens the volume "),
        "{right:?}"
    );
    let wrong = with("doctor", "battery staple");
    assert_eq!(failed(&wrong).len(), 1, "{wrong:?}");
    assert!(failed(&wrong)[0].starts_with("volume "), "{wrong:?}");
    assert!(
        !format!("{wrong:?}").contains("battery"),
        "it is not repeated"
    );
    let without = place.run(&["doctor", &store, "--encryption", "cse-c"]);
    assert_eq!(without.code, Some(0), "{without:?}");
    assert!(
        without
            .stdout
            .contains("is not known without one (--key-file, --passphrase-fd)"),
        "{without:?}"
    );
    let other = place.run(&["doctor", &store, "--encryption", "none"]);
    assert_eq!(failed(&other).len(), 1, "{other:?}");
    assert!(
        failed(&other)[0].contains("give --encryption cse-c"),
        "{other:?}"
    );
}

#[test]
fn options_mean_what_they_mean_to_a_mount() {
    let place = Place::new();
    place
        .run(&["doctor", "s3://bucket", "--encryption", "sse-s3", "--kms-key", "k"])
        .refused(
            2,
            "--kms-key is for --encryption sse-kms and cse-kms, and the mode is sse-s3; give one of them, or leave --kms-key out",
        );
    place.run(&["doctor", "bucket"]).refused(
        2,
        "\"bucket\" is not a source: write s3://BUCKET or s3://BUCKET/PREFIX for a bucket, or dir:PATH for a local directory",
    );
}
