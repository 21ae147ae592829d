//! PUT and DELETE.

use bytes::Bytes;
use cloakfs::store::{DeleteOptions, ETag, ErrorKind, PutOptions, Result, WriteCondition, Written};
use futures_util::future::join_all;

use super::{Difference, Server, assert_fails};

const LOST: &[ErrorKind] = &[ErrorKind::Precondition];
/// `If-Match` of a missing object is 404 on S3; some servers say 412.
const GONE: &[ErrorKind] = &[ErrorKind::NotFound, ErrorKind::Precondition];

async fn put_if(
    server: &Server,
    name: &str,
    body: &str,
    condition: WriteCondition,
) -> Result<Written> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    server.store.put(&server.key(name), body, options).await
}

async fn delete_if(server: &Server, name: &str, etag: &ETag) -> Result<()> {
    let options = DeleteOptions {
        if_match: Some(etag.clone()),
        version: None,
    };
    server.store.delete(&server.key(name), options).await
}

pub async fn an_overwrite_is_a_new_version(server: &Server) {
    let first = server.put("overwrite/object", "first").await;
    let second = server.put("overwrite/object", "the second").await;
    assert_ne!(first.etag, second.etag);
    let info = server.head("overwrite/object").await.unwrap();
    assert_eq!((info.size, info.etag), (10, second.etag));
    assert_eq!(server.body("overwrite/object").await, "the second");
}

pub async fn a_put_if_absent(server: &Server) {
    let name = "absent/object";
    put_if(server, name, "first", WriteCondition::IfAbsent)
        .await
        .unwrap();
    let second = put_if(server, name, "second", WriteCondition::IfAbsent).await;
    assert_fails(second, LOST, "a second creation");
    assert_eq!(server.body(name).await, "first");
    let key = server.key(name);
    server
        .store
        .delete(&key, DeleteOptions::default())
        .await
        .unwrap();
    put_if(server, name, "third", WriteCondition::IfAbsent)
        .await
        .unwrap();
}

pub async fn a_put_if_match(server: &Server) {
    let name = "match/object";
    let first = server.put(name, "first").await.etag;
    let if_first = WriteCondition::IfMatch(first.clone());
    let second = put_if(server, name, "second", if_first.clone())
        .await
        .unwrap();
    assert_ne!(first, second.etag);
    let stale = put_if(server, name, "stale", if_first.clone()).await;
    assert_fails(stale, LOST, "a put on an old version");
    assert_eq!(server.body(name).await, "second");
    let missing = put_if(server, "match/missing", "x", if_first).await;
    assert_fails(missing, GONE, "a put on a version of nothing");
    assert_fails(
        server.head("match/missing").await,
        &[ErrorKind::NotFound],
        "its HEAD",
    );
}

pub async fn one_of_many_creators_wins(server: &Server) {
    for round in 0..5 {
        let name = format!("race/{round}");
        let bodies: Vec<_> = (0..8).map(|creator| format!("creator {creator}")).collect();
        let puts = bodies
            .iter()
            .map(|body| put_if(server, &name, body, WriteCondition::IfAbsent));
        let mut winners = vec![];
        for (body, answer) in bodies.iter().zip(join_all(puts).await) {
            match answer {
                Ok(_) => winners.push(body),
                other => assert_fails(
                    other,
                    &[ErrorKind::Precondition, ErrorKind::Conflict],
                    "a creation that lost",
                ),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(server.body(&name).await, winners[0].as_bytes());
    }
}

pub async fn deletes(server: &Server) {
    server.put("delete/object", "x").await;
    let key = server.key("delete/object");
    for _ in 0..2 {
        server
            .store
            .delete(&key, DeleteOptions::default())
            .await
            .unwrap();
        let head = server.head("delete/object").await;
        assert_fails(head, &[ErrorKind::NotFound], "a HEAD after a delete");
    }
    assert_eq!(server.names("delete/").await, Vec::<String>::new());
}

pub async fn a_conditional_delete(server: &Server) {
    let name = "delete-if/object";
    let old = server.put(name, "old").await.etag;
    let new = server.put(name, "new").await.etag;
    let stale = delete_if(server, name, &old).await;
    if server.differs(Difference::ConditionalDeleteIgnored) {
        stale.unwrap();
        assert_fails(server.head(name).await, &[ErrorKind::NotFound], "HEAD");
        return;
    }
    if server.differs(Difference::ConditionalDeleteRefused) {
        assert_fails(stale, &[ErrorKind::Invalid], "a conditional delete");
        assert_eq!(server.body(name).await, "new");
        return;
    }
    assert_fails(stale, LOST, "a delete of an old version");
    assert_eq!(server.body(name).await, "new");
    delete_if(server, name, &new).await.unwrap();
    assert_fails(server.head(name).await, &[ErrorKind::NotFound], "HEAD");
    let again = delete_if(server, name, &new).await;
    assert_fails(again, GONE, "a conditional delete of nothing");
}
