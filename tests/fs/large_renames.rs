//! Renames of what is too large for one copy: in parts, which are copied at the same time.

use std::time::Duration;

use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{Limits, Operation};

use crate::harness::{Bucket, Layout, Mount};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_large_file_is_renamed_in_parts_at_the_same_time,
    a_large_file_of_a_directory_is_renamed_in_parts,
    a_large_file_that_was_copied_is_not_copied_again,
}

/// One copy is at most as long as the shortest part.
const LIMITS: Limits = Limits {
    copy_bytes_max: 5 << 20,
    copied_part_bytes_max: 5 << 20,
    ..Limits::S3
};
/// Part of a minute that a part takes.
const COPY: Duration = Duration::from_secs(10);

fn content() -> Vec<u8> {
    (0_u32..4 << 20).flat_map(u32::to_le_bytes).collect()
}

async fn large(layout: Layout) -> (Bucket, Mount) {
    let bucket = Bucket::limited(LIMITS, layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    mount.write_file("d/f", &content()).await.unwrap();
    (bucket, mount)
}

async fn a_large_file_is_renamed_in_parts_at_the_same_time(layout: Layout) {
    let (bucket, mount) = large(layout).await;
    tokio::time::pause();
    let slow = Rule::new(Effect::Delay(COPY)).on(Operation::UploadPartCopy);
    bucket.fault.inject(slow);
    let began = tokio::time::Instant::now();
    let (renamed, calls) = bucket.calls(mount.rename("d/f", "g")).await;
    renamed.unwrap();
    assert!(calls.of(Operation::UploadPartCopy) >= 4, "{calls}");
    assert!(began.elapsed() < 2 * COPY, "one after the other");
    assert_eq!((calls.bytes_up, calls.of(Operation::CopyObject)), (0, 0));
    assert_eq!(bucket.keys(), ["d/", "g"]);
    assert_eq!(bucket.body("g").await.unwrap(), content());
}

async fn a_large_file_of_a_directory_is_renamed_in_parts(layout: Layout) {
    let (bucket, mount) = large(layout).await;
    let (renamed, calls) = bucket.calls(mount.rename("d", "e")).await;
    renamed.unwrap();
    assert!(calls.of(Operation::UploadPartCopy) >= 4, "{calls}");
    assert!(calls.bytes_up < 2000, "a marker and an intent: {calls}");
    assert_eq!(bucket.keys(), ["e/", "e/f"]);
    assert_eq!(mount.read_file("e/f").await.unwrap(), content());
}

async fn a_large_file_that_was_copied_is_not_copied_again(layout: Layout) {
    let (bucket, mount) = large(layout).await;
    tokio::time::pause();
    let dead = Rule::new(Effect::HangBefore).on(Operation::DeleteObject);
    let dead = bucket.fault.inject(dead);
    let renaming = mount.rename("d", "e");
    let hangs = tokio::time::timeout(Duration::from_mins(1), renaming).await;
    hangs.unwrap_err();
    bucket.fault.remove(dead);
    let (next, calls) = bucket.calls(bucket.mount_again(mount)).await;
    assert_eq!(calls.of(Operation::UploadPartCopy), 0, "{calls}");
    assert!(calls.bytes_down < 64 << 10, "{calls}");
    assert_eq!(bucket.keys(), ["e/", "e/f"]);
    assert_eq!(next.read_file("e/f").await.unwrap(), content());
}
