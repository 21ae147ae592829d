//! Pins (section 6): which message is meant, by its salt, and how long its plaintext is.
//!
//! Nobody without the key can make another message with the salt of one that exists, and nobody
//! with it ever draws a salt twice, so a pin means one message. Because the salt comes from
//! here, single chunks are read without the message's header.

use std::num::NonZeroU32;

use super::cursor::Cursor;
use super::error::ObjectError;
use crate::crypto::{HEADER_BYTES, MessageLength, OpenError, SALT_BYTES};

/// Length of an encoded pin.
pub(super) const PIN_BYTES: usize = SALT_BYTES + 4;

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pin {
    salt: [u8; SALT_BYTES],
    /// Plaintext bytes.
    length: NonZeroU32,
}

/// Which segment of a file, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentIndex(pub u32);

impl Pin {
    /// Of a message that was sealed just now. `None` for an empty one, which nothing pins.
    pub(super) fn of(message: &[u8], plaintext: usize) -> Option<Self> {
        let (salt, _) = message.split_first_chunk().expect("a message has a header");
        assert_ne!(*salt, [0; SALT_BYTES], "a salt is random");
        let length = u32::try_from(plaintext).expect("a pinned message is below 4 GiB");
        NonZeroU32::new(length).map(|length| Self {
            salt: *salt,
            length,
        })
    }

    #[must_use]
    pub const fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    #[must_use]
    pub fn length(&self) -> MessageLength {
        MessageLength::of_plain(self.length.get().into()).expect("4 GiB are less than 4 PiB")
    }

    /// Opens the whole pinned message.
    pub(super) fn open(
        &self,
        key: &crate::crypto::InputKey,
        context: &crate::crypto::Context,
        message: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let right_length = message.len() as u64 == self.length().stored();
        if !right_length || message[..HEADER_BYTES][..SALT_BYTES] != self.salt {
            return Err(OpenError);
        }
        crate::crypto::open(key, context, message)
    }

    pub(super) fn encode(pin: Option<Self>, out: &mut Vec<u8>) {
        let (salt, length) = match pin {
            Some(pin) => (pin.salt, pin.length.get()),
            None => ([0; SALT_BYTES], 0),
        };
        out.extend_from_slice(&salt);
        out.extend_from_slice(&length.to_be_bytes());
    }

    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<Option<Self>, ObjectError> {
        let salt = from.array()?;
        match (NonZeroU32::new(from.u32()?), salt == [0; SALT_BYTES]) {
            (Some(length), false) => Ok(Some(Self { salt, length })),
            (None, true) => Ok(None),
            _ => Err(ObjectError::Malformed(
                "a pin has a salt without a length, or a length without a salt",
            )),
        }
    }
}
