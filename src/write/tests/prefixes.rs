//! Plans that were carried out in part, and then again.

use std::collections::BTreeSet;

use super::fixture::{CELL, Fixture, Layout, assert_same, index, meta, path};
use crate::crypto::SALT_BYTES;
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, GetOptions, ObjectKey, Operation, Store};
use crate::volume::Condition;

const CELLS: u64 = 6;

/// Whichever call is the last that the store carries out, the old object is there, whole, until
/// the completion; and the same file's next commit makes the new one.
#[tokio::test]
async fn any_prefix_of_a_plan_leaves_the_old_object() {
    for layout in Layout::BOTH {
        let cell = layout.cell();
        let old = layout.pattern(1, 0, index(CELLS * CELL));
        let new = layout.pattern(2, 0, index(CELL));
        for carried_out in 0.. {
            let fixture = Fixture::roomy(layout).await;
            let file = fixture.existing("a", &old).await;
            let condition = Condition::IfVersion(file.base().unwrap().version);
            for at in [cell, CELLS * cell] {
                file.write(at, new.clone().into()).await.unwrap();
            }
            let stops = Rule::new(Effect::FailBefore(ErrorKind::Denied)).after(carried_out);
            let before = fixture.fault.calls();
            let rule = fixture.fault.inject(stops);
            let stopped = file.commit(&path("a"), &meta(), &condition).await;
            let calls = fixture.fault.calls().since(&before);
            fixture.engine.settle().await;
            fixture.fault.remove(rule);
            if stopped.is_err() {
                assert_same(fixture.stored("a").await, &old);
                file.commit(&path("a"), &meta(), &condition).await.unwrap();
            } else {
                let copies = calls.of(Operation::UploadPartCopy);
                assert_eq!(copies, 2, "before the change and after it: {calls}");
                assert!(carried_out >= 6, "each of its calls was the last: {calls}");
            }
            let end = index(cell);
            let expected = [&old[..end], &new, &old[2 * end..], &new].concat();
            assert_same(fixture.stored("a").await, &expected);
            if stopped.is_ok() {
                break;
            }
        }
    }
}

/// What is sealed again is another message, whatever became of the first.
#[tokio::test]
async fn no_salt_comes_twice_when_a_commit_is_repeated() {
    let fixture = Fixture::roomy(Layout::Sealed).await;
    let file = fixture.file();
    let content = Layout::Sealed.pattern(1, 0, index(3 * CELL));
    file.write(0, content.clone().into()).await.unwrap();
    let fails = |operation| Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(operation);
    // What failed commits sent is not cleared away, to be looked at.
    let kept = fixture.fault.inject(fails(Operation::AbortMultipartUpload));
    let attempts = [Operation::UploadPart, Operation::CompleteMultipartUpload];
    for operation in attempts.into_iter().cycle().take(4) {
        let late = u64::from(operation == Operation::UploadPart);
        fixture.fault.inject(fails(operation).after(late).times(1));
        let failed = file.commit(&path("a"), &meta(), &Condition::IfAbsent).await;
        assert_eq!(failed.unwrap_err().kind(), Some(ErrorKind::Denied));
    }
    // Two that failed at their end sent every segment, and what follows them.
    let sent = fixture.mem.parts();
    assert!(sent.len() >= 2 * 4, "{} parts were sent", sent.len());
    let uploads = fixture.mem.list_multipart("").await;
    assert_eq!(uploads.unwrap().len(), 4);
    let salts: BTreeSet<_> = sent
        .iter()
        .map(|part| part[..SALT_BYTES].to_vec())
        .collect();
    assert_eq!(salts.len(), sent.len());

    fixture.fault.remove(kept);
    file.commit(&path("a"), &meta(), &Condition::IfAbsent)
        .await
        .unwrap();
    assert_same(fixture.stored("a").await, &content);
    let key = ObjectKey::new("a").unwrap();
    let stored = fixture.mem.get(&key, GetOptions::default()).await.unwrap();
    assert!(!salts.contains(&stored.body[..SALT_BYTES]));
}
