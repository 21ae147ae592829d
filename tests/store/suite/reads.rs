//! GET and HEAD.

use cloakfs::base::range::ByteRange;
use cloakfs::store::{ETag, ErrorKind, GetOptions, GetRange, Object, Result};

use super::{Server, assert_fails, pattern};

async fn get(server: &Server, name: &str, range: Option<GetRange>) -> Result<Object> {
    let options = GetOptions {
        range,
        ..GetOptions::default()
    };
    server.store.get(&server.key(name), options).await
}

pub async fn whole_and_empty_objects(server: &Server) {
    for (name, len) in [("whole/empty", 0), ("whole/one", 1), ("whole/some", 70_000)] {
        let body = pattern(len, 1);
        let written = server.put(name, body.clone()).await;
        let object = get(server, name, None).await.unwrap();
        assert_eq!(object.body, body, "{name}");
        assert_eq!(object.range, ByteRange::new(0, len as u64));
        let info = server.head(name).await.unwrap();
        assert_eq!(info, object.info, "HEAD and GET agree about {name}");
        assert_eq!((info.size, &info.etag), (len as u64, &written.etag));
        assert!(info.last_modified.secs() > 1_600_000_000, "{info:?}");
    }
    let missing = get(server, "whole/missing", None).await;
    assert_fails(missing, &[ErrorKind::NotFound], "a GET of nothing");
    let missing = server.head("whole/missing").await;
    assert_fails(missing, &[ErrorKind::NotFound], "a HEAD of nothing");
}

pub async fn ranges_and_suffixes(server: &Server) {
    let body = pattern(1000, 2);
    server.put("ranges/object", body.clone()).await;
    let bytes = |start, end| GetRange::Bytes(ByteRange::new(start, end));
    for (wanted, expected) in [
        (bytes(0, 1), 0..1),
        (bytes(0, 1000), 0..1000),
        (bytes(100, 200), 100..200),
        (bytes(999, 1000), 999..1000),
        (bytes(990, 5000), 990..1000),
        (GetRange::Suffix(1), 999..1000),
        (GetRange::Suffix(1000), 0..1000),
        (GetRange::Suffix(5000), 0..1000),
    ] {
        let object = get(server, "ranges/object", Some(wanted)).await;
        let object = object.unwrap_or_else(|error| panic!("{wanted:?}: {error}"));
        let range = ByteRange::new(expected.start as u64, expected.end as u64);
        assert_eq!(object.range, range, "{wanted:?}");
        assert_eq!(object.body, body.slice(expected), "{wanted:?}");
        assert_eq!(object.info.size, 1000, "{wanted:?} tells the whole length");
    }
    for outside in [bytes(1000, 1001), bytes(5000, 6000)] {
        let answer = get(server, "ranges/object", Some(outside)).await;
        assert_fails(answer, &[ErrorKind::Invalid], "a range behind the end");
    }
    server.put("ranges/empty", "").await;
    let answer = get(server, "ranges/empty", Some(bytes(0, 1))).await;
    assert_fails(answer, &[ErrorKind::Invalid], "a range of nothing");
}

pub async fn a_read_of_one_version(server: &Server) {
    let old = server.put("version/object", "old").await.etag;
    let read = async |etag: &ETag| {
        let options = GetOptions {
            if_match: Some(etag.clone()),
            range: Some(GetRange::Suffix(2)),
            version: None,
        };
        server
            .store
            .get(&server.key("version/object"), options)
            .await
    };
    assert_eq!(read(&old).await.unwrap().body, "ld");
    let new = server.put("version/object", "new").await.etag;
    assert_fails(
        read(&old).await,
        &[ErrorKind::Precondition],
        "a read of an old version",
    );
    assert_eq!(read(&new).await.unwrap().body, "ew");
}
