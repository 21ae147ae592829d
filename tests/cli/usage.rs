use super::{Place, exists};

#[test]
fn help_shows_examples_and_exit_codes() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for words in [
        "cloakfs mount dir:",
        "Exit codes: 0 done",
        "umount",
        "status",
    ] {
        assert!(help.stdout.contains(words), "{words}: {}", help.stdout);
    }
    let help = place.run(&["mount", "--help"]);
    for words in [
        "--encryption <MODE>",
        "--kms-context <NAME=VALUE>",
        "--read-key-file <FILE>",
        "encryption_mode=MODE",
        "--timeout <DURATION>",
        "/etc/fstab",
        "--read-only",
    ] {
        assert!(help.stdout.contains(words), "{words}: {}", help.stdout);
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let place = Place::new();
    for line in [
        &["mount"][..],
        &["mount", "dir:store", "mnt", "--no-such-option"],
        &["mount", "dir:store", "mnt", "--timeout", "0"],
        &["mount", "dir:store", "mnt", "--encryption", "rot13"],
        &["remount"],
        &[],
    ] {
        let answer = place.run(line);
        assert_eq!(answer.code, Some(2), "{line:?}: {answer:?}");
        assert!(
            answer.stderr.contains("Usage: cloakfs") || answer.stderr.contains("try '--help'"),
            "{answer:?}"
        );
    }
    assert!(
        !exists(&place.path("state")),
        "a wrong command line leaves nothing behind"
    );
}

#[test]
fn an_unknown_mount_option_is_refused_with_those_there_are() {
    let place = Place::new();
    let answer = place.run(&["mount", "dir:store", "mnt", "-o", "ro,turbo"]);
    assert_eq!(answer.code, Some(2));
    assert!(
        answer
            .stderr
            .starts_with("cloakfs: -o does not know \"turbo\"; it knows: nonempty, ro, rw,"),
        "{answer:?}"
    );
}

#[test]
fn an_option_of_one_kind_of_store_is_refused_with_the_other() {
    let place = Place::new();
    let store = place.store();
    let mount = |options: &[&str]| place.run(&[&["mount", &store, "mnt"], options].concat());
    for mode in ["sse-s3", "sse-kms", "sse-c"] {
        mount(&["--encryption", mode]).refused(
            2,
            &format!(
                "--encryption {mode} is done by an S3 server, and {store} is a local directory; mount it without --encryption"
            ),
        );
    }
    for option in [
        &["--endpoint-url", "http://127.0.0.1:1"][..],
        &["--region", "r"],
        &["--profile", "p"],
        &["--ca-bundle", "c"],
        &["--path-style"],
        &["--read-key-file", "k"],
    ] {
        mount(option).refused(
            2,
            &format!(
                "{} is for s3:// sources, and {store} is a local directory; leave it out",
                option[0]
            ),
        );
    }
}

#[test]
fn what_is_no_source_is_refused() {
    Place::new().run(&["mount", "bucket", "mnt"]).refused(
        2,
        "\"bucket\" is not a source: write s3://BUCKET or s3://BUCKET/PREFIX for a bucket, or dir:PATH for a local directory",
    );
}
