use bytes::Bytes;

use super::*;
use crate::store::mem::MemStore;
use crate::store::{GetOptions, HeadOptions, ObjectKey, PutOptions};

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn put(fault: &Fault, name: &str) -> Option<ErrorKind> {
    let body = Bytes::from_static(b"12345");
    let key = key(name);
    let put = fault.put(&key, body, PutOptions::default()).await;
    put.err().map(|error| error.kind())
}

#[tokio::test]
async fn a_failure_before_leaves_nothing_and_one_after_leaves_the_object() {
    let fault = Fault::new(Arc::new(MemStore::seeded(1)));
    fault.inject(Rule::new(Effect::FailBefore(ErrorKind::Throttled)).under("a"));
    fault.inject(Rule::new(Effect::FailAfter(ErrorKind::TimedOut)).containing("b"));
    assert_eq!(put(&fault, "a").await, Some(ErrorKind::Throttled));
    assert_eq!(put(&fault, "b").await, Some(ErrorKind::TimedOut));
    fault.clear();
    let head = async |name| fault.head(&key(name), HeadOptions::default()).await;
    assert_eq!(head("a").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(head("b").await.unwrap().size, 5);
}

#[tokio::test]
async fn a_rule_counts_its_own_calls_and_is_taken_back() {
    let fault = Fault::new(Arc::new(MemStore::seeded(1)));
    let rule = Rule::new(Effect::FailBefore(ErrorKind::Unavailable))
        .on(Operation::PutObject)
        .after(1)
        .times(2);
    let id = fault.inject(rule);
    let mut failed = vec![];
    for _ in 0..5 {
        failed.push(put(&fault, "k").await.is_some());
    }
    assert_eq!(failed, [false, true, true, false, false]);
    assert_eq!(fault.remove(id), Some(2));
    assert_eq!(fault.remove(id), None);
}

#[tokio::test]
async fn the_seed_decides_what_chance_hits() {
    let hits = async |seed| {
        let fault = Fault::seeded(Arc::new(MemStore::seeded(1)), seed);
        fault.inject(Rule::new(Effect::FailBefore(ErrorKind::Throttled)).per_million(500_000));
        let mut hits = vec![];
        for _ in 0..64 {
            hits.push(put(&fault, "k").await.is_some());
        }
        hits
    };
    assert_eq!(hits(3).await, hits(3).await);
    assert_ne!(hits(3).await, hits(4).await);
    let count = hits(3).await.into_iter().filter(|hit| *hit).count();
    assert!((16..=48).contains(&count), "{count} of 64");
}

#[tokio::test(start_paused = true)]
async fn a_hang_ends_only_with_the_caller() {
    let fault = Fault::new(Arc::new(MemStore::seeded(1)));
    fault.inject(Rule::new(Effect::HangAfter));
    let hour = Duration::from_hours(1);
    assert!(tokio::time::timeout(hour, put(&fault, "k")).await.is_err());
    fault.clear();
    assert_eq!(
        fault
            .head(&key("k"), HeadOptions::default())
            .await
            .unwrap()
            .size,
        5
    );
}

#[tokio::test]
async fn calls_and_bytes_are_counted_by_operation() {
    let fault = Fault::new(Arc::new(MemStore::seeded(1)));
    put(&fault, "k").await;
    let before = fault.calls();
    put(&fault, "k").await;
    fault.get(&key("k"), GetOptions::default()).await.unwrap();
    let calls = fault.calls().since(&before);
    assert_eq!(
        calls.to_string(),
        "GetObject 1, PutObject 1; 5 bytes up, 5 down"
    );
    assert_eq!((calls.total(), calls.of(Operation::HeadObject)), (2, 0));
    assert_eq!(fault.calls().of(Operation::PutObject), 2);
}
