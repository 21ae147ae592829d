//! What a rehearsal foretells, what stops a move and what does not, and who comes too late.

use super::*;
use crate::store::Operation;
use crate::store::fault::{Effect, Rule};
use crate::volume::record;

/// What `--dry-run` tells is what is sent, but for a few requests for each object.
#[tokio::test]
async fn a_rehearsal_tells_what_is_sent_then() {
    for (from, to) in paths() {
        let what = format!("{from:?} to {to:?}");
        let rig = Rig::new();
        rig.fill(&from, true).await;
        let told = rig.reencrypt(&from, &to, true).await.unwrap();
        let sent = rig.whole(&from, &to).await;
        // The last walk, with the source for itself; and what the two volumes try out.
        let before = rig.ground.fault.calls();
        let last = rig.reencrypt(&from, &to, false).await.unwrap();
        let again = rig.ground.fault.calls().since(&before);
        let of = |operation| {
            let of = |calls: &Calls| i64::try_from(calls.of(operation)).unwrap();
            of(&sent) - of(&again)
        };
        let looks = 2 * i64::try_from(last.objects).unwrap();
        let cost = &told.cost;
        let put = of(Operation::PutObject)
            + of(Operation::CreateMultipartUpload)
            + of(Operation::UploadPart)
            + of(Operation::CompleteMultipartUpload);
        let copy = of(Operation::CopyObject) + of(Operation::UploadPartCopy);
        for (name, told, sent) in [
            ("HEAD", cost.head, of(Operation::HeadObject) + looks),
            ("GET", cost.get, of(Operation::GetObject)),
            ("PUT", cost.put, put),
            ("COPY", cost.copy, copy),
            ("DELETE", cost.delete, of(Operation::DeleteObject)),
        ] {
            let told = i64::try_from(told).unwrap();
            // Of both records, and for the first write of each data key.
            let about = 2 + sent * 2 / 5;
            assert!(
                (told - sent).abs() <= about,
                "{what}: {name} told {told}, sent {sent}"
            );
        }
        let (up, down) = (sent.bytes_up, sent.bytes_down);
        for (name, told, sent) in [("up", cost.bytes_up, up), ("down", cost.bytes_down, down)] {
            let about = 20_000 + sent / 100;
            assert!(
                told.abs_diff(sent) <= about,
                "{what}: {name} told {told}, sent {sent}"
            );
        }
    }
}

/// Each of these says no to every try, and the next one may be another's.
#[tokio::test]
async fn objects_that_cannot_be_moved_do_not_keep_the_others() {
    let (from, to) = (NONE, sealed(1, true));
    let rig = Rig::new();
    rig.fill(&from, false).await;
    for number in 10..30 {
        let long = "n".repeat(200);
        rig.ground.put(&format!("p/a/{number}{long}"), "long").await;
        let path = format!("p/b/{number}");
        rig.ground.put(&path, "closed").await;
        let denied = Rule::new(Effect::FailBefore(ErrorKind::Denied)).exactly(&path);
        rig.ground.fault.inject(denied);
    }
    let would = rig.reencrypt(&from, &to, true).await.unwrap();
    let summary = rig.reencrypt(&from, &to, false).await.unwrap();
    assert_eq!((would.left_count, summary.left_count), (40, 40));
    assert_eq!((would.moved, summary.moved), (6, 6));
    let left = would
        .left
        .iter()
        .find(|left| left.object.starts_with("p/a/"));
    let why = &left.expect("the long one").why;
    assert!(why.contains("the name is too long"), "{why}");
}

#[tokio::test]
async fn a_server_that_fails_is_not_asked_for_everything() {
    let (from, to) = (NONE, sealed(1, true));
    let rig = Rig::new();
    rig.fill(&from, false).await;
    for number in 10..40 {
        rig.ground.put(&format!("p/{number}"), "closed").await;
    }
    let fails = Effect::FailBefore(ErrorKind::Unavailable);
    let fails = Rule::new(fails).on(Operation::HeadObject).under("p/");
    rig.ground.fault.inject(fails);
    let ended = rig.reencrypt(&from, &to, false).await.unwrap_err();
    assert!(ended.contains("16 objects in a row"), "{ended}");
}

/// Objects that were moved with their content keys are none that got new ones.
#[tokio::test]
async fn what_was_under_the_new_key_before_is_counted() {
    let (from, to) = (sealed(1, true), sealed(2, true));
    let mut rig = Rig::new();
    rig.fill(&from, false).await;
    rig.whole(&from, &to).await;
    rig.content = true;
    let summary = rig.reencrypt(&from, &to, false).await.unwrap();
    assert_eq!((summary.moved, summary.passed), (0, 6), "{summary:?}");
}

/// A mount with the old key reads both copies of the record, and mends the one that it cannot
/// open when the move is done: all that it writes afterwards would open with the old key alone.
#[tokio::test]
async fn a_mount_that_began_before_the_end_does_not_bring_the_old_key_back() {
    let (from, to) = (sealed(1, true), sealed(2, true));
    let rig = Rig::new();
    rig.fill(&from, false).await;
    drop(rig.sides(&from, &to, false).await);
    let store = rig.ground.store();
    let late = record::find(&store, PREFIX).await.unwrap().unwrap();
    rig.whole(&from, &to).await;
    let late = late.open(root(1), false).await.expect("its copies");
    let found = record::find(&store, PREFIX).await.unwrap().unwrap();
    assert!(!found.has_key(&late.key), "the mount would go on");
    let opened = found.open(root(2), true).await.expect("the new key");
    assert_eq!(opened.damaged, [], "both copies are of the new key");
}

/// Other tools keep directories as they like.
#[tokio::test]
async fn directories_of_other_tools_become_directories() {
    for to in [sealed(1, true), sealed(1, false)] {
        let rig = Rig::new();
        rig.fill(&NONE, false).await;
        let with_mode = |mode: &str, content_type: Option<&str>| crate::store::ObjectAttributes {
            metadata: [("mode".to_owned(), mode.to_owned())].into(),
            content_type: content_type.map(ToOwned::to_owned),
        };
        let directory = with_mode("16877", Some("application/x-directory"));
        rig.ground.put_with("p/old", "", directory).await;
        rig.ground.put("p/old/file", "content").await;
        let file = with_mode("33188", None);
        rig.ground.put_with("p/odd/", "", file).await;
        rig.whole(&NONE, &to).await;
        let volume = rig.volume(&to).await;
        for path in ["old", "odd"] {
            let name: VolumePath = path.parse().unwrap();
            let stat = volume.stat_marked_directory(&name).await.unwrap();
            let kind = stat.expect("a marker").meta.attributes.kind;
            assert_eq!(kind, FileKind::Directory, "{path}");
            let file = volume.stat_file(&name).await.unwrap();
            assert!(file.is_none(), "{path}: {file:?}");
        }
        let file = volume.stat_file(&"old/file".parse().unwrap()).await;
        assert!(file.unwrap().is_some());
    }
}
