//! A store that completes an upload at any key: what was streamed is written once.

use bytes::Bytes;

use super::fixture::{CELL, Fixture, Layout, assert_same, eventually, index, meta, path};
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, ObjectKey, Operation, Store};
use crate::volume::{Condition, ObjectRef};
use crate::write::{Base, DirtyFile};

const CELLS: u64 = 20;

fn content(layout: Layout, seed: u64) -> Bytes {
    layout.pattern(seed, 0, index(CELLS * CELL)).into()
}

/// Written piece by piece, so that it streams; waits until parts went up.
async fn stream(fixture: &Fixture, layout: Layout, file: &DirtyFile, data: &Bytes) {
    let piece = index(16 * layout.unit());
    for at in (0..data.len()).step_by(piece) {
        let end = data.len().min(at + piece);
        file.write(at as u64, data.slice(at..end)).await.unwrap();
    }
    let sent = || fixture.fault.calls().of(Operation::UploadPart);
    eventually("uploads before the commit", || sent() >= 5).await;
}

async fn publishing(layout: Layout) -> Fixture {
    Fixture::publishing(layout, 0, 128 << 10, u64::MAX).await
}

#[tokio::test]
async fn what_was_streamed_is_not_copied() {
    for layout in Layout::BOTH {
        let fixture = publishing(layout).await;
        let file = fixture.file();
        let data = content(layout, 1);
        let before = fixture.fault.calls();
        stream(&fixture, layout, &file, &data).await;
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let calls = fixture.fault.calls().since(&before);
        assert_eq!(calls.of(Operation::UploadPartCopy), 0, "{calls}");
        assert_eq!(calls.of(Operation::CompleteMultipartUpload), 1, "{calls}");
        assert!(calls.bytes_up <= layout.sent(CELLS + 1), "{calls}");
        assert_same(fixture.stored("a").await, &data);
        let stat = fixture.volume.stat(&path("a")).await.unwrap().unwrap();
        assert_eq!(stat.meta.attributes.uid, 7, "the attributes of the commit");
        assert_eq!(fixture.mem.keys(), ["a"]);
        // And it is changed on as any other.
        file.write(3, Bytes::from_static(b"changed")).await.unwrap();
        let version = file.base().unwrap().version;
        file.commit(&path("a"), &meta(), &Condition::IfVersion(version))
            .await
            .unwrap();
        let changed = [&data[..3], b"changed", &data[10..]].concat();
        assert_same(fixture.stored("a").await, &changed);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn after_a_conflict_it_is_published_at_another_name() {
    for layout in Layout::BOTH {
        let fixture = publishing(layout).await;
        let file = fixture.existing("a", b"old").await;
        let condition = Condition::IfVersion(file.base().unwrap().version);
        let data = content(layout, 1);
        stream(&fixture, layout, &file, &data).await;
        let theirs = Bytes::from_static(b"theirs");
        fixture
            .volume
            .put(&path("a"), &meta(), theirs, &Condition::None)
            .await
            .unwrap();
        let refused = file.commit(&path("a"), &meta(), &condition).await;
        assert!(refused.unwrap_err().is_conflict());
        assert!(file.is_dirty());
        file.commit(&path("b"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        assert_same(fixture.stored("b").await, &data);
        assert_eq!(fixture.stored("a").await, b"theirs"[..]);
        let calls = fixture.fault.calls();
        assert_eq!(calls.of(Operation::UploadPartCopy), 0, "{calls}");
        fixture.assert_clean().await;
    }
}

/// Neither the completion nor the question after it is answered, but it was carried out: what
/// was streamed is nowhere but in the target, and is found there.
#[tokio::test]
async fn a_publication_whose_answer_was_lost_is_found() {
    for layout in Layout::BOTH {
        let fixture = publishing(layout).await;
        let file = fixture.file();
        let data = content(layout, 1);
        stream(&fixture, layout, &file, &data).await;
        let lost = Effect::FailAfter(ErrorKind::TimedOut);
        let lost = Rule::new(lost).on(Operation::CompleteMultipartUpload);
        fixture.fault.inject(lost.times(1));
        let silent = Rule::new(Effect::FailBefore(ErrorKind::TimedOut)).on(Operation::HeadObject);
        let silent = fixture.fault.inject(silent);
        let doubt = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert_eq!(doubt.unwrap_err().kind(), Some(ErrorKind::TimedOut));
        assert!(file.is_dirty());
        fixture.fault.remove(silent);
        file.write(5, Bytes::from_static(b"since")).await.unwrap();
        let changed = [&data[..5], b"since", &data[10..]].concat();
        assert_same(fixture.read_all(&file).await, &changed);
        // The name is taken, by this very file: whoever asked for the commit finds that out.
        let taken = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert!(taken.unwrap_err().is_conflict());
        let found = fixture.volume.stat_file(&path("a")).await.unwrap().unwrap();
        assert!(fixture.volume.may_be_ours(&path("a"), &found).unwrap());
        let version = found.version.unwrap();
        file.set_base(Base {
            object: ObjectRef::Path(path("a")),
            version: version.clone(),
            size: data.len() as u64,
        });
        file.commit(&path("a"), &meta(), &Condition::IfVersion(version))
            .await
            .unwrap();
        assert_same(fixture.stored("a").await, &changed);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn one_that_was_not_carried_out_is_done_again() {
    for layout in Layout::BOTH {
        let fixture = publishing(layout).await;
        let file = fixture.file();
        let data = content(layout, 1);
        stream(&fixture, layout, &file, &data).await;
        let away = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
        let away = fixture.fault.inject(away);
        let doubt = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert_eq!(doubt.unwrap_err().kind(), Some(ErrorKind::Unavailable));
        let again = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert!(again.is_err(), "while it is away");
        fixture.fault.remove(away);
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        assert_same(fixture.stored("a").await, &data);
        fixture.assert_clean().await;
    }
}

/// The upload was cleared away in the bucket, and all of the file is here still.
#[tokio::test]
async fn an_upload_that_is_gone_is_made_again() {
    for layout in Layout::BOTH {
        let (memory, streams) = (256 * layout.cell(), 2 * layout.cell());
        let fixture = Fixture::publishing(layout, memory, 128 << 10, streams).await;
        let file = fixture.file();
        let data = content(layout, 1);
        stream(&fixture, layout, &file, &data).await;
        file.pause_stream().await;
        for pending in fixture.mem.list_multipart("").await.unwrap() {
            let key = ObjectKey::new(pending.key).unwrap();
            let gone = fixture.mem.abort_multipart(&key, &pending.upload);
            gone.await.unwrap();
        }
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        assert_same(fixture.stored("a").await, &data);
        fixture.assert_clean().await;
    }
}
