//! Reading authenticated bytes in order. What is too short or too long is malformed.

use super::error::ObjectError;

/// The bytes that were not read yet.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ObjectError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(ObjectError::Malformed("it ends in the middle of a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ObjectError> {
        let taken = self.bytes(N)?;
        Ok(taken.try_into().expect("as many bytes as were taken"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, ObjectError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ObjectError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ObjectError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, ObjectError> {
        self.array().map(i64::from_be_bytes)
    }

    /// The features that a writer used: this version knows none.
    pub(super) fn features(&mut self) -> Result<(), ObjectError> {
        match self.u32()? {
            0 => Ok(()),
            bits => Err(ObjectError::UnknownFeature(bits)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn end(&self) -> Result<(), ObjectError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(ObjectError::Malformed("bytes follow its last field"))
        }
    }
}
