//! The head of an object's file, format version 1. Pure.
//!
//! A file is a head of exactly [`CONTENT_OFFSET`] bytes and then the content, to the end of the
//! file. Because the content begins at a multiple of the usual block sizes, a copy with other
//! metadata can share its blocks; because the head is mostly zeros, it occupies one block.
//! Integers are little-endian.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 14 | `cloakfs-object` |
//! | 14 | 2 | format version, 1 |
//! | 16 | 8 | length of the content in bytes |
//! | 24 | 8 | last modified, seconds since the epoch, signed |
//! | 32 | 4 | last modified, nanoseconds |
//! | 36 | 1 | 1 when there is a content type, else 0 |
//! | 37 | 2 | pairs of metadata |
//! | 39 | | texts: ETag, content type (if there is one), then name and value of each pair, names ascending; each is its length in 2 bytes, then so many bytes of UTF-8 |
//! | | | zeros to the end of the head |
//!
//! Metadata within the store's limit always fits: 2,048 bytes in at most 1,024 pairs of
//! different names and 4 bytes of lengths for each are less than 6.2 KiB.

use crate::base::time::Timestamp;
use crate::store::{ETag, Metadata, ObjectAttributes, ObjectInfo, ServerEncryption};

/// Where the content begins, in bytes.
pub(super) const CONTENT_OFFSET: u64 = 8192;

const MAGIC: &[u8; 14] = b"cloakfs-object";
const VERSION: u16 = 1;

/// What the head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub size: u64,
    pub etag: ETag,
    pub last_modified: Timestamp,
    pub attributes: ObjectAttributes,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum HeaderError {
    #[error("the file was not written by cloakfs: move it out of the store's directory")]
    Foreign,
    #[error("the file has format version {0}, and this cloakfs reads version 1: use a newer one")]
    Version(u16),
    #[error("the head of the file is damaged")]
    Damaged,
    #[error("the file has {found} bytes of content where {expected} were written: it was cut off")]
    Length { expected: u64, found: u64 },
}

impl Header {
    pub(super) fn info(self) -> ObjectInfo {
        ObjectInfo {
            size: self.size,
            etag: self.etag,
            last_modified: self.last_modified,
            version: None,
            attributes: self.attributes,
            encryption: ServerEncryption::None,
        }
    }

    /// The head without its zeros. `None` when it does not fit, which the store's limits
    /// exclude.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&self.last_modified.secs().to_le_bytes());
        bytes.extend_from_slice(&self.last_modified.nanos().to_le_bytes());
        bytes.push(u8::from(self.attributes.content_type.is_some()));
        let pairs = u16::try_from(self.attributes.metadata.len()).ok()?;
        bytes.extend_from_slice(&pairs.to_le_bytes());
        let metadata = self.attributes.metadata.iter();
        let texts = std::iter::once(self.etag.as_str())
            .chain(self.attributes.content_type.as_deref())
            .chain(metadata.flat_map(|(name, value)| [name.as_str(), value.as_str()]));
        for text in texts {
            bytes.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        (bytes.len() as u64 <= CONTENT_OFFSET).then_some(bytes)
    }

