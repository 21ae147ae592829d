//! Attributes as record and footer have them (section 5): 61 bytes.
//!
//! Both have them because metadata is fixed when a multipart upload begins, and the footer is
//! written last. The higher sequence number tells which hold.

use super::cursor::Cursor;
use super::error::ObjectError;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};

/// Length of encoded attributes.
pub(super) const ATTRIBUTES_BYTES: usize = 61;
const PERM_BITS: u32 = 0o7777;

/// Where an object's extended attributes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrPlace {
    None,
    Record,
    Body,
}

/// Attributes as they were at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeVersion {
    pub sequence: u64,
    /// Its extended attributes are those that are in the same place as this: in a record that
    /// says [`XattrPlace::Record`] all of them, otherwise none.
    pub attributes: Attributes,
    pub xattrs: XattrPlace,
}

impl AttributeVersion {
    /// Which attributes hold. Where the extended ones are in the body, they are still to be
    /// read from there.
    ///
    /// # Errors
    /// When the two are not of one object.
    pub fn current(record: &Self, footer: &Self) -> Result<Self, ObjectError> {
        if record.attributes.kind != footer.attributes.kind {
            return Err(ObjectError::Malformed(
                "record and footer are of different types",
            ));
        }
        if footer.sequence <= record.sequence {
            return Ok(record.clone());
        }
        let mut current = footer.clone();
        if footer.xattrs == XattrPlace::Record {
            if record.xattrs != XattrPlace::Record {
                return Err(ObjectError::Malformed(
                    "its extended attributes should be in the record and are not",
                ));
            }
            current
                .attributes
                .xattrs
                .clone_from(&record.attributes.xattrs);
        }
        Ok(current)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let attributes = &self.attributes;
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&attributes.mode().to_be_bytes());
        out.extend_from_slice(&attributes.uid.to_be_bytes());
        out.extend_from_slice(&attributes.gid.to_be_bytes());
        out.extend_from_slice(&attributes.rdev.to_be_bytes());
        for time in [attributes.atime, attributes.mtime, attributes.ctime] {
            out.extend_from_slice(&time.secs().to_be_bytes());
            out.extend_from_slice(&time.nanos().to_be_bytes());
        }
        out.push(match self.xattrs {
            XattrPlace::None => 0,
            XattrPlace::Record => 1,
            XattrPlace::Body => 2,
        });
    }

    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<Self, ObjectError> {
        let sequence = from.u64()?;
        let mode = from.u32()?;
        let kind = FileKind::from_mode(mode).ok_or(ObjectError::Malformed("it has no type"))?;
        let perm = mode & PERM_BITS;
        if mode != kind.type_bits() | perm {
            return Err(ObjectError::Malformed("its mode has bits that are none"));
        }
        let (uid, gid, rdev) = (from.u32()?, from.u32()?, from.u32()?);
        let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
        if rdev != 0 && !is_device {
            return Err(ObjectError::Malformed(
                "it has a device number and is no device",
            ));
        }
        let attributes = Attributes {
            kind,
            perm: u16::try_from(perm).expect("12 bits fit 16"),
            uid,
            gid,
            rdev,
            atime: time(from)?,
            mtime: time(from)?,
            ctime: time(from)?,
            xattrs: Xattrs::new(),
        };
        let xattrs = match from.u8()? {
            0 => XattrPlace::None,
            1 => XattrPlace::Record,
            2 => XattrPlace::Body,
            _ => {
                return Err(ObjectError::Malformed(
                    "its extended attributes are in no known place",
                ));
            }
        };
        Ok(Self {
            sequence,
            attributes,
            xattrs,
        })
    }
}

fn time(from: &mut Cursor<'_>) -> Result<Timestamp, ObjectError> {
    Timestamp::new(from.i64()?, from.u32()?).ok_or(ObjectError::Malformed(
        "a time has a second or more of nanoseconds",
    ))
}
