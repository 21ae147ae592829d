//! What reading a client-side volume costs in requests.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use cloakfs::fs::{Ino, ROOT};
use cloakfs::store::Operation::{GetObject, HeadObject, ListObjects};

use crate::harness::{Bucket, Layout, Mount, me};
use crate::layouts::in_client_side_layouts;

in_client_side_layouts! {
    a_thousand_small_files_are_a_get_each_and_a_listing_for_each_page,
    a_thousand_small_files_that_were_listed_with_attributes_are_not_fetched_again,
    a_lookup_is_a_get_and_a_listing_of_one_key,
    a_small_file_arrives_whole_with_its_lookup,
    attributes_of_large_files_are_their_footers,
    files_too_large_to_be_links_are_files_without_a_look,
    a_range_of_a_large_file_is_one_get_of_its_chunks,
    holes_cost_nothing,
}

const LONG: Duration = Duration::from_hours(1);
const FILES: usize = 1000;
/// The directory's own marker is listed too.
const PAGES: u64 = 2;

async fn directory_of(bucket: &Bucket, files: usize, content: &[u8]) {
    let writer = bucket.mount_with(LONG).await;
    let dir = writer.mkdir("d").await.unwrap().attr.ino;
    for index in 0..files {
        let name = OsString::from(format!("{index:04}"));
        let flags = libc::O_WRONLY;
        let created = writer.fs.create(me(), dir, &name, 0o644, flags).await;
        let (_, opened) = created.unwrap();
        writer.write_at(opened.handle, 0, content).await.unwrap();
        writer.close(opened.handle).await.unwrap();
    }
}

async fn names(mount: &Mount, dir: Ino, plus: bool) -> Vec<OsString> {
    let items = mount.list_items(dir, plus).await.unwrap();
    let names = items.into_iter().map(|item| item.name);
    names.filter(|name| name != "." && name != "..").collect()
}

async fn read(mount: &Mount, dir: Ino, name: &OsStr) -> Vec<u8> {
    let ino = mount.fs.lookup(dir, name).await.unwrap().attr.ino;
    let opened = mount.fs.open(me(), ino, libc::O_RDONLY).await.unwrap();
    let content = mount.read_all(opened.handle).await.unwrap();
    mount.fs.release(opened.handle).await;
    content
}

async fn a_thousand_small_files_are_a_get_each_and_a_listing_for_each_page(layout: Layout) {
    let bucket = Bucket::of(layout);
    directory_of(&bucket, FILES, &[7; 4096]).await;
    for ttl in [LONG, Duration::ZERO] {
        let mount = bucket.mount_with(ttl).await;
        let dir = mount.walk("d").await.unwrap().attr.ino;
        let ((), calls) = bucket
            .calls(async {
                let names = names(&mount, dir, false).await;
                assert_eq!(names.len(), FILES);
                for name in names {
                    assert_eq!(read(&mount, dir, &name).await, [7; 4096]);
                }
            })
            .await;
        let made = (calls.of(GetObject), calls.of(ListObjects));
        assert_eq!(made, (FILES as u64, PAGES), "{calls:?}");
    }
}

async fn a_thousand_small_files_that_were_listed_with_attributes_are_not_fetched_again(
    layout: Layout,
) {
    let bucket = Bucket::of(layout);
    directory_of(&bucket, FILES, &[7; 4096]).await;
    let mount = bucket.mount().await;
    let dir = mount.walk("d").await.unwrap().attr.ino;
    let (names, calls) = bucket.calls(names(&mount, dir, true)).await;
    assert_eq!(names.len(), FILES);
    let made = (
        calls.of(GetObject),
        calls.of(ListObjects),
        calls.of(HeadObject),
    );
    assert_eq!(made.0, FILES as u64, "{calls:?}");
    assert_eq!(made.1, PAGES, "{calls:?}");
    // Reading them, twice, and listing them again confirms them, and fetches nothing.
    for _ in 0..2 {
        let ((), calls) = bucket
            .calls(async {
                for name in &names {
                    assert_eq!(read(&mount, dir, name).await, [7; 4096]);
                }
                mount.list_items(dir, true).await.unwrap();
            })
            .await;
        let made = (calls.of(GetObject), calls.of(ListObjects));
        assert_eq!(made, (0, PAGES), "{calls:?}");
    }
}

