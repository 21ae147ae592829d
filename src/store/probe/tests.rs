use std::sync::Arc;

use super::*;
use crate::store::Operation;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;

fn bucket() -> (Arc<MemStore>, Fault) {
    let mem = Arc::new(MemStore::seeded(1));
    (mem.clone(), Fault::new(mem))
}

#[tokio::test]
async fn a_store_that_has_everything_lacks_nothing_and_is_left_clean() {
    let (mem, store) = bucket();
    let found = probe(&store, "vol/").await;
    assert_eq!(found.lacking(), Vec::<String>::new());
    assert!(found.conditional_delete && found.conditional_copy_source && found.conditional_copy);
    assert_eq!(mem.keys(), Vec::<String>::new());
    assert!(store.calls().total() <= 10, "{}", store.calls());
}

#[tokio::test]
async fn credentials_that_may_not_write_are_a_result() {
    let (_, store) = bucket();
    store.inject(Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::PutObject));
    let found = probe(&store, "").await;
    let lacking = found.lacking();
    assert_eq!(lacking.len(), 1);
    assert!(lacking[0].starts_with("the credentials do not allow to write: PutObject of"));
    assert!(!found.conditional_create && !found.conditional_delete);
}

#[tokio::test]
async fn a_server_without_conditional_delete_is_told_by_its_refusal_or_by_its_silence() {
    let (mem, store) = bucket();
    store.inject(
        Rule::new(Effect::FailBefore(ErrorKind::Invalid))
            .on(Operation::DeleteObject)
            .times(1),
    );
    let lacking = probe(&store, "").await.lacking();
    assert_eq!(lacking.len(), 1);
    assert!(lacking[0].contains("no conditional delete"), "{lacking:?}");
    assert!(lacking[0].contains("is lost"), "says what it costs");
    assert_eq!(mem.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_without_conditional_copies_is_told_by_its_refusal() {
    let (mem, store) = bucket();
    let refused = Rule::new(Effect::FailBefore(ErrorKind::Invalid)).on(Operation::CopyObject);
    store.inject(refused.after(1));
    let found = probe(&store, "").await;
    assert!(!found.conditional_copy && found.conditional_copy_source);
    let [lacking] = &found.lacking()[..] else {
        panic!("{:?}", found.lacking());
    };
    assert!(lacking.contains("If-None-Match on CopyObject"), "{lacking}");
    assert!(lacking.contains("in two requests more"), "what it costs");
    assert_eq!(mem.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_nothing_behind() {
    for calls in 0..9 {
        let (mem, store) = bucket();
        let rule = Rule::new(Effect::FailAfter(ErrorKind::Unavailable))
            .after(calls)
            .times(1);
        store.inject(rule);
        let found = probe(&store, "").await;
        assert_eq!(mem.keys(), Vec::<String>::new(), "after call {calls}");
        assert!(!found.lacking().is_empty(), "after call {calls}");
    }
}

#[tokio::test]
async fn what_may_be_written_but_not_read_is_told() {
    let (mem, store) = bucket();
    store.inject(Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::GetObject));
    let found = probe(&store, "").await;
    assert_eq!(found.write, Access::Allowed);
    let lacking = found.lacking();
    assert_eq!(lacking.len(), 1);
    assert!(
        lacking[0].starts_with("what is written cannot be read again: GetObject of"),
        "{lacking:?}"
    );
    assert!(found.conditional_create && found.conditional_delete);
    assert_eq!(mem.keys(), Vec::<String>::new());
}

#[test]
fn an_error_that_concerns_encryption_is_told_from_a_denial() {
    let error = || StoreError::new(ErrorKind::Denied, Operation::PutObject, "k", "words");
    assert!(matches!(Access::of(&error()), Access::Denied(_)));
    let encryption = Access::of(&error().about_encryption());
    assert_eq!(encryption, Access::Encryption("words".to_owned()));
    let wrapped = StoreError::new(ErrorKind::TimedOut, Operation::PutObject, "k", "gave up")
        .with_source(error().about_encryption());
    assert!(matches!(Access::of(&wrapped), Access::Encryption(_)));
    let refused = Capabilities {
        write: encryption,
        ..Capabilities::unknown()
    };
    assert_eq!(
        refused.lacking(),
        ["objects cannot be written with the encryption asked for: words"]
    );
}
