//! What is fuzzed: each decoder of the client-side format on any bytes. A function panics when
//! something is wrong; the fuzzer and `tests/format/seeds.rs` call the same ones.

use std::collections::BTreeMap;

use cloakfs::base::range::ByteRange;
use cloakfs::base::secret::Secret;
use cloakfs::crypto::{Context, InputKey, NameKey, Purpose, open};
use cloakfs::layout::s3ec::{Described, Envelope, FormatVersion};
use cloakfs::layout::sealed::map::PlainRange;
use cloakfs::layout::sealed::volume::{SealedVolume, Settings};
use cloakfs::layout::sealed::{
    BodyMap, FOOTER_STORED_BYTES, Footer, Names, Piece, Record, SealedMetadata, Segments,
    StoredPath, Tail, WrappedKey, manifest, xattrs,
};

/// A name, which is also that of its directory under fuzz/seeds.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 10] = [
    ("body", body),
    ("footer", footer),
    ("manifest", decoded_manifest),
    ("message", message),
    ("metadata", metadata),
    ("names", names),
    ("record", record),
    ("s3ec", s3ec),
    ("volume", volume),
    ("xattrs", decoded_xattrs),
];

/// Header lines `name: value`. What is taken is written again as the same text.
pub fn metadata(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let headers: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if let Ok(decoded) = SealedMetadata::decode(&headers) {
        for (name, value) in decoded.encode() {
            assert_eq!(headers.get(&name), Some(&value), "one spelling");
        }
    }
    if let Some(key) = WrappedKey::decode(data) {
        assert_eq!(key.encode(), data);
    }
}

/// Header lines `name: value` of an object of the Amazon S3 Encryption Client, an empty line, and
/// what its instruction file holds. What is taken of the version that is written is written again
/// as what it was taken for.
pub fn s3ec(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, file) = match end {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let Ok(head) = str::from_utf8(head) else {
        return;
    };
    let headers: BTreeMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let Ok(described) = Described::decode(&headers) else {
        return;
    };
    let envelope = match described {
        Described::Whole(envelope) => envelope,
        described => match described.with_instruction_file(file) {
            Ok(envelope) => {
                assert!(envelope.has_instruction_file);
                envelope
            }
            Err(_) => return,
        },
    };
    assert!(!envelope.wrapped_key.is_empty());
    let is_legacy = envelope.legacy().is_some();
    assert!(envelope.version != FormatVersion::V3 || !is_legacy);
    assert!(envelope.version != FormatVersion::V1 || is_legacy);
    if let Ok(context) = envelope.context_for(&BTreeMap::new()) {
        // Nothing that was stored but what the format itself adds.
        assert_eq!(context.len(), 1);
    }
    let length = file.len() as u64;
    if let Ok(ciphertext) = envelope.content.ciphertext_bytes(length) {
        assert!(ciphertext <= length);
    }
    if envelope.version == FormatVersion::V3 {
        let again = Described::decode(&envelope.encode());
        let expected = Envelope {
            has_instruction_file: false,
            ..envelope
        };
        assert_eq!(again, Ok(Described::Whole(expected)));
    }
}

/// A record's plaintext.
pub fn record(data: &[u8]) {
    if let Ok(record) = Record::decode(data) {
        assert!(data.len() <= 768);
        assert!(xattrs::check(&record.attributes.attributes.xattrs).is_ok());
    }
}

/// A footer's plaintext.
pub fn footer(data: &[u8]) {
    if let Ok(footer) = Footer::decode(data) {
        let object_bytes = u64::from_be_bytes(*data.last_chunk().unwrap());
        if let Ok(tail) = Tail::new(&footer, object_bytes) {
            assert!(tail.segments_end + FOOTER_STORED_BYTES <= object_bytes);
        }
    }
}

/// A manifest's plaintext.
pub fn decoded_manifest(data: &[u8]) {
    if let Ok(pins) = manifest::decode(data) {
        assert_eq!(pins.len() * 28, data.len());
    }
}

/// Extended attributes' plaintext.
pub fn decoded_xattrs(data: &[u8]) {
    if let Ok(decoded) = xattrs::decode(data) {
        assert_eq!(xattrs::encoded_bytes(&decoded), data.len(), "one spelling");
    }
}

/// A footer's plaintext, then a manifest's: the map of a body whose length fits, and what is
/// read through it.
pub fn body(data: &[u8]) {
    let Some((plain, pins)) = data.split_at_checked(133) else {
        return;
    };
    let Ok(footer) = Footer::decode(plain) else {
        return;
    };
    let pins = match footer.segments {
        Segments::None => Vec::new(),
        Segments::One(pin) => vec![Some(pin)],
        Segments::Many { .. } => match manifest::decode(pins) {
            Ok(pins) => pins,
            Err(_) => return,
        },
    };
    let parts = pins.iter().flatten().map(|pin| pin.length().stored());
    let segments: u64 = parts.sum();
    let manifest = match footer.segments {
        Segments::Many { manifest, .. } => manifest.length().stored(),
        _ => 0,
    };
    let xattrs = footer.xattrs.map_or(0, |pin| pin.length().stored());
    let object_bytes = segments + manifest + xattrs + FOOTER_STORED_BYTES;
    let tail = Tail::new(&footer, object_bytes).expect("there is room for all parts");
    assert_eq!(tail.segments_end, segments);
    let longer = Tail::new(&footer, object_bytes + 1).expect("there is room for all parts");
    assert!(BodyMap::new(&footer, &longer, pins.clone()).is_err());
    let count = pins.len() as u64;
    let Ok(map) = BodyMap::new(&footer, &tail, pins) else {
        return;
    };
    let end = map.length();
    for start in [0, end / 2, (count.saturating_sub(1) << 23).min(end), end] {
        let stop = start.saturating_add(50 << 20);
        let mut at = start;
        for piece in map.pieces(PlainRange(ByteRange::new(start, stop))) {
            let plain = match piece {
                Piece::Zeros(PlainRange(plain)) => plain,
                Piece::Sealed(piece) => {
                    assert!(piece.stored.0.end() <= segments);
                    piece.plain.0
                }
            };
            assert!(plain.start() == at && !plain.is_empty());
            at = plain.end();
        }
        assert_eq!(at, stop.min(end).max(start));
    }
}

/// A sealed message: nothing that was not sealed opens.
pub fn message(data: &[u8]) {
    let key = InputKey::from_secret(Secret::take(&mut [7; 32]));
    let context = Context::new(Purpose::Segment);
    if let Ok(plain) = open(&key, &context, data) {
        assert_eq!(plain, b"the one message that was sealed");
    }
}

/// A volume record, and the plaintext of settings.
pub fn volume(data: &[u8]) {
    if let Ok(volume) = SealedVolume::decode(data) {
        let header = volume.header();
        assert!(header.kms_key_name.len() <= 2048 && data.len() <= 8192);
        let is_kms = matches!(header.key, WrappedKey::Kms(_));
        assert!(!is_kms || header.lock.is_none());
    }
    if let Ok(settings) = Settings::decode(data) {
        assert!(data.len() == 77 && settings.names.name_bytes_max() >= 175);
    }
}

/// A stored name. What opens is stored as exactly this.
pub fn names(data: &[u8]) {
    let Ok(stored) = str::from_utf8(data) else {
        return;
    };
    let key = NameKey::from_secret(Secret::take(&mut [3; 64]));
    let parent = StoredPath::root();
    for names in [Names::Encrypted(Box::new(key)), Names::Plain] {
        if let Ok(name) = names.open(&parent, stored) {
            assert_eq!(names.seal(&parent, &name).as_deref(), Ok(stored));
        }
    }
}
