//! Objects made for the tests of this module.

mod body;
mod geometry;
mod lineage;
mod metadata;
mod names;
mod tampering;
mod volume;

use std::collections::BTreeMap;

use super::object::{
    FileData, OpenedObject, Place, StoredObject, encode_object, open_object, read,
};
use super::*;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::crypto::{DataKey, MasterKey};
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::sealed::map::PlainRange;

/// One volume with one data key.
struct Volume {
    id: VolumeId,
    key: DataKey,
    wrapped: WrappedKey,
}

/// One file's data, owned.
#[derive(Clone, Debug)]
struct File {
    length: u64,
    segments: BTreeMap<u32, Vec<u8>>,
    attributes: AttributeVersion,
    body_xattrs: Xattrs,
}

impl Volume {
    fn new() -> Self {
        let (id, master, key) = (VolumeId::random(), MasterKey::random(), DataKey::random());
        let wrapped = WrappedKey::Master(master.wrap(id.as_bytes(), &key));
        Self { id, key, wrapped }
    }

    fn place<'a>(&'a self, at: &'a StoredKey) -> Place<'a> {
        Place {
            key: &self.key,
            volume: self.id,
            at,
        }
    }

    fn encode(&self, at: &str, record: &Record, file: &File) -> StoredObject {
        let data = FileData {
            length: file.length,
            segments: file
                .segments
                .iter()
                .map(|(i, s)| (*i, s.as_slice()))
                .collect(),
            attributes: &file.attributes,
            body_xattrs: &file.body_xattrs,
        };
        encode_object(&self.place(&key(at)), &self.wrapped, record, &data)
    }

    fn open(&self, at: &str, object: &StoredObject) -> Result<OpenedObject, ObjectError> {
        open_object(&self.place(&key(at)), object)
    }

    /// Opens and reads everything, the holes' zeros left out of what is compared.
    fn read(
        &self,
        at: &str,
        object: &StoredObject,
    ) -> Result<(AttributeVersion, Vec<u8>), ObjectError> {
        let opened = self.open(at, object)?;
        let all = PlainRange(ByteRange::new(0, opened.map.length()));
        let content = read(&opened, &object.body, all)?;
        Ok((opened.attributes, content))
    }
}

impl File {
    fn of(segments: &[(u32, &[u8])], length: u64) -> Self {
        Self {
            length,
            segments: segments.iter().map(|(i, s)| (*i, s.to_vec())).collect(),
            attributes: attributes(FileKind::File, 1),
            body_xattrs: Xattrs::new(),
        }
    }

    /// The whole content, zeros included.
    fn content(&self) -> Vec<u8> {
        let mut content = vec![0; usize::try_from(self.length).unwrap()];
        for (&index, segment) in &self.segments {
            let at = usize::try_from(u64::from(index) * SEGMENT_BYTES).unwrap();
            content[at..at + segment.len()].copy_from_slice(segment);
        }
        content
    }
}

fn key(at: &str) -> StoredKey {
    StoredKey::below("", at).unwrap()
}

fn attributes(kind: FileKind, sequence: u64) -> AttributeVersion {
    AttributeVersion {
        sequence,
        attributes: Attributes {
            kind,
            perm: 0o640,
            uid: 1000,
            gid: 100,
            rdev: 0,
            atime: Timestamp::new(-1, 999_999_999).unwrap(),
            mtime: Timestamp::new(1_763_712_000, 1).unwrap(),
            ctime: Timestamp::new(1_763_712_001, 0).unwrap(),
            xattrs: Xattrs::new(),
        },
        xattrs: XattrPlace::None,
    }
}

fn record(kind: FileKind) -> Record {
    Record {
        file: FileId::random(),
        content: Content::random(),
        body: BodyId::random(),
        generation: 1,
        attributes: attributes(kind, 1),
    }
}

/// Another handle of the same content.
fn same_content(content: &Content) -> Content {
    let mut bytes = *content.key.expose();
    Content {
        id: content.id,
        key: crate::crypto::ContentKey::from_secret(crate::base::secret::Secret::take(&mut bytes)),
    }
}
