//! What is written down, and its text.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, FileKind};
use crate::layout::path::VolumePath;
use crate::layout::sealed::FileId;
use crate::store::{ETag, VersionId};
use crate::volume::{Lineage, ObjectMeta, Version};

/// Names a file within one journal.
pub type FileNumber = u64;

/// Where a file belongs, and what its upload replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: VolumePath,
    /// The version that it is a change of, with its size and commit id.
    pub base: Option<(Version, u64, Option<String>)>,
    /// For a new file: the version of another that it was renamed over.
    pub replaces: Option<Version>,
}

/// A file as it was closed. Its data is in the frames of its entry: the bytes of its extents, one
/// after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub place: Place,
    /// Of the base, bytes below this are the file's where no extent has them.
    pub valid: u64,
    pub size: u64,
    pub meta: ObjectMeta,
    /// Mode, owner or extended attributes were set here.
    pub meta_set_here: bool,
    pub extents: Vec<ByteRange>,
}

/// One thing that happened to a file. `commit` is the id that the upload of this state carries:
/// an object with it is recognised as this very state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Supersedes every earlier one of the file.
    Content {
        file: FileNumber,
        closed: Box<Closed>,
        commit: CommitId,
    },
    Moved {
        file: FileNumber,
        place: Place,
        commit: CommitId,
    },
    Meta {
        file: FileNumber,
        meta: Box<ObjectMeta>,
        commit: CommitId,
    },
    /// An upload begins that carries more than the journal knows.
    Attempt { file: FileNumber, commit: CommitId },
    /// Its object is being deleted: if it is gone, so is the file.
    Deleting { file: FileNumber },
    /// The file was removed or replaced.
    Dropped { file: FileNumber },
    /// The bucket has it.
    Done { file: FileNumber },
}

/// The head of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Whose data the frame carries, or the entry of its content event.
    pub entry: u64,
    pub events: Vec<Event>,
}

#[derive(Serialize, Deserialize)]
struct HeadText {
    entry: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventText>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventText {
    Content {
        file: FileNumber,
        place: PlaceText,
        valid: u64,
        size: u64,
        meta: MetaText,
        set_here: bool,
        extents: Vec<(u64, u64)>,
        commit: String,
    },
    Moved {
        file: FileNumber,
        place: PlaceText,
        commit: String,
    },
    Meta {
        file: FileNumber,
        meta: MetaText,
        commit: String,
    },
    Attempt {
        file: FileNumber,
        commit: String,
    },
    Deleting {
        file: FileNumber,
    },
    Dropped {
        file: FileNumber,
    },
    Done {
        file: FileNumber,
    },
}

#[derive(Serialize, Deserialize)]
struct PlaceText {
    path: String,
    base: Option<(VersionText, u64, Option<String>)>,
    replaces: Option<VersionText>,
}

#[derive(Serialize, Deserialize)]
struct VersionText {
    etag: String,
    id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct MetaText {
    perm: u16,
    uid: u32,
    gid: u32,
    atime: (i64, u32),
    mtime: (i64, u32),
    ctime: (i64, u32),
    xattrs: BTreeMap<String, String>,
    foreign: BTreeMap<String, String>,
    content_type: Option<String>,
    lineage: (String, u64, u64),
}

impl Head {
    pub(super) fn to_json(&self) -> Vec<u8> {
        let text = HeadText {
            entry: self.entry,
            events: self.events.iter().map(EventText::of).collect(),
        };
        serde_json::to_vec(&text).expect("maps with text keys are JSON")
    }

    /// `None` where it is none: it is authentic, so another release wrote it.
    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        let text: HeadText = serde_json::from_slice(json).ok()?;
        let events = text.events.into_iter().map(EventText::read);
        Some(Self {
            entry: text.entry,
            events: events.collect::<Option<_>>()?,
        })
    }
}

impl EventText {
    fn of(event: &Event) -> Self {
        match event {
            Event::Content {
                file,
                closed,
                commit,
            } => Self::Content {
                file: *file,
                place: PlaceText::of(&closed.place),
                valid: closed.valid,
                size: closed.size,
                meta: MetaText::of(&closed.meta),
                set_here: closed.meta_set_here,
                extents: closed
                    .extents
                    .iter()
                    .map(|extent| (extent.start(), extent.len()))
                    .collect(),
                commit: commit.to_string(),
            },
            Event::Moved {
                file,
                place,
                commit,
            } => Self::Moved {
                file: *file,
                place: PlaceText::of(place),
                commit: commit.to_string(),
            },
            Event::Meta { file, meta, commit } => Self::Meta {
                file: *file,
                meta: MetaText::of(meta),
                commit: commit.to_string(),
            },
            Event::Attempt { file, commit } => Self::Attempt {
                file: *file,
                commit: commit.to_string(),
            },
            Event::Deleting { file } => Self::Deleting { file: *file },
            Event::Dropped { file } => Self::Dropped { file: *file },
            Event::Done { file } => Self::Done { file: *file },
        }
    }

