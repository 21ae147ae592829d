//! Uploads in parts.

use std::sync::Arc;

use bytes::Bytes;

use super::rig::{self, path};
use super::{File, Rig, content, xattrs};
use crate::base::range::ByteRange;
use crate::layout::attributes::{FileKind, Xattrs};
use crate::layout::sealed::{SEGMENT_BYTES, XattrPlace};
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, Operation, PartNumber};
use crate::volume::{
    Condition, ObjectMeta, ObjectRef, Part, Result, SealedPart, Upload, UploadTarget, Version,
};

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

fn segment(index: u64, len: u64) -> ByteRange {
    ByteRange::at(index * SEGMENT_BYTES, len).unwrap()
}

async fn begin(rig: &Rig, at: &str, meta: &ObjectMeta, base: Option<&Version>) -> Result<Upload> {
    let target = UploadTarget::Path(path(at));
    let object = ObjectRef::Path(path(at));
    let base = base.map(|version| (&object, version));
    let begun = rig
        .volume
        .begin_upload(&target, meta, base, &Condition::None);
    begun.await
}

/// Seals and sends the segments of `file` in these ranges.
async fn send(upload: &Upload, of: u32, segments: &[ByteRange], file: &[u8]) -> Result<Part> {
    let mut part = SealedPart::for_segments(segments);
    for range in segments {
        let at = |offset| usize::try_from(offset).unwrap();
        let plain = Bytes::copy_from_slice(&file[at(range.start())..at(range.end())]);
        part = upload.seal(part, range.start(), plain).await;
    }
    upload.upload_sealed(number(of), part).await
}

async fn complete(
    upload: &Upload,
    parts: &[Part],
    content: &[u8],
    meta: &ObjectMeta,
) -> Result<File> {
    let size = content.len() as u64;
    let done = upload.complete(parts, size, meta, &Condition::None).await?;
    Ok(File {
        meta: meta.clone(),
        content: content.to_vec(),
        done,
    })
}

fn three_segments() -> Vec<u8> {
    content(usize::try_from(2 * SEGMENT_BYTES + 5000).unwrap())
}

async fn uploaded(rig: &Rig, at: &str, meta: &ObjectMeta, content: &[u8]) -> File {
    let upload = begin(rig, at, meta, None).await.unwrap();
    let full = [segment(0, SEGMENT_BYTES), segment(1, SEGMENT_BYTES)];
    let parts = [
        send(&upload, 1, &full, content).await.unwrap(),
        send(&upload, 5, &[segment(2, 5000)], content)
            .await
            .unwrap(),
    ];
    complete(&upload, &parts, content, meta).await.unwrap()
}

#[tokio::test]
async fn a_short_last_part_is_sent_with_the_tail() {
    let rig = Rig::new().await;
    let (meta, content) = (rig::meta(FileKind::File, xattrs(400)), three_segments());
    let (file, calls) = rig.cost(uploaded(&rig, "a", &meta, &content)).await;
    assert_eq!(calls.of(Operation::UploadPart), 2, "{calls}");
    assert_eq!(calls.total(), 4, "begin, two parts, complete: {calls}");
    let found = rig.assert_is("a", &file).await;
    assert_eq!((found.generation(), found.record_sequence()), (1, 1));
    // The same attributes in record and footer, under one number.
    assert_eq!(found.object.footer.attributes.sequence, 1);
    assert_eq!(found.object.footer.attributes.xattrs, XattrPlace::Record);
    // Whoever reads it asks for content only.
    let range = ByteRange::new(SEGMENT_BYTES + 100_000, SEGMENT_BYTES + 100_014);
    let object = ObjectRef::Path(path("a"));
    let (read, calls) = rig
        .cost(rig.volume.read(&object, &file.version(), range))
        .await;
    assert_eq!(read.unwrap().len(), 14);
    assert_eq!(calls.total(), 1, "{calls}");
}

#[tokio::test]
async fn copied_parts_share_the_content_and_what_copies_nothing_has_its_own() {
    let rig = Rig::new().await;
    let (mut meta, mut content) = (rig::meta(FileKind::File, Xattrs::new()), three_segments());
    let old = uploaded(&rig, "a", &meta, &content).await;
    let before = rig.assert_is("a", &old).await;
    // The first segment changes, the others are copied to another place.
    content[..100].fill(0);
    meta.attributes.uid += 1;
    let upload = begin(&rig, "a", &meta, Some(&old.version())).await.unwrap();
    let first = [segment(0, SEGMENT_BYTES)];
    let source = ObjectRef::Path(path("a"));
    let rest = ByteRange::new(SEGMENT_BYTES, content.len() as u64);
    let version = old.version();
    let copied = upload.copy_part(number(2), &source, &version, rest);
    let parts = [
        send(&upload, 1, &first, &content).await.unwrap(),
        copied.await.unwrap(),
    ];
    let new = complete(&upload, &parts, &content, &meta).await.unwrap();
    let after = rig.assert_is("a", &new).await;
    let ids =
        |found: &super::rig::Found| (found.object.record.content.id, found.object.record.body);
    assert_eq!(ids(&after).0, ids(&before).0);
    assert_ne!(ids(&after).1, ids(&before).1);
    let pins = |found: &super::rig::Found| found.object.map.pins().to_vec();
    assert_eq!(pins(&after)[1..], pins(&before)[1..]);
    assert_ne!(pins(&after)[0], pins(&before)[0]);
    assert_eq!(after.generation(), 2);

    let whole = uploaded(&rig, "a", &meta, &content).await;
    let own = rig.assert_is("a", &whole).await;
    assert_ne!(ids(&own).0, ids(&after).0);
    // And takes nothing from another content.
    let upload = begin(&rig, "b", &meta, None).await.unwrap();
    let version = whole.version();
    let copied = upload.copy_part(number(1), &source, &version, rest);
    let words = copied.await.unwrap_err().to_string();
    let expected = "its segments cannot be copied into an upload of another content";
    assert!(words.ends_with(expected), "{words}");
}

