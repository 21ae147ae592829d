//! Mounts in write-back mode that die: what the tests of it share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakfs::fs::CommitMode;
use cloakfs::store::ErrorKind::Unavailable;
use cloakfs::store::Operation::{CopyObject, DeleteObject, PutObject};
use cloakfs::store::fault::{Effect, Rule};
use tempfile::TempDir;

use crate::harness::{Bucket, Mount};
use crate::wait::until;

/// For what happens in the background.
const DEADLINE: Duration = Duration::from_mins(1);
pub const NEW: i32 = libc::O_WRONLY | libc::O_CREAT;

pub fn state() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub async fn write_back(bucket: &Bucket, state: &TempDir) -> Mount {
    bucket.mount_in(state.path(), CommitMode::WriteBack).await
}

pub async fn on_close(bucket: &Bucket, state: &TempDir) -> Mount {
    bucket.mount_in(state.path(), CommitMode::OnClose).await
}

/// Waits in a thread of its own, so that what is waited for goes on.
pub async fn eventually(mut look: impl FnMut() -> bool + Send + 'static) {
    let waited = tokio::task::spawn_blocking(move || until(DEADLINE, || look().then_some(())));
    waited.await.unwrap().expect("it comes within the deadline");
}

/// The process dies: nothing is said and nothing more happens.
pub async fn crash(mount: Mount) {
    let fs = Arc::downgrade(&mount.fs);
    drop(mount);
    eventually(move || fs.strong_count() == 0).await;
}

pub fn bucket_away(bucket: &Bucket) {
    bucket
        .fault
        .inject(Rule::new(Effect::FailBefore(Unavailable)));
}

/// Journals that are there.
pub fn journals(state: &Path) -> usize {
    let dir = fs::read_dir(state.join("write-back"));
    dir.map_or(0, Iterator::count)
}

pub async fn contents(bucket: &Bucket) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for key in bucket.keys() {
        if !key.ends_with('/') {
            contents.insert(key.clone(), bucket.body(&key).await.unwrap());
        }
    }
    contents
}

pub fn expected(files: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    let files = files.iter();
    files
        .map(|(path, body)| ((*path).to_owned(), body.to_vec()))
        .collect()
}

pub fn all_unavailable_but_lookups(bucket: &Bucket) {
    for operation in [PutObject, CopyObject, DeleteObject] {
        let rule = Rule::new(Effect::FailBefore(Unavailable));
        bucket.fault.inject(rule.on(operation));
    }
}

pub async fn contents_now(bucket: &Bucket, path: &str) -> Vec<u8> {
    bucket.body(path).await.unwrap()
}
