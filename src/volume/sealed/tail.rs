//! The tail of an upload: what follows the segments, made once.
//!
//! Invariants:
//! 1. *A body has one tail.* The body id is drawn with the upload; its tail is made at the
//!    first completion and kept. A completion that is repeated sends the same bytes, and one
//!    that asks for other content is refused: that belongs to a new upload.
//! 2. Parts are put together in the order of their numbers; so their segments must ascend, and
//!    only the last part may be one that waits for the tail. Whatever breaks this is an error
//!    before anything is completed, never a broken object.

use std::sync::Arc;

use bytes::Bytes;

use super::opened::SUFFIX_BYTES;
use super::sealing::{attribute_version, body_xattrs, xattr_place};
use super::{Opened, Sealing};
use crate::layout::attributes::{Attributes, Xattrs};
use crate::layout::sealed::{
    AttributeVersion, BodyMap, BodyWriter, ObjectError, Pin, Record, SEGMENT_BYTES, SegmentIndex,
    XattrPlace,
};
use crate::store::{ETag, ObjectKey, PartNumber, PartReceipt};
use crate::volume::upload::Sent;
use crate::volume::{ObjectMeta, Part, Result, Upload, Volume, VolumeError};

/// A tail that was made.
pub struct Ending {
    size: u64,
    attributes: Attributes,
    /// Of each part.
    pins: Vec<Arc<[(SegmentIndex, Pin)]>>,
    tail: Bytes,
    /// The tail, after what waited for it; empty once it was sent.
    last: (PartNumber, Bytes),
    sent: Option<PartReceipt>,
}

impl Upload {
    /// Uploads the tail, made at the first call; the receipts of all parts.
    pub(in crate::volume) async fn send_tail(
        &self,
        sealing: &Sealing,
        parts: &[Part],
        size: u64,
        meta: &ObjectMeta,
    ) -> Result<Vec<PartReceipt>> {
        let mut ending = sealing.ending.lock().await;
        let ending = match &mut *ending {
            Some(made) if made.is_of(parts, size, meta) => made,
            Some(_) => {
                let message = "its completion was asked for before with other content, and one \
                               upload is completed in one way only";
                return Err(VolumeError::invalid(self.key(), message));
            }
            none => {
                let place = xattr_place(self.key(), meta)?;
                none.insert(sealing.end(self.key(), parts, size, meta, place)?)
            }
        };
        let last = if let Some(receipt) = &ending.sent {
            receipt.clone()
        } else {
            let (number, body) = ending.last.clone();
            let receipt = self.send_part(number, body).await?;
            ending.last.1 = Bytes::new();
            ending.sent.insert(receipt).clone()
        };
        let mut receipts: Vec<_> = parts.iter().filter_map(Part::receipt).collect();
        receipts.push(last);
        Ok(receipts)
    }
}

impl Sealing {
    fn end(
        &self,
        key: &ObjectKey,
        parts: &[Part],
        size: u64,
        meta: &ObjectMeta,
        place: XattrPlace,
    ) -> Result<Ending> {
        let invalid = |message| VolumeError::invalid(key, message);
        let mut pins: Vec<Option<Pin>> = Vec::new();
        let mut held: Option<&Bytes> = None;
        let mut last = 0;
        for part in parts {
            if held.is_some() {
                return Err(invalid("a part that is too short is not its last"));
            }
            if part.number.value() <= last {
                return Err(invalid("its parts are not in the order of their numbers"));
            }
            last = part.number.value();
            for (SegmentIndex(index), pin) in part.pins.iter() {
                let at = *index as usize;
                let end = u64::from(*index) * SEGMENT_BYTES + pin.length().plain();
                if at < pins.len() || end > size {
                    return Err(invalid("its parts are not in the order of the file"));
                }
                pins.resize(at, None);
                pins.push(Some(*pin));
            }
            if let Sent::Held(body) = &part.sent {
                held = Some(body);
            }
        }
        let (attributes, body_xattrs) = self.at_completion(meta, place);
        let writer = BodyWriter::with_pins(self.record.body, pins);
        let tail = writer.finish(&self.record.content, size, &attributes, &body_xattrs);
        let tail = Bytes::from(tail);
        let last = if let Some(held) = held {
            let number = PartNumber::new(last).expect("the number of a part");
            (number, Bytes::from([held, &tail[..]].concat()))
        } else {
            let number = PartNumber::new(last + 1);
            let number = number.ok_or_else(|| invalid("it has too many parts"))?;
            (number, tail.clone())
        };
        Ok(Ending {
            size,
            attributes: meta.attributes.clone(),
            pins: parts.iter().map(|part| Arc::clone(&part.pins)).collect(),
            tail,
            last,
            sent: None,
        })
    }

    /// The footer's attributes and the extended ones that go into the body. Where they are not
    /// the record's they have a higher number, and extended ones that the record does not have
    /// are in the body.
    fn at_completion(&self, meta: &ObjectMeta, place: XattrPlace) -> (AttributeVersion, Xattrs) {
        let before = &self.record.attributes;
        let same = meta.attributes.xattrs == before.attributes.xattrs;
        let place = if place == XattrPlace::Record && !same {
            XattrPlace::Body
        } else {
            place
        };
        let mut now = attribute_version(meta, before.sequence, place);
        if now != *before {
            now.sequence = before.sequence.saturating_add(1);
        }
        (now, body_xattrs(meta, place))
    }

    /// What is known of the object that was written.
    pub(in crate::volume) async fn keep(&self, volume: &Volume, key: &ObjectKey, etag: &ETag) {
        let ending = self.ending.lock().await;
        let Some(ending) = &*ending else {
            return;
        };
        let mut pins: Vec<Option<Pin>> = Vec::new();
        for (SegmentIndex(index), pin) in ending.pins.iter().flat_map(|pins| pins.iter()) {
            pins.resize(*index as usize, None);
            pins.push(Some(*pin));
        }
        let record = self.record.duplicate();
        volume.keep(key, etag, || Opened::written(record, &ending.tail, pins));
    }
}

impl Ending {
    fn is_of(&self, parts: &[Part], size: u64, meta: &ObjectMeta) -> bool {
        let same_pins = parts.iter().map(|part| &part.pins).eq(&self.pins);
        same_pins && self.size == size && self.attributes == meta.attributes
    }
}

impl Opened {
    /// An object that was written here, segments with these pins and then `tail`: nothing of it
    /// has to be asked for but content.
    ///
    /// # Errors
    /// When the tail is not that of this record and these segments.
    pub fn written(
        record: Record,
        tail: &[u8],
        pins: Vec<Option<Pin>>,
    ) -> std::result::Result<Self, ObjectError> {
        let stored = pins.iter().flatten().map(|pin| pin.length().stored());
        let segments: u64 = stored.sum();
        let bytes = segments + tail.len() as u64;
        // A slice would keep all of the manifest, which is in the map.
        let kept = tail.len().saturating_sub(index(SUFFIX_BYTES));
        let end = Bytes::copy_from_slice(&tail[kept..]);
        let opened = Self::new(record, bytes, (segments + kept as u64, end))?;
        let map = BodyMap::new(&opened.footer, &opened.tail, pins)?;
        Ok(opened.with_map(map))
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}