    /// `head` is the beginning of the file, [`CONTENT_OFFSET`] bytes or as many as there are;
    /// `file_bytes` is the length of the whole file.
    pub(super) fn decode(head: &[u8], file_bytes: u64) -> Result<Self, HeaderError> {
        let mut reader = Reader(head);
        if reader.take(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(HeaderError::Foreign);
        }
        match reader.u16()? {
            VERSION => {}
            version => return Err(HeaderError::Version(version)),
        }
        let size = u64::from_le_bytes(reader.array()?);
        let secs = i64::from_le_bytes(reader.array()?);
        let nanos = u32::from_le_bytes(reader.array()?);
        let last_modified = Timestamp::new(secs, nanos).ok_or(HeaderError::Damaged)?;
        let [has_content_type] = reader.array()?;
        let pairs = reader.u16()?;
        let etag = ETag::new(reader.text()?);
        let content_type = match has_content_type {
            0 => None,
            1 => Some(reader.text()?),
            _ => return Err(HeaderError::Damaged),
        };
        let mut metadata = Metadata::new();
        for _ in 0..pairs {
            let (name, value) = (reader.text()?, reader.text()?);
            if metadata
                .last_key_value()
                .is_some_and(|(last, _)| *last >= name)
            {
                return Err(HeaderError::Damaged);
            }
            metadata.insert(name, value);
        }
        if reader.0.iter().any(|byte| *byte != 0) {
            return Err(HeaderError::Damaged);
        }
        let found = file_bytes.saturating_sub(CONTENT_OFFSET);
        if file_bytes < CONTENT_OFFSET || found != size {
            return Err(HeaderError::Length {
                expected: size,
                found,
            });
        }
        Ok(Self {
            size,
            etag,
            last_modified,
            attributes: ObjectAttributes {
                metadata,
                content_type,
            },
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], HeaderError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(HeaderError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        self.take(N)?.try_into().map_err(|_| HeaderError::Damaged)
    }

    fn u16(&mut self) -> Result<u16, HeaderError> {
        self.array().map(u16::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, HeaderError> {
        let len = self.u16()?;
        let bytes = self.take(len.into())?.to_vec();
        String::from_utf8(bytes).map_err(|_| HeaderError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers() -> impl Strategy<Value = Header> {
        let metadata = proptest::collection::btree_map("[a-z]{1,9}", "[ -~]{0,40}", 0..20);
        let content_type = proptest::option::of("[a-z/]{0,20}");
        (
            any::<u32>(),
            any::<i64>(),
            0..1_000_000_000u32,
            metadata,
            content_type,
        )
            .prop_map(|(size, secs, nanos, metadata, content_type)| Header {
                size: size.into(),
                etag: ETag::new("\"etag\""),
                last_modified: Timestamp::new(secs, nanos).unwrap(),
                attributes: ObjectAttributes {
                    metadata,
                    content_type,
                },
            })
    }

    fn padded(header: &Header) -> Vec<u8> {
        let mut bytes = header.encode().unwrap();
        bytes.resize(usize::try_from(CONTENT_OFFSET).unwrap(), 0);
        bytes
    }

    proptest! {
        #[test]
        fn a_head_survives_the_way_there_and_back(header in headers()) {
            let decoded = Header::decode(&padded(&header), CONTENT_OFFSET + header.size);
            prop_assert_eq!(decoded, Ok(header));
        }

        #[test]
        fn a_damaged_head_never_panics_and_a_cut_file_is_told(
            header in headers(), at in 0usize..300, byte: u8, cut in 1u64..9000
        ) {
            let mut bytes = padded(&header);
            bytes[at] = byte;
            let _no_panic = Header::decode(&bytes, CONTENT_OFFSET + header.size);
            let _no_panic = Header::decode(&bytes[..at], CONTENT_OFFSET + header.size);
            let short = (CONTENT_OFFSET + header.size).saturating_sub(cut);
            let answer = Header::decode(&padded(&header), short);
            prop_assert!(matches!(answer, Err(HeaderError::Length { .. })), "{answer:?}");
        }
    }

    #[test]
    fn the_most_metadata_that_is_allowed_fits() {
        let names = (b'a'..=b'z').flat_map(|a| (b'!'..=b'~').map(move |b| [a, b]));
        let metadata = names
            .take(1024)
            .map(|name| (String::from_utf8(name.to_vec()).unwrap(), String::new()))
            .collect();
        let header = Header {
            size: 0,
            etag: ETag::new("e".repeat(40)),
            last_modified: Timestamp::EPOCH,
            attributes: ObjectAttributes {
                metadata,
                content_type: Some("t".repeat(255)),
            },
        };
        assert_eq!(Header::decode(&padded(&header), CONTENT_OFFSET), Ok(header));
    }

    /// Files of version 1 stay readable: these bytes are never changed.
    #[test]
    fn a_file_of_version_1_is_read() {
        let mut head = b"cloakfs-object\x01\x00\x05\0\0\0\0\0\0\0".to_vec();
        head.extend(b"\x00\x94\x35\x77\0\0\0\0\x07\0\0\0\x01\x01\0");
        head.extend(b"\x03\0\"e\"\x0a\0text/plain\x04\0mode\x05\x0033188");
        head.resize(8192, 0);
        let expected = Header {
            size: 5,
            etag: ETag::new("\"e\""),
            last_modified: Timestamp::new(2_000_000_000, 7).unwrap(),
            attributes: ObjectAttributes {
                metadata: [("mode".to_owned(), "33188".to_owned())].into(),
                content_type: Some("text/plain".to_owned()),
            },
        };
        assert_eq!(Header::decode(&head, 8197), Ok(expected));
        assert_eq!(Header::decode(b"#!/bin/sh", 9), Err(HeaderError::Foreign));
        head[14] = 2;
        assert_eq!(Header::decode(&head, 8197), Err(HeaderError::Version(2)));
    }
}
