//! Private uploads that fail, are lost, or are given up.

use bytes::Bytes;

use super::fixture::{CELL, Fixture, Layout, assert_same, eventually, index, meta, path};
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, ObjectKey, Operation, Store};
use crate::volume::Condition;
use crate::write::WriteError;

fn content(layout: Layout, seed: u64, cells: u64) -> Bytes {
    layout.pattern(seed, 0, index(cells * CELL)).into()
}

#[tokio::test]
async fn an_upload_that_the_bucket_dropped_is_made_again() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let unit = layout.unit();
        let fixture = Fixture::tiny_streaming(layout, 256 * cell, 0, 2 * cell).await;
        let file = fixture.file();
        let data = content(layout, 1, 30);
        for (at, piece) in (0..)
            .step_by(index(16 * unit))
            .zip(data.chunks(index(16 * unit)))
        {
            file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
        }
        eventually("streaming", || {
            fixture.fault.calls().of(Operation::UploadPart) > 0 && file.state().in_flight == 0
        })
        .await;
        for pending in fixture.mem.list_multipart("").await.unwrap() {
            let key = ObjectKey::new(pending.key).unwrap();
            fixture
                .mem
                .abort_multipart(&key, &pending.upload)
                .await
                .unwrap();
        }
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        assert_same(fixture.stored("a").await, &data);
        fixture.assert_clean().await;
    }
}

/// Its bytes are nowhere any more: that is said, each time, until the file is written again.
#[tokio::test]
async fn a_file_whose_bytes_were_only_in_an_upload_that_is_gone_says_so() {
    for layout in Layout::BOTH {
        for publishes in [false, true] {
            let fixture = if publishes {
                Fixture::publishing(layout, 0, 0, u64::MAX).await
            } else {
                Fixture::tiny_with(layout, 0, 0).await
            };
            let file = fixture.file();
            let data = content(layout, 1, 12);
            for (at, piece) in (0..).zip(data.chunks(index(layout.cell()))) {
                let piece = Bytes::copy_from_slice(piece);
                file.write(at * layout.cell(), piece).await.unwrap();
            }
            eventually("bytes are only in the upload", || {
                let state = file.state();
                state.table.has_remote() && state.in_flight == 0
            })
            .await;
            file.pause_stream().await;
            for pending in fixture.mem.list_multipart("").await.unwrap() {
                let key = ObjectKey::new(pending.key).unwrap();
                let gone = fixture.mem.abort_multipart(&key, &pending.upload);
                gone.await.unwrap();
            }
            for _ in 0..2 {
                let lost = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
                let lost = lost.unwrap_err();
                assert!(matches!(lost, WriteError::UploadLost(_)), "{lost:?}");
                let told = lost.to_string();
                let begins = "parts of the file that were uploaded while it was written are lost, \
                              because their unfinished upload was aborted in the bucket";
                assert!(told.starts_with(begins), "{told}");
                assert!(file.is_dirty());
            }
            file.truncate(0).await.unwrap();
            let again = content(layout, 2, 1);
            file.write(0, again.clone()).await.unwrap();
            let stored = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
            stored.unwrap();
            assert_same(fixture.stored("a").await, &again);
            fixture.assert_clean().await;
        }
    }
}

#[tokio::test]
async fn a_checkpoint_whose_answer_was_lost_is_found_by_the_next_commit() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let unit = layout.unit();
        // Once with its bytes nowhere but in the upload, once with memory for all of them.
        for memory in [0, 256 * cell] {
            let fixture = Fixture::tiny_streaming(layout, memory, 0, 2 * cell).await;
            let file = fixture.file();
            let mut model = content(layout, 1, 20).to_vec();
            for (at, piece) in (0..)
                .step_by(index(16 * unit))
                .zip(model.chunks(index(16 * unit)))
            {
                file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut));
            let lost = lost.on(Operation::CompleteMultipartUpload).times(1);
            let down = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
            fixture.fault.inject(lost);
            fixture.fault.inject(down.on(Operation::HeadObject));
            let failed = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
            assert_eq!(failed.unwrap_err().kind(), Some(ErrorKind::TimedOut));
            let unanswered = || file.state().table.unanswered().is_some();
            assert!(unanswered());
            if memory == 0 {
                let again = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
                assert!(again.is_err(), "nobody can tell yet");
            }
            // Bytes that are here only, and an end that is neither's.
            let patch = content(layout, 2, 1);
            file.write(19 * cell, patch.clone()).await.unwrap();
            model.splice(index(19 * cell).., patch);
            file.write(20 * cell, Bytes::from_static(b"tail"))
                .await
                .unwrap();
            model.extend(b"tail");
            file.truncate(20 * cell + 2).await.unwrap();
            model.truncate(index(20 * cell) + 2);
            assert!(unanswered(), "these need no answer");
            fixture.fault.clear();
            file.commit(&path("a"), &meta(), &Condition::IfAbsent)
                .await
                .unwrap();
            assert_same(fixture.stored("a").await, &model);
            fixture.assert_clean().await;
        }
    }
}

#[tokio::test]
async fn what_an_unanswered_checkpoint_left_is_discarded_too() {
    for layout in Layout::BOTH {
        let fixture = Fixture::tiny(layout).await;
        let file = fixture.file();
        file.write(0, content(layout, 1, 20)).await.unwrap();
        let lost = Rule::new(Effect::FailAfter(ErrorKind::TimedOut));
        let down = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
        fixture
            .fault
            .inject(lost.on(Operation::CompleteMultipartUpload).times(1));
        fixture.fault.inject(down.on(Operation::HeadObject));
        let failed = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert!(failed.is_err());
        assert!(!fixture.mem.keys().is_empty(), "it was carried out");
        file.discard();
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn what_is_discarded_leaves_nothing_behind() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        for checkpointed in [false, true] {
            let fixture = Fixture::tiny_with(layout, 0, 0).await;
            let file = fixture.file();
            file.write(0, content(layout, 1, 20)).await.unwrap();
            if checkpointed {
                fixture.read(&file, 0, cell).await;
            }
            eventually("the stream pauses", || file.state().in_flight == 0).await;
            file.discard();
            assert_eq!(fixture.engine.memory_used_bytes(), 0);
            fixture.assert_clean().await;
        }
    }
}

#[tokio::test]
async fn a_failed_stream_is_finished_by_the_commit() {
    for layout in Layout::BOTH {
        let unit = layout.unit();
        let fixture = Fixture::tiny(layout).await;
        let file = fixture.file();
        let fails = Rule::new(Effect::FailBefore(ErrorKind::Throttled)).on(Operation::UploadPart);
        fixture.fault.inject(fails.after(1).times(1));
        let data = content(layout, 1, 12);
        for (at, piece) in (0..)
            .step_by(index(16 * unit))
            .zip(data.chunks(index(16 * unit)))
        {
            file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
        }
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        assert_same(fixture.stored("a").await, &data);
        fixture.assert_clean().await;
    }
}
