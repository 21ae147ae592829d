//! The nouns of the store: keys, versions, conditions, answers.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::base::limits;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;

/// An object's key: 1 to 1,024 bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    #[error("an object key cannot be empty")]
    Empty,
    #[error("an object key has at most 1024 bytes; this one has {0}")]
    TooLong(usize),
}

impl ObjectKey {
    /// # Errors
    /// When `key` is empty or longer than S3 allows.
    pub fn new(key: impl Into<String>) -> std::result::Result<Self, KeyError> {
        let key = key.into();
        match key.len() {
            0 => Err(KeyError::Empty),
            long if long > limits::KEY_BYTES_MAX => Err(KeyError::TooLong(long)),
            _ => Ok(Self(key)),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque! {
    /// Names the content of an object, quotes included as S3 sends them. Never taken for an MD5.
    ETag
}
opaque! {
    /// One version of an object in a versioned bucket.
    VersionId
}
opaque! {
    /// A multipart upload under way.
    UploadId
}
opaque! {
    /// Where a listing goes on.
    ListToken
}

/// Counted from 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u32);

impl PartNumber {
    /// `None` outside of 1 to 10,000.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number >= 1 && number <= limits::PARTS_MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// User metadata: names in lower case without the `x-amz-meta-` prefix.
pub type Metadata = BTreeMap<String, String>;

/// What is stored with an object besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectAttributes {
    pub metadata: Metadata,
    pub content_type: Option<String>,
}

/// How the server says that it keeps an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerEncryption {
    /// It said nothing.
    #[default]
    None,
    /// `AES256`
    SseS3,
    /// `aws:kms`, or `aws:kms:dsse` when `dsse`.
    SseKms {
        key_id: Option<String>,
        bucket_key: bool,
        dsse: bool,
    },
    /// A key that the client sends; `key_md5` is base64.
    SseC { key_md5: String },
    /// A value of `x-amz-server-side-encryption` that is none of the above.
    Other(String),
}

impl ServerEncryption {
    /// The mode as `--encryption` names it (`sse-kms-dsse` where the encryption is double), or
    /// what the server called it.
    #[must_use]
    pub fn mode(&self) -> &str {
        match self {
            Self::None => "none",
            Self::SseS3 => "sse-s3",
            Self::SseKms { dsse: false, .. } => "sse-kms",
            Self::SseKms { dsse: true, .. } => "sse-kms-dsse",
            Self::SseC { .. } => "sse-c",
            Self::Other(other) => other,
        }
    }
}

/// What a HEAD tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Length of the whole object in bytes.
    pub size: u64,
    pub etag: ETag,
    /// Whole seconds on most servers.
    pub last_modified: Timestamp,
    pub version: Option<VersionId>,
    pub attributes: ObjectAttributes,
    pub encryption: ServerEncryption,
}

/// What a GET gives: the object's facts and the bytes asked for.
#[derive(Clone, Debug)]
pub struct Object {
    pub info: ObjectInfo,
    /// Which bytes of the object `body` is; as long as `body`.
    pub range: ByteRange,
    pub body: Bytes,
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub etag: ETag,
    pub version: Option<VersionId>,
}

/// The answer to a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReceipt {
    pub number: PartNumber,
    pub etag: ETag,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteCondition {
    #[default]
    None,
    /// The object is there with this ETag.
    IfMatch(ETag),
    /// There is no object at the key.
    IfAbsent,
}

/// Which bytes a GET wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetRange {
    /// From the start of the range to its end or the end of the object. Not empty.
    Bytes(ByteRange),
    /// The last so many bytes; not 0.
    Suffix(u64),
}

#[derive(Clone, Debug, Default)]
pub struct GetOptions {
    pub range: Option<GetRange>,
    pub if_match: Option<ETag>,
    pub version: Option<VersionId>,
}

#[derive(Clone, Debug, Default)]
pub struct HeadOptions {
    pub version: Option<VersionId>,
}

#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    pub attributes: ObjectAttributes,
    pub condition: WriteCondition,
}

/// What a copy or a copied part is made from.
#[derive(Clone, Debug)]
pub struct CopySource {
    pub key: ObjectKey,
    pub if_match: Option<ETag>,
    pub version: Option<VersionId>,
    /// Only for [`super::Store::copy_part`]; `None` is the whole object.
    pub range: Option<ByteRange>,
}

/// Attributes of a copy's target.
#[derive(Clone, Debug)]
pub enum CopyAttributes {
    /// Those of the source.
    Keep,
    /// These.
    Replace(ObjectAttributes),
}

#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub if_match: Option<ETag>,
    pub version: Option<VersionId>,
}

#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Only keys that begin with it; may be empty.
    pub prefix: String,
    /// Groups the keys that have `/` after the prefix into [`ListPage::common_prefixes`].
    pub delimiter: bool,
    /// Only keys after it in byte order. Ignored when `token` is given.
    pub start_after: Option<String>,
    /// From the page before.
    pub token: Option<ListToken>,
    /// Most keys and prefixes in the page, 1 to 1,000; `None` is 1,000.
    pub max_keys: Option<u32>,
}

/// An object as a listing shows it. Its key is any string: a server may hold what
/// [`ObjectKey`] would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub size: u64,
    pub etag: ETag,
    pub last_modified: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    pub objects: Vec<ListedObject>,
    /// Each ends in `/`.
    pub common_prefixes: Vec<String>,
    /// `None` on the last page.
    pub next: Option<ListToken>,
}

/// A multipart upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpload {
    pub key: String,
    pub upload: UploadId,
    pub initiated: Timestamp,
}

/// What an upload becomes that is not completed where it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub key: ObjectKey,
    /// Instead of those that the upload was begun with.
    pub attributes: ObjectAttributes,
}

/// What a kind of store allows; sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub key_bytes_max: usize,
    pub metadata_bytes_max: usize,
    pub part_bytes_min: u64,
    pub part_bytes_max: u64,
    pub parts_max: u32,
    /// Longest source of one [`super::Store::copy`].
    pub copy_bytes_max: u64,
    /// Longest range of one [`super::Store::copy_part`] that is sure to be taken: some stores
    /// have to move what is copied through this machine, and refuse longer ones.
    pub copied_part_bytes_max: u64,
    /// Longest body of one [`super::Store::put`].
    pub put_bytes_max: u64,
    /// Whether there is [`super::Store::complete_elsewhere`].
    pub completes_elsewhere: bool,
}

impl Limits {
    /// Amazon S3's own.
    pub const S3: Self = Self {
        key_bytes_max: limits::KEY_BYTES_MAX,
        metadata_bytes_max: limits::METADATA_BYTES_MAX,
        part_bytes_min: limits::PART_BYTES_MIN,
        part_bytes_max: limits::PART_BYTES_MAX,
        parts_max: limits::PARTS_MAX,
        copy_bytes_max: limits::PART_BYTES_MAX,
        copied_part_bytes_max: limits::PART_BYTES_MAX,
        put_bytes_max: limits::PART_BYTES_MAX,
        completes_elsewhere: false,
    };
}
