//! Plans carried out in the real format: seal, put together as S3 does, open, compare.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::time::Timestamp;
use crate::crypto::DataKey;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::sealed::map::{PlainRange, StoredRange};
use crate::layout::sealed::object::{
    FileData, OpenedObject, Place, StoredObject, encode_object, open_object, read,
};
use crate::layout::sealed::writer::seal_segment;
use crate::layout::sealed::{
    AttributeVersion, BodyId, BodyWriter, Content, FileId, Pin, Record, SegmentIndex, StoredKey,
    VolumeId, WrappedKey, XattrPlace,
};

/// A volume's keys, and a file in it as the format has it, beside every byte that it should have.
struct World {
    key: DataKey,
    volume: VolumeId,
    at: StoredKey,
    record: Record,
    object: StoredObject,
    content: Vec<u8>,
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

fn slice(bytes: &[u8], range: ByteRange) -> &[u8] {
    &bytes[index(range.start())..index(range.end())]
}

fn attributes() -> AttributeVersion {
    AttributeVersion {
        sequence: 1,
        attributes: Attributes {
            kind: FileKind::File,
            perm: 0o644,
            uid: 1,
            gid: 2,
            rdev: 0,
            atime: Timestamp::EPOCH,
            mtime: Timestamp::EPOCH,
            ctime: Timestamp::EPOCH,
            xattrs: Xattrs::new(),
        },
        xattrs: XattrPlace::None,
    }
}

impl World {
    fn new((size, lengths): &(u64, Vec<u32>)) -> Self {
        let mut content = vec![0; index(*size)];
        let stored = StoredSegments::from_lengths(lengths.clone());
        let ranges = (0..lengths.len() as u64).filter_map(|segment| stored.range(segment));
        let ranges: Vec<ByteRange> = ranges.collect();
        for range in &ranges {
            let stamp = u8::try_from(1 + range.start() / SEGMENT).unwrap();
            content[index(range.start())..index(range.end())].fill(stamp);
        }
        let record = Record {
            file: FileId::random(),
            content: Content::random(),
            body: BodyId::random(),
            generation: 1,
            attributes: attributes(),
        };
        let segments = ranges.iter().map(|range| {
            let number = u32::try_from(range.start() / SEGMENT).unwrap();
            (number, slice(&content, *range))
        });
        let data = FileData {
            length: *size,
            segments: segments.collect::<BTreeMap<_, _>>(),
            attributes: &attributes(),
            body_xattrs: &Xattrs::new(),
        };
        let (key, volume) = (DataKey::random(), VolumeId::random());
        let at = StoredKey::below("", "file").unwrap();
        let place = Place {
            key: &key,
            volume,
            at: &at,
        };
        let wrapped = WrappedKey::Kms(vec![7; 184]);
        let object = encode_object(&place, &wrapped, &record, &data);
        Self {
            key,
            volume,
            at,
            record,
            object,
            content,
        }
    }

    fn open(&self, object: &StoredObject) -> OpenedObject {
        let place = Place {
            key: &self.key,
            volume: self.volume,
            at: &self.at,
        };
        open_object(&place, object).unwrap()
    }

    fn change(&mut self, changes: &[Change]) {
        for (stamp, change) in (100..).zip(changes) {
            match *change {
                Change::Write { at, len } => {
                    let end = index(at + len);
                    self.content.resize(self.content.len().max(end), 0);
                    self.content[index(at)..end].fill(stamp);
                }
                Change::Resize(size) => self.content.resize(index(size), 0),
            }
        }
    }

    /// What the bucket has after these steps and a completion, as S3 puts it together; the bytes
    /// that were sent.
    fn carry_out(&self, file: &Changed, steps: &[PartStep]) -> (StoredObject, u64) {
        let base = self.open(&self.object);
        let content = &base.record.content;
        let mut pins: Vec<Option<Pin>> = Vec::new();
        let mut put = |segment: u64, pin: Pin| {
            pins.resize(index(segment), None);
            pins.push(Some(pin));
        };
        let (mut parts, mut sent) = (Vec::new(), 0);
        for step in steps {
            let mut part = Vec::new();
            match step.how {
                PartSource::Copy => {
                    let mut whole: Option<ByteRange> = None;
                    for range in segments_of(step.range) {
                        let segment = range.start() / SEGMENT;
                        let number = SegmentIndex(u32::try_from(segment).unwrap());
                        if let Some((pin, StoredRange(range))) = base.map.message(number) {
                            put(segment, pin);
                            let start = whole.map_or(range.start(), ByteRange::start);
                            whole = Some(ByteRange::new(start, range.end()));
                        }
                    }
                    part.extend_from_slice(slice(&self.object.body, whole.unwrap()));
                }
                PartSource::Upload => {
                    for range in file.view().messages(step.range) {
                        let segment = range.start() / SEGMENT;
                        let number = SegmentIndex(u32::try_from(segment).unwrap());
                        let sealed = seal_segment(content, number, slice(&self.content, range));
                        put(segment, sealed.pin);
                        part.extend(sealed.message);
                    }
                    sent += part.len() as u64;
                }
            }
            parts.push(part);
        }
        let body = BodyId::random();
        let size = self.content.len() as u64;
        let writer = BodyWriter::with_pins(body, pins);
        let tail = writer.finish(content, size, &attributes(), &Xattrs::new());
        sent += tail.len() as u64;
        match parts.last_mut() {
            Some(last) if (last.len() as u64) < limits::PART_BYTES_MIN => last.extend(tail),
            _ => parts.push(tail),
        }
        let (_, followed) = parts.split_last().unwrap();
        for part in followed {
            let bytes = part.len() as u64;
            assert!((limits::PART_BYTES_MIN..=limits::PART_BYTES_MAX).contains(&bytes));
        }
        let mut record = self.record.duplicate();
        record.body = body;
        let sealed = record.seal(&self.key, self.volume, &self.at);
        let mut metadata = self.object.metadata.clone();
        let encoded = crate::layout::sealed::SealedMetadata {
            key: WrappedKey::Kms(vec![7; 184]),
            record: sealed,
        };
        metadata.extend(encoded.encode());
        let body = parts.concat();
        (StoredObject { metadata, body }, sent)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Through the real format: what a plan makes opens, and is the file.
    #[test]
    fn the_object_that_a_plan_makes_is_the_file(
        base in base(5), changes in prop::collection::vec(change(5), 1..4),
    ) {
        let mut world = World::new(&base);
        world.change(&changes);
        let file = Changed::new(Some(&base), &changes);
        let few_numbers = PlanLimits { parts_max: 2, ..FEW };
        let free = [FEW, few_numbers].map(|limits| file.view().free_steps(&limits));
        prop_assert!(free[1].len() <= 2);
        for steps in [file.view().steps(&FEW)].into_iter().chain(free) {
            let (object, sent) = world.carry_out(&file, &steps);
            let opened = world.open(&object);
            let whole = PlainRange(ByteRange::new(0, file.size));
            let read = read(&opened, &object.body, whole).unwrap();
            prop_assert!(read == world.content, "another file");
            let uploads = steps.iter().filter(|step| step.how == PartSource::Upload);
            let messages = uploads.flat_map(|step| file.view().messages(step.range));
            let sealed: u64 = messages.map(|range| StoredSegments::stored_bytes(range.len())).sum();
            prop_assert!(sent <= sealed + 4096, "{sent} bytes sent for {sealed}");
        }
    }
}
