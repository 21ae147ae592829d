//! Who makes a name first: one of many.

use std::future::Future;

use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, Operation};
use futures_util::future::join_all;

use crate::harness::{Bucket, Layout, Mount, Result};
use crate::layouts::in_every_layout;

const MOUNTS: usize = 8;

in_every_layout! {
    of_eight_mounts_one_creates_a_file,
    of_eight_mounts_one_makes_a_directory,
    of_eight_mounts_one_makes_it_also_when_answers_are_lost,
}

async fn create(mount: &Mount) -> Result<()> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let (_, handle) = mount.open("lock", flags).await?;
    mount.close(handle).await
}

async fn make_directory(mount: &Mount) -> Result<()> {
    mount.mkdir("lock").await.map(drop)
}

/// How many of the mounts made it, all at once; the others were told that it is there.
async fn winners<'a, F>(mounts: &'a [Mount], make: impl Fn(&'a Mount) -> F) -> usize
where
    F: Future<Output = Result<()>>,
{
    let done = join_all(mounts.iter().map(make)).await;
    let lost = done.iter().filter_map(|done| done.as_ref().err());
    for error in lost {
        assert_eq!(error.errno(), libc::EEXIST, "{error}");
    }
    done.iter().filter(|done| done.is_ok()).count()
}

async fn eight(bucket: &Bucket) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for _ in 0..MOUNTS {
        mounts.push(bucket.mount().await);
    }
    mounts
}

async fn of_eight_mounts_one_creates_a_file(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mounts = eight(&bucket).await;
    assert_eq!(winners(&mounts, create).await, 1);
    assert_eq!(bucket.keys(), ["lock"]);
}

async fn of_eight_mounts_one_makes_a_directory(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mounts = eight(&bucket).await;
    assert_eq!(winners(&mounts, make_directory).await, 1);
    assert_eq!(bucket.keys(), ["lock/"]);
}

async fn of_eight_mounts_one_makes_it_also_when_answers_are_lost(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mounts = eight(&bucket).await;
    let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut)).on(Operation::PutObject);
    let lost = bucket.fault.inject(lost);
    assert_eq!(winners(&mounts, create).await, 1);
    assert!(bucket.fault.remove(lost).unwrap() > 0);
    assert_eq!(bucket.keys(), ["lock"]);
}
