//! The footer (section 6): the last 205 bytes of every object. It has the length, the attributes
//! as they were at commit, and the pins that everything else in the body hangs on.

use super::SEGMENT_BYTES;
use super::attributes::{ATTRIBUTES_BYTES, AttributeVersion};
use super::cursor::Cursor;
use super::error::ObjectError;
use super::id::BodyId;
use super::manifest;
use super::pin::{PIN_BYTES, Pin};
use super::record::Content;
use super::xattrs;
use crate::base::limits::SYMLINK_TARGET_BYTES_MAX;
use crate::crypto::{MessageLength, Purpose, open, seal};
use crate::layout::attributes::FileKind;

const FOOTER_BYTES: usize = 4 + 8 + 4 + 2 * PIN_BYTES + ATTRIBUTES_BYTES;
/// A footer as it is in the object.
pub const FOOTER_STORED_BYTES: u64 = match MessageLength::of_plain(FOOTER_BYTES as u64) {
    Ok(length) => length.stored(),
    Err(_) => unreachable!(),
};
/// Longest file: `off_t` is signed.
pub const FILE_BYTES_MAX: u64 = i64::MAX as u64;

/// Which segments a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// None: the whole file is a hole, or empty.
    None,
    /// The first only.
    One(Pin),
    /// `count`, at least 2, holes included and the last one none.
    Many { count: u32, manifest: Pin },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The file's length.
    pub length: u64,
    pub segments: Segments,
    pub xattrs: Option<Pin>,
    pub attributes: AttributeVersion,
}

impl Footer {
    /// # Panics
    /// When it is not what [`Self::open`] takes: a programmer error.
    #[must_use]
    pub fn seal(&self, content: &Content, body: BodyId) -> Vec<u8> {
        let mut plain = Vec::with_capacity(FOOTER_BYTES);
        let (count, pin) = match self.segments {
            Segments::None => (0, None),
            Segments::One(pin) => (1, Some(pin)),
            Segments::Many { count, manifest } => (count, Some(manifest)),
        };
        plain.extend_from_slice(&0_u32.to_be_bytes());
        plain.extend_from_slice(&self.length.to_be_bytes());
        plain.extend_from_slice(&count.to_be_bytes());
        Pin::encode(pin, &mut plain);
        Pin::encode(self.xattrs, &mut plain);
        self.attributes.encode(&mut plain);
        assert_eq!(
            Self::decode(&plain).as_ref(),
            Ok(self),
            "a footer is read back"
        );
        let context = content.context(Purpose::Footer, body);
        seal(content.key.input(), &context, &plain)
    }

    /// # Errors
    /// When it is not the footer of this body, or is malformed.
    pub fn open(content: &Content, body: BodyId, sealed: &[u8]) -> Result<Self, ObjectError> {
        let context = content.context(Purpose::Footer, body);
        Self::decode(&open(content.key.input(), &context, sealed)?)
    }

    /// Decodes what was opened.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(plain: &[u8]) -> Result<Self, ObjectError> {
        let mut from = Cursor(plain);
        from.features()?;
        let length = from.u64()?;
        if length > FILE_BYTES_MAX {
            return Err(ObjectError::Malformed("it is longer than any file"));
        }
        let count = from.u32()?;
        let segments = match (count, Pin::decode(&mut from)?) {
            (0, None) => Segments::None,
            (1, Some(pin)) => {
                let bytes = pin.length().plain();
                if bytes > SEGMENT_BYTES.min(length) {
                    return Err(ObjectError::Malformed("its segment is too long"));
                }
                Segments::One(pin)
            }
            (2..=manifest::SEGMENTS_MAX, Some(pin))
                if pin.length().plain() == u64::from(count) * PIN_BYTES as u64 =>
            {
                Segments::Many {
                    count,
                    manifest: pin,
                }
            }
            _ => {
                return Err(ObjectError::Malformed(
                    "its number of segments is impossible",
                ));
            }
        };
        let xattrs = Pin::decode(&mut from)?;
        if xattrs.is_some_and(|pin| pin.length().plain() > xattrs::BODY_BYTES_MAX as u64) {
            return Err(ObjectError::Malformed(
                "its extended attributes are too long",
            ));
        }
        let attributes = AttributeVersion::decode(&mut from)?;
        from.end()?;
        let footer = Self {
            length,
            segments,
            xattrs,
            attributes,
        };
        if footer.length_fits_type() {
            Ok(footer)
        } else {
            Err(ObjectError::Malformed("its length is not one of its type"))
        }
    }

    fn length_fits_type(&self) -> bool {
        match (self.attributes.attributes.kind, self.segments) {
            (FileKind::File, _) => true,
            (FileKind::Symlink, Segments::One(pin)) => {
                self.length <= SYMLINK_TARGET_BYTES_MAX as u64
                    && pin.length().plain() == self.length
            }
            (FileKind::Symlink, _) => false,
            (_, segments) => self.length == 0 && segments == Segments::None,
        }
    }
}
