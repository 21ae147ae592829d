//! Answers that are lost on the way, and faults of all kinds under retries.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloakfs::base::id::CommitId;
use cloakfs::base::jitter::Jitter;
use cloakfs::store::fault::{Effect, Fault, Rule};
use cloakfs::store::retry::{Retry, RetryPolicy};
use cloakfs::store::{
    CopySource, ErrorKind, HeadOptions, ObjectAttributes, Operation, PartNumber, PutOptions, Store,
    WriteCondition, commit,
};

use super::Server;

fn losing(server: &Server, operation: Operation) -> Fault {
    let fault = Fault::new(server.store.clone());
    fault.inject(
        Rule::new(Effect::FailAfter(ErrorKind::TimedOut))
            .on(operation)
            .times(1),
    );
    fault
}

fn if_absent() -> PutOptions {
    PutOptions {
        condition: WriteCondition::IfAbsent,
        ..PutOptions::default()
    }
}

pub async fn a_lost_put_is_recognised(server: &Server) {
    let (key, id) = (server.key("lost/put"), CommitId::random());
    let fault = losing(server, Operation::PutObject);
    let body = Bytes::from_static(b"ours");
    let written = commit::put(&fault, &key, body.clone(), if_absent(), id)
        .await
        .unwrap();
    let info = server
        .store
        .head(&key, HeadOptions::default())
        .await
        .unwrap();
    assert_eq!(written.etag, info.etag);
    assert!(commit::is_marked(&info, id));
    assert_eq!(fault.calls().of(Operation::PutObject), 1);
    // Somebody else's object is not taken for ours.
    let answer = commit::put(&fault, &key, body, if_absent(), CommitId::random()).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Precondition);
}

pub async fn a_lost_complete_is_recognised(server: &Server) {
    let (key, id) = (server.key("lost/complete"), CommitId::random());
    let fault = losing(server, Operation::CompleteMultipartUpload);
    let mut attributes = ObjectAttributes::default();
    commit::mark(&mut attributes, id);
    let upload = fault.create_multipart(&key, attributes).await.unwrap();
    let number = PartNumber::new(1).unwrap();
    let part = fault
        .upload_part(&key, &upload, number, Bytes::from_static(b"x"))
        .await;
    let parts = [part.unwrap()];
    // Once through the lost answer, once through the answer that a repetition gets.
    for _ in 0..2 {
        let condition = WriteCondition::IfAbsent;
        let written = commit::complete(&fault, &key, &upload, &parts, condition, id)
            .await
            .unwrap();
        let info = server
            .store
            .head(&key, HeadOptions::default())
            .await
            .unwrap();
        assert_eq!(written.etag, info.etag);
    }
}

pub async fn a_lost_copy_is_recognised(server: &Server) {
    let key = server.key("lost/copy");
    let etag = server.put("lost/copy", "content").await.etag;
    let fault = losing(server, Operation::CopyObject);
    let source = CopySource {
        key: key.clone(),
        if_match: Some(etag),
        version: None,
        range: None,
    };
    let id = CommitId::random();
    let attributes = ObjectAttributes::default();
    let written = commit::copy(&fault, &key, source, attributes, WriteCondition::None, id)
        .await
        .unwrap();
    let info = server
        .store
        .head(&key, HeadOptions::default())
        .await
        .unwrap();
    assert_eq!(written.etag, info.etag);
    assert!(commit::is_marked(&info, id));
    assert_eq!(fault.calls().of(Operation::CopyObject), 1);
}

/// One call in five fails, before or after it was carried out.
pub async fn everything_arrives_through_faults(server: &Server) {
    let fault = Arc::new(Fault::seeded(server.store.clone(), 5));
    for effect in [
        Effect::FailBefore(ErrorKind::Throttled),
        Effect::FailBefore(ErrorKind::Unavailable),
        Effect::FailAfter(ErrorKind::TimedOut),
        Effect::FailAfter(ErrorKind::Unavailable),
    ] {
        fault.inject(Rule::new(effect).per_million(50_000));
    }
    let policy = RetryPolicy {
        first_pause_max: Duration::from_millis(2),
        pause_max: Duration::from_millis(20),
        ..RetryPolicy::default()
    };
    let retry = Retry::new(fault, policy, Jitter::seeded(6));
    for object in 0..40 {
        let key = server.key(&format!("faults/{object}"));
        let mut condition = WriteCondition::IfAbsent;
        for version in 0..3 {
            let options = PutOptions {
                condition,
                ..PutOptions::default()
            };
            let body = Bytes::from(format!("object {object} version {version}"));
            let written = commit::put(&retry, &key, body, options, CommitId::random()).await;
            let written = written.unwrap_or_else(|error| panic!("{error}"));
            condition = WriteCondition::IfMatch(written.etag);
        }
        let expected = format!("object {object} version 2");
        assert_eq!(
            server.body(&format!("faults/{object}")).await,
            expected.as_bytes()
        );
    }
    assert!(retry.counters().retries() > 0, "nothing failed");
}
