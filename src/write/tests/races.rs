//! What happens at the same moment: a discard and the beginning of an upload, a write and an
//! eviction.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::fixture::{CELL, Fixture, Layout, eventually, pattern};
use crate::store::Operation::CreateMultipartUpload;
use crate::store::fault::{Effect, Rule};
use crate::write::content::Evicted;

fn cell(seed: u64, cells: u64) -> Bytes {
    pattern(seed, 0, usize::try_from(cells * CELL).unwrap()).into()
}

#[tokio::test(start_paused = true)]
async fn a_file_discarded_while_its_upload_begins_leaves_none() {
    let fixture = Fixture::tiny_with(Layout::Plain, 0, 128 << 10).await;
    // The server has made the upload long before it answers.
    let late = Rule::new(Effect::Delay(Duration::from_secs(5))).on(CreateMultipartUpload);
    fixture.fault.inject(late);
    let file = fixture.file();
    file.write(0, cell(1, 8)).await.unwrap();
    eventually("an upload begins", || {
        fixture.fault.calls().of(CreateMultipartUpload) == 1
    })
    .await;
    file.discard();
    // Waits for what is under way, and clears it away; later nothing begins.
    fixture.assert_clean().await;
    eventually("the parts give up", || file.state().in_flight == 0).await;
    fixture.assert_clean().await;
    assert_eq!(fixture.fault.calls().of(CreateMultipartUpload), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_discarded_before_its_upload_begins_begins_none() {
    let fixture = Fixture::tiny_with(Layout::Plain, 0, 128 << 10).await;
    let file = fixture.file();
    file.write(0, cell(1, 8)).await.unwrap();
    // Its parts wait for their first turn: no task has run since.
    assert!(file.state().in_flight > 0);
    file.discard();
    eventually("the parts give up", || file.state().in_flight == 0).await;
    fixture.assert_clean().await;
}

#[tokio::test]
async fn a_cell_in_memory_is_always_in_the_order_of_eviction() {
    const ROUNDS: u64 = 2000;
    let fixture = Fixture::tiny_with(Layout::Plain, 256 * CELL, 128 << 10).await;
    let file = fixture.file();
    for round in 0..ROUNDS {
        let evicted = Arc::clone(&file);
        let evicting = tokio::task::spawn_blocking(move || {
            if let Evicted::Spill(buffer) = evicted.evict(0) {
                evicted.stage(0, &buffer).unwrap();
            }
        });
        file.write(0, cell(round, 1)).await.unwrap();
        evicting.await.unwrap();
        // Both are done: what holds memory is found by whoever needs some.
        let listed = !fixture.engine.pool.oldest(1).is_empty();
        let in_memory = matches!(file.evict(0), Evicted::Spill(_));
        assert_eq!(in_memory, listed, "round {round}");
    }
}
