//! Large files: uploads before the commit, bounded memory, checkpoints.

use std::sync::Arc;

use bytes::Bytes;

use super::fixture::{CELL, Fixture, Layout, assert_same, eventually, index, meta, path, pattern};
use crate::base::range::ByteRange;
use crate::store::Operation;
use crate::volume::Condition;
use crate::write::WriteConfig;

const MIB: u64 = 1 << 20;

fn content(layout: Layout, seed: u64, cells: u64) -> Bytes {
    layout.pattern(seed, 0, index(cells * CELL)).into()
}

#[tokio::test]
async fn a_small_file_is_one_put_and_a_medium_one_uploads_at_its_key() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let fixture = Fixture::roomy(layout).await;
        let file = fixture.file();
        file.write(0, content(layout, 1, 1)).await.unwrap();
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let small = fixture.fault.calls().since(&before);
        assert_eq!(
            (small.total(), small.of(Operation::PutObject)),
            (1, 1),
            "{small}"
        );
        file.write(cell, content(layout, 2, 1)).await.unwrap();
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::None)
            .await
            .unwrap();
        let medium = fixture.fault.calls().since(&before);
        assert_eq!(
            medium.of(Operation::UploadPartCopy),
            1,
            "the first part is clean: {medium}"
        );
        assert_eq!(
            medium.of(Operation::UploadPart),
            1 + layout.tails(),
            "{medium}"
        );
        assert_eq!(medium.of(Operation::CompleteMultipartUpload), 1, "{medium}");
        assert!(medium.bytes_up <= layout.sent(1), "{medium}");
        let expected = [content(layout, 1, 1), content(layout, 2, 1)].concat();
        assert_same(fixture.stored("a").await, &expected);
    }
}

#[tokio::test]
async fn clean_gaps_of_a_changed_part_are_read_in_one_request() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let unit = layout.unit();
        let fixture = Fixture::roomy(layout).await;
        let old = content(layout, 1, 3);
        let file = fixture.existing("a", &old).await;
        let mut model = old.to_vec();
        for at in (0..cell).step_by(index(4 * unit)) {
            file.write(at, Bytes::from_static(b"!!")).await.unwrap();
            let at = index(at);
            model[at..at + 2].copy_from_slice(b"!!");
        }
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::None)
            .await
            .unwrap();
        let calls = fixture.fault.calls().since(&before);
        assert_eq!(calls.of(Operation::GetObject), 1, "{calls}");
        assert!(calls.bytes_up <= layout.sent(1), "{calls}");
        assert_same(fixture.stored("a").await, &model);
    }
}

