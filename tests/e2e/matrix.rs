//! All file operations in every mode of encryption, on every server that shows it.
//!
//! A row begins with the negative probe of its server, plays the workloads on one mount, each in a
//! directory of its own, looks again after a remount, and ends with another client's look at every
//! object: mode, key and context have been kept whatever was done. In the client-side modes that
//! other client is an independent program that decrypts every object, and finds in it what the
//! mount shows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::modes::{self, Row};
use crate::mount::Mount;
use crate::stage::{Ground, Workload};
use crate::{files, programs, rewrites};

/// Makes the tests of each row.
macro_rules! rows {
    ($($name:ident: $row:expr),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn files() {
                let workloads = [files::WORKLOADS, rewrites::WORKLOADS].concat();
                play(stringify!($name), $row, &workloads);
            }

            mod as_root {
                use super::*;

                #[test]
                fn owners() {
                    play(stringify!($name), $row, files::as_root::WORKLOADS);
                }
            }
        }
    )*};
}

rows!(
    minio_none: modes::MINIO_NONE,
    minio_sse_s3: modes::MINIO_SSE_S3,
    minio_sse_kms: modes::MINIO_SSE_KMS,
    minio_sse_kms_in_a_context: modes::MINIO_SSE_KMS_IN_A_CONTEXT,
    minio_sse_c: modes::MINIO_SSE_C,
    localstack_sse_kms: modes::LOCALSTACK_SSE_KMS,
    localstack_sse_kms_by_arn: modes::LOCALSTACK_SSE_KMS_BY_ARN,
    localstack_sse_kms_by_alias: modes::LOCALSTACK_SSE_KMS_BY_ALIAS,
    localstack_sse_kms_with_a_bucket_key: modes::LOCALSTACK_SSE_KMS_WITH_A_BUCKET_KEY,
    localstack_sse_kms_by_default: modes::LOCALSTACK_SSE_KMS_BY_DEFAULT,
    localstack_dsse: modes::LOCALSTACK_DSSE,
    localstack_sse_c: modes::LOCALSTACK_SSE_C,
);

/// The mode that has most to lose: its key goes with every request. Left out is what makes
/// thousands of small files, each of which is written as any other.
#[test]
fn programs_on_minio_with_sse_c() {
    let many = ["git_clone", "tar_extract", "copy_archive"];
    let mut workloads = programs::WORKLOADS.to_vec();
    workloads.retain(|(name, _)| !many.contains(name));
    play("programs", modes::MINIO_SSE_C, &workloads);
}

fn play(name: &str, row: Row, workloads: &[(&str, Workload)]) {
    // A bucket's name has at most 63 characters.
    let bucket = (row.server)().bucket(&name[..name.len().min(40)]);
    (row.probe)(&bucket.client);
    let place = tempfile::tempdir().expect("a directory");
    let mode = (row.mode)(&bucket.client, place.path());
    let mount = Mount::new(&mode.source(&bucket), &[]);
    work(mount, place.path(), workloads);

    let objects = bucket.client.keys("");
    assert!(objects.len() > workloads.len(), "{objects:?}");
    assert!(
        objects.iter().any(|object| object.ends_with('/')),
        "no directory has an object: {objects:?}"
    );
    for object in objects {
        mode.expected.assert_on(&bucket.client, &object);
    }
}

/// Performs the workloads, looks again after a remount, and unmounts.
pub fn work(mut mount: Mount, aside: &Path, workloads: &[(&str, Workload)]) {
    let root = mount.path();
    let grounds: Vec<Ground> = workloads
        .iter()
        .map(|(name, _)| Ground {
            root: root.join(name),
            aside: aside.join(name),
        })
        .collect();
    let mut failed = Vec::new();
    // The reason is printed by the panic itself.
    let mut attempt = |name: &str, what: &str, act: fn(&Ground), ground: &Ground| {
        if catch_unwind(AssertUnwindSafe(|| act(ground))).is_err() {
            failed.push(format!("{name}: {what}"));
        }
    };
    for ((name, workload), ground) in workloads.iter().zip(&grounds) {
        std::fs::create_dir(&ground.root).expect("a directory in the mount");
        std::fs::create_dir(&ground.aside).expect("a directory aside");
        attempt(name, "to perform", workload.perform, ground);
        attempt(name, "to verify", workload.verify, ground);
    }
    mount.remount();
    for ((name, workload), ground) in workloads.iter().zip(&grounds) {
        attempt(name, "to verify after a remount", workload.verify, ground);
    }
    assert!(failed.is_empty(), "these failed: {failed:#?}");
}
