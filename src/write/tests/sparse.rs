//! What changes of long client-side files send: segments of real length, most of them holes.

use bytes::Bytes;

use super::fixture::{Fixture, Layout, assert_same, eventually, index, meta, path};
use crate::base::range::ByteRange;
use crate::store::fault::{Calls, Effect, Rule};
use crate::store::{ErrorKind, Operation};
use crate::volume::Condition;
use crate::write::{DirtyFile, WriteConfig};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

async fn commit(fixture: &Fixture, file: &DirtyFile) -> Calls {
    let before = fixture.fault.calls();
    let committed = file.commit(&path("a"), &meta(), &Condition::None).await;
    committed.unwrap_or_else(|error| panic!("{error}"));
    fixture.fault.calls().since(&before)
}

/// The committed bytes around `at`.
async fn assert_stored(fixture: &Fixture, file: &DirtyFile, at: u64, expected: &[u8]) {
    let base = file.base().unwrap();
    let range = ByteRange::at(at, expected.len() as u64).unwrap();
    let read = fixture.volume.read(&base.object, &base.version, range);
    assert_same(read.await.unwrap(), expected);
}

#[tokio::test]
async fn a_change_of_a_long_file_sends_its_segment() {
    let fixture = Fixture::real(Layout::Sealed, WriteConfig::default()).await;
    let file = fixture.file();
    // Two segments with something in them, and one at the end.
    let page = Bytes::from(vec![1; 4096]);
    for at in [0, 512 * MIB, GIB - 4096] {
        file.write(at, page.clone()).await.unwrap();
    }
    let made = commit(&fixture, &file).await;
    assert!(
        made.bytes_up <= 3 * 8 * MIB + MIB,
        "holes cost nothing: {made}"
    );
    assert_eq!(made.of(Operation::CreateMultipartUpload), 1, "{made}");

    let changed = Bytes::from(vec![2; 4096]);
    file.write(512 * MIB + MIB, changed.clone()).await.unwrap();
    let calls = commit(&fixture, &file).await;
    assert!(calls.bytes_up <= 9 * MIB, "one segment: {calls}");
    // What was written is known; the rest of the segment is read.
    assert_eq!(calls.of(Operation::GetObject), 1, "{calls}");
    assert_stored(&fixture, &file, 512 * MIB, &page).await;
    assert_stored(&fixture, &file, 512 * MIB + MIB, &changed).await;
    assert_stored(&fixture, &file, GIB - 4096, &page).await;
    assert_stored(&fixture, &file, 100 * MIB, &[0; 100]).await;

    // An append: the last segment was full.
    file.write(GIB, vec![3; index(MIB)].into()).await.unwrap();
    let calls = commit(&fixture, &file).await;
    assert!(calls.bytes_up <= 2 * MIB, "what was appended: {calls}");
    assert_eq!(calls.of(Operation::GetObject), 0, "{calls}");
    // And one to a segment that is not.
    file.write(GIB + MIB, vec![4; index(MIB)].into())
        .await
        .unwrap();
    let calls = commit(&fixture, &file).await;
    assert!(calls.bytes_up <= 9 * MIB, "the last segment: {calls}");
    assert_stored(&fixture, &file, GIB + MIB - 1, &[3, 4]).await;

    // Growing costs a footer and a manifest, whatever the length.
    file.truncate(GIB << 10).await.unwrap();
    let calls = commit(&fixture, &file).await;
    assert!(calls.bytes_up <= 8192, "{calls}");
    assert_stored(&fixture, &file, GIB + MIB, &[4; 10]).await;
    assert_stored(&fixture, &file, 900 * GIB, &[0; 10]).await;
    // So does cutting at a segment's boundary; what grows back is zeros.
    file.truncate(512 * MIB).await.unwrap();
    file.truncate(GIB).await.unwrap();
    let calls = commit(&fixture, &file).await;
    assert!(calls.bytes_up <= 8192, "{calls}");
    assert_stored(&fixture, &file, 512 * MIB, &[0; 10]).await;
    assert_stored(&fixture, &file, 0, &page).await;
    fixture.assert_clean().await;
}

/// The same attributes and another target: nothing is sent but the tail.
#[tokio::test]
async fn an_unchanged_file_goes_elsewhere_by_copies() {
    let fixture = Fixture::real(Layout::Sealed, WriteConfig::default()).await;
    let file = fixture.file();
    file.write(0, vec![1; index(20 * MIB)].into())
        .await
        .unwrap();
    file.write(GIB, Bytes::from_static(b"end")).await.unwrap();
    commit(&fixture, &file).await;
    let before = fixture.fault.calls();
    let other = path("b");
    file.commit(&other, &meta(), &Condition::IfAbsent)
        .await
        .unwrap();
    let calls = fixture.fault.calls().since(&before);
    assert!(calls.bytes_up <= 8192, "{calls}");
    assert_stored(&fixture, &file, 20 * MIB - 1, &[1, 0]).await;
    assert_stored(&fixture, &file, GIB, b"end").await;
}

/// A body has one tail: what failed is asked for again as it was, and what was written since
/// stays dirty until the next.
#[tokio::test]
async fn a_checkpoint_that_was_refused_is_repeated_as_it_was() {
    for kind in [ErrorKind::Denied, ErrorKind::Throttled, ErrorKind::Corrupt] {
        let layout = Layout::Sealed;
        let cell = layout.cell();
        let fixture = Fixture::tiny_with(layout, 0, 0).await;
        let file = fixture.file();
        let mut model = layout.pattern(1, 0, 12 * 64);
        for (at, piece) in (0..).zip(model.chunks(index(cell))) {
            let piece = Bytes::copy_from_slice(piece);
            file.write(at * cell, piece).await.unwrap();
        }
        eventually("bytes are only in the upload", || {
            let state = file.state();
            state.table.has_remote() && state.in_flight == 0
        })
        .await;
        let refused = Rule::new(Effect::FailBefore(kind));
        let refused = refused
            .on(Operation::CompleteMultipartUpload)
            .under(".cloakfs/");
        fixture.fault.inject(refused.times(1));
        let failed = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert_eq!(failed.unwrap_err().kind(), Some(kind));
        assert!(file.state().table.unanswered().is_some());
        let patch = Bytes::from_static(b"written since");
        file.write(12 * cell, patch.clone()).await.unwrap();
        model.extend_from_slice(&patch);
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let calls = fixture.fault.calls().since(&before);
        assert_same(fixture.stored("a").await, &model);
        assert!(calls.bytes_up <= layout.sent(4), "its last part: {calls}");
        let created = calls.of(Operation::CreateMultipartUpload);
        assert_eq!(created, 1, "the target's: {calls}");
        fixture.assert_clean().await;
    }
}