async fn a_lookup_is_a_get_and_a_listing_of_one_key(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("f", b"x").await;
    let mount = bucket.mount_with(LONG).await;
    let (_, calls) = bucket.calls(mount.fs.lookup(ROOT, "f".as_ref())).await;
    assert_eq!(
        (calls.of(GetObject), calls.of(ListObjects), calls.total()),
        (1, 1, 2)
    );
    let (_, calls) = bucket.calls(mount.fs.lookup(ROOT, "f".as_ref())).await;
    assert_eq!(calls.total(), 0, "within the time to live memory answers");
}

async fn a_small_file_arrives_whole_with_its_lookup(layout: Layout) {
    let bucket = Bucket::of(layout);
    let content = vec![1; 30_000];
    bucket.put("f", &content).await;
    let mount = bucket.mount_with(LONG).await;
    let (read, calls) = bucket.calls(read(&mount, ROOT, "f".as_ref())).await;
    assert_eq!(read, content);
    assert_eq!((calls.of(GetObject), calls.of(ListObjects)), (1, 1));
}

async fn attributes_of_large_files_are_their_footers(layout: Layout) {
    let bucket = Bucket::of(layout);
    directory_of(&bucket, 20, &vec![1; 100_000]).await;
    let mount = bucket.mount_with(LONG).await;
    let dir = mount.walk("d").await.unwrap().attr.ino;
    let (names, calls) = bucket.calls(names(&mount, dir, true)).await;
    assert_eq!(names.len(), 20);
    let made = (calls.of(GetObject), calls.of(ListObjects), calls.total());
    assert_eq!(made, (20, 1, 21), "{calls:?}");
    assert_eq!(calls.bytes_down, 20 * 205);
}

async fn files_too_large_to_be_links_are_files_without_a_look(layout: Layout) {
    let bucket = Bucket::of(layout);
    directory_of(&bucket, 20, &[1; 4096]).await;
    let mount = bucket.mount_with(LONG).await;
    let dir = mount.walk("d").await.unwrap().attr.ino;
    let (names, calls) = bucket.calls(names(&mount, dir, false)).await;
    assert_eq!(names.len(), 20);
    assert_eq!((calls.of(ListObjects), calls.total()), (1, 1), "{calls:?}");
}

async fn a_range_of_a_large_file_is_one_get_of_its_chunks(layout: Layout) {
    let bucket = Bucket::of(layout);
    let content: Vec<u8> = (0..20_u32 << 12)
        .flat_map(|at| [at.to_le_bytes()[0]; 256])
        .collect();
    bucket.put("f", &content).await;
    let mount = bucket.mount_with(LONG).await;
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    // Across the end of the first segment: its messages lie side by side.
    let at = (8 << 20) - 4096;
    let (read, calls) = bucket.calls(mount.fs.read(handle, at, 8192)).await;
    let at = usize::try_from(at).unwrap();
    assert_eq!(read.unwrap(), content[at..at + 8192]);
    mount.fs.release(handle).await;
    let blocks = calls.of(GetObject);
    assert!((1..=2).contains(&blocks), "a block each at most: {calls:?}");
    assert_eq!(calls.total(), blocks, "the manifest came with the footer");
}

async fn holes_cost_nothing(layout: Layout) {
    let bucket = Bucket::of(layout);
    let writer = bucket.mount_with(LONG).await;
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let (_, handle) = writer.open("f", flags).await.unwrap();
    writer.write_at(handle, 40 << 20, b"end").await.unwrap();
    writer.close(handle).await.unwrap();
    let mount = bucket.mount_with(LONG).await;
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (read, calls) = bucket.calls(mount.fs.read(handle, 9 << 20, 65_536)).await;
    assert_eq!(read.unwrap(), vec![0; 65_536]);
    assert_eq!(calls.total(), 0, "{calls:?}");
    mount.fs.release(handle).await;
}
