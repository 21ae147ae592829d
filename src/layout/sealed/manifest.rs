//! The manifest (section 6) of a body with two segments or more: which message is which segment,
//! and where the holes are.

use super::SEGMENT_BYTES;
use super::cursor::Cursor;
use super::error::ObjectError;
use super::id::BodyId;
use super::pin::{PIN_BYTES, Pin};
use super::record::Content;
use crate::crypto::{Purpose, seal};

/// Most segments of a file, 64 TiB; the largest object of S3 has fewer.
pub const SEGMENTS_MAX: u32 = 1 << 23;

/// Seals the pins; gives the message and its own pin.
///
/// # Panics
/// With fewer than two pins, more than [`SEGMENTS_MAX`], or a hole at the end: a programmer
/// error.
pub(super) fn seal_pins(content: &Content, body: BodyId, pins: &[Option<Pin>]) -> (Vec<u8>, Pin) {
    assert!(pins.len() >= 2 && pins.len() <= SEGMENTS_MAX as usize);
    assert!(
        pins.last().is_some_and(Option::is_some),
        "it ends in a segment"
    );
    let mut plain = Vec::with_capacity(pins.len() * PIN_BYTES);
    for pin in pins {
        Pin::encode(*pin, &mut plain);
    }
    let context = content.context(Purpose::Manifest, body);
    let message = seal(content.key.input(), &context, &plain);
    let pin = Pin::of(&message, plain.len()).expect("two pins are not empty");
    (message, pin)
}

/// Opens the manifest that `pin` means.
///
/// # Errors
/// When it is another one, or is malformed.
pub fn open_pins(
    content: &Content,
    body: BodyId,
    pin: &Pin,
    message: &[u8],
) -> Result<Vec<Option<Pin>>, ObjectError> {
    let context = content.context(Purpose::Manifest, body);
    decode(&pin.open(content.key.input(), &context, message)?)
}

/// Decodes what was opened.
///
/// # Errors
/// When it is malformed.
pub fn decode(plain: &[u8]) -> Result<Vec<Option<Pin>>, ObjectError> {
    let mut from = Cursor(plain);
    let mut pins = Vec::with_capacity(plain.len() / PIN_BYTES);
    while !from.is_empty() {
        let pin = Pin::decode(&mut from)?;
        if pin.is_some_and(|pin| pin.length().plain() > SEGMENT_BYTES) {
            return Err(ObjectError::Malformed("a segment is too long"));
        }
        pins.push(pin);
    }
    match pins.last() {
        Some(Some(_)) => Ok(pins),
        _ => Err(ObjectError::Malformed("its last segment is a hole")),
    }
}
