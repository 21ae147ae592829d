//! Failed uploads, conflicts, no room.

use std::time::Duration;

use bytes::Bytes;

use super::fixture::{CELL, Fixture, Layout, assert_same, eventually, index, meta, path};
use crate::base::range::ByteRange;
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, ObjectKey, Operation, Store};
use crate::volume::Condition;
use crate::write::WriteError;

/// Ten cells: several parts, less than what streams.
const LEN: u64 = 10 * CELL;

fn content(layout: Layout, seed: u64) -> Bytes {
    layout.pattern(seed, 0, index(LEN)).into()
}

/// Too little to stream.
fn two_cells(layout: Layout, seed: u64) -> Bytes {
    layout.pattern(seed, 0, index(2 * CELL)).into()
}

#[tokio::test]
async fn a_failed_upload_keeps_the_data_and_the_second_commit_succeeds() {
    for layout in Layout::BOTH {
        let fixture = Fixture::roomy(layout).await;
        let file = fixture.existing("a", b"old").await;
        let condition = Condition::IfVersion(file.base().unwrap().version);
        file.write(0, content(layout, 1)).await.unwrap();
        let fails = Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::UploadPart);
        fixture.fault.inject(fails.after(3).times(1));
        let error = file
            .commit(&path("a"), &meta(), &condition)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::Denied));
        assert!(file.is_dirty());
        assert_eq!(file.dirty_bytes(), LEN * layout.unit());
        assert_eq!(
            fixture.stored("a").await,
            b"old"[..],
            "the old object is whole"
        );
        file.commit(&path("a"), &meta(), &condition).await.unwrap();
        assert_same(fixture.stored("a").await, content(layout, 1));
        assert!(!file.is_dirty());
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn a_conflict_leaves_the_others_object_and_ours_can_go_elsewhere() {
    for layout in Layout::BOTH {
        for fixture in [Fixture::roomy(layout).await, Fixture::tiny(layout).await] {
            let file = fixture.existing("a", b"old").await;
            let condition = Condition::IfVersion(file.base().unwrap().version);
            file.write(0, content(layout, 1)).await.unwrap();
            let theirs = Bytes::from_static(b"theirs");
            fixture
                .volume
                .put(&path("a"), &meta(), theirs, &Condition::None)
                .await
                .unwrap();
            let error = file
                .commit(&path("a"), &meta(), &condition)
                .await
                .unwrap_err();
            assert!(error.is_conflict(), "{error}");
            assert_eq!(fixture.stored("a").await, b"theirs"[..]);
            assert!(file.is_dirty());
            file.commit(&path("a.conflict"), &meta(), &Condition::IfAbsent)
                .await
                .unwrap();
            assert_same(fixture.stored("a.conflict").await, content(layout, 1));
            assert_eq!(fixture.stored("a").await, b"theirs"[..]);
            fixture.assert_clean().await;
        }
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_last_request_is_a_success() {
    for layout in Layout::BOTH {
        for len in [10, LEN] {
            let fixture = Fixture::tiny(layout).await;
            let file = fixture.file();
            let body = content(layout, 1).slice(..index(len * layout.unit()));
            file.write(0, body.clone()).await.unwrap();
            for operation in [Operation::PutObject, Operation::CompleteMultipartUpload] {
                let lost = Effect::FailAfter(ErrorKind::TimedOut);
                fixture.fault.inject(Rule::new(lost).on(operation).times(1));
            }
            file.commit(&path("a"), &meta(), &Condition::IfAbsent)
                .await
                .unwrap();
            assert_same(fixture.stored("a").await, &body);
        }
    }
}

#[tokio::test]
async fn the_old_object_is_visible_until_the_commit_completes() {
    for layout in Layout::BOTH {
        let fixture = Fixture::tiny(layout).await;
        let file = fixture.existing("a", b"old").await;
        file.write(0, content(layout, 1)).await.unwrap();
        let hangs = Rule::new(Effect::HangBefore).on(Operation::CompleteMultipartUpload);
        let rule = fixture.fault.inject(hangs.under("a"));
        let committing = tokio::spawn({
            let file = std::sync::Arc::clone(&file);
            async move { file.commit(&path("a"), &meta(), &Condition::None).await }
        });
        let completes =
            |fixture: &Fixture| fixture.fault.calls().of(Operation::CompleteMultipartUpload);
        let private = 1;
        eventually("the last request", || completes(&fixture) == private + 1).await;
        assert_eq!(fixture.stored("a").await, b"old"[..]);
        // Readers see what was written.
        assert_same(fixture.read_all(&file).await, content(layout, 1));
        assert!(
            file.try_write(0, &Bytes::from_static(b"x")).is_none(),
            "writers wait"
        );
        committing.abort();
        fixture.fault.remove(rule);
    }
}

/// By a lifecycle rule, or by the next life of another machine that was killed while it began one.
#[tokio::test(start_paused = true)]
async fn an_upload_that_another_aborts_is_made_again() {
    for layout in Layout::BOTH {
        let fixture = Fixture::roomy(layout).await;
        let file = fixture.existing("a", b"old").await;
        let condition = Condition::IfVersion(file.base().unwrap().version);
        file.write(0, content(layout, 1)).await.unwrap();
        let late = Rule::new(Effect::Delay(Duration::from_mins(1)));
        let late = late.on(Operation::CompleteMultipartUpload).under("a");
        fixture.fault.inject(late.times(1));
        let committing = tokio::spawn({
            let file = std::sync::Arc::clone(&file);
            async move { file.commit(&path("a"), &meta(), &condition).await }
        });
        let completes = || fixture.fault.calls().of(Operation::CompleteMultipartUpload);
        eventually("the last request", || completes() == 1).await;
        for pending in fixture.mem.list_multipart("a").await.unwrap() {
            let key = ObjectKey::new(pending.key).unwrap();
            let gone = fixture.mem.abort_multipart(&key, &pending.upload);
            gone.await.unwrap();
        }
        committing.await.unwrap().unwrap();
        assert_eq!(completes(), 2);
        assert_same(fixture.stored("a").await, content(layout, 1));
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn without_room_and_without_a_bucket_a_write_says_so() {
    for layout in Layout::BOTH {
        let fixture = Fixture::tiny_with(layout, 0, 0).await;
        let file = fixture.file();
        let fails = Effect::FailBefore(ErrorKind::Denied);
        fixture.fault.inject(Rule::new(fails));
        let error = file.write(0, content(layout, 1)).await.unwrap_err();
        assert!(matches!(error, WriteError::NoSpace { .. }), "{error:?}");
        let words = error.to_string();
        for part in [
            match layout {
                Layout::Plain => "there is no room for unsaved data: memory (256 B)",
                Layout::Sealed => "there is no room for unsaved data: memory (32 MiB)",
            },
            "--staging-size",
            "to make room failed",
        ] {
            assert!(words.contains(part), "{part:?} is not in {words:?}");
        }
        fixture.fault.clear();
        file.write(0, content(layout, 1)).await.unwrap();
        assert_same(fixture.read_all(&file).await, content(layout, 1));
    }
}

#[tokio::test]
async fn a_base_that_somebody_replaced_is_a_loss_that_is_told() {
    for layout in Layout::BOTH {
        let fixture = Fixture::roomy(layout).await;
        let file = fixture.existing("a", &content(layout, 1)).await;
        let condition = Condition::IfVersion(file.base().unwrap().version);
        file.write(70, Bytes::from_static(b"a few bytes"))
            .await
            .unwrap();
        let theirs = Bytes::from_static(b"theirs");
        fixture
            .volume
            .put(&path("a"), &meta(), theirs, &Condition::None)
            .await
            .unwrap();
        let error = file
            .commit(&path("a"), &meta(), &condition)
            .await
            .unwrap_err();
        assert!(matches!(error, WriteError::BaseLost(_)), "{error:?}");
        assert!(!error.is_conflict(), "another name would not help");
        let words = error.to_string();
        let why = match layout {
            Layout::Plain => "PreconditionFailed",
            Layout::Sealed => "\"a\": somebody else wrote other content there",
        };
        let told = "what was not rewritten of the file is gone, because the object was replaced or \
                deleted in the bucket meanwhile, so the changes cannot be saved: ";
        assert!(words.starts_with(told) && words.contains(why), "{words}");
        assert_eq!(fixture.stored("a").await, b"theirs"[..]);
        assert!(file.is_dirty());
    }
}

#[tokio::test]
async fn a_cut_off_cell_holds_no_memory() {
    let layout = Layout::Plain;
    let fixture = Fixture::tiny_with(layout, 0, 0).await;
    let file = fixture.file();
    file.write(32, Bytes::from_static(&[1; 32])).await.unwrap();
    file.truncate(10).await.unwrap();
    assert_eq!(fixture.engine.memory_used_bytes(), 0);
    assert_eq!(fixture.read_all(&file).await, [0; 10][..]);
}

#[tokio::test]
async fn a_file_longer_than_an_object_can_be_is_refused() {
    let layout = Layout::Plain;
    let cell = layout.cell();
    let fixture = Fixture::tiny(layout).await;
    let file = fixture.file();
    let error = file
        .write(40 * cell, Bytes::from_static(b"x"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file cannot become so long: a file of 2561 bytes is longer than an object can be \
         (2560 bytes)"
    );
    assert!(file.truncate(40 * cell + 1).await.is_err());
    assert!(!file.is_dirty());
}

#[tokio::test]
async fn what_memory_has_no_room_for_comes_back_from_staging() {
    let layout = Layout::Plain;
    let cell = layout.cell();
    let fixture = Fixture::tiny(layout).await;
    let files = [fixture.file(), fixture.file(), fixture.file()];
    for (file, seed) in files.iter().zip(0..) {
        file.write(0, two_cells(layout, seed)).await.unwrap();
    }
    let first = ByteRange::new(0, cell);
    assert!(files[0].try_read(first).is_none(), "it went to staging");
    assert!(files[2].try_read(first).is_some());
    for (file, seed) in files.iter().zip(0..) {
        assert_same(fixture.read_all(file).await, two_cells(layout, seed));
    }
    files[0]
        .write(3, Bytes::from_static(b"changed"))
        .await
        .unwrap();
    let mut expected = two_cells(layout, 0).to_vec();
    expected[3..10].copy_from_slice(b"changed");
    assert_same(fixture.read_all(&files[0]).await, &expected);
    let uploads = fixture.fault.calls().of(Operation::UploadPart);
    assert_eq!(uploads, 0, "staging had room");
}

#[tokio::test]
async fn many_half_written_files_do_not_block_each_other() {
    let layout = Layout::Plain;
    let cell = layout.cell();
    let unit = layout.unit();
    let fixture = Fixture::tiny_with(layout, 0, 1 << 20).await;
    let files: Vec<_> = (0..32).map(|_| fixture.file()).collect();
    let writers = files.iter().zip(0..).map(|(file, seed)| {
        let file = std::sync::Arc::clone(file);
        tokio::spawn(async move {
            for (at, piece) in (0..)
                .step_by(index(16 * unit))
                .zip(two_cells(layout, seed).chunks(index(16 * unit)))
            {
                file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    for (file, seed) in files.iter().zip(0..) {
        assert_same(fixture.read_all(file).await, two_cells(layout, seed));
    }
    assert!(fixture.engine.memory_used_bytes() <= 4 * cell);
    let uploads = fixture.fault.calls().of(Operation::UploadPart);
    assert_eq!(uploads, 0, "staging had room");
}
