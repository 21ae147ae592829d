//! Whole objects in one request.

use std::collections::BTreeSet;

use super::rig::{ROOT_MARKER, meta, path, put};
use super::*;
use crate::layout::attributes::{FileKind, Xattrs};
use crate::layout::sealed::{SEGMENT_BYTES, Segments, XattrPlace, record, xattrs::BODY_BYTES_MAX};
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, Operation};
use crate::volume::Condition;

const SEGMENT: usize = 8 << 20;
const _: () = assert!(SEGMENT as u64 == SEGMENT_BYTES);

#[tokio::test]
async fn a_put_is_one_request_that_tells_nothing_of_the_object() {
    let rig = Rig::new().await;
    for (at, kind, bytes) in [
        ("empty", FileKind::File, 0),
        ("chunk", FileKind::File, 16_384),
        ("segment", FileKind::File, SEGMENT),
        ("link", FileKind::Symlink, 4095),
        ("pipe", FileKind::Fifo, 0),
        ("socket", FileKind::Socket, 0),
        ("device", FileKind::CharDevice, 0),
        ("disk", FileKind::BlockDevice, 0),
    ] {
        let content = content(bytes);
        let (file, cost) = rig.cost(rig.put(at, kind, &content)).await;
        assert_eq!(
            (cost.total(), cost.of(Operation::PutObject)),
            (1, 1),
            "{at}"
        );
        let found = rig.assert_is(at, &file).await;
        assert_eq!((found.generation(), found.record_sequence()), (1, 1));
        let footer = &found.object.footer;
        assert_eq!(footer.length, bytes as u64);
        assert_eq!(footer.attributes.attributes, file.meta.attributes);
        let names: BTreeSet<_> = found.metadata.keys().map(String::as_str).collect();
        let expected = [
            "cloakfs-commit",
            "cloakfs-format",
            "cloakfs-key",
            "cloakfs-record",
        ];
        assert_eq!(names, BTreeSet::from(expected));
        let kind = found.content_type.as_deref();
        assert_eq!(kind, Some("application/octet-stream"));
    }
}

#[tokio::test]
async fn a_put_of_several_segments_has_a_manifest() {
    let rig = Rig::new().await;
    let file = rig
        .put("a", FileKind::File, &content(2 * SEGMENT + 5))
        .await;
    let found = rig.assert_is("a", &file).await;
    let is_many = matches!(
        found.object.footer.segments,
        Segments::Many { count: 3, .. }
    );
    assert!(is_many);
}

#[tokio::test]
async fn markers_are_objects_of_the_directory_s_key() {
    let rig = Rig::new().await;
    for (at, key) in [("d", "d/"), ("d/e", "d/e/"), ("", ROOT_MARKER)] {
        let marker = rig
            .put_with(at, FileKind::Directory, b"", xattrs(3000))
            .await;
        rig.assert_is(key, &marker).await;
        let put = put(&rig.volume, at, &marker.meta, b"", &Condition::IfAbsent);
        assert_eq!(put.await.unwrap_err().kind(), ErrorKind::Precondition);
    }
}

#[tokio::test]
async fn extended_attributes_go_where_they_fit() {
    let rig = Rig::new().await;
    let longest = record::XATTR_BYTES_MAX - 5 - "user.a".len();
    for (at, bytes, place) in [
        ("a", 0, XattrPlace::Record),
        ("b", longest, XattrPlace::Record),
        ("c", longest + 1, XattrPlace::Body),
        ("d", 65_536, XattrPlace::Body),
    ] {
        let file = rig.put_with(at, FileKind::File, b"x", xattrs(bytes)).await;
        let found = rig.assert_is(at, &file).await;
        assert_eq!(found.object.record.attributes.xattrs, place, "{bytes}");
        assert_eq!(found.object.footer.attributes.xattrs, place, "{bytes}");
        let in_body = found.object.footer.xattrs.is_some();
        assert_eq!(in_body, place == XattrPlace::Body);
    }
}

