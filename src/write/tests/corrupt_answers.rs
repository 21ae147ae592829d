//! Checkpoints whose answer cannot be right, and copies that a store takes in short pieces only.

use bytes::Bytes;

use super::fixture::{CELL, Fixture, Layout, meta, path};
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, Limits, Operation};
use crate::volume::Condition;

fn content(seed: u64, cells: u64) -> Bytes {
    Layout::Plain
        .pattern(seed, 0, usize::try_from(cells * CELL).unwrap())
        .into()
}

/// The upload is gone: to go on with it would lose what is nowhere else.
#[tokio::test]
async fn a_checkpoint_with_a_corrupt_answer_may_have_been_carried_out() {
    // Once with its bytes nowhere but in the upload, once with memory for all of them.
    for memory in [0, 256 * CELL] {
        let fixture = Fixture::tiny_streaming(Layout::Plain, memory, 0, 2 * CELL).await;
        let file = fixture.file();
        let mut data = content(1, 20).to_vec();
        for (at, piece) in (0..).step_by(16).zip(data.chunks(16)) {
            file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let corrupt = Rule::new(Effect::FailAfter(ErrorKind::Corrupt));
        let corrupt = corrupt.on(Operation::CompleteMultipartUpload).times(1);
        fixture.fault.inject(corrupt);
        let failed = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert_eq!(failed.unwrap_err().kind(), Some(ErrorKind::Corrupt));
        // To be uploaded in its turn.
        let patch = Layout::Plain.pattern(2, 0, 64);
        file.write(19 * CELL, patch.clone().into()).await.unwrap();
        data.splice(19 * 64.., patch);
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap_or_else(|error| panic!("with memory for {memory} bytes: {error}"));
        assert_eq!(fixture.stored("a").await, data);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn no_part_is_copied_that_is_longer_than_the_store_takes() {
    for (longest, copies) in [(u64::MAX, 6), (3 * CELL, 10)] {
        let limits = Limits {
            copied_part_bytes_max: longest,
            ..Limits::S3
        };
        let fixture = Fixture::roomy_with(limits).await;
        let old = content(1, 30);
        let file = fixture.existing("a", &old).await;
        file.write(30 * CELL, Bytes::from_static(b"more"))
            .await
            .unwrap();
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::None)
            .await
            .unwrap();
        let calls = fixture.fault.calls().since(&before);
        assert_eq!(calls.of(Operation::UploadPartCopy), copies, "{calls}");
        assert_eq!(fixture.stored("a").await, [&old[..], b"more"].concat());
    }
    // However long the object is, the numbers of parts last.
    let tebibyte = 1 << 40;
    let limits = Limits {
        copied_part_bytes_max: 64 << 20,
        ..Limits::S3
    };
    let fixture = Fixture::roomy_with(limits).await;
    for size in [1, tebibyte, 5 * tebibyte] {
        let longest = fixture.volume.copied_part_bytes_max(size);
        assert!(size.div_ceil(longest) <= u64::from(limits.parts_max));
        assert!(longest >= 64 << 20);
    }
}
