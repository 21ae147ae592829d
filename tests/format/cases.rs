//! Objects of every shape with what they hold, as JSON that decrypt.py and the fixtures share.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cloakfs::base::secret::Secret;
use cloakfs::base::time::Timestamp;
use cloakfs::crypto::passphrase::{Cost, Lock};
use cloakfs::crypto::{DataKey, MasterKey, NameKey};
use cloakfs::layout::attributes::{Attributes, FileKind, Xattrs};
use cloakfs::layout::sealed::object::{FileData, Place, StoredObject, encode_object};
use cloakfs::layout::sealed::volume::{Settings, VolumeHeader};
use cloakfs::layout::sealed::{
    AttributeVersion, BodyId, Content, FileId, Names, Record, SEGMENT_BYTES, StoredKey, VolumeId,
    WrappedKey, XattrPlace,
};
use serde_json::{Value, json};

const SEGMENT: usize = 8 << 20;
const _: () = assert!(SEGMENT as u64 == SEGMENT_BYTES);

/// An object, what opens it and what it holds.
pub struct Case {
    pub name: String,
    /// Volume record, root, stored key and metadata.
    pub sealed: Value,
    pub body: Vec<u8>,
    pub expected: Value,
}

/// A volume whose keys are known.
pub struct Volume {
    id: VolumeId,
    key: DataKey,
    wrapped: WrappedKey,
    names: Names,
    record: Vec<u8>,
    root: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    Kms,
    Master,
    Passphrase,
}

/// What a file is made of; the rest has defaults.
struct Shape<'a> {
    name: &'a str,
    path: &'a str,
    kind: FileKind,
    length: u64,
    segments: BTreeMap<u32, Vec<u8>>,
    in_record: (u64, XattrPlace),
    in_footer: (u64, XattrPlace),
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hex(digest.as_ref())
}

/// Everything that is decrypted by the independent program.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (root, encrypted) in [
        (Root::Master, true),
        (Root::Master, false),
        (Root::Kms, true),
        (Root::Passphrase, true),
    ] {
        let volume = Volume::new(root, encrypted);
        let of = format!("{root:?}-{encrypted}").to_lowercase();
        for shape in small() {
            cases.push(volume.case(&of, &shape));
        }
    }
    let volume = Volume::new(Root::Master, true);
    cases.extend(large().map(|shape| volume.case("large", &shape)));
    cases
}

/// A hole, two segments and a manifest in few bytes.
pub fn two_segments() -> Case {
    let shape = Shape::file("two", SEGMENT_BYTES + 9, &[(0, 100), (1, 9)]);
    Volume::new(Root::Master, true).case("one", &shape)
}

fn small() -> Vec<Shape<'static>> {
    let file = |name, length: usize| Shape::file(name, length as u64, &[(0, length)]);
    let mut sparse = Shape::file("sparse", 3 * SEGMENT_BYTES + 9, &[(1, 100), (3, 9)]);
    sparse.path = "deep/er/näme with ünicode";
    let mut directory = Shape::file("directory", 0, &[]);
    (directory.kind, directory.path) = (FileKind::Directory, "deep/er");
    let mut root = Shape::file("root-directory", 0, &[]);
    (root.kind, root.path) = (FileKind::Directory, "");
    let mut device = Shape::file("device", 0, &[]);
    device.kind = FileKind::CharDevice;
    let mut link = file("symlink", 20);
    link.kind = FileKind::Symlink;
    let mut in_record = file("xattrs-in-record", 5);
    in_record.in_record = (4, XattrPlace::Record);
    in_record.in_footer = (4, XattrPlace::Record);
    let mut in_body = Shape::file("xattrs-in-body", 2 * SEGMENT_BYTES, &[(0, 7), (1, 8)]);
    in_body.in_record = (4, XattrPlace::None);
    in_body.in_footer = (5, XattrPlace::Body);
    let mut newer_record = file("newer-record", 5);
    newer_record.in_record = (6, XattrPlace::None);
    newer_record.in_footer = (5, XattrPlace::Body);
    let mut longest = file("longest-name", 1);
    longest.path = LONGEST;
    vec![
        file("empty", 0),
        file("one-byte", 1),
        file("chunk-less-one", 16_383),
        file("chunk", 16_384),
        file("chunk-and-one", 16_385),
        Shape::file("all-hole", 1_000_000, &[]),
        Shape::file("short-segment", 1_000_000, &[(0, 3)]),
        sparse,
        directory,
        root,
        device,
        link,
        in_record,
        in_body,
        newer_record,
        longest,
    ]
}

