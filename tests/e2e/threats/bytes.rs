//! Any byte of an object's body or metadata.

use std::fs::File;
use std::os::unix::fs::FileExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{CONTENT, FOOTER, NOT_AUTHENTIC, SEGMENT, assert_refused, on_both_places, stored};
use crate::sealed::Sealed;

on_both_places!(
    any_byte_of_a_chunk_a_tag_a_manifest_or_a_footer,
    any_byte_of_a_record_or_of_a_wrapped_key,
    what_is_in_no_form_of_metadata,
);

/// A hole, and a second segment with a few bytes: all kinds of messages in little room.
fn write_sparse(volume: &Sealed, names: &[String]) {
    let mount = volume.mount();
    for name in names {
        let file = File::create(mount.path().join(name)).expect("creating");
        file.write_all_at(CONTENT, SEGMENT as u64).expect("writing");
    }
}

fn any_byte_of_a_chunk_a_tag_a_manifest_or_a_footer(volume: &Sealed) {
    const MANIFEST: usize = stored(2 * 28);
    let segment = stored(CONTENT.len());
    let body = segment + MANIFEST + FOOTER;
    let regions = [
        ("salt", 0..24),
        ("commitment", 24..56),
        ("chunk", 56..segment - 16),
        ("tag", segment - 16..segment),
        ("manifest-header", segment..segment + 56),
        ("manifest", segment + 56..segment + MANIFEST),
        ("footer-header", body - FOOTER..body - FOOTER + 56),
        ("footer", body - FOOTER + 56..body - 16),
        ("footer-tag", body - 16..body),
    ];
    let places: Vec<(String, usize)> = regions
        .into_iter()
        .flat_map(|(region, range)| {
            let middle = range.start + range.len() / 3;
            [range.start, middle, range.end - 1].map(|at| (format!("{region}-{at}"), at))
        })
        .collect();
    let names: Vec<String> = places.iter().map(|(name, _)| name.clone()).collect();
    write_sparse(volume, &names);
    for (name, at) in &places {
        volume.change(name, |object| {
            assert_eq!(object.body.len(), body, "the hole takes no room");
            object.body[*at] ^= 1 << (at % 8);
        });
    }
    let tampered: Vec<(&str, &str)> = names.iter().map(|name| (&**name, NOT_AUTHENTIC)).collect();
    assert_refused(volume, &tampered);
}

fn any_byte_of_a_record_or_of_a_wrapped_key(volume: &Sealed) {
    // Salt, commitment, chunk and tag of each of the two messages.
    let record = [0, 24, 56, 100, 170, 224].map(|at| ("cloakfs-record", at));
    // Behind the byte that tells the kind of root.
    let key = [1, 25, 57, 80, 104].map(|at| ("cloakfs-key", at));
    let places: Vec<(String, &str, usize)> = record
        .into_iter()
        .chain(key)
        .map(|(field, at)| (format!("{field}-{at}"), field, at))
        .collect();
    let names: Vec<String> = places.iter().map(|(name, ..)| name.clone()).collect();
    write_sparse(volume, &names);
    for (name, field, at) in &places {
        volume.change(name, |object| {
            let text = object.metadata.get_mut(*field).expect("a field");
            let mut bytes = URL_SAFE_NO_PAD.decode(&*text).expect("base64url");
            bytes[*at] ^= 0x80;
            *text = URL_SAFE_NO_PAD.encode(bytes);
        });
    }
    let tampered: Vec<(&str, &str)> = names.iter().map(|name| (&**name, NOT_AUTHENTIC)).collect();
    assert_refused(volume, &tampered);
}

/// What is not as the format has it is refused before any key is tried on it.
fn what_is_in_no_form_of_metadata(volume: &Sealed) {
    let set = |field: &'static str, change: fn(&str) -> Option<String>| (field, change);
    let changes = [
        set("cloakfs-record", |_| None),
        set("cloakfs-record", |_| Some(String::new())),
        set("cloakfs-record", |text| Some(text[..text.len() - 3].into())),
        set("cloakfs-record", |text| Some(format!("{text}="))),
        set("cloakfs-record", |text| Some(format!("{text}\u{20}x"))),
        set("cloakfs-record", |text| Some(text.repeat(4))),
        set("cloakfs-key", |_| None),
        // No kind of root.
        set("cloakfs-key", |text| Some(format!("_{}", &text[1..]))),
        set("cloakfs-key", |text| Some(text[..100].into())),
        set("cloakfs-format", |_| None),
        set("cloakfs-format", |_| Some("one".into())),
        set("cloakfs-format", |_| Some("01".into())),
    ];
    let names: Vec<String> = (0..changes.len())
        .map(|number| format!("metadata-{number}"))
        .collect();
    write_sparse(volume, &names);
    for (name, (field, change)) in names.iter().zip(changes) {
        volume.change(name, |object| {
            let text = object.metadata.remove(field).expect("a field");
            if let Some(changed) = change(&text) {
                object.metadata.insert(field.to_owned(), changed);
            }
        });
    }
    // What can still be decoded is not authentic: both sentences end so.
    let end = "restore an older version of the object";
    let tampered: Vec<(&str, &str)> = names.iter().map(|name| (&**name, end)).collect();
    assert_refused(volume, &tampered);
}
