//! Multipart uploads. Blocking.
//!
//! An upload lives in the process that began it: its parts cannot be added or completed by
//! another, and die with it. On disk it is a directory of its session: `about` (an object's
//! file whose attributes are the upload's and whose content is the key), `object` and part
//! files. Any process can list and abort it.
//!
//! Most uploads have parts of one length, the last one shorter, numbered without gaps. So a
//! part is written straight to where it will be in the object if all parts are as long as the
//! first that cannot be the last, its *slot* in the file `object`; completing then writes the
//! head and moves that file in place, and copies nothing. A part that does not fit, and one that
//! replaces another, goes to a file of its own, and completing copies all parts together. A
//! slot is written once, so that a late writer cannot change what another has been told is
//! there; of two parts of one number the one begun later stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::disk::{self, is_missing, new_file};
use super::header::{CONTENT_OFFSET, Header};
use super::io::{self as moving, At};
use super::objects::{Context, request, written};
use super::{fresh_etag, now};
use crate::base::id::CommitId;
use crate::base::limits::OBJECT_BYTES_MAX;
use crate::store::{
    CopySource, ETag, Limits, ObjectAttributes, ObjectKey, Operation, PartNumber, PartReceipt,
    PendingUpload, Result, StoreError, UploadId, WriteCondition, Written, rules,
};

/// The uploads of this process.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    under_way: Mutex<HashMap<UploadId, Arc<Upload>>>,
}

#[derive(Debug)]
struct Upload {
    key: ObjectKey,
    attributes: ObjectAttributes,
    directory: PathBuf,
    /// The file that the object becomes, if all parts are in their slots.
    object: File,
    parts: Mutex<Parts>,
    /// Held while the upload is completed; whether it was.
    completing: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Parts {
    /// Length of the slots in bytes, once a part has arrived.
    slot_bytes: Option<u64>,
    slots_taken: BTreeSet<PartNumber>,
    /// Counts the parts that were begun.
    begun: u64,
    stored: BTreeMap<PartNumber, Part>,
}

#[derive(Clone, Debug)]
struct Part {
    etag: ETag,
    bytes: u64,
    begun: u64,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// At this offset of the object's content.
    Slot(u64),
    /// In a file of its own, from the beginning.
    File(PathBuf),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

    /// Keeps a part that is written; gives back the one that is not needed any more.
    fn end(&mut self, number: PartNumber, part: Part) -> Option<Part> {
        let stored = self.stored.get(&number);
        if stored.is_some_and(|stored| stored.begun > part.begun) {
            return Some(part);
        }
        self.stored.insert(number, part)
    }
}

impl Uploads {
    fn find(
        &self,
        operation: Operation,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<Arc<Upload>> {
        lock(&self.under_way)
            .get(upload)
            .filter(|found| found.key == *key)
            .cloned()
            .ok_or_else(|| rules::no_such_upload(operation, key))
    }
}

impl Context<'_> {
    pub(super) fn create_multipart(
        &self,
        uploads: &Uploads,
        key: &ObjectKey,
        attributes: ObjectAttributes,
    ) -> Result<UploadId> {
        let request = request(Operation::CreateMultipartUpload, key);
        rules::check_attributes(request.operation, key, &attributes, self.limits)?;
        let id = UploadId::new(CommitId::random().to_string());
        let directory = self.disk.uploads().join(id.as_str());
        let begin = || {
            fs::create_dir(&directory)?;
            let about = self.disk.draft_of(key.as_str().as_bytes(), None)?;
            about.seal(&Header {
                size: key.as_str().len() as u64,
                etag: fresh_etag(),
                last_modified: now(),
                attributes: attributes.clone(),
            })?;
            fs::rename(about.path(), directory.join("about"))?;
            new_file(&directory.join("object"))
        };
        let object = begin().map_err(|error| request.io(self.disk.root(), error))?;
        let upload = Upload {
            key: key.clone(),
            attributes,
            directory,
            object,
            parts: Mutex::default(),
            completing: Mutex::new(false),
        };
        lock(&uploads.under_way).insert(id.clone(), Arc::new(upload));
        Ok(id)
    }

    pub(super) fn upload_part(
        &self,
        uploads: &Uploads,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        body: &Bytes,
    ) -> Result<PartReceipt> {
        let request = request(Operation::UploadPart, key);
        let bytes = body.len() as u64;
        rules::check_length(request.operation, key, bytes, self.limits.part_bytes_max)?;
        let upload = uploads.find(request.operation, key, upload)?;
        let write = |to: At<'_>| {
            moving::write_at(to.file, body, to.offset, self.progress)?;
            moving::write_back(to.file, to.offset, bytes)
        };
        upload
            .add(number, bytes, self.limits, write)
            .map_err(|error| request.io(self.disk.root(), error))
    }

    pub(super) fn copy_part(
        &self,
        uploads: &Uploads,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
    ) -> Result<PartReceipt> {
        let request = request(Operation::UploadPartCopy, key);
        let upload = uploads.find(request.operation, key, upload)?;
        let found = self.open_source(request, source)?;
        let size = found.header.size;
        let range = rules::resolve_copy_range(key, &source.key, source.range, size, self.limits)?;
        let from = At {
            file: &found.file,
            offset: CONTENT_OFFSET + range.start(),
        };
        let write = |to: At<'_>| moving::copy(from, to, range.len(), self.progress);
        upload
            .add(number, range.len(), self.limits, write)
            .map_err(|error| request.io(self.disk.root(), error))
    }

