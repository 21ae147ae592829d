//! Copies on the server.

use bytes::Bytes;
use cloakfs::store::{
    CopyAttributes, CopySource, ETag, ErrorKind, ObjectAttributes, PutOptions, Result,
    WriteCondition, Written,
};

use super::{Difference, Server, assert_fails, pattern};

fn attributes(value: &str) -> ObjectAttributes {
    ObjectAttributes {
        metadata: [
            ("name".to_owned(), value.to_owned()),
            (format!("only-{value}"), "1".to_owned()),
        ]
        .into(),
        content_type: Some(format!("text/{value}")),
    }
}

async fn source_object(server: &Server, name: &str, body: Bytes) -> Written {
    let options = PutOptions {
        attributes: attributes("source"),
        ..PutOptions::default()
    };
    server
        .store
        .put(&server.key(name), body, options)
        .await
        .unwrap()
}

async fn copy(
    server: &Server,
    from: &str,
    if_match: Option<ETag>,
    to: &str,
    attributes: CopyAttributes,
) -> Result<Written> {
    let none = WriteCondition::None;
    copy_if(server, from, if_match, to, attributes, none).await
}

async fn copy_if(
    server: &Server,
    from: &str,
    if_match: Option<ETag>,
    to: &str,
    attributes: CopyAttributes,
    condition: WriteCondition,
) -> Result<Written> {
    let source = CopySource {
        key: server.key(from),
        if_match,
        version: None,
        range: None,
    };
    let key = server.key(to);
    server.store.copy(&key, source, attributes, condition).await
}

pub async fn a_copy_keeps_everything(server: &Server) {
    for len in [0, 1, 3 << 20] {
        let body = pattern(len, 6);
        let (from, to) = (format!("copy/from-{len}"), format!("copy/to-{len}"));
        source_object(server, &from, body.clone()).await;
        server.put(&to, "overwritten").await;
        let written = copy(server, &from, None, &to, CopyAttributes::Keep)
            .await
            .unwrap();
        let info = server.head(&to).await.unwrap();
        assert_eq!(
            (info.attributes, info.etag),
            (attributes("source"), written.etag)
        );
        assert_eq!(server.body(&to).await, body);
        assert_eq!(server.body(&from).await, body, "the source stays");
    }
    let missing = copy(server, "copy/missing", None, "copy/x", CopyAttributes::Keep).await;
    assert_fails(missing, &[ErrorKind::NotFound], "a copy of nothing");
}

pub async fn a_copy_replaces_attributes(server: &Server) {
    source_object(server, "replace/from", pattern(1000, 7)).await;
    let target = CopyAttributes::Replace(attributes("target"));
    copy(server, "replace/from", None, "replace/to", target)
        .await
        .unwrap();
    let info = server.head("replace/to").await.unwrap();
    assert_eq!(
        info.attributes,
        attributes("target"),
        "nothing of the source's is left"
    );
    assert_eq!(server.body("replace/to").await, pattern(1000, 7));
    assert_eq!(
        server.head("replace/from").await.unwrap().attributes,
        attributes("source")
    );
}

pub async fn a_copy_onto_itself(server: &Server) {
    let name = "itself/object";
    let etag = source_object(server, name, pattern(1000, 8)).await.etag;
    let target = || CopyAttributes::Replace(attributes("target"));
    let written = copy(server, name, Some(etag), name, target())
        .await
        .unwrap();
    let info = server.head(name).await.unwrap();
    assert_eq!(
        (info.attributes, info.etag),
        (attributes("target"), written.etag)
    );
    assert_eq!(server.body(name).await, pattern(1000, 8));
    let other = server.put("itself/other", "x").await.etag;
    let stale = copy(server, name, Some(other), name, target()).await;
    assert_fails(
        stale,
        &[ErrorKind::Precondition],
        "a change of another version",
    );
}

pub async fn a_copy_of_one_version(server: &Server) {
    let old = source_object(server, "copy-if/from", pattern(10, 1))
        .await
        .etag;
    let new = source_object(server, "copy-if/from", pattern(10, 2))
        .await
        .etag;
    let stale = copy(
        server,
        "copy-if/from",
        Some(old),
        "copy-if/to",
        CopyAttributes::Keep,
    )
    .await;
    assert_fails(
        stale,
        &[ErrorKind::Precondition],
        "a copy of an old version",
    );
    assert_fails(
        server.head("copy-if/to").await,
        &[ErrorKind::NotFound],
        "its HEAD",
    );
    let copied = copy(
        server,
        "copy-if/from",
        Some(new),
        "copy-if/to",
        CopyAttributes::Keep,
    )
    .await;
    copied.unwrap();
    assert_eq!(server.body("copy-if/to").await, pattern(10, 2));
}

pub async fn a_copy_if_absent(server: &Server) {
    let from = "copy-absent/from";
    source_object(server, from, pattern(10, 1)).await;
    let old = server.put("copy-absent/there", "old").await.etag;
    let new = server.put("copy-absent/there", "theirs").await.etag;
    let onto = |to, condition| copy_if(server, from, None, to, CopyAttributes::Keep, condition);
    let itself = copy_if(
        server,
        from,
        None,
        from,
        CopyAttributes::Replace(attributes("other")),
        WriteCondition::IfAbsent,
    );
    if server.differs(Difference::ConditionalCopyIgnored) {
        itself.await.unwrap();
        let replaced = onto("copy-absent/there", WriteCondition::IfAbsent).await;
        replaced.unwrap();
        assert_eq!(server.body("copy-absent/there").await, pattern(10, 1));
        return;
    }
    let lost = &[ErrorKind::Precondition];
    assert_fails(itself.await, lost, "a copy onto itself if absent");
    let refused = onto("copy-absent/there", WriteCondition::IfAbsent).await;
    assert_fails(refused, lost, "a copy over an object");
    let stale = onto("copy-absent/there", WriteCondition::IfMatch(old)).await;
    assert_fails(stale, lost, "a copy over another version");
    assert_eq!(server.body("copy-absent/there").await, "theirs");
    for (to, condition) in [
        ("copy-absent/there", WriteCondition::IfMatch(new)),
        ("copy-absent/new", WriteCondition::IfAbsent),
    ] {
        onto(to, condition).await.unwrap();
        assert_eq!(server.body(to).await, pattern(10, 1));
    }
}
