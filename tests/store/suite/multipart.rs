//! Multipart uploads.

use bytes::{Bytes, BytesMut};
use cloakfs::base::range::ByteRange;
use cloakfs::store::{
    CopySource, Elsewhere, ErrorKind, ObjectAttributes, ObjectKey, PartNumber, PartReceipt,
    PutOptions, Result, UploadId, WriteCondition, Written,
};

use super::{Difference, Server, assert_fails, pattern};

const MIB: usize = 1 << 20;

/// An upload under way.
struct Upload<'a> {
    server: &'a Server,
    key: ObjectKey,
    id: UploadId,
}

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

impl<'a> Upload<'a> {
    async fn begin(server: &'a Server, name: &str) -> Self {
        Self::begin_with(server, name, ObjectAttributes::default()).await
    }

    async fn begin_with(server: &'a Server, name: &str, attributes: ObjectAttributes) -> Self {
        let key = server.key(name);
        let id = server
            .store
            .create_multipart(&key, attributes)
            .await
            .unwrap();
        Self { server, key, id }
    }

    async fn part(&self, at: u32, body: Bytes) -> PartReceipt {
        self.try_part(at, body).await.unwrap()
    }

    async fn try_part(&self, at: u32, body: Bytes) -> Result<PartReceipt> {
        let store = &self.server.store;
        store
            .upload_part(&self.key, &self.id, number(at), body)
            .await
    }

    async fn copy_part(&self, at: u32, source: CopySource) -> Result<PartReceipt> {
        let store = &self.server.store;
        store
            .copy_part(&self.key, &self.id, number(at), source)
            .await
    }

    async fn complete(&self, parts: &[PartReceipt]) -> Result<Written> {
        self.complete_if(parts, WriteCondition::None).await
    }

    async fn complete_if(
        &self,
        parts: &[PartReceipt],
        condition: WriteCondition,
    ) -> Result<Written> {
        let store = &self.server.store;
        store
            .complete_multipart(&self.key, &self.id, parts, condition)
            .await
    }

    async fn abort(&self) {
        self.server
            .store
            .abort_multipart(&self.key, &self.id)
            .await
            .unwrap();
    }
}

pub async fn parts_become_an_object(server: &Server) {
    let name = "parts/object";
    let attributes = ObjectAttributes {
        metadata: [("mode".to_owned(), "33188".to_owned())].into(),
        content_type: Some("text/plain".to_owned()),
    };
    let upload = Upload::begin_with(server, name, attributes.clone()).await;
    // Numbers have gaps and parts arrive out of order and of different lengths.
    let bodies = [pattern(5 * MIB, 1), pattern(6 * MIB + 7, 2), pattern(3, 3)];
    let last = upload.part(9, bodies[2].clone()).await;
    let first = upload.part(2, bodies[0].clone()).await;
    let second = upload.part(5, bodies[1].clone()).await;
    assert_fails(
        server.head(name).await,
        &[ErrorKind::NotFound],
        "a HEAD before the end",
    );
    let written = upload.complete(&[first, second, last]).await.unwrap();
    let info = server.head(name).await.unwrap();
    assert_eq!((&info.etag, &info.attributes), (&written.etag, &attributes));
    let body: BytesMut = bodies
        .iter()
        .flat_map(|body| body.iter().copied())
        .collect();
    assert_eq!(server.body(name).await, body);

    let upload = Upload::begin(server, name).await;
    let only = upload.part(1, Bytes::from_static(b"one small part")).await;
    upload.complete(&[only]).await.unwrap();
    assert_eq!(server.body(name).await, "one small part");
}

