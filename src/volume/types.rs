//! The nouns of a volume.

use super::s3ec::S3ecType;
use crate::base::id::CommitId;
use crate::base::time::Timestamp;
use crate::layout::attributes::Attributes;
use crate::layout::path::VolumePath;
use crate::layout::sealed::{FileId, VolumeId};
use crate::store::{
    ETag, Metadata, ObjectAttributes, ServerEncryption, VersionId, WriteCondition, Written, commit,
};

/// One version of an object's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    pub etag: ETag,
    /// In a versioned bucket.
    pub version: Option<VersionId>,
}

impl Version {
    /// A bucket whose versioning is suspended calls every newest version `null`, which the next
    /// write or delete replaces: that is no version to come back to.
    pub(super) fn new(etag: ETag, version: Option<VersionId>) -> Self {
        let version = version.filter(|version| version.as_str() != "null");
        Self { etag, version }
    }
}

impl From<Written> for Version {
    fn from(written: Written) -> Self {
        Self::new(written.etag, written.version)
    }
}

/// What a write left behind.
#[derive(Clone, Debug)]
pub struct Committed {
    pub version: Version,
    /// The commit id that the object now carries.
    pub commit: String,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// The object still has this version.
    IfVersion(Version),
    IfAbsent,
}

impl Condition {
    pub(super) fn to_store(&self) -> WriteCondition {
        match self {
            Self::None => WriteCondition::None,
            Self::IfVersion(version) => WriteCondition::IfMatch(version.etag.clone()),
            Self::IfAbsent => WriteCondition::IfAbsent,
        }
    }
}

/// How an object is copied on the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyWay {
    /// The commit id that the copy gets.
    pub id: CommitId,
    pub guard: Guard,
}

/// How the condition of a copy's target is kept. A copy in parts always keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// A copy in one request does not.
    PartsOnly,
    /// The one request carries it: for a server that honours that.
    Request,
    /// What one request could copy is copied in parts, for a server that does not. Of the
    /// properties that other tools give an object a copy in parts keeps its user metadata alone.
    InParts,
}

impl CopyWay {
    /// One request where that is enough, under this commit id.
    pub const fn marked(id: CommitId) -> Self {
        let guard = Guard::PartsOnly;
        Self { id, guard }
    }

    /// What the one request is asked to keep of it.
    pub fn condition(self, condition: &Condition) -> WriteCondition {
        match self.guard {
            Guard::Request => condition.to_store(),
            Guard::PartsOnly | Guard::InParts => WriteCondition::None,
        }
    }

    /// Whether so many bytes are copied part by part. Of nothing no part can be made.
    pub fn in_parts(self, size: u64, copy_bytes_max: u64) -> bool {
        size > copy_bytes_max || (self.guard == Guard::InParts && size > 0)
    }
}

/// What is stored with an object besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    pub attributes: Attributes,
    /// Metadata of other tools, kept as it is.
    pub foreign: Metadata,
    pub content_type: Option<String>,
    pub lineage: Lineage,
    /// What the next write is to carry, so that who wrote the id down before recognises it later;
    /// `None`: a fresh one.
    pub commit: Option<CommitId>,
}

impl ObjectMeta {
    /// The id that the next write carries.
    pub(super) fn commit_id(&self) -> CommitId {
        self.commit.unwrap_or_else(CommitId::random)
    }

    /// Of a file that is new.
    #[must_use]
    pub fn new(attributes: Attributes) -> Self {
        Self {
            attributes,
            foreign: Metadata::new(),
            content_type: None,
            lineage: Lineage::new(),
            commit: None,
        }
    }

    /// Puts the id that was chosen, if one was, among what is stored.
    pub(super) fn mark(&self, attributes: &mut ObjectAttributes) {
        if let Some(id) = self.commit {
            commit::mark(attributes, id);
        }
    }
}

/// The id that a write with these attributes carries: the one that was chosen, else a fresh one.
pub(super) fn commit_id(attributes: &ObjectAttributes) -> CommitId {
    let chosen = attributes.metadata.get(CommitId::METADATA_NAME);
    chosen
        .and_then(|id| id.parse().ok())
        .unwrap_or_else(CommitId::random)
}

/// What a file keeps from version to version in a client-side volume; of no use in others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    pub(super) file: FileId,
    /// Of the version that was read.
    pub(super) generation: u64,
    /// Of the attributes that were read.
    pub(super) sequence: u64,
}

impl Lineage {
    /// A file that is in no bucket yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            file: FileId::random(),
            generation: 0,
            sequence: 0,
        }
    }

    /// What [`Self::from_parts`] makes it of again.
    #[must_use]
    pub const fn parts(&self) -> (FileId, u64, u64) {
        (self.file, self.generation, self.sequence)
    }

    #[must_use]
    pub const fn from_parts(file: FileId, generation: u64, sequence: u64) -> Self {
        Self {
            file,
            generation,
            sequence,
        }
    }
}

impl Default for Lineage {
    fn default() -> Self {
        Self::new()
    }
}

/// What a client-side volume's objects are sealed with, to be told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedAs {
    /// As `--encryption` names it.
    pub mode: &'static str,
    /// The key of KMS.
    pub kms_key: Option<String>,
    /// Whose keys open its objects.
    pub volume: VolumeId,
    /// Version of the format.
    pub format: u32,
}

/// Which object content is read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectRef {
    /// The file at a path.
    Path(VolumePath),
    /// The marker of the directory at a path.
    Directory(VolumePath),
    /// A version that is no longer the newest at a path, in a versioned bucket.
    PastVersion(VolumePath),
    /// A name below the reserved prefix.
    Private(String),
}

impl ObjectRef {
    /// What a person calls it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Path(path) | Self::Directory(path) | Self::PastVersion(path) => path.as_str(),
            Self::Private(name) => name,
        }
    }
}

/// Where a multipart upload ends up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadTarget {
    Path(VolumePath),
    /// A name below the reserved prefix, from [`super::Volume::private_name`].
    Private(String),
}

/// What a lookup tells.
#[derive(Clone, Debug)]
pub struct Stat {
    pub meta: ObjectMeta,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// `None` for a directory that only the keys below it make.
    pub version: Option<Version>,
    /// The commit id that the object carries, when cloakfs wrote it.
    pub commit: Option<String>,
    pub last_modified: Timestamp,
    /// What the server said of its encryption; `None` where nobody asked: a listing does not
    /// tell, and a directory may have no object.
    pub encryption: Option<ServerEncryption>,
    /// What it is where it is an object of the Amazon S3 Encryption Client.
    pub s3ec: Option<S3ecType>,
    /// There is also a plain object at the directory's name, which the directory hides.
    pub hides_object: bool,
}
