use bytes::Bytes;
use tokio::time::Instant;

use super::*;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;
use crate::store::{
    DeleteOptions, GetOptions, ObjectAttributes, ObjectKey, Operation, PutOptions, Result,
    WriteCondition, Written,
};

struct Server {
    fault: Arc<Fault>,
    retry: Retry,
}

fn server() -> Server {
    let fault = Arc::new(Fault::new(Arc::new(MemStore::seeded(1))));
    let retry = Retry::new(fault.clone(), RetryPolicy::default(), Jitter::seeded(1));
    Server { fault, retry }
}

fn key() -> ObjectKey {
    ObjectKey::new("a/b").unwrap()
}

async fn put(server: &Server, condition: WriteCondition) -> Result<Written> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    server
        .retry
        .put(&key(), Bytes::from_static(b"x"), options)
        .await
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_repeated_and_counted() {
    let server = server();
    for kind in [
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::TimedOut,
    ] {
        server
            .fault
            .inject(Rule::new(Effect::FailBefore(kind)).times(2));
    }
    put(&server, WriteCondition::None).await.unwrap();
    let counters = server.retry.counters();
    assert_eq!(
        (counters.throttled, counters.unavailable, counters.timed_out),
        (2, 2, 2)
    );
    assert_eq!((counters.retries(), counters.gave_up), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_answered_at_once() {
    for kind in [
        ErrorKind::Denied,
        ErrorKind::Precondition,
        ErrorKind::Invalid,
        ErrorKind::Corrupt,
    ] {
        let server = server();
        server.fault.inject(Rule::new(Effect::FailBefore(kind)));
        assert_eq!(
            put(&server, WriteCondition::None).await.unwrap_err().kind(),
            kind
        );
        assert_eq!(server.fault.calls().total(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_failing_costs_the_deadline_and_says_what_it_last_said() {
    let server = server();
    server
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)));
    let start = Instant::now();
    let error = put(&server, WriteCondition::None).await.unwrap_err();
    let took = start.elapsed().as_secs_f64();
    assert!((59.9..60.1).contains(&took), "{took} s");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        "PutObject of \"a/b\" failed: gave up after 60 s without progress; the last answer was: a failure injected before the request"
    );
    assert!(std::error::Error::source(&error).is_some());
    let calls = server.fault.calls().total();
    assert!((10..60).contains(&calls), "{calls} attempts");
    assert_eq!(server.retry.counters().gave_up, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_costs_the_deadline() {
    let server = server();
    server.fault.inject(Rule::new(Effect::HangBefore));
    let start = Instant::now();
    let error = server
        .retry
        .get(&key(), GetOptions::default())
        .await
        .unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(
        error.to_string(),
        "GetObject of \"a/b\" failed: gave up after 60 s without progress; there was no answer"
    );
}

#[tokio::test(start_paused = true)]
async fn what_moves_is_not_cut_off_and_what_stops_moving_is() {
    let server = server();
    let request = attempt::Request {
        operation: Operation::PutObject,
        object: "a/b",
        conditional_write: false,
    };
    let moving = |minutes: u32| async move {
        for _ in 0..minutes * 2 {
            tokio::time::sleep(Duration::from_secs(30)).await;
            crate::base::progress::touch();
        }
        if minutes == 10 {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let start = Instant::now();
    assert!(
        server
            .retry
            .run(request, || moving(60))
            .await
            .result
            .is_ok()
    );
    assert_eq!(start.elapsed().as_secs(), 3600);
    let start = Instant::now();
    assert!(
        server
            .retry
            .run(request, || moving(10))
            .await
            .result
            .is_err()
    );
    assert_eq!(start.elapsed().as_secs(), 660);
}

#[tokio::test(start_paused = true)]
async fn a_conditional_write_whose_fate_is_open_is_not_repeated() {
    for kind in [ErrorKind::TimedOut, ErrorKind::Unavailable] {
        let server = server();
        server
            .fault
            .inject(Rule::new(Effect::FailAfter(kind)).times(1));
        assert_eq!(
            put(&server, WriteCondition::IfAbsent)
                .await
                .unwrap_err()
                .kind(),
            kind
        );
        assert_eq!(server.fault.calls().total(), 1);
    }
    // Throttling is certain: nothing was done.
    let server = server();
    server
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Throttled)).times(3));
    put(&server, WriteCondition::IfAbsent).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_conditional_delete_that_was_carried_out_unheard_is_done() {
    let server = server();
    let etag = put(&server, WriteCondition::None).await.unwrap().etag;
    let options = DeleteOptions {
        if_match: Some(etag),
        version: None,
    };
    server
        .fault
        .inject(Rule::new(Effect::FailAfter(ErrorKind::Unavailable)).times(1));
    server.retry.delete(&key(), options.clone()).await.unwrap();
    let error = server.retry.delete(&key(), options).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::NotFound,
        "without a lost answer it is told"
    );
}

#[tokio::test(start_paused = true)]
async fn the_key_of_an_upload_that_may_have_been_created_twice_is_known() {
    let server = server();
    server
        .fault
        .inject(Rule::new(Effect::FailAfter(ErrorKind::Unavailable)).times(1));
    let attributes = ObjectAttributes::default();
    server
        .retry
        .create_multipart(&key(), attributes)
        .await
        .unwrap();
    assert_eq!(server.retry.repeated_creates(), ["a/b"]);
    let pending = server.retry.list_multipart("a/b").await.unwrap();
    assert_eq!(pending.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_when_the_server_is_back() {
    let server = Arc::new(server());
    let outage = server
        .fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)));
    let work = tokio::spawn({
        let server = server.clone();
        async move { put(&server, WriteCondition::None).await }
    });
    tokio::time::sleep(Duration::from_secs(20)).await;
    server.fault.remove(outage);
    work.await.unwrap().unwrap();
}