pub async fn an_upload_is_completed_elsewhere_or_refused(server: &Server) {
    let upload = Upload::begin(server, "elsewhere/begun").await;
    let parts = [
        upload.part(1, pattern(5 * MIB, 1)).await,
        upload.part(2, Bytes::from_static(b"tail")).await,
    ];
    let attributes = ObjectAttributes {
        metadata: [("mode".to_owned(), "33188".to_owned())].into(),
        content_type: Some("text/plain".to_owned()),
    };
    let complete = async |condition| {
        let to = Elsewhere {
            key: server.key("elsewhere/target"),
            attributes: attributes.clone(),
        };
        let store = &server.store;
        store
            .complete_elsewhere(&upload.key, &upload.id, &parts, to, condition)
            .await
    };
    if !server.store.limits().completes_elsewhere {
        let refused = complete(WriteCondition::None).await;
        assert_fails(refused, &[ErrorKind::Invalid], "an upload's end elsewhere");
        // It is as it was.
        upload.complete(&parts).await.unwrap();
        return;
    }
    server.put("elsewhere/target", "theirs").await;
    let taken = complete(WriteCondition::IfAbsent).await;
    assert_fails(taken, &[ErrorKind::Precondition], "a name that is taken");
    assert_eq!(server.body("elsewhere/target").await, "theirs");
    let theirs = server.head("elsewhere/target").await.unwrap().etag;
    let written = complete(WriteCondition::IfMatch(theirs)).await.unwrap();
    let info = server.head("elsewhere/target").await.unwrap();
    assert_eq!((&info.etag, &info.attributes), (&written.etag, &attributes));
    let body = server.body("elsewhere/target").await;
    assert_eq!(body.slice(..5 * MIB), pattern(5 * MIB, 1));
    assert_eq!(body.slice(5 * MIB..), "tail");
    assert_fails(
        server.head("elsewhere/begun").await,
        &[ErrorKind::NotFound],
        "a HEAD where it was begun",
    );
    let again = complete(WriteCondition::None).await;
    assert_fails(again, &[ErrorKind::NotFound], "an upload's second end");
    let pending = server.store.list_multipart(upload.key.as_str()).await;
    assert_eq!(pending.unwrap(), []);
}

pub async fn a_part_is_replaced(server: &Server) {
    let upload = Upload::begin(server, "replaced/object").await;
    let old = upload.part(1, pattern(5 * MIB, 1)).await;
    let tail = upload.part(2, Bytes::from_static(b"tail")).await;
    let new = upload.part(1, pattern(5 * MIB + 1, 2)).await;
    let stale = upload.complete(&[old, tail.clone()]).await;
    assert_fails(
        stale,
        &[ErrorKind::Invalid],
        "a complete with a replaced part",
    );
    upload.complete(&[new, tail]).await.unwrap();
    let body = server.body("replaced/object").await;
    assert_eq!(body.len(), 5 * MIB + 5);
    assert_eq!(body.slice(..=5 * MIB), pattern(5 * MIB + 1, 2));
}

pub async fn small_parts_are_refused(server: &Server) {
    let name = "small/object";
    let upload = Upload::begin(server, name).await;
    let small = upload.part(1, pattern(5 * MIB - 1, 1)).await;
    let last = upload.part(2, pattern(10, 2)).await;
    let answer = upload.complete(&[small, last]).await;
    assert_fails(
        answer,
        &[ErrorKind::Invalid],
        "a complete with a small part",
    );
    assert_fails(server.head(name).await, &[ErrorKind::NotFound], "HEAD");
    upload.abort().await;
}

pub async fn parts_are_copied_from_objects(server: &Server) {
    let base = pattern(11 * MIB, 4);
    let etag = server.put("copied/base", base.clone()).await.etag;
    let source = |range| CopySource {
        key: server.key("copied/base"),
        if_match: Some(etag.clone()),
        version: None,
        range,
    };
    let range = |start: usize, end: usize| Some(ByteRange::new(start as u64, end as u64));
    let upload = Upload::begin(server, "copied/object").await;
    let parts = [
        upload
            .copy_part(1, source(range(MIB, 6 * MIB)))
            .await
            .unwrap(),
        upload.copy_part(2, source(None)).await.unwrap(),
        upload.part(3, pattern(5 * MIB, 5)).await,
        upload
            .copy_part(4, source(range(11 * MIB - 3, 11 * MIB)))
            .await
            .unwrap(),
    ];
    let other = CopySource {
        if_match: Some(server.put("copied/other", "x").await.etag),
        ..source(None)
    };
    let answer = upload.copy_part(5, other).await;
    assert_fails(
        answer,
        &[ErrorKind::Precondition],
        "a part of another version",
    );
    let outside = upload
        .copy_part(5, source(range(11 * MIB, 11 * MIB + 5)))
        .await;
    assert_fails(outside, &[ErrorKind::Invalid], "a part from behind the end");
    let missing = CopySource {
        key: server.key("copied/missing"),
        if_match: None,
        ..source(None)
    };
    let answer = upload.copy_part(5, missing).await;
    assert_fails(answer, &[ErrorKind::NotFound], "a part of nothing");
    upload.complete(&parts).await.unwrap();
    let expected = [
        base.slice(MIB..6 * MIB),
        base.clone(),
        pattern(5 * MIB, 5),
        base.slice(11 * MIB - 3..),
    ];
    assert_eq!(server.body("copied/object").await, expected.concat());
}