#[tokio::test]
async fn what_no_object_holds_is_refused_and_nothing_is_sent() {
    let rig = Rig::new().await;
    let many: Xattrs = (0..17)
        .map(|number| (format!("user.{number}"), vec![0; 65_536]))
        .collect();
    let encoded: usize = many
        .iter()
        .map(|(name, value)| 5 + name.len() + value.len())
        .sum();
    for (kind, content, xattrs, sentence) in [
        (
            FileKind::Symlink,
            &b"target"[..],
            xattrs(700),
            "\"a\": the extended attributes have 711 bytes together, and links and special files \
             hold at most 615; remove some or make them shorter"
                .to_owned(),
        ),
        (
            FileKind::File,
            b"",
            many,
            format!(
                "\"a\": the extended attributes have {encoded} bytes together, and a file holds \
                 at most {BODY_BYTES_MAX}; remove some or make them shorter"
            ),
        ),
        (
            FileKind::Symlink,
            b"",
            Xattrs::new(),
            "\"a\": 0 bytes are no content of its type".to_owned(),
        ),
        (
            FileKind::Fifo,
            b"x",
            Xattrs::new(),
            "\"a\": 1 bytes are no content of its type".to_owned(),
        ),
    ] {
        let no_room = !xattrs.is_empty();
        let meta = meta(kind, xattrs);
        let fits = rig.volume.check_fits("a", &meta);
        let expected = no_room.then(|| sentence.clone());
        assert_eq!(fits.err().map(|error| error.to_string()), expected);
        let put = put(&rig.volume, "a", &meta, content, &Condition::None);
        let (refused, cost) = rig.cost(put).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.to_string(), sentence);
        assert_eq!(refused.is_metadata_too_large(), no_room);
        assert_eq!(cost.total(), 0);
    }
}

#[tokio::test]
async fn a_content_write_keeps_the_file_and_draws_everything_else_anew() {
    let rig = Rig::new().await;
    let mut file = rig.put("a", FileKind::File, b"one").await;
    let before = rig.assert_is("a", &file).await;
    let replaces = Condition::IfVersion(file.version());
    let over = put(&rig.volume, "a", &file.meta, b"two", &replaces);
    let (done, cost) = rig.cost(over).await;
    assert_eq!(cost.total(), 1, "{cost}");
    (file.done, file.content) = (done.unwrap(), b"two".to_vec());
    let after = rig.assert_is("a", &file).await;
    let (one, two) = (&before.object.record, &after.object.record);
    assert_ne!(one.body, two.body);
    assert_ne!(one.content.id, two.content.id);
    assert!(one.content.key.expose() != two.content.key.expose());
    assert_eq!((after.generation(), after.record_sequence()), (2, 2));
}

/// A mount that knows nothing of what it replaces looks first.
#[tokio::test]
async fn the_generation_is_above_whatever_is_replaced() {
    let rig = Rig::new().await;
    let mut file = rig.put("a", FileKind::File, b"one").await;
    rig.set_attributes("a", &mut file).await;
    rig.set_attributes("a", &mut file).await;
    assert_eq!(rig.assert_is("a", &file).await.generation(), 3);
    let other = rig.mount_again().await;
    let new = meta(FileKind::File, Xattrs::new());
    let replaces = Condition::IfVersion(file.version());
    let over = put(&other, "a", &new, b"two", &replaces);
    let (done, cost) = rig.cost(over).await;
    done.unwrap();
    assert_eq!(
        cost.to_string(),
        "GetObject 1, PutObject 1; 280 bytes up, 205 down"
    );
    assert_eq!(rig.find("a").await.generation(), 4);
    // What is deleted is not replaced.
    other.delete(&path("a")).await.unwrap();
    let anew = put(&other, "a", &new, b"", &Condition::None).await;
    anew.unwrap();
    assert_eq!(rig.find("a").await.generation(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_told_from_a_conflict() {
    let rig = Rig::new().await;
    rig.fault.inject(
        Rule::new(Effect::FailAfter(ErrorKind::TimedOut))
            .on(Operation::PutObject)
            .times(1),
    );
    let file = rig.put("a", FileKind::File, b"one").await;
    rig.assert_is("a", &file).await;
}

#[tokio::test]
async fn a_data_key_seals_as_many_records_as_it_may() {
    let rig = Rig::new().await;
    let mut keys = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        rig.put(name, FileKind::File, b"x").await;
        keys.push(rig.find(name).await.metadata["cloakfs-key"].clone());
    }
    assert!(keys[0] == keys[2] && keys[3] == keys[5] && keys[0] != keys[3] && keys[5] != keys[6]);
}