    fn read(self) -> Option<Event> {
        Some(match self {
            Self::Content {
                file,
                place,
                valid,
                size,
                meta,
                set_here,
                extents,
                commit,
            } => Event::Content {
                file,
                closed: Box::new(Closed {
                    place: place.read()?,
                    valid,
                    size,
                    meta: meta.read()?,
                    meta_set_here: set_here,
                    extents: read_extents(&extents, size)?,
                }),
                commit: commit.parse().ok()?,
            },
            Self::Moved {
                file,
                place,
                commit,
            } => Event::Moved {
                file,
                place: place.read()?,
                commit: commit.parse().ok()?,
            },
            Self::Meta { file, meta, commit } => Event::Meta {
                file,
                meta: Box::new(meta.read()?),
                commit: commit.parse().ok()?,
            },
            Self::Attempt { file, commit } => Event::Attempt {
                file,
                commit: commit.parse().ok()?,
            },
            Self::Deleting { file } => Event::Deleting { file },
            Self::Dropped { file } => Event::Dropped { file },
            Self::Done { file } => Event::Done { file },
        })
    }
}

/// In order, apart from each other, and within the file.
fn read_extents(extents: &[(u64, u64)], size: u64) -> Option<Vec<ByteRange>> {
    let mut after = 0;
    let mut read = Vec::with_capacity(extents.len());
    for (start, len) in extents {
        let end = start.checked_add(*len)?;
        if *start < after || *len == 0 || end > size {
            return None;
        }
        read.push(ByteRange::new(*start, end));
        after = end;
    }
    Some(read)
}

impl PlaceText {
    fn of(place: &Place) -> Self {
        let base = place.base.as_ref();
        Self {
            path: place.path.as_str().to_owned(),
            base: base
                .map(|(version, size, commit)| (VersionText::of(version), *size, commit.clone())),
            replaces: place.replaces.as_ref().map(VersionText::of),
        }
    }

    fn read(self) -> Option<Place> {
        Some(Place {
            path: self.path.parse().ok()?,
            base: self
                .base
                .map(|(version, size, commit)| (version.read(), size, commit)),
            replaces: self.replaces.map(VersionText::read),
        })
    }
}

impl VersionText {
    fn of(version: &Version) -> Self {
        Self {
            etag: version.etag.as_str().to_owned(),
            id: version.version.as_ref().map(|id| id.as_str().to_owned()),
        }
    }

    fn read(self) -> Version {
        Version {
            etag: ETag::new(self.etag),
            version: self.id.map(VersionId::new),
        }
    }
}

impl MetaText {
    fn of(meta: &ObjectMeta) -> Self {
        let attributes = &meta.attributes;
        let time = |time: Timestamp| (time.secs(), time.nanos());
        let (file, generation, sequence) = meta.lineage.parts();
        Self {
            perm: attributes.perm,
            uid: attributes.uid,
            gid: attributes.gid,
            atime: time(attributes.atime),
            mtime: time(attributes.mtime),
            ctime: time(attributes.ctime),
            xattrs: attributes
                .xattrs
                .iter()
                .map(|(name, value)| (name.clone(), BASE64.encode(value)))
                .collect(),
            foreign: meta.foreign.clone(),
            content_type: meta.content_type.clone(),
            lineage: (BASE64.encode(file.as_bytes()), generation, sequence),
        }
    }

    fn read(self) -> Option<ObjectMeta> {
        let time = |(secs, nanos)| Timestamp::new(secs, nanos);
        let xattrs = self.xattrs.into_iter().map(|(name, value)| {
            let value = BASE64.decode(value).ok()?;
            Some((name, value))
        });
        let (file, generation, sequence) = self.lineage;
        let file = BASE64.decode(file).ok()?.try_into().ok()?;
        Some(ObjectMeta {
            foreign: self.foreign,
            content_type: self.content_type,
            lineage: Lineage::from_parts(FileId::from_bytes(file), generation, sequence),
            ..ObjectMeta::new(Attributes {
                kind: FileKind::File,
                perm: self.perm,
                uid: self.uid,
                gid: self.gid,
                rdev: 0,
                atime: time(self.atime)?,
                mtime: time(self.mtime)?,
                ctime: time(self.ctime)?,
                xattrs: xattrs.collect::<Option<_>>()?,
            })
        })
    }
}