pub async fn a_conditional_complete(server: &Server) {
    let name = "complete-if/object";
    let one_part = async |body: &'static str| {
        let upload = Upload::begin(server, name).await;
        let part = upload.part(1, Bytes::from_static(body.as_bytes())).await;
        (upload, [part])
    };
    let (upload, parts) = one_part("first").await;
    let first = upload
        .complete_if(&parts, WriteCondition::IfAbsent)
        .await
        .unwrap();

    let (upload, parts) = one_part("second").await;
    let answer = upload.complete_if(&parts, WriteCondition::IfAbsent).await;
    assert_fails(
        answer,
        &[ErrorKind::Precondition],
        "a complete onto an object",
    );
    assert_eq!(server.body(name).await, "first");
    // The upload is still there, and another condition may hold.
    let condition = WriteCondition::IfMatch(first.etag.clone());
    upload.complete_if(&parts, condition.clone()).await.unwrap();
    assert_eq!(server.body(name).await, "second");

    let (upload, parts) = one_part("third").await;
    let answer = upload.complete_if(&parts, condition).await;
    assert_fails(
        answer,
        &[ErrorKind::Precondition],
        "a complete onto another version",
    );
    assert_eq!(server.body(name).await, "second");
    upload.abort().await;
}

pub async fn a_complete_is_not_repeated(server: &Server) {
    let upload = Upload::begin(server, "again/object").await;
    let parts = [upload.part(1, Bytes::from_static(b"x")).await];
    upload
        .complete_if(&parts, WriteCondition::IfAbsent)
        .await
        .unwrap();
    let again = upload.complete_if(&parts, WriteCondition::IfAbsent).await;
    let kinds = [ErrorKind::Precondition, ErrorKind::NotFound];
    assert_fails(again, &kinds, "a repeated complete");
    assert_eq!(server.body("again/object").await, "x");
}

pub async fn an_abort_ends_an_upload(server: &Server) {
    let upload = Upload::begin(server, "abort/object").await;
    let part = upload.part(1, Bytes::from_static(b"x")).await;
    upload.abort().await;
    upload.abort().await;
    let answer = upload.try_part(2, Bytes::from_static(b"y")).await;
    assert_fails(
        answer,
        &[ErrorKind::NotFound],
        "a part of an aborted upload",
    );
    let answer = upload.complete(&[part]).await;
    assert_fails(
        answer,
        &[ErrorKind::NotFound],
        "a complete of an aborted upload",
    );
    assert_fails(
        server.head("abort/object").await,
        &[ErrorKind::NotFound],
        "HEAD",
    );
}

pub async fn wrong_parts_are_refused(server: &Server) {
    let upload = Upload::begin(server, "wrong/object").await;
    let first = upload.part(1, pattern(5 * MIB, 1)).await;
    let second = upload.part(2, pattern(5 * MIB, 2)).await;
    let answer = upload.complete(&[second.clone(), first.clone()]).await;
    assert_fails(answer, &[ErrorKind::Invalid], "parts in the wrong order");
    let never = PartReceipt {
        number: number(3),
        etag: second.etag.clone(),
    };
    let answer = upload.complete(&[first.clone(), never]).await;
    assert_fails(answer, &[ErrorKind::Invalid], "a part that was never sent");
    // Parts that are not named are dropped.
    upload.complete(&[first]).await.unwrap();
    assert_eq!(server.head("wrong/object").await.unwrap().size, 5 << 20);
}

pub async fn uploads_under_way_are_listed(server: &Server) {
    let upload = Upload::begin(server, "pending/dir/object").await;
    let listed = async |prefix: &str| {
        let found = server.store.list_multipart(prefix).await.unwrap();
        let ours = |pending: &&_| -> bool {
            let pending: &cloakfs::store::PendingUpload = pending;
            pending.upload == upload.id
        };
        let ours: Vec<_> = found.iter().filter(ours).collect();
        assert!(
            ours.iter()
                .all(|pending| pending.key == upload.key.as_str())
        );
        ours.len()
    };
    assert_eq!(listed(upload.key.as_str()).await, 1, "by its key");
    let by_prefix = usize::from(!server.differs(Difference::UploadsUnlistedByPrefix));
    let prefix = server.key("pending/").as_str().to_owned();
    assert_eq!(listed(&prefix).await, by_prefix, "by a prefix");
    assert_eq!(listed(server.key("pendent/").as_str()).await, 0);
    upload.abort().await;
    assert_eq!(listed(upload.key.as_str()).await, 0, "after the abort");
    // An upload is no object.
    let put = server
        .store
        .put(&upload.key, Bytes::new(), PutOptions::default());
    put.await.unwrap();
    assert_eq!(listed(upload.key.as_str()).await, 0);
}
