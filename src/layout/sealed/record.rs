//! The record (section 5): what an object is, sealed in its metadata for one stored key of one
//! volume. It has the content key, and with it opens the body.

use zeroize::Zeroizing;

use super::attributes::{ATTRIBUTES_BYTES, AttributeVersion, XattrPlace};
use super::cursor::Cursor;
use super::error::ObjectError;
use super::id::{BodyId, ContentId, FileId, VolumeId};
use super::names::StoredKey;
use super::xattrs;
use crate::base::secret::Secret;
use crate::crypto::{ContentKey, Context, DataKey, Purpose, open, seal};
use crate::layout::attributes::{FileKind, Xattrs};

/// Most plaintext bytes of a record, so that metadata stays below S3's limit.
pub const RECORD_BYTES_MAX: usize = 768;
/// Before the extended attributes.
const FIXED_BYTES: usize = 4 + 16 + 16 + 32 + 16 + 8 + ATTRIBUTES_BYTES;

/// Most bytes of extended attributes that a record holds, names and lengths included.
pub const XATTR_BYTES_MAX: usize = RECORD_BYTES_MAX - FIXED_BYTES;

/// What the versions and clones of a content share.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Content {
    pub id: ContentId,
    pub key: ContentKey,
}

#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Record {
    pub file: FileId,
    pub content: Content,
    pub body: BodyId,
    /// Grows with every object that replaces another at its key.
    pub generation: u64,
    pub attributes: AttributeVersion,
}

/// Whether extended attributes fit into a record; otherwise they go into the body.
#[must_use]
pub fn holds(xattrs: &Xattrs) -> bool {
    xattrs::encoded_bytes(xattrs) <= XATTR_BYTES_MAX
}

impl Content {
    /// A new content with a key of its own.
    #[must_use]
    pub fn random() -> Self {
        Self {
            id: ContentId::random(),
            key: ContentKey::random(),
        }
    }

    /// The same content, for another record of it.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let mut key = *self.key.expose();
        Self {
            id: self.id,
            key: ContentKey::from_secret(Secret::take(&mut key)),
        }
    }

    /// The context of what belongs to one body as a whole.
    pub(super) fn context(&self, purpose: Purpose, body: BodyId) -> Context {
        Context::new(purpose)
            .bytes(self.id.as_bytes())
            .bytes(body.as_bytes())
    }
}

impl Record {
    /// The same once more.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            file: self.file,
            content: self.content.duplicate(),
            body: self.body,
            generation: self.generation,
            attributes: self.attributes.clone(),
        }
    }

    /// # Panics
    /// When the attributes are not in the place that they are said to be, do not fit
    /// ([`holds`]), or the key is not that of such an object: programmer errors.
    #[must_use]
    pub fn seal(&self, key: &DataKey, volume: VolumeId, at: &StoredKey) -> Vec<u8> {
        let version = &self.attributes;
        let in_record = version.xattrs == XattrPlace::Record;
        assert_eq!(
            in_record,
            !version.attributes.xattrs.is_empty(),
            "extended attributes are in a record that says so, and in no other"
        );
        assert_eq!(
            at.is_directory(),
            version.attributes.kind == FileKind::Directory,
            "{at} is not the key of such an object"
        );
        assert!(holds(&version.attributes.xattrs), "they go into the body");
        let mut plain = Zeroizing::new(Vec::with_capacity(RECORD_BYTES_MAX));
        plain.extend_from_slice(&0_u32.to_be_bytes());
        plain.extend_from_slice(self.file.as_bytes());
        plain.extend_from_slice(self.content.id.as_bytes());
        plain.extend_from_slice(self.content.key.expose());
        plain.extend_from_slice(self.body.as_bytes());
        plain.extend_from_slice(&self.generation.to_be_bytes());
        version.encode(&mut plain);
        debug_assert_eq!(plain.len(), FIXED_BYTES);
        xattrs::encode(&version.attributes.xattrs, &mut plain);
        seal(key.input(), &context(volume, at), &plain)
    }

    /// # Errors
    /// When it was not sealed with this key for this place, or is malformed.
    pub fn open(
        key: &DataKey,
        volume: VolumeId,
        at: &StoredKey,
        sealed: &[u8],
    ) -> Result<Self, ObjectError> {
        let plain = Zeroizing::new(open(key.input(), &context(volume, at), sealed)?);
        let record = Self::decode(&plain)?;
        if at.is_directory() != (record.attributes.attributes.kind == FileKind::Directory) {
            return Err(ObjectError::Malformed("its key is not one of its type"));
        }
        Ok(record)
    }

    /// Decodes what was opened.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(plain: &[u8]) -> Result<Self, ObjectError> {
        if plain.len() > RECORD_BYTES_MAX {
            return Err(ObjectError::Malformed("its record is too long"));
        }
        let mut from = Cursor(plain);
        from.features()?;
        let file = FileId::from_bytes(from.array()?);
        let id = ContentId::from_bytes(from.array()?);
        let mut key = from.array()?;
        let key = ContentKey::from_secret(Secret::take(&mut key));
        let body = BodyId::from_bytes(from.array()?);
        let generation = from.u64()?;
        let mut attributes = AttributeVersion::decode(&mut from)?;
        if attributes.xattrs == XattrPlace::Record {
            attributes.attributes.xattrs = xattrs::read(&mut from)?;
        }
        from.end()?;
        Ok(Self {
            file,
            content: Content { id, key },
            body,
            generation,
            attributes,
        })
    }
}

fn context(volume: VolumeId, at: &StoredKey) -> Context {
    Context::new(Purpose::Record)
        .bytes(volume.as_bytes())
        .bytes(at.as_str().as_bytes())
}
