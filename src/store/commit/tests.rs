use std::sync::Arc;

use super::*;
use crate::store::Operation;
use crate::store::ServerEncryption;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::limit::Limit;
use crate::store::mem::MemStore;
use crate::store::retry::{Retry, RetryPolicy};

fn key() -> ObjectKey {
    ObjectKey::new("a/b").unwrap()
}

fn store() -> Fault {
    Fault::new(Arc::new(MemStore::seeded(1)))
}

async fn write(store: &Fault, body: &'static [u8], condition: WriteCondition) -> Result<Written> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    put(
        store,
        &key(),
        Bytes::from_static(body),
        options,
        CommitId::random(),
    )
    .await
}

async fn body(store: &Fault) -> Bytes {
    store
        .get(&key(), crate::store::GetOptions::default())
        .await
        .unwrap()
        .body
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_answer_was_lost_is_recognised() {
    for kind in [
        ErrorKind::TimedOut,
        ErrorKind::Unavailable,
        ErrorKind::Conflict,
    ] {
        let store = store();
        store.inject(Rule::new(Effect::FailAfter(kind)).on(Operation::PutObject));
        let written = write(&store, b"1", WriteCondition::IfAbsent).await.unwrap();
        let info = store.head(&key(), HeadOptions::default()).await.unwrap();
        assert_eq!(written.etag, info.etag);
        assert_eq!(
            store.calls().of(Operation::PutObject),
            1,
            "sent again for nothing"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_never_arrived_is_sent_again() {
    let store = store();
    store.inject(
        Rule::new(Effect::FailBefore(ErrorKind::Unavailable))
            .on(Operation::PutObject)
            .times(3),
    );
    write(&store, b"1", WriteCondition::IfAbsent).await.unwrap();
    assert_eq!(store.calls().of(Operation::PutObject), 4);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_never_arrives_fails_with_its_own_error() {
    let store = store();
    store.inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::PutObject));
    let error = write(&store, b"1", WriteCondition::IfAbsent)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        store.calls().of(Operation::PutObject),
        u64::from(RESENDS_MAX) + 1
    );
}

#[tokio::test(start_paused = true)]
async fn another_writer_who_came_first_is_not_overwritten_after_a_lost_request() {
    let store = Arc::new(store());
    let etag = write(&store, b"base", WriteCondition::None)
        .await
        .unwrap()
        .etag;
    // The request is lost, and before the client finds out, somebody else writes.
    store.inject(
        Rule::new(Effect::FailBefore(ErrorKind::TimedOut))
            .on(Operation::PutObject)
            .times(1),
    );
    store.inject(
        Rule::new(Effect::Delay(Duration::from_secs(5)))
            .on(Operation::HeadObject)
            .times(1),
    );
    let ours = tokio::spawn({
        let store = store.clone();
        async move { write(&store, b"ours", WriteCondition::IfMatch(etag)).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    write(&store, b"theirs", WriteCondition::None)
        .await
        .unwrap();
    let error = ours.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition);
    assert_eq!(
        error.to_string(),
        "PutObject of \"a/b\" failed: PreconditionFailed: the object is not in the state that the request asked for"
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("injected")
    );
    assert_eq!(body(&store).await, "theirs");
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_fails_because_of_others_stands() {
    let store = store();
    write(&store, b"1", WriteCondition::None).await.unwrap();
    let error = write(&store, b"2", WriteCondition::IfAbsent)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition);
    assert_eq!(body(&store).await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_complete_whose_answer_was_lost_is_recognised_in_its_own_412() {
    let (store, id) = (store(), CommitId::random());
    let mut attributes = ObjectAttributes::default();
    mark(&mut attributes, id);
    let upload = store.create_multipart(&key(), attributes).await.unwrap();
    let number = crate::store::PartNumber::new(1).unwrap();
    let part = store
        .upload_part(&key(), &upload, number, Bytes::from_static(b"x"))
        .await
        .unwrap();
    let parts = [part];
    store
        .complete_multipart(&key(), &upload, &parts, WriteCondition::IfAbsent)
        .await
        .unwrap();
    let condition = WriteCondition::IfAbsent;
    let again = complete(&store, &key(), &upload, &parts, condition, id)
        .await
        .unwrap();
    assert_eq!(
        again.etag,
        store
            .head(&key(), HeadOptions::default())
            .await
            .unwrap()
            .etag
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_to_itself_whose_answer_was_lost_is_recognised() {
    let store = store();
    let etag = write(&store, b"1", WriteCondition::None)
        .await
        .unwrap()
        .etag;
    store.inject(Rule::new(Effect::FailAfter(ErrorKind::Unavailable)).on(Operation::CopyObject));
    let source = CopySource {
        key: key(),
        if_match: Some(etag.clone()),
        version: None,
        range: None,
    };
    let id = CommitId::random();
    let written = copy(
        &store,
        &key(),
        source,
        ObjectAttributes::default(),
        WriteCondition::None,
        id,
    )
    .await
    .unwrap();
    assert_ne!(written.etag, etag);
    assert_eq!(store.calls().of(Operation::CopyObject), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_head_fails_too_the_writes_error_stands() {
    let store = store();
    store.inject(Rule::new(Effect::FailAfter(ErrorKind::TimedOut)).on(Operation::PutObject));
    store.inject(Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::HeadObject));
    let error = write(&store, b"1", WriteCondition::IfAbsent)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::TimedOut, Operation::PutObject)
    );
}

/// A lost answer must not hide that the server overrides the encryption.
#[tokio::test(start_paused = true)]
async fn a_write_under_another_encryption_is_no_success_when_its_answer_was_lost() {
    for (kind, asked, right) in [
        (ErrorKind::TimedOut, ServerEncryption::SseS3, true),
        (ErrorKind::TimedOut, ServerEncryption::None, false),
        (ErrorKind::Conflict, ServerEncryption::None, false),
    ] {
        let mem = MemStore::seeded(1).asks_for(asked);
        mem.encrypt_as(ServerEncryption::SseS3);
        let inner = Retry::new(Arc::new(mem), RetryPolicy::default(), Jitter::seeded(1));
        let store = Fault::new(Arc::new(Limit::new(Arc::new(inner), 9, 1 << 20)));
        store.inject(Rule::new(Effect::FailAfter(kind)).on(Operation::PutObject));
        let written = write(&store, b"1", WriteCondition::IfAbsent).await;
        if right {
            written.unwrap();
            continue;
        }
        let error = written.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.concerns_encryption());
        assert_eq!(
            error.to_string(),
            "PutObject of \"a/b\" failed: asked for None, but the object is under SseS3"
        );
    }
}