#[tokio::test]
async fn attributes_at_completion_win_over_those_of_the_beginning() {
    let rig = Rig::new().await;
    let content = three_segments();
    // None, in the record, in the body; each before each.
    let places = [0, 400, 5000];
    for (begun, ended) in places.iter().flat_map(|a| places.map(|b| (*a, b))) {
        let of = |bytes| {
            if bytes == 0 {
                Xattrs::new()
            } else {
                xattrs(bytes)
            }
        };
        let mut meta = rig::meta(FileKind::File, of(begun));
        let upload = begin(&rig, "a", &meta, None).await.unwrap();
        let full = [segment(0, SEGMENT_BYTES), segment(1, SEGMENT_BYTES)];
        let parts = [
            send(&upload, 1, &full, &content).await.unwrap(),
            send(&upload, 2, &[segment(2, 5000)], &content)
                .await
                .unwrap(),
        ];
        meta.attributes.perm = 0o600;
        meta.attributes.xattrs = of(ended);
        let file = complete(&upload, &parts, &content, &meta).await.unwrap();
        let found = rig.assert_is("a", &file).await;
        let footer = &found.object.footer.attributes;
        assert_eq!(
            footer.sequence,
            found.record_sequence() + 1,
            "{begun} {ended}"
        );
        rig.volume.delete(&path("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_completion_is_repeated_with_the_same_tail_or_not_at_all() {
    let rig = Rig::new().await;
    let (meta, content) = (rig::meta(FileKind::File, Xattrs::new()), three_segments());
    let upload = begin(&rig, "a", &meta, None).await.unwrap();
    let full = [segment(0, SEGMENT_BYTES), segment(1, SEGMENT_BYTES)];
    let first = send(&upload, 1, &full, &content).await.unwrap();
    let last = send(&upload, 2, &[segment(2, 5000)], &content)
        .await
        .unwrap();
    let parts = [first.clone(), last];
    let denied = Rule::new(Effect::FailBefore(ErrorKind::Denied));
    // The tail is refused, then the completion.
    for operation in [Operation::UploadPart, Operation::CompleteMultipartUpload] {
        rig.fault.inject(denied.clone().on(operation).times(1));
        let refused = complete(&upload, &parts, &content, &meta).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    // Other content is for another upload: cut, sealed again, or with other attributes.
    let again = send(&upload, 2, &[segment(2, 5000)], &content)
        .await
        .unwrap();
    let mut other = meta.clone();
    other.attributes.uid = 0;
    let shorter = content.len() - 1;
    for refused in [
        complete(&upload, &parts, &content[..shorter], &meta).await,
        complete(&upload, &[first, again], &content, &meta).await,
        complete(&upload, &parts, &content, &other).await,
    ] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            "\"a\": its completion was asked for before with other content, and one upload is \
             completed in one way only"
        );
    }
    let (file, calls) = rig.cost(complete(&upload, &parts, &content, &meta)).await;
    assert_eq!(calls.total(), 1, "the tail is there: {calls}");
    rig.assert_is("a", &file.unwrap()).await;
}

#[tokio::test]
async fn what_would_be_a_broken_object_is_not_completed() {
    let rig = Rig::new().await;
    let (meta, content) = (rig::meta(FileKind::File, Xattrs::new()), three_segments());
    let upload = Arc::new(begin(&rig, "a", &meta, None).await.unwrap());
    let one = send(&upload, 1, &[segment(0, SEGMENT_BYTES)], &content)
        .await
        .unwrap();
    let short = send(&upload, 2, &[segment(1, 5000)], &content)
        .await
        .unwrap();
    let two = send(&upload, 3, &[segment(2, 5000)], &content)
        .await
        .unwrap();
    let early = send(&upload, 4, &[segment(1, SEGMENT_BYTES)], &content)
        .await
        .unwrap();
    let order = "its parts are not in the order of the file";
    let numbers = "its parts are not in the order of their numbers";
    let cases: [(&[Part], usize, &str); 4] = [
        (
            &[one.clone(), short, two.clone()],
            content.len(),
            "a part that is too short is not its last",
        ),
        (&[early.clone(), one.clone()], content.len(), numbers),
        (&[one.clone(), one.clone()], content.len(), numbers),
        (&[one, two], 5000, order),
    ];
    for (parts, size, why) in cases {
        let refused = upload
            .complete(parts, size as u64, &meta, &Condition::None)
            .await;
        assert_eq!(refused.unwrap_err().to_string(), format!("\"a\": {why}"));
    }
    assert_eq!(rig.mem.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_of_holes_is_its_tail() {
    let rig = Rig::new().await;
    let meta = rig::meta(FileKind::File, Xattrs::new());
    let size = 1 << 40;
    let (done, calls) = rig
        .cost(async {
            let upload = begin(&rig, "a", &meta, None).await.unwrap();
            let done = upload.complete(&[], size, &meta, &Condition::IfAbsent);
            done.await.unwrap()
        })
        .await;
    assert_eq!(calls.bytes_up, 205, "a footer: {calls}");
    let object = ObjectRef::Path(path("a"));
    let range = ByteRange::new(size - 100, size);
    let read = rig
        .volume
        .read(&object, &done.version, range)
        .await
        .unwrap();
    assert_eq!(read, [0; 100][..]);
}
