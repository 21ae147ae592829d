use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::tempdir;
use tracing::subscriber::with_default;

use super::log::{Destination, Log, LogError, build};

fn to_file(path: &std::path::Path, filter: &str, log_something: impl FnOnce(&Log)) {
    let (subscriber, log) = build(&Destination::File(path.to_owned()), filter).unwrap();
    with_default(subscriber, || log_something(&log));
}

#[test]
fn the_log_file_is_private_appended_to_and_reopened() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("mount.log");
    to_file(&path, "info", |_| {
        tracing::info!(target: "cloakfs::x", "first");
    });
    to_file(&path, "info", |log| {
        tracing::info!(target: "cloakfs::x", "second");
        let moved = dir.path().join("mount.log.1");
        fs::rename(&path, &moved).unwrap();
        assert!(log.reopen().unwrap());
        tracing::info!(target: "cloakfs::x", "third");
        let old = fs::read_to_string(&moved).unwrap();
        assert!(old.contains("first") && old.contains("second") && !old.contains("third"));
    });
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().contains("third"));
}

#[test]
fn debug_output_of_other_crates_is_never_logged() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("log");
    to_file(&path, "trace", |_| {
        tracing::debug!(target: "hyper::proto", "x-amz-secret-header");
        tracing::warn!(target: "hyper::proto", "a warning");
        tracing::debug!(target: "cloakfs::fs", "our own");
    });
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret"), "{text}");
    assert!(
        text.contains("a warning") && text.contains("our own"),
        "{text}"
    );
}

#[test]
fn the_last_errors_are_kept_and_counted() {
    let dir = tempdir().unwrap();
    to_file(&dir.path().join("log"), "info", |log| {
        for n in 0..30 {
            tracing::error!(object = "a/b", "upload {n} failed");
        }
        tracing::warn!("not an error");
        let last = log.recent().last();
        assert_eq!(log.recent().total(), 30);
        assert_eq!(last.len(), 20);
        assert_eq!(last[19].message, "upload 29 failed object=a/b");
    });
}

#[test]
fn a_filter_that_is_none_is_said_so() {
    let error = build(&Destination::Stderr, "cloakfs=loud").err().unwrap();
    assert!(matches!(error, LogError::Filter { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with("CLOAKFS_LOG=\"cloakfs=loud\" is not a log filter: "),
        "{text}"
    );
}

#[test]
fn a_log_file_that_cannot_be_opened_is_said_so() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("missing/log");
    let error = build(&Destination::File(path.clone()), "info")
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "the log file {} cannot be opened: No such file or directory (os error 2); choose another with --log-file",
            path.display()
        )
    );
}
