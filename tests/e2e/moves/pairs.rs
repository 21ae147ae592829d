//! From each mode to each other, and to the same under another key.
//!
//! `scripts/soak moves` goes all ways; here it is those of a few pairs that no test of its own has.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Journey, client_side};
use crate::customer_key::CustomerKey;
use crate::localstack::LocalStack;
use crate::minio::Minio;
use crate::modes::{self, Mode};
use crate::sealed::{CONTEXT, cse_c, cse_kms};

/// Set to `all`, all pairs are moved.
const EXTENT: &str = "MOVES";
const NAMES: [&str; 6] = ["none", "sse-s3", "sse-kms", "sse-c", "cse-kms", "cse-c"];
const SAMPLED: [(&str, &str); 4] = [
    ("none", "sse-kms"),
    ("sse-c", "sse-c"),
    ("sse-c", "cse-c"),
    ("cse-kms", "sse-kms"),
];

/// A mode with keys of its own; files go into the directory.
fn mode(name: &str, seed: u64, place: &Path) -> Mode {
    match name {
        "none" => modes::none(),
        "sse-s3" => modes::sse_s3(),
        "sse-kms" => {
            let arn = LocalStack::kms().create().arn;
            modes::sse_kms(Some(&arn), &arn, &[])
        }
        "sse-c" => modes::sse_c(CustomerKey::new(seed), place),
        "cse-kms" => client_side(cse_kms(&LocalStack::kms().create().arn, &CONTEXT)),
        "cse-c" => client_side(cse_c(&CustomerKey::new(seed).file(place))),
        other => panic!("{other}"),
    }
}

fn pairs() -> Vec<(&'static str, &'static str)> {
    if std::env::var(EXTENT).is_ok_and(|extent| extent == "all") {
        let each = |from| NAMES.map(|to| (from, to));
        let is_move = |(from, to): &(_, _)| from != to || !matches!(*from, "none" | "sse-s3");
        return NAMES.into_iter().flat_map(each).filter(is_move).collect();
    }
    SAMPLED.to_vec()
}

#[test]
fn from_each_mode_to_each_other() {
    let mut failed = Vec::new();
    for (number, (from, to)) in pairs().into_iter().enumerate() {
        // Where nothing is asked for, LocalStack encrypts as with SSE-S3.
        let server = if matches!((from, to), ("none", "sse-s3") | ("sse-s3", "none")) {
            Minio::shared()
        } else {
            LocalStack::shared()
        };
        let travels = || {
            let bucket = server.bucket(&format!("move-{from}-{to}"));
            let places = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
            let [from, to] = [(from, 91, &places[0]), (to, 92, &places[1])]
                .map(|(name, seed, place)| mode(name, seed, place.path()));
            Journey::new(&bucket, from, to).travel(100 + number as u64);
        };
        if catch_unwind(AssertUnwindSafe(travels)).is_err() {
            failed.push(format!("{from} to {to}"));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
