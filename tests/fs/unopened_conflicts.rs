//! Two writers, one name, and what the other wrote opens for nobody: a client-side file that is
//! changed here is saved all the same.

use std::time::Duration;

use cloakfs::fs::{FsError, HandleId};
use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{ErrorKind, GetOptions, Object, Operation, PutOptions, Store};

use crate::harness::{Bucket, Layout, Mount, errno};
use crate::layouts::in_client_side_layouts;

in_client_side_layouts! {
    a_changed_file_whose_name_holds_what_is_not_ours_is_kept_beside_it,
    a_changed_file_whose_name_holds_what_was_tampered_with_is_kept_beside_it,
    a_new_file_whose_name_holds_what_does_not_open_is_kept_beside_it,
    a_write_refused_for_what_does_not_open_is_a_conflict_too,
    the_copy_of_a_file_with_a_long_name_is_kept_too,
    the_copy_of_a_file_far_down_is_kept_too,
    a_server_that_takes_shorter_names_only_gets_one,
    an_older_version_under_the_id_of_a_lost_write_is_no_base,
    what_was_sent_is_the_base_of_the_next_try,
}

const LONG: Duration = Duration::from_hours(1);

/// What another program puts at the key of a file.
async fn put_foreign(bucket: &Bucket, path: &str) {
    let key = bucket.key(path).as_str().to_owned();
    bucket.put_with(&key, b"theirs", &[("mode", "33188")]).await;
}

/// The one conflict copy, which the error names.
fn conflict_copy(bucket: &Bucket, path: &str, lost: &FsError) -> String {
    assert_eq!(lost.errno(), libc::ESTALE, "{lost}");
    let mut copies = bucket.keys();
    copies.retain(|key| key.contains(".conflict-testhost-"));
    assert_eq!(copies.len(), 1, "{:?}", bucket.keys());
    let copy = copies.remove(0);
    assert_eq!(
        lost.to_string(),
        format!(
            "ESTALE: {path:?} was changed by somebody else since it was opened: their version \
             stays, yours is kept as {copy:?}"
        )
    );
    copy
}