/// 175 bytes.
const LONGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn large() -> impl Iterator<Item = Shape<'static>> {
    let whole = |name, length: usize| {
        let segments: Vec<(u32, usize)> = (0_u32..)
            .zip((0..length).step_by(SEGMENT))
            .map(|(index, at)| (index, (length - at).min(SEGMENT)))
            .collect();
        Shape::file(name, length as u64, &segments)
    };
    [
        whole("segment-less-one", SEGMENT - 1),
        whole("segment", SEGMENT),
        whole("segment-and-one", SEGMENT + 1),
        whole("two-segments", 2 * SEGMENT),
        whole("two-segments-and-one", 2 * SEGMENT + 1),
        // Its manifest is longer than a chunk: 600 pins of 28 bytes.
        Shape::file(
            "many-pins",
            600 * SEGMENT_BYTES,
            &[(0, 1), (300, 2), (599, 3)],
        ),
        Shape::file(
            "holes-around",
            5 * SEGMENT_BYTES,
            &[(1, SEGMENT), (2, 16_384), (4, SEGMENT - 1)],
        ),
    ]
    .into_iter()
}

impl Shape<'_> {
    fn file(name: &'static str, length: u64, segments: &[(u32, usize)]) -> Self {
        let byte = |index: u32, i: usize| {
            u8::try_from((i / 16_384 * 31 + i % 251 + index as usize) % 256).unwrap()
        };
        let segments = segments
            .iter()
            .filter(|(_, len)| *len > 0)
            .map(|&(index, len)| (index, (0..len).map(|i| byte(index, i) | 1).collect()));
        Shape {
            name,
            path: "file",
            kind: FileKind::File,
            length,
            segments: segments.collect(),
            in_record: (1, XattrPlace::None),
            in_footer: (1, XattrPlace::None),
        }
    }

    fn attributes(&self, (sequence, xattrs): (u64, XattrPlace)) -> AttributeVersion {
        AttributeVersion {
            sequence,
            attributes: Attributes {
                kind: self.kind,
                perm: 0o4755,
                uid: 1000,
                gid: u32::MAX,
                rdev: if self.kind == FileKind::CharDevice {
                    0x0010_0803
                } else {
                    0
                },
                atime: Timestamp::new(-5, 6).unwrap(),
                mtime: Timestamp::new(1_763_712_000, 999_999_999).unwrap(),
                ctime: Timestamp::new(i64::try_from(sequence).unwrap(), 0).unwrap(),
                xattrs: Xattrs::new(),
            },
            xattrs,
        }
    }

    fn content_sha256(&self) -> String {
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let zeros = vec![0; SEGMENT];
        for index in 0..u32::try_from(self.length.div_ceil(SEGMENT_BYTES)).unwrap() {
            let left = self.length - u64::from(index) * SEGMENT_BYTES;
            let left = usize::try_from(left.min(SEGMENT_BYTES)).unwrap();
            let segment = self.segments.get(&index).map_or(&[][..], Vec::as_slice);
            digest.update(segment);
            digest.update(&zeros[..left - segment.len()]);
        }
        hex(digest.finish().as_ref())
    }
}

