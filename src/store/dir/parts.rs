//! The parts of one upload under way, on disk. Blocking.
//!
//! Most uploads have parts of one length, the last one shorter, numbered without gaps. So a
//! part is written straight to where it will be in the object if all parts are as long as the
//! first that cannot be the last, its *slot* in the file `object`; completing then writes the
//! head and moves that file in place, and copies nothing. A part that does not fit, and one that
//! replaces another, goes to a file of its own, and completing copies all parts together. A
//! slot is written once, so that a late writer cannot change what another has been told is
//! there; of two parts of one number the one begun later stays.
//!
//! A part that is copied from an object is not copied before the upload is completed: the open
//! file of that version is kept, which nobody changes, since a new version is a new file. So a
//! small change of a large object takes its length once more on the disk, and not twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::file::new_file;
use super::fresh_etag;
use super::header::CONTENT_OFFSET;
use super::io::{self as moving, At};
use crate::base::limits::OBJECT_BYTES_MAX;
use crate::base::progress::Progress;
use crate::store::{ETag, Limits, ObjectAttributes, ObjectKey, PartNumber, PartReceipt};

/// Name of the file with the slots.
const OBJECT: &str = "object";

#[derive(Debug)]
pub(super) struct Upload {
    pub key: ObjectKey,
    pub attributes: ObjectAttributes,
    pub directory: PathBuf,
    /// The file that the object becomes, if all parts are in their slots.
    pub object: File,
    parts: Mutex<Parts>,
    /// Held while the upload is completed; whether it was.
    pub completing: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Parts {
    /// Length of the slots in bytes, once a part has arrived.
    slot_bytes: Option<u64>,
    slots_taken: BTreeSet<PartNumber>,
    /// Versions that parts are copied from, by device and inode: many parts are of one.
    sources: HashMap<(u64, u64), Weak<File>>,
    /// Counts the parts that were begun.
    begun: u64,
    stored: BTreeMap<PartNumber, Part>,
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub etag: ETag,
    pub bytes: u64,
    begun: u64,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// At this offset of the object's content.
    Slot(u64),
    /// In a file of its own, from the beginning.
    File(PathBuf),
    /// Not copied yet: from this offset of another file.
    Source(Arc<File>, u64),
}

/// A panic elsewhere leaves tables that are still right.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parts {
    /// Where the next part of this number and length goes; `part_bytes_min` bounds all parts
    /// but the last.
    fn begin(&mut self, number: PartNumber, bytes: u64, part_bytes_min: u64) -> (u64, Option<u64>) {
        self.begun += 1;
        if self.slot_bytes.is_none() && (number.value() == 1 || bytes >= part_bytes_min) {
            self.slot_bytes = Some(bytes);
        }
        let slot = self.slot_bytes.and_then(|slot_bytes| {
            let offset = slot_bytes.checked_mul(u64::from(number.value() - 1))?;
            let fits = bytes <= slot_bytes && offset.checked_add(bytes)? <= OBJECT_BYTES_MAX;
            (fits && self.slots_taken.insert(number)).then_some(offset)
        });
        (self.begun, slot)
    }

    /// The same open file for all parts that are copied from one version.
    fn source(&mut self, file: File) -> io::Result<Arc<File>> {
        let about = file.metadata()?;
        let known = self.sources.entry((about.dev(), about.ino())).or_default();
        if let Some(known) = known.upgrade() {
            return Ok(known);
        }
        let file = Arc::new(file);
        *known = Arc::downgrade(&file);
        Ok(file)
    }

    /// Keeps a part that is written; gives back the one that is not needed any more.
    fn end(&mut self, number: PartNumber, part: Part) -> Option<Part> {
        let stored = self.stored.get(&number);
        if stored.is_some_and(|stored| stored.begun > part.begun) {
            return Some(part);
        }
        self.stored.insert(number, part)
    }
}