/// A file that somebody else replaced since it was changed here.
async fn changed_by_both(bucket: &Bucket, mount: &Mount, path: &str) -> HandleId {
    mount.write_file(path, b"base").await.unwrap();
    let (_, handle) = mount.open(path, libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put(path, b"theirs").await;
    handle
}

async fn conflict_is_kept(bucket: &Bucket, mount: &Mount, path: &str) {
    let handle = changed_by_both(bucket, mount, path).await;
    let lost = mount.close(handle).await.unwrap_err();
    let copy = conflict_copy(bucket, path, &lost);
    assert_eq!(mount.read_file(&copy).await.unwrap(), b"ours");
    assert_eq!(mount.read_file(path).await.unwrap(), b"theirs");
    assert_eq!(mount.fs.status().conflicts_total, 1);
}

/// Checks that what was written is in the conflict copy, and theirs at the name still.
async fn is_kept(bucket: &Bucket, mount: &Mount, lost: &FsError, before: &[u8]) {
    let copy = conflict_copy(bucket, "f", lost);
    assert_eq!(mount.read_file(&copy).await.unwrap(), b"ours");
    assert_eq!(stored(bucket, "f").await, before, "theirs stays");
    let status = mount.fs.status();
    assert_eq!((status.conflicts_total, status.uncommitted_files), (1, 0));
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(errno(mount.read_file("f").await), libc::EIO);
}

async fn stored(bucket: &Bucket, path: &str) -> Vec<u8> {
    object(bucket, path).await.body.to_vec()
}

async fn a_changed_file_whose_name_holds_what_is_not_ours_is_kept_beside_it(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    put_foreign(&bucket, "f").await;
    let lost = mount.close(handle).await.unwrap_err();
    is_kept(&bucket, &mount, &lost, b"theirs").await;
}

async fn a_changed_file_whose_name_holds_what_was_tampered_with_is_kept_beside_it(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    bucket.put("f", b"another version").await;
    bucket.tamper("f", 100).await;
    let before = stored(&bucket, "f").await;
    let lost = mount.close(handle).await.unwrap_err();
    is_kept(&bucket, &mount, &lost, &before).await;
}

async fn a_new_file_whose_name_holds_what_does_not_open_is_kept_beside_it(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let (_, handle) = mount.open("f", flags).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    put_foreign(&bucket, "f").await;
    let lost = mount.close(handle).await.unwrap_err();
    is_kept(&bucket, &mount, &lost, b"theirs").await;
}

/// As a server does that looks at the key of what is there before it compares.
async fn a_write_refused_for_what_does_not_open_is_a_conflict_too(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("f", b"base").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours").await.unwrap();
    put_foreign(&bucket, "f").await;
    let key = bucket.key("f").as_str().to_owned();
    let rule = Rule::new(Effect::FailBefore(ErrorKind::Invalid)).on(Operation::PutObject);
    bucket.fault.inject(rule.exactly(&key));
    let lost = mount.close(handle).await.unwrap_err();
    is_kept(&bucket, &mount, &lost, b"theirs").await;
}

/// As long as a name can be where names are encrypted; with the time it would be longer.
async fn the_copy_of_a_file_with_a_long_name_is_kept_too(layout: Layout) {
    for bytes in [140, 175] {
        let bucket = Bucket::of(layout);
        let mount = bucket.mount_with(LONG).await;
        conflict_is_kept(&bucket, &mount, &"n".repeat(bytes)).await;
    }
}

/// The keys of directories are longer where names are encrypted: here the whole key decides.
async fn the_copy_of_a_file_far_down_is_kept_too(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    let (long, name) = match layout {
        Layout::Plain | Layout::Sealed => (255, 240),
        Layout::SealedNames => (175, 140),
    };
    let mut path = String::new();
    for directory in [long, long, long, 8] {
        path.push_str(&"d".repeat(directory));
        mount.mkdir(&path).await.unwrap();
        path.push('/');
    }
    path.push_str(&"n".repeat(name));
    conflict_is_kept(&bucket, &mount, &path).await;
}

async fn a_server_that_takes_shorter_names_only_gets_one(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    let name = "n".repeat(100);
    let handle = changed_by_both(&bucket, &mount, &name).await;
    // The first is that of the file's own name.
    let rule = Rule::new(Effect::RefuseName).on(Operation::PutObject);
    bucket.fault.inject(rule.after(1).times(1));
    let lost = mount.close(handle).await.unwrap_err();
    let copy = conflict_copy(&bucket, &name, &lost);
    assert!(copy.starts_with(&name[..99]), "{copy}");
    assert!(!copy.starts_with(&name), "{copy}");
    assert_eq!(mount.read_file(&copy).await.unwrap(), b"ours");
}

/// Whose version it is a header tells, and whoever writes to the bucket can set that.
async fn an_older_version_under_the_id_of_a_lost_write_is_no_base(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("f", b"older older").await.unwrap();
    let older = object(&bucket, "f").await;
    mount.write_file("f", b"newer newer").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours!").await.unwrap();
    let id = lose_the_answer(&bucket, &mount, handle).await;
    put_again(&bucket, "f", older, &id).await;
    let lost = mount.fs.sync_all(|_| {}).await.unwrap_err();
    let copy = conflict_copy(&bucket, "f", &lost);
    assert_eq!(mount.read_file(&copy).await.unwrap(), b"ours! newer");
    assert_eq!(mount.read_file("f").await.unwrap(), b"older older");
}

/// The body is what was sent, so it is adopted whatever became of its other headers.
async fn what_was_sent_is_the_base_of_the_next_try(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount_with(LONG).await;
    mount.write_file("f", b"newer newer").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"ours!").await.unwrap();
    lose_the_answer(&bucket, &mount, handle).await;
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(bucket.keys(), ["f"]);
    assert_eq!(mount.read_file("f").await.unwrap(), b"ours! newer");
    assert_eq!(mount.fs.status().conflicts_total, 0);
}

/// Closes a file whose write arrives, which nobody can tell; the id that it has.
async fn lose_the_answer(bucket: &Bucket, mount: &Mount, handle: HandleId) -> String {
    let key = bucket.key("f").as_str().to_owned();
    let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut)).on(Operation::PutObject);
    bucket.fault.inject(lost.exactly(&key).times(1));
    let silent = Rule::new(Effect::FailBefore(ErrorKind::TimedOut)).on(Operation::HeadObject);
    let silent = bucket.fault.inject(silent.exactly(&key));
    assert_eq!(errno(mount.close(handle).await), libc::EIO);
    bucket.fault.remove(silent);
    let attributes = object(bucket, "f").await.info.attributes;
    attributes.metadata["cloakfs-commit"].clone()
}

async fn object(bucket: &Bucket, path: &str) -> Object {
    let key = bucket.key(path);
    bucket.mem.get(&key, GetOptions::default()).await.unwrap()
}

async fn put_again(bucket: &Bucket, path: &str, object: Object, id: &str) {
    let mut attributes = object.info.attributes;
    let metadata = &mut attributes.metadata;
    metadata.insert("cloakfs-commit".to_owned(), id.to_owned());
    let options = PutOptions {
        attributes,
        ..PutOptions::default()
    };
    let key = bucket.key(path);
    bucket.mem.put(&key, object.body, options).await.unwrap();
}
