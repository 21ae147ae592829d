//! Reads of client-side files at every boundary of the format, against the bytes that they are
//! of; and of files that others change while they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cloakfs::base::range::ByteRange;
use cloakfs::fs::SetAttr;
use cloakfs::layout::path::VolumePath;
use cloakfs::store::Operation::GetObject;
use cloakfs::store::Store;
use cloakfs::volume::{ObjectRef, Version, Volume};
use proptest::prelude::*;

use crate::harness::{Bucket, Layout, errno};
use crate::layouts::in_client_side_layouts;

in_client_side_layouts! {
    every_boundary_is_read_as_it_was_written,
    another_mounts_change_of_attributes_does_not_disturb_a_reader,
    another_mounts_write_elsewhere_does_not_disturb_a_reader,
    another_mounts_new_content_does,
    a_chunk_that_was_changed_is_an_error_and_its_neighbours_are_read,
}

const CHUNK: u64 = 16 << 10;
const SEGMENT: u64 = 8 << 20;

/// A file of this length, of which these segments are stored.
#[derive(Clone, Debug)]
struct Shape {
    length: u64,
    /// By index, as many bytes.
    segments: BTreeMap<u32, u64>,
}

impl Shape {
    fn new(length: u64, segments: &[(u32, u64)]) -> Self {
        Self {
            length,
            segments: segments.iter().copied().collect(),
        }
    }

    fn model(&self) -> Vec<u8> {
        let mut model = vec![0; usize::try_from(self.length).unwrap()];
        for (&index, &bytes) in &self.segments {
            let start = u64::from(index) * SEGMENT;
            for at in start..start + bytes {
                let [mixed, ..] = at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                model[usize::try_from(at).unwrap()] = mixed | 1;
            }
        }
        model
    }

    /// Where something begins or ends, and the bytes beside.
    fn boundaries(&self) -> Vec<u64> {
        let mut at = BTreeSet::from([0, CHUNK, self.length]);
        for (&index, &bytes) in &self.segments {
            let start = u64::from(index) * SEGMENT;
            let last_chunk = start + bytes / CHUNK * CHUNK;
            at.extend([
                start,
                start + CHUNK,
                last_chunk,
                start + bytes,
                start + SEGMENT,
            ]);
        }
        let beside = at.iter().flat_map(|&at| [at.saturating_sub(1), at, at + 1]);
        let within: BTreeSet<_> = beside.filter(|&at| at <= self.length).collect();
        within.into_iter().collect()
    }
}

/// A volume with a file of this shape, and what it is.
async fn stored(bucket: &Bucket, shape: &Shape) -> (Arc<Volume>, Version, Vec<u8>) {
    let model = shape.model();
    let segments = shape.segments.iter().map(|(&index, &bytes)| {
        let start = usize::try_from(u64::from(index) * SEGMENT).unwrap();
        (
            index,
            &model[start..start + usize::try_from(bytes).unwrap()],
        )
    });
    bucket.seal("f", shape.length, segments.collect()).await;
    let store = Arc::clone(&bucket.fault) as Arc<dyn Store>;
    let volume = bucket.open(store).await;
    let stat = volume.stat_file(&path()).await.unwrap().unwrap();
    assert_eq!(stat.size, shape.length);
    (volume, stat.version.unwrap(), model)
}

fn path() -> VolumePath {
    "f".parse().unwrap()
}

/// Reads a range, for no more bytes than the chunks of it.
async fn check(
    bucket: &Bucket,
    volume: &Volume,
    version: &Version,
    range: ByteRange,
    model: &[u8],
) {
    let object = ObjectRef::Path(path());
    let (read, calls) = bucket.calls(volume.read(&object, version, range)).await;
    let read = read.unwrap_or_else(|error| panic!("{range}: {error}"));
    let within = usize::try_from(range.start()).unwrap()..usize::try_from(range.end()).unwrap();
    assert!(read == model[within], "{range} has other bytes");
    let chunks = range.len().div_ceil(CHUNK) + 1 + range.len() / SEGMENT;
    let headers = 56 * (2 + range.len() / SEGMENT);
    assert!(
        calls.bytes_down <= chunks * (CHUNK + 16) + headers,
        "{range}: {calls:?}"
    );
    assert_eq!(calls.of(GetObject), calls.total(), "{range}: {calls:?}");
}

