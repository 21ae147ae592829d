//! User metadata and content types.

use bytes::Bytes;
use cloakfs::store::{ErrorKind, Metadata, ObjectAttributes, PutOptions, Result, Written};

use super::{Difference, Server, assert_fails};

async fn put_with(server: &Server, name: &str, metadata: Metadata) -> Result<Written> {
    let options = PutOptions {
        attributes: ObjectAttributes {
            metadata,
            content_type: None,
        },
        ..PutOptions::default()
    };
    server
        .store
        .put(&server.key(name), Bytes::new(), options)
        .await
}

/// Names and values of `bytes` bytes together.
fn metadata_of(bytes: usize) -> Metadata {
    let mut metadata = Metadata::new();
    let mut left = bytes;
    for at in 0..4 {
        let name = format!("name-{at}");
        let value_len = if at == 3 { left - name.len() } else { 400 };
        left -= name.len() + value_len;
        metadata.insert(name, "v".repeat(value_len));
    }
    metadata
}

pub async fn metadata_up_to_the_limit(server: &Server) {
    let limit = server.store.limits().metadata_bytes_max;
    put_with(server, "limit/below", metadata_of(1900))
        .await
        .unwrap();
    let info = server.head("limit/below").await.unwrap();
    assert_eq!(info.attributes.metadata, metadata_of(1900));

    let at_limit = put_with(server, "limit/at", metadata_of(limit)).await;
    if server.differs(Difference::MetadataLimitLower) {
        assert_fails(at_limit, &[ErrorKind::Invalid], "metadata at the limit");
    } else {
        at_limit.unwrap();
        let info = server.head("limit/at").await.unwrap();
        assert_eq!(info.attributes.metadata, metadata_of(limit));
    }

    let beyond = put_with(server, "limit/beyond", metadata_of(limit + 1)).await;
    if server.differs(Difference::MetadataLimitUnenforced) {
        beyond.unwrap();
    } else {
        assert_fails(beyond, &[ErrorKind::Invalid], "metadata beyond the limit");
    }
}

/// Refused or kept as it is: never changed.
pub async fn what_a_header_cannot_carry(server: &Server) {
    for value in [
        "ünïcödé",
        " leading",
        "trailing ",
        "line\nbreak",
        "nul\0",
        "\u{7f}",
    ] {
        let metadata = Metadata::from([("odd".to_owned(), value.to_owned())]);
        match put_with(server, "carry/object", metadata.clone()).await {
            Ok(_) => {
                let info = server.head("carry/object").await.unwrap();
                assert_eq!(info.attributes.metadata, metadata, "{value:?} was changed");
            }
            refused => assert_fails(refused, &[ErrorKind::Invalid], &format!("{value:?}")),
        }
    }
    let ascii = Metadata::from([(
        "printable".to_owned(),
        (' '..='~').filter(|c| !c.is_whitespace()).collect(),
    )]);
    put_with(server, "carry/ascii", ascii.clone())
        .await
        .unwrap();
    let info = server.head("carry/ascii").await.unwrap();
    assert_eq!(info.attributes.metadata, ascii);
}

pub async fn content_type_is_kept(server: &Server) {
    let attributes = ObjectAttributes {
        metadata: Metadata::new(),
        content_type: Some("application/x-directory".to_owned()),
    };
    let options = PutOptions {
        attributes: attributes.clone(),
        ..PutOptions::default()
    };
    let key = server.key("type/object");
    server.store.put(&key, Bytes::new(), options).await.unwrap();
    assert_eq!(
        server.head("type/object").await.unwrap().attributes,
        attributes
    );
}