    pub(super) fn complete_multipart(
        &self,
        uploads: &Uploads,
        key: &ObjectKey,
        id: &UploadId,
        parts: &[PartReceipt],
        condition: &WriteCondition,
    ) -> Result<Written> {
        let request = request(Operation::CompleteMultipartUpload, key);
        let fail = |error| request.io(self.disk.root(), error);
        let upload = match uploads.find(request.operation, key, id) {
            Ok(upload) => upload,
            Err(gone) => return Err(self.disk.check_condition(request, key, condition, gone)),
        };
        let mut completed = lock(&upload.completing);
        if *completed {
            let gone = rules::no_such_upload(request.operation, key);
            return Err(self.disk.check_condition(request, key, condition, gone));
        }
        let stored = lock(&upload.parts).stored.clone();
        let size = rules::check_parts(
            key,
            parts,
            |part| {
                let found = stored.get(&part.number)?;
                Some((found.etag.clone(), found.bytes))
            },
            self.limits,
        )?;
        let header = Header {
            size,
            etag: ETag::new(format!(
                "{}-{}\"",
                fresh_etag().as_str().trim_end_matches('"'),
                parts.len()
            )),
            last_modified: now(),
            attributes: upload.attributes.clone(),
        };
        let chosen: Vec<&Part> = parts.iter().map(|part| &stored[&part.number]).collect();
        if upload.is_in_place(&chosen, size).map_err(fail)? {
            disk::seal(&upload.object, &header).map_err(fail)?;
            let file = upload.directory.join("object");
            self.disk.publish_file(request, key, &file, condition)?;
        } else {
            let draft = || {
                let draft = self.disk.draft()?;
                upload.assemble(&chosen, &draft.file, self)?;
                draft.seal(&header)?;
                Ok(draft)
            };
            let draft = draft().map_err(fail)?;
            self.disk.publish(request, key, &draft, condition)?;
        }
        *completed = true;
        lock(&uploads.under_way).remove(id);
        // What cannot be removed goes with the session.
        drop(fs::remove_dir_all(&upload.directory));
        Ok(written(header))
    }

    pub(super) fn abort_multipart(
        &self,
        uploads: &Uploads,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<()> {
        let request = request(Operation::AbortMultipartUpload, key);
        let fail = |error| request.io(self.disk.root(), error);
        if uploads.find(request.operation, key, id).is_ok() {
            lock(&uploads.under_way).remove(id);
        }
        for pending in self.pending().map_err(fail)? {
            if pending.upload.upload == *id && pending.upload.key == key.as_str() {
                match fs::remove_dir_all(&pending.directory) {
                    Err(error) if !is_missing(&error) => return Err(fail(error)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn list_multipart(&self, prefix: &str) -> io::Result<Vec<PendingUpload>> {
        let pending = self.pending()?.into_iter().map(|pending| pending.upload);
        let mut pending: Vec<_> = pending
            .filter(|upload| upload.key.starts_with(prefix))
            .collect();
        pending.sort_by(|a, b| (&a.key, a.initiated).cmp(&(&b.key, b.initiated)));
        Ok(pending)
    }

    /// Uploads of all processes.
    fn pending(&self) -> io::Result<Vec<Pending>> {
        let mut pending = vec![];
        for uploads in self.disk.all_uploads()? {
            let Ok(uploads) = fs::read_dir(uploads) else {
                // A session that ended just now.
                continue;
            };
            for upload in uploads {
                let directory = upload?.path();
                pending.extend(Pending::read(directory));
            }
        }
        Ok(pending)
    }
}

struct Pending {
    directory: PathBuf,
    upload: PendingUpload,
}

impl Pending {
    /// `None` for one that is being begun or ended just now.
    fn read(directory: PathBuf) -> Option<Self> {
        let about = disk::open_object(&directory.join("about")).ok()?.ok()?;
        let key = moving::read_at(&about.file, CONTENT_OFFSET, about.header.size, None).ok()?;
        let upload = PendingUpload {
            key: String::from_utf8(key).ok()?,
            upload: UploadId::new(directory.file_name()?.to_str()?),
            initiated: about.header.last_modified,
        };
        Some(Self { directory, upload })
    }
}

impl Upload {
    /// Adds a part of so many bytes that `write` writes to where it is told.
    fn add(
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
    fn is_in_place(&self, parts: &[&Part], size: u64) -> io::Result<bool> {
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

    fn assemble(&self, parts: &[&Part], object: &File, context: &Context<'_>) -> io::Result<()> {
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
            };
            moving::copy(from, to, part.bytes, context.progress)?;
            offset += part.bytes;
        }
        Ok(())
    }
}

impl disk::Disk {
    /// The error of a complete whose upload is gone: a condition that fails comes first, as on
    /// S3.
    fn check_condition(
        &self,
        request: super::error::Request<'_>,
        key: &ObjectKey,
        condition: &WriteCondition,
        gone: StoreError,
    ) -> StoreError {
        self.check(request, key, condition).err().unwrap_or(gone)
    }
}
