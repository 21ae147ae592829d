//! Extended attributes as bytes (section 5): in the record where they fit, else in the body.

use super::cursor::Cursor;
use super::error::ObjectError;
use super::id::BodyId;
use super::pin::Pin;
use super::record::Content;
use crate::crypto::Purpose;
use crate::layout::attributes::Xattrs;

/// Longest name.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest value, which is Linux's own limit.
pub const VALUE_BYTES_MAX: usize = 65_536;
/// Most bytes that they take in a body.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes for each attribute besides its name and value.
const ENTRY_BYTES: usize = 5;

/// Extended attributes that the format does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XattrsError {
    /// `ERANGE`
    #[error(
        "an extended attribute has a name of 1 to {NAME_BYTES_MAX} bytes without NUL, and a value of at most {VALUE_BYTES_MAX}"
    )]
    OutOfRange,
    /// `ENOSPC`
    #[error(
        "the extended attributes have {0} bytes together, and a file holds at most {BODY_BYTES_MAX}; remove some or make them shorter"
    )]
    TooMany(usize),
}

/// Encoded length.
#[must_use]
pub fn encoded_bytes(xattrs: &Xattrs) -> usize {
    xattrs
        .iter()
        .map(|(name, value)| ENTRY_BYTES + name.len() + value.len())
        .sum()
}

/// Whether they can be stored at all.
///
/// # Errors
/// When not.
pub fn check(xattrs: &Xattrs) -> Result<(), XattrsError> {
    let in_range = xattrs.iter().all(|(name, value)| {
        (1..=NAME_BYTES_MAX).contains(&name.len())
            && !name.contains('\0')
            && value.len() <= VALUE_BYTES_MAX
    });
    if !in_range {
        return Err(XattrsError::OutOfRange);
    }
    match encoded_bytes(xattrs) {
        bytes if bytes > BODY_BYTES_MAX => Err(XattrsError::TooMany(bytes)),
        _ => Ok(()),
    }
}

/// Opens those in the body, which the footer pins.
///
/// # Errors
/// When they are others, or malformed.
pub fn open(
    content: &Content,
    body: BodyId,
    pin: &Pin,
    message: &[u8],
) -> Result<Xattrs, ObjectError> {
    let context = content.context(Purpose::Xattrs, body);
    let plain = pin.open(content.key.input(), &context, message)?;
    decode(&plain)
}

/// Decodes those of a body, which were opened.
///
/// # Errors
/// When they are malformed.
pub fn decode(plain: &[u8]) -> Result<Xattrs, ObjectError> {
    read(&mut Cursor(plain))
}

/// # Panics
/// When they do not pass [`check`].
pub(super) fn encode(xattrs: &Xattrs, out: &mut Vec<u8>) {
    assert_eq!(check(xattrs), Ok(()), "checked when they were set");
    for (name, value) in xattrs {
        out.push(u8::try_from(name.len()).expect("at most 255"));
        out.extend_from_slice(name.as_bytes());
        let len = u32::try_from(value.len()).expect("at most 65,536");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(value);
    }
}

/// Reads to the end; at least one.
pub(super) fn read(from: &mut Cursor<'_>) -> Result<Xattrs, ObjectError> {
    let mut xattrs = Xattrs::new();
    loop {
        let len = from.u8()?;
        let name = str::from_utf8(from.bytes(len.into())?)
            .ok()
            .filter(|name| !name.is_empty() && !name.contains('\0'))
            .ok_or(ObjectError::Malformed("an extended attribute has no name"))?;
        if let Some((last, _)) = xattrs.last_key_value()
            && last.as_str() >= name
        {
            return Err(ObjectError::Malformed(
                "its extended attributes are not in order",
            ));
        }
        let len = usize::try_from(from.u32()?).unwrap_or(usize::MAX);
        if len > VALUE_BYTES_MAX {
            return Err(ObjectError::Malformed(
                "an extended attribute is longer than any may be",
            ));
        }
        xattrs.insert(name.to_owned(), from.bytes(len)?.to_vec());
        if from.is_empty() {
            return Ok(xattrs);
        }
    }
}