impl Upload {
    pub(super) fn begin(
        key: ObjectKey,
        attributes: ObjectAttributes,
        directory: PathBuf,
    ) -> io::Result<Self> {
        Ok(Self {
            object: new_file(&directory.join(OBJECT))?,
            key,
            attributes,
            directory,
            parts: Mutex::default(),
            completing: Mutex::new(false),
        })
    }

    /// The parts that are there.
    pub(super) fn stored(&self) -> BTreeMap<PartNumber, Part> {
        lock(&self.parts).stored.clone()
    }

    /// The file that the object becomes, if all parts are in their slots.
    pub(super) fn object_path(&self) -> PathBuf {
        self.directory.join(OBJECT)
    }

    /// Adds a part of so many bytes that `write` writes to where it is told.
    pub(super) fn add(
        &self,
        number: PartNumber,
        bytes: u64,
        limits: &Limits,
        write: impl FnOnce(At<'_>) -> io::Result<()>,
    ) -> io::Result<PartReceipt> {
        let (begun, slot) = lock(&self.parts).begin(number, bytes, limits.part_bytes_min);
        let place = if let Some(offset) = slot {
            write(At {
                file: &self.object,
                offset: CONTENT_OFFSET + offset,
            })?;
            Place::Slot(offset)
        } else {
            let path = self.directory.join(format!("part-{begun}"));
            write(At {
                file: &new_file(&path)?,
                offset: 0,
            })?;
            Place::File(path)
        };
        self.end(number, bytes, begun, place)
    }

    /// Adds a part that is so many bytes of a version of an object, from `offset` of its file.
    pub(super) fn add_copy(
        &self,
        number: PartNumber,
        bytes: u64,
        source: File,
        offset: u64,
    ) -> io::Result<PartReceipt> {
        let (begun, source) = {
            let mut parts = lock(&self.parts);
            parts.begun += 1;
            (parts.begun, parts.source(source)?)
        };
        self.end(number, bytes, begun, Place::Source(source, offset))
    }

    fn end(
        &self,
        number: PartNumber,
        bytes: u64,
        begun: u64,
        place: Place,
    ) -> io::Result<PartReceipt> {
        let etag = fresh_etag();
        let part = Part {
            etag: etag.clone(),
            bytes,
            begun,
            place,
        };
        let unneeded = lock(&self.parts).end(number, part);
        if let Some(Place::File(path)) = unneeded.map(|part| part.place) {
            fs::remove_file(path)?;
        }
        Ok(PartReceipt { number, etag })
    }

    /// Whether the file `object` holds exactly these parts, in this order.
    pub(super) fn is_in_place(&self, parts: &[&Part], size: u64) -> io::Result<bool> {
        let mut expected = 0;
        for part in parts {
            match part.place {
                Place::Slot(offset) if offset == expected => expected += part.bytes,
                _ => return Ok(false),
            }
        }
        let len = self.object.metadata()?.len();
        // Nothing was written to the file of an empty object, not even its head.
        Ok(len == CONTENT_OFFSET + size || (size == 0 && len == 0))
    }

    /// Copies the parts together into another object's file.
    pub(super) fn assemble(
        &self,
        parts: &[&Part],
        object: &File,
        progress: Option<&Progress>,
    ) -> io::Result<()> {
        let mut offset = CONTENT_OFFSET;
        for part in parts {
            let to = At {
                file: object,
                offset,
            };
            let own_file;
            let from = match &part.place {
                Place::Slot(offset) => At {
                    file: &self.object,
                    offset: CONTENT_OFFSET + offset,
                },
                Place::File(path) => {
                    own_file = File::open(path)?;
                    At {
                        file: &own_file,
                        offset: 0,
                    }
                }
                Place::Source(file, offset) => At {
                    file,
                    offset: *offset,
                },
            };
            moving::copy(from, to, part.bytes, progress)?;
            offset += part.bytes;
        }
        Ok(())
    }
}
