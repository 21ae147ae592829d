//! Chunks and segments that are genuine and not where they belong.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{
    CHUNK, FOOTER, NOT_AUTHENTIC, SEGMENT, assert_refused, chunk, on_both_places, stored, write,
};
use crate::raw_objects::RawObject;
use crate::sealed::Sealed;
use crate::tree::bytes;

on_both_places!(
    chunks_swapped_doubled_dropped_appended_and_zeroed,
    chunks_of_another_file_and_of_another_version,
    cut_at_a_boundary_added_to_and_emptied,
    segments_swapped_doubled_and_of_another_version,
    holes_made_filled_and_moved,
);

const CHUNKS: usize = 3;

/// A file, and what is done to the body of its object.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));

fn content(seed: u64) -> Vec<u8> {
    bytes(seed, CHUNKS * CHUNK + 100)
}

/// Changes the bodies of files, each in its own way, and asserts that every one is refused.
fn assert_all_refused(volume: &Sealed, changes: &[Change<'_>]) {
    for (name, change) in changes {
        volume.change(name, |object| change(&mut object.body));
    }
    let tampered: Vec<(&str, &str)> = changes
        .iter()
        .map(|(name, _)| (*name, NOT_AUTHENTIC))
        .collect();
    assert_refused(volume, &tampered);
}

fn chunks_swapped_doubled_dropped_appended_and_zeroed(volume: &Sealed) {
    let swap = |body: &mut Vec<u8>| {
        let first = body[chunk(0)].to_vec();
        body.copy_within(chunk(1), chunk(0).start);
        body[chunk(1)].copy_from_slice(&first);
    };
    let double = |body: &mut Vec<u8>| body.copy_within(chunk(0), chunk(1).start);
    let double_and_grow = |body: &mut Vec<u8>| {
        let first = body[chunk(0)].to_vec();
        body.splice(chunk(1).start..chunk(1).start, first);
    };
    let drop_one = |body: &mut Vec<u8>| drop(body.drain(chunk(1)));
    let drop_the_last = |body: &mut Vec<u8>| {
        let end = body.len() - FOOTER;
        body.drain(chunk(2).end..end);
    };
    let append = |body: &mut Vec<u8>| {
        let (last, end) = (body[chunk(2)].to_vec(), body.len() - FOOTER);
        body.splice(end..end, last);
    };
    let zero = |body: &mut Vec<u8>| body[chunk(1)].fill(0);
    let put_zeros_in = |body: &mut Vec<u8>| {
        body.splice(chunk(1).start..chunk(1).start, vec![0; CHUNK + 16]);
    };
    let changes: [Change<'_>; 8] = [
        ("swapped", &swap),
        ("doubled", &double),
        ("doubled-and-longer", &double_and_grow),
        ("dropped", &drop_one),
        ("last-dropped", &drop_the_last),
        ("appended", &append),
        ("zeroed", &zero),
        ("zeros-put-in", &put_zeros_in),
    ];
    let content = content(1);
    write(volume, &changes.map(|(name, _)| (name, &*content)));
    assert_all_refused(volume, &changes);
}

fn chunks_of_another_file_and_of_another_version(volume: &Sealed) {
    let content = content(1);
    let names = [
        "from-another-file",
        "message-of-another",
        "from-before",
        "message-of-before",
    ];
    let files = ["another"].into_iter().chain(names);
    let files: Vec<(&str, &[u8])> = files.map(|name| (name, &*content)).collect();
    write(volume, &files);
    let another = volume.read("another");
    let before = names.map(|name| volume.read(name));
    let mount = volume.mount();
    for name in names {
        // In place, so that it stays the same line of versions.
        let file = File::options().write(true).open(mount.path().join(name));
        file.expect("opening")
            .write_all_at(b"!", 5)
            .expect("writing");
    }
    drop(mount);
    let message = 0..stored(content.len());
    let take = |from: &RawObject, body: &mut Vec<u8>, range: std::ops::Range<usize>| {
        body[range.clone()].copy_from_slice(&from.body[range]);
    };
    assert_all_refused(
        volume,
        &[
            (names[0], &|body| take(&another, body, chunk(1))),
            (names[1], &|body| take(&another, body, message.clone())),
            (names[2], &|body| take(&before[2], body, chunk(1))),
            (names[3], &|body| take(&before[3], body, message.clone())),
        ],
    );
}

fn cut_at_a_boundary_added_to_and_emptied(volume: &Sealed) {
    let content = content(1);
    let end = stored(content.len());
    let changes: [Change<'_>; 10] = [
        ("emptied", &Vec::clear),
        ("one-byte", &|body| body.truncate(1)),
        ("one-chunk", &|body| body.truncate(chunk(0).end)),
        ("segment-only", &|body| body.truncate(end)),
        ("one-byte-short", &|body| body.truncate(body.len() - 1)),
        ("one-byte-cut-in-front", &|body| drop(body.drain(..1))),
        ("footer-only", &|body| drop(body.drain(..end))),
        ("one-byte-in-front", &|body| body.insert(0, 0)),
        ("one-byte-behind", &|body| body.push(0)),
        ("two-footers", &|body| body.extend_from_within(end..)),
    ];
    write(volume, &changes.map(|(name, _)| (name, &*content)));
    assert_all_refused(volume, &changes);
}

fn segments_swapped_doubled_and_of_another_version(volume: &Sealed) {
    let content = bytes(3, 2 * SEGMENT + 50_000);
    let names = ["swapped", "doubled", "of-before", "cut"];
    write(volume, &names.map(|name| (name, &*content)));
    let before = volume.read("of-before");
    let mount = volume.mount();
    let file = File::options()
        .write(true)
        .open(mount.path().join("of-before"));
    file.expect("opening")
        .write_all_at(b"!", 77)
        .expect("writing");
    drop(mount);
    let first = 0..stored(SEGMENT);
    let second = stored(SEGMENT)..2 * stored(SEGMENT);
    assert_all_refused(
        volume,
        &[
            ("swapped", &|body| {
                let kept = body[first.clone()].to_vec();
                body.copy_within(second.clone(), 0);
                body[second.clone()].copy_from_slice(&kept);
            }),
            ("doubled", &|body| {
                body.copy_within(first.clone(), second.start);
            }),
            ("of-before", &|body| {
                body[first.clone()].copy_from_slice(&before.body[first.clone()]);
            }),
            ("cut", &|body| drop(body.drain(second.clone()))),
        ],
    );
}

/// A hole is part of the manifest; a segment of zeros is no hole, and the reverse.
fn holes_made_filled_and_moved(volume: &Sealed) {
    let names = ["made", "filled", "moved"];
    let mount = volume.mount();
    for name in names {
        let file = File::create(mount.path().join(name)).expect("creating");
        for (segment, seed) in [(1, 4), (3, 5)] {
            let at = (segment * SEGMENT) as u64;
            file.write_all_at(&bytes(seed, SEGMENT), at)
                .expect("writing");
        }
    }
    drop(mount);
    let length = stored(SEGMENT);
    assert_all_refused(
        volume,
        &[
            ("made", &|body| drop(body.drain(..length))),
            ("filled", &|body| drop(body.splice(0..0, vec![0; length]))),
            ("moved", &|body| {
                let segment: Vec<u8> = body.drain(..length).collect();
                body.splice(length..length, segment);
            }),
        ],
    );
}