async fn every_boundary_is_read_as_it_was_written(layout: Layout) {
    let shapes = [
        Shape::new(0, &[]),
        Shape::new(1, &[(0, 1)]),
        Shape::new(CHUNK - 1, &[(0, CHUNK - 1)]),
        Shape::new(CHUNK, &[(0, CHUNK)]),
        Shape::new(CHUNK + 1, &[(0, CHUNK + 1)]),
        Shape::new(70_000, &[(0, 70_000)]),
        Shape::new(70_000, &[(0, 40_000)]),
        Shape::new(SEGMENT, &[(0, SEGMENT)]),
        Shape::new(SEGMENT + 1, &[(0, SEGMENT), (1, 1)]),
        Shape::new(SEGMENT + 70_000, &[]),
        Shape::new(2 * SEGMENT + 5, &[(1, 20_000), (2, 5)]),
        Shape::new(4 * SEGMENT + 9, &[(0, 3 * CHUNK), (2, SEGMENT), (3, 1)]),
    ];
    for shape in shapes {
        let bucket = Bucket::of(layout);
        let (volume, version, model) = stored(&bucket, &shape).await;
        let boundaries = shape.boundaries();
        for (index, &start) in boundaries.iter().enumerate() {
            for &end in &boundaries[index..] {
                // Of long ranges the whole file, and those that end beside a boundary.
                if end - start < 4 * CHUNK || (start, end) == (0, shape.length) {
                    let range = ByteRange::new(start, end);
                    check(&bucket, &volume, &version, range, &model).await;
                }
            }
        }
        let beyond = ByteRange::new(shape.length, shape.length + 1);
        let object = ObjectRef::Path(path());
        assert!(volume.read(&object, &version, beyond).await.is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_range_of_any_shape_is_read_as_it_was_written(
        stored_bytes in prop::collection::vec(
            prop::option::of(prop_oneof![1..=SEGMENT, 1..=3 * CHUNK, Just(SEGMENT)]), 0..4,
        ),
        more in 0..SEGMENT,
        ranges in prop::collection::vec((any::<prop::sample::Index>(), 0..300_000_u64), 12),
    ) {
        let mut shape = Shape::new(0, &[]);
        for (index, bytes) in (0_u32..).zip(stored_bytes) {
            if let Some(bytes) = bytes {
                shape.segments.insert(index, bytes);
                shape.length = u64::from(index) * SEGMENT + bytes;
            }
        }
        shape.length += more;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let bucket = Bucket::of(Layout::Sealed);
            let (volume, version, model) = stored(&bucket, &shape).await;
            for (start, bytes) in ranges {
                let start = start.index(model.len() + 1) as u64;
                let range = ByteRange::new(start, shape.length.min(start + bytes));
                check(&bucket, &volume, &version, range, &model).await;
            }
        });
    }
}

/// 40 MiB that differ everywhere.
fn content() -> Vec<u8> {
    Shape::new(
        5 * SEGMENT,
        &[
            (0, SEGMENT),
            (1, SEGMENT),
            (2, SEGMENT),
            (3, SEGMENT),
            (4, SEGMENT),
        ],
    )
    .model()
}

const LONG: Duration = Duration::from_hours(1);

async fn another_mounts_change_of_attributes_does_not_disturb_a_reader(layout: Layout) {
    let bucket = Bucket::of(layout);
    let content = content();
    bucket.put("f", &content).await;
    let reader = bucket.mount_with(LONG).await;
    let (_, handle) = reader.open("f", libc::O_RDONLY).await.unwrap();
    let other = bucket.mount().await;
    let mode = |mode| SetAttr {
        mode: Some(mode),
        ..SetAttr::default()
    };
    other.set("f", mode(0o600)).await.unwrap();
    let read = reader.fs.read(handle, 0, 4096).await.unwrap();
    assert_eq!(read, content[..4096]);
    other.set("f", mode(0o640)).await.unwrap();
    assert!(reader.read_all(handle).await.unwrap() == content);
    reader.fs.release(handle).await;
}

async fn another_mounts_write_elsewhere_does_not_disturb_a_reader(layout: Layout) {
    let bucket = Bucket::of(layout);
    let content = content();
    bucket.put("f", &content).await;
    let reader = bucket.mount_with(LONG).await;
    let (_, handle) = reader.open("f", libc::O_RDONLY).await.unwrap();
    let other = bucket.mount().await;
    let (_, theirs) = other.open("f", libc::O_WRONLY).await.unwrap();
    other.write_at(theirs, 4 * SEGMENT, b"other").await.unwrap();
    other.close(theirs).await.unwrap();
    let at = usize::try_from(SEGMENT).unwrap();
    let read = reader.fs.read(handle, SEGMENT, 4096).await.unwrap();
    assert_eq!(read, content[at..at + 4096]);
    let changed = reader.fs.read(handle, 4 * SEGMENT, 4096).await;
    assert_eq!(errno(changed), libc::ESTALE);
    reader.fs.release(handle).await;
}

async fn another_mounts_new_content_does(layout: Layout) {
    let bucket = Bucket::of(layout);
    let content = content();
    bucket.put("f", &content).await;
    let reader = bucket.mount_with(LONG).await;
    let (_, handle) = reader.open("f", libc::O_RDONLY).await.unwrap();
    // The same bytes, but nobody can know that.
    bucket.put("f", &content).await;
    let read = reader.fs.read(handle, SEGMENT, 4096).await;
    assert_eq!(errno(read), libc::ESTALE);
    reader.fs.release(handle).await;
}

async fn a_chunk_that_was_changed_is_an_error_and_its_neighbours_are_read(layout: Layout) {
    let bucket = Bucket::of(layout);
    let content = content();
    bucket.put("f", &content).await;
    let message = 56 + 513 * 16 + usize::try_from(SEGMENT).unwrap();
    // In the last chunk of the second segment that has bytes: an empty one follows it.
    bucket.tamper("f", 2 * message - 100).await;
    let store = Arc::clone(&bucket.fault) as Arc<dyn Store>;
    let volume = bucket.open(store).await;
    let stat = volume.stat_file(&path()).await.unwrap().unwrap();
    let (object, version) = (ObjectRef::Path(path()), stat.version.unwrap());
    let bad = 2 * SEGMENT - CHUNK;
    for range in [
        ByteRange::new(bad, bad + 1),
        ByteRange::new(bad - 1, bad + 1),
        ByteRange::new(0, 5 * SEGMENT),
    ] {
        let error = volume.read(&object, &version, range).await.unwrap_err();
        assert!(
            error.to_string().starts_with("\"f\" is not authentic"),
            "{error}"
        );
    }
    for range in [
        ByteRange::new(SEGMENT, bad),
        ByteRange::new(2 * SEGMENT, 5 * SEGMENT),
    ] {
        let read = volume.read(&object, &version, range).await.unwrap();
        let within = usize::try_from(range.start()).unwrap()..usize::try_from(range.end()).unwrap();
        assert!(read == content[within]);
    }
}
