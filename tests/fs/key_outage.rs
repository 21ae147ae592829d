//! A KMS key that is disabled while the bucket is mounted, and enabled again: what needs it fails
//! with a reason, nothing that was acknowledged is lost, and all goes on without a remount.

use cloakfs::fs::SetAttr;
use cloakfs::store::Operation::{
    self, CompleteMultipartUpload, CopyObject, CreateMultipartUpload, GetObject, PutObject,
    UploadPart, UploadPartCopy,
};
use cloakfs::store::fault::{Effect, Rule};

use crate::harness::{Bucket, Mount, errno};

const REASON: &str = "KMS.DisabledException: the key of the object is disabled; enable it to go on";

/// Whatever makes or opens an object fails; a HEAD needs no key.
fn disable_key(bucket: &Bucket) {
    let operations: [Operation; 7] = [
        GetObject,
        PutObject,
        CopyObject,
        CreateMultipartUpload,
        UploadPart,
        UploadPartCopy,
        CompleteMultipartUpload,
    ];
    for operation in operations {
        bucket
            .fault
            .inject(Rule::new(Effect::RefuseKey).on(operation));
    }
}

fn enable_key(bucket: &Bucket) {
    bucket.fault.clear();
}

/// The sync fails with the reason, and status names the file with it.
async fn assert_waits(mount: &Mount, path: &str) {
    let failed = mount.fs.sync_all(|_| {}).await.unwrap_err();
    assert_eq!(failed.errno(), libc::EACCES);
    assert!(failed.to_string().contains(REASON), "{failed}");
    assert_eq!(mount.fs.uncommitted_paths(), [path]);
    let status = mount.fs.status();
    assert_eq!(status.uncommitted_files, 1);
    assert!(status.failed[path].contains(REASON), "{:?}", status.failed);
}

fn assert_settled(mount: &Mount) {
    let status = mount.fs.status();
    assert_eq!(status.uncommitted_files, 0);
    assert!(status.failed.is_empty(), "{:?}", status.failed);
}

#[tokio::test]
async fn a_file_whose_close_failed_is_saved_by_the_next_one() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    mount.write_file("f", b"before").await.unwrap();
    let (_, handle) = mount.open("f", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"BEFORE").await.unwrap();
    disable_key(&bucket);
    let failed = mount.fs.fsync(handle, false).await.unwrap_err();
    assert_eq!(failed.errno(), libc::EACCES);
    assert!(failed.to_string().contains(REASON), "{failed}");
    assert_eq!(errno(mount.close(handle).await), libc::EACCES);
    assert_waits(&mount, "f").await;
    assert_eq!(
        bucket.body("f").await.unwrap(),
        b"before",
        "the old object is whole"
    );
    // What was written is still what is read here.
    assert_eq!(mount.read_file("f").await.unwrap(), b"BEFORE");

    enable_key(&bucket);
    let (_, handle) = mount.open("f", libc::O_WRONLY).await.unwrap();
    mount.fs.fsync(handle, false).await.unwrap();
    assert_eq!(bucket.body("f").await.unwrap(), b"BEFORE");
    mount.close(handle).await.unwrap();
    assert_settled(&mount);
}

#[tokio::test]
async fn a_new_file_waits_for_its_key_and_sync_saves_it() {
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    disable_key(&bucket);
    assert_eq!(
        errno(mount.write_file("new", b"content").await),
        libc::EACCES
    );
    assert_waits(&mount, "new").await;
    assert_eq!(
        mount.list("").await.unwrap().len(),
        1,
        "it is there meanwhile"
    );
    enable_key(&bucket);
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert_eq!(bucket.body("new").await.unwrap(), b"content");
    assert_settled(&mount);
}

#[tokio::test]
async fn a_file_that_streams_when_the_key_goes_is_saved_whole_when_it_is_back() {
    const MIB: usize = 1 << 20;
    let bucket = Bucket::new();
    let mount = bucket.mount().await;
    let flags = libc::O_RDWR | libc::O_CREAT;
    let (_, handle) = mount.open("large", flags).await.unwrap();
    let pages = (0..=250u8).cycle().take(96 * MIB / 4096);
    let content: Vec<u8> = pages.flat_map(|page| [page; 4096]).collect();
    // Two parts are up before the key goes, and the writer goes on.
    let gone_after = Rule::new(Effect::RefuseKey).on(UploadPart).after(2);
    bucket.fault.inject(gone_after);
    for (index, piece) in content.chunks(MIB).enumerate() {
        let offset = (index * MIB) as u64;
        mount.write_at(handle, offset, piece).await.unwrap();
    }
    let uploaded = bucket.fault.calls().of(UploadPart);
    assert!(uploaded > 2, "it streams: {uploaded} parts");
    disable_key(&bucket);
    assert_eq!(errno(mount.close(handle).await), libc::EACCES);
    assert_waits(&mount, "large").await;
    enable_key(&bucket);
    mount.fs.sync_all(|_| {}).await.unwrap();
    assert!(bucket.body("large").await.unwrap() == content);
    assert_settled(&mount);
    mount.fs.shut_down().await;
    assert_eq!(bucket.private_keys(), Vec::<String>::new());
}

#[tokio::test]
async fn attributes_that_could_not_be_stored_are_as_before() {
    let bucket = Bucket::new();
    bucket.put("f", b"content").await;
    let mount = bucket.mount().await;
    let before = mount.attr("f").await.unwrap();
    disable_key(&bucket);
    let set = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    assert_eq!(errno(mount.set("f", set).await), libc::EACCES);
    assert_eq!(errno(mount.rename("f", "g").await), libc::EACCES);
    assert_eq!(
        mount.attr("f").await.unwrap(),
        before,
        "a look needs no key"
    );
    assert_eq!(mount.fs.status().modes.without_key, 0);
    assert_eq!(errno(mount.read_file("f").await), libc::EACCES);
    assert_eq!(mount.fs.status().modes.without_key_examples, ["f"]);
    enable_key(&bucket);
    assert_eq!(mount.set("f", set).await.unwrap().perm, 0o600);
    mount.rename("f", "g").await.unwrap();
    assert_eq!(mount.read_file("g").await.unwrap(), b"content");
    assert_eq!(mount.fs.status().modes.without_key, 0);
}
