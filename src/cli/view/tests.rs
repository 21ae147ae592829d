use serde_json::json;

use super::*;
use crate::mount::control::protocol::{Consistency, Encryption, OperationCount};
use crate::telemetry::recent::LoggedError;

fn example() -> Status {
    Status {
        release: "0.1.0".to_owned(),
        pid: 42,
        source: "s3://bucket/x".to_owned(),
        encryption: Encryption::of_mode("sse-s3"),
        mountpoint: "/mnt/x".into(),
        consistency: Consistency::default(),
        read_only: true,
        uptime_secs: 7265,
        notes: vec!["the server has no conditional delete".to_owned()],
        warnings: vec!["keys cannot be locked".to_owned()],
        operations: [
            ("lookup".to_owned(), OperationCount { all: 10, waited: 3 }),
            ("read".to_owned(), OperationCount { all: 5, waited: 5 }),
        ]
        .into(),
        filesystem: json!({
            "open_files": 1,
            "cache_hits": 9, "cache_misses": 1,
            "uncommitted_files": 2, "uncommitted_bytes": 1536,
            "failed": {"a/\u{1b}[2Jb": "no space"},
            "conflicts": [{"path": "c", "kept_as": "c.conflict-host-1"}], "conflicts_total": 1,
            "hidden": {"d": "there are objects below it"}, "hidden_total": 12,
            "modes": {
                "other_modes": [
                    {"mode": "none", "objects": 3},
                    {"mode": "sse-c", "key_md5": "abc=", "objects": 1},
                    {"mode": "sse-kms", "key_id": "arn:k", "objects": 2},
                ],
                "without_key": 2, "without_key_examples": ["a/b", "c"],
                "at_least": true,
            },
        }),
        store: json!({"retries": 3, "throttled": 3}),
        errors: 1,
        last_errors: vec![LoggedError {
            at_secs: 0,
            message: "upload of a failed".to_owned(),
        }],
    }
}

#[test]
fn a_person_sees_what_matters() {
    assert_eq!(
        status(&example()),
        "source          s3://bucket/x
mounted at      /mnt/x, read-only
encryption      sse-s3
running         2 h 1 min (process 42, cloakfs 0.1.0)
open            1 file, 0 directories
not uploaded    2 files, 1.5 KiB
other modes met at least 3 none, 1 sse-c (key MD5 abc=), 2 sse-kms (key arn:k)
did not open    at least 2 objects, e.g. \"a/b\", \"c\"
block cache     9 hits, 1 misses; 0 B of 0 B used, 0 B fetched
operations      15, 7 of them answered from memory
retries         3 (3 throttled, 0 unreachable, 0 timed out); 0 given up
failed uploads (the data is still here; `cloakfs sync` tries again):
  a/\\u{1b}[2Jb: no space
conflicts (both versions are kept):
  c: ours is c.conflict-host-1
hidden objects:
  d: there are objects below it
  ... and 11 more (see --json)
this store has limits:
  the server has no conditional delete
take care:
  keys cannot be locked
last errors:
  Thu, 01 Jan 1970 00:00:00 GMT  upload of a failed"
    );
}

#[test]
fn a_daemon_of_another_release_is_shown_as_far_as_it_tells() {
    let mut other = example();
    other.filesystem = json!({"new_figure": 1});
    other.store = serde_json::Value::Null;
    assert!(status(&other).contains("not uploaded    nothing"));
}