#[tokio::test]
async fn a_large_file_goes_up_while_it_is_written() {
    for layout in Layout::BOTH {
        let unit = layout.unit();
        let fixture = Fixture::tiny(layout).await;
        let file = fixture.file();
        let data = content(layout, 1, 20);
        let uploads = || fixture.fault.calls().of(Operation::UploadPart);
        for (at, piece) in (0..)
            .step_by(index(16 * unit))
            .zip(data.chunks(index(16 * unit)))
        {
            file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
        }
        // Parts of the grid: 3 of one cell, 3 of two, and two of four with the last still open.
        eventually("uploads before the commit", || uploads() >= 8).await;
        assert_eq!(
            fixture.mem.keys(),
            Vec::<String>::new(),
            "nothing is visible"
        );
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let calls = fixture.fault.calls().since(&before);
        assert!(
            calls.bytes_up <= layout.sent(4),
            "what was up stays up: {calls}"
        );
        assert_same(fixture.stored("a").await, &data);
        let stat = fixture.volume.stat(&path("a")).await.unwrap().unwrap();
        assert_eq!(
            stat.meta.attributes.uid, 7,
            "with the attributes of the commit"
        );
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn memory_and_staging_stay_bounded_whatever_the_length() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let unit = layout.unit();
        let fixture = Fixture::tiny_with(layout, 0, 0).await;
        let file = fixture.file();
        let data = content(layout, 1, 40);
        for (at, piece) in (0..)
            .step_by(index(48 * unit))
            .zip(data.chunks(index(48 * unit)))
        {
            file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
            assert!(fixture.engine.memory_used_bytes() <= 4 * cell);
        }
        // Uploaded bytes are not here any more: reading or changing them checkpoints.
        assert_same(fixture.read(&file, 0, cell).await, &data[..index(cell)]);
        file.write(5, Bytes::from_static(b"changed")).await.unwrap();
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let mut expected = data.to_vec();
        expected[5..12].copy_from_slice(b"changed");
        assert_same(fixture.stored("a").await, &expected);
        drop(file);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn a_part_that_is_rewritten_after_its_upload_goes_up_again() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let fixture = Fixture::tiny(layout).await;
        let file = fixture.file();
        file.write(0, content(layout, 1, 4)).await.unwrap();
        file.write(4 * cell, Bytes::from_static(b"tail"))
            .await
            .unwrap();
        eventually("streaming", || {
            fixture.fault.calls().of(Operation::UploadPart) >= 3
        })
        .await;
        file.write(10, Bytes::from_static(b"patched"))
            .await
            .unwrap();
        file.commit(&path("a"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let mut expected = [content(layout, 1, 4), Bytes::from_static(b"tail")].concat();
        expected[10..17].copy_from_slice(b"patched");
        assert_same(fixture.stored("a").await, &expected);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn a_file_that_is_cut_back_to_its_base_commits_its_attributes() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let unit = layout.unit();
        let fixture = Fixture::tiny(layout).await;
        let old = content(layout, 1, 6);
        let file = fixture.existing("a", &old).await;
        let more = content(layout, 2, 12);
        for (at, piece) in (6 * cell..)
            .step_by(index(16 * unit))
            .zip(more.chunks(index(16 * unit)))
        {
            file.write(at, Bytes::copy_from_slice(piece)).await.unwrap();
        }
        eventually("streaming", || {
            fixture.fault.calls().of(Operation::UploadPart) > 0
        })
        .await;
        file.truncate(6 * cell).await.unwrap();
        assert!(file.is_dirty());
        assert_eq!(file.dirty_bytes(), 0);
        let mut changed = meta();
        changed.attributes.uid = 9;
        file.commit(&path("a"), &changed, &Condition::None)
            .await
            .unwrap();
        assert_same(fixture.stored("a").await, &old);
        let stat = fixture.volume.stat(&path("a")).await.unwrap().unwrap();
        assert_eq!(stat.meta.attributes.uid, 9);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn a_change_of_a_small_share_does_not_stream() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let fixture = Fixture::tiny(layout).await;
        let old = content(layout, 1, 30);
        let file = fixture.existing("a", &old).await;
        let new = content(layout, 2, 4);
        file.write(20 * cell, new.clone()).await.unwrap();
        let before = fixture.fault.calls();
        file.commit(&path("a"), &meta(), &Condition::None)
            .await
            .unwrap();
        let calls = fixture.fault.calls().since(&before);
        assert_eq!(calls.of(Operation::CreateMultipartUpload), 1, "{calls}");
        assert!(
            calls.bytes_up <= layout.sent(12),
            "the parts that changed: {calls}"
        );
        let expected = [&old[..index(20 * cell)], &new[..], &old[index(24 * cell)..]].concat();
        assert_same(fixture.stored("a").await, &expected);
    }
}

#[tokio::test]
async fn a_base_that_moved_is_read_where_it_is_now() {
    for layout in Layout::BOTH {
        let fixture = Fixture::tiny(layout).await;
        let old = content(layout, 1, 6);
        let file = fixture.existing("a", &old).await;
        file.write(0, Bytes::from_static(b"new")).await.unwrap();
        let moved = fixture.existing("b", &old).await.base().unwrap();
        fixture.volume.delete(&path("a")).await.unwrap();
        file.set_base(moved);
        let mut expected = old.to_vec();
        expected[..3].copy_from_slice(b"new");
        assert_same(fixture.read_all(&file).await, &expected);
        file.commit(&path("b"), &meta(), &Condition::None)
            .await
            .unwrap();
        assert_same(fixture.stored("b").await, &expected);
    }
}

#[tokio::test]
async fn two_writers_and_a_committer_share_a_file() {
    for layout in Layout::BOTH {
        let unit = layout.unit();
        let fixture = Fixture::tiny(layout).await;
        let file = fixture.file();
        let halves: Vec<_> = [0, 16 * CELL]
            .map(|start| {
                let file = Arc::clone(&file);
                tokio::spawn(async move {
                    for at in (start..start + 16 * CELL).step_by(24) {
                        let len = 24.min(start + 16 * CELL - at);
                        let data = layout.pattern(3, at, index(len));
                        file.write(at * unit, data.into()).await.unwrap();
                    }
                })
            })
            .into();
        for _ in 0..5 {
            file.commit(&path("a"), &meta(), &Condition::None)
                .await
                .unwrap();
        }
        for half in halves {
            half.await.unwrap();
        }
        file.commit(&path("a"), &meta(), &Condition::None)
            .await
            .unwrap();
        let expected = layout.pattern(3, 0, 32 * 64);
        assert_same(fixture.stored("a").await, &expected);
        drop(file);
        fixture.assert_clean().await;
    }
}

#[tokio::test]
async fn appends_never_overlap() {
    let layout = Layout::Plain;
    let fixture = Fixture::tiny(layout).await;
    let file = fixture.file();
    let writers = (b'a'..=b'h').map(|letter| {
        let file = Arc::clone(&file);
        tokio::spawn(async move {
            for _ in 0..20 {
                file.append(Bytes::from(vec![letter; 7])).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let written = fixture.read_all(&file).await;
    assert_eq!(written.len(), 8 * 20 * 7);
    assert!(
        written
            .chunks(7)
            .all(|record| record.iter().all(|byte| *byte == record[0]))
    );
}

/// Memory as a mount would have it, and a file several times as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_larger_than_memory_and_staging_goes_through() {
    let config = WriteConfig {
        memory_bytes: 48 * MIB,
        staging_bytes: 0,
        ..WriteConfig::default()
    };
    for layout in Layout::BOTH {
        let fixture = Fixture::real(layout, config.clone()).await;
        let file = fixture.file();
        let block = Bytes::from(pattern(1, 0, 1 << 20));
        let blocks = 256;
        for at in 0..blocks {
            let offset = at * MIB;
            let at_once = file.try_write(offset, &block);
            if at_once.is_none() {
                file.write(offset, block.clone()).await.unwrap();
            }
            assert!(fixture.engine.memory_used_bytes() <= 48 * MIB);
        }
        file.commit(&path("large"), &meta(), &Condition::IfAbsent)
            .await
            .unwrap();
        let base = file.base().unwrap();
        for at in (0..blocks).step_by(17) {
            let range = ByteRange::new(at * MIB, (at + 1) * MIB);
            let stored = fixture
                .volume
                .read(&base.object, &base.version, range)
                .await
                .unwrap();
            assert_eq!(stored, block);
        }
        let calls = fixture.fault.calls();
        assert!(
            calls.of(Operation::UploadPart) == 32 + 2 * layout.tails(),
            "each part went up once: {calls}"
        );
        fixture.assert_clean().await;
    }
}