impl Volume {
    pub fn new(root: Root, encrypted: bool) -> Self {
        let id = VolumeId::random();
        let (mut master, mut data) = ([0; 32], [0; 32]);
        cloakfs::base::secret::fill_random(&mut master);
        cloakfs::base::secret::fill_random(&mut data);
        let master_hex = hex(&master);
        let blob: Vec<u8> = (0..184).collect();
        let kms = json!({ "kms": { hex(&blob): hex(&data) } });
        let master = MasterKey::from_secret(Secret::take(&mut master));
        let key = DataKey::from_secret(Secret::take(&mut data));
        let (wrapped, lock, root) = match root {
            Root::Kms => (WrappedKey::Kms(blob), None, kms),
            Root::Master => {
                let wrapped = WrappedKey::Master(master.wrap(id.as_bytes(), &key));
                (wrapped, None, json!({ "master": master_hex }))
            }
            Root::Passphrase => {
                let wrapped = WrappedKey::Master(master.wrap(id.as_bytes(), &key));
                let cost = Cost::new(8_192, 2, 2).unwrap();
                let lock = Lock::new("pässphrase".as_bytes(), cost, id.as_bytes(), &master);
                let lock = lock.unwrap_or_else(|error| panic!("{error}"));
                (wrapped, Some(lock), json!({ "passphrase": "pässphrase" }))
            }
        };
        let names = if encrypted {
            Names::Encrypted(Box::new(NameKey::from_secret(Secret::take(&mut [3; 64]))))
        } else {
            Names::Plain
        };
        let header = VolumeHeader {
            id,
            kms_key_name: if matches!(wrapped, WrappedKey::Kms(_)) {
                "arn:aws:kms:eu-central-1:111122223333:key/x".to_owned()
            } else {
                String::new()
            },
            key: wrapped.clone(),
            lock,
        };
        let settings = Settings { sequence: 1, names };
        let record = header.seal(&key, &settings);
        Self {
            id,
            key,
            wrapped,
            names: settings.names,
            record,
            root,
        }
    }

    fn case(&self, of: &str, shape: &Shape<'_>) -> Case {
        let path = shape.path.parse().unwrap();
        let stored = self.names.stored_path(&path).unwrap();
        let at = match shape.kind {
            FileKind::Directory => stored.directory_key(),
            _ => stored.file_key(),
        };
        let inline = Xattrs::from([("user.inline".to_owned(), vec![1, 2, 255])]);
        let in_body = Xattrs::from([
            ("user.big".to_owned(), vec![7; 20_000]),
            ("user.empty".to_owned(), Vec::new()),
        ]);
        let mut attributes = shape.attributes(shape.in_record);
        if shape.in_record.1 == XattrPlace::Record {
            attributes.attributes.xattrs = inline.clone();
        }
        let record = Record {
            file: FileId::random(),
            content: Content::random(),
            body: BodyId::random(),
            generation: 1,
            attributes,
        };
        let data = FileData {
            length: shape.length,
            segments: shape
                .segments
                .iter()
                .map(|(i, s)| (*i, s.as_slice()))
                .collect(),
            attributes: &shape.attributes(shape.in_footer),
            body_xattrs: if shape.in_footer.1 == XattrPlace::Body {
                &in_body
            } else {
                &Xattrs::new()
            },
        };
        let object = self.encode(&at, &record, &data);
        let footer_holds = shape.in_footer.0 > shape.in_record.0;
        let (sequence, place) = if footer_holds {
            shape.in_footer
        } else {
            shape.in_record
        };
        let xattrs = match place {
            XattrPlace::None => Xattrs::new(),
            XattrPlace::Record => inline,
            XattrPlace::Body => in_body,
        };
        let xattrs: BTreeMap<_, _> = xattrs
            .iter()
            .map(|(name, value)| (name, hex(value)))
            .collect();
        let attributes = shape.attributes((sequence, place)).attributes;
        let expected = json!({
            "path": shape.path,
            "length": shape.length,
            "sha256": shape.content_sha256(),
            "attributes": describe(sequence, &attributes),
            "xattrs": xattrs,
        });
        Case {
            name: format!("{of}-{}", shape.name),
            sealed: json!({
                "record": hex(&self.record),
                "root": self.root,
                "key": at.as_str(),
                "metadata": object.metadata,
            }),
            body: object.body,
            expected,
        }
    }

    fn encode(&self, at: &StoredKey, record: &Record, data: &FileData<'_>) -> StoredObject {
        let place = Place {
            key: &self.key,
            volume: self.id,
            at,
        };
        encode_object(&place, &self.wrapped, record, data)
    }
}

/// Attributes as decrypt.py shows them.
pub fn describe(sequence: u64, attributes: &Attributes) -> Value {
    let times = [attributes.atime, attributes.mtime, attributes.ctime];
    let times: Vec<Value> = times
        .iter()
        .flat_map(|time| [json!(time.secs()), json!(time.nanos())])
        .collect();
    json!({
        "sequence": sequence,
        "mode": attributes.mode(),
        "uid": attributes.uid,
        "gid": attributes.gid,
        "rdev": attributes.rdev,
        "times": times,
    })
}
