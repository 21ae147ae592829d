//! Multipart uploads. Blocking.
//!
//! An upload lives in the process that began it: its parts cannot be added or completed by
//! another, and die with it. On disk it is a directory of its session: `about` (an object's
//! file whose attributes are the upload's and whose content is the key), `object` and part
//! files. Any process can list and abort it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::disk::Disk;
use super::error::Request;
use super::file::{is_missing, open_object, seal};
use super::header::{CONTENT_OFFSET, Header};
use super::io::{self as moving, At};
use super::objects::{Context, request, written};
use super::parts::{Part, Upload, lock};
use super::{fresh_etag, now};
use crate::base::id::CommitId;
use crate::store::{
    CopySource, ETag, Elsewhere, ObjectAttributes, ObjectKey, Operation, PartNumber, PartReceipt,
    PendingUpload, Result, StoreError, UploadId, WriteCondition, Written, rules,
};

/// The uploads of this process.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    under_way: Mutex<HashMap<UploadId, Arc<Upload>>>,
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
        let directory = self.disk.session().uploads().join(id.as_str());
        let header = Header {
            size: key.as_str().len() as u64,
            etag: fresh_etag(),
            last_modified: now(),
            attributes,
        };
        let begin = || {
            fs::create_dir(&directory)?;
            let about = self.disk.draft_of(key.as_str().as_bytes(), None)?;
            about.seal(&header)?;
            fs::rename(about.path(), directory.join("about"))?;
            Upload::begin(key.clone(), header.attributes, directory)
        };
        let upload = begin().map_err(|error| request.io(self.disk.root(), error))?;
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
        let offset = CONTENT_OFFSET + range.start();
        upload
            .add_copy(number, range.len(), found.file, offset)
            .map_err(|error| request.io(self.disk.root(), error))
    }

    pub(super) fn complete_multipart(
        &self,
        uploads: &Uploads,
        key: &ObjectKey,
        id: &UploadId,
        parts: &[PartReceipt],
        to: Option<&Elsewhere>,
        condition: &WriteCondition,
    ) -> Result<Written> {
        let begun_at = key;
        let (key, attributes) = match to {
            Some(to) => (&to.key, Some(&to.attributes)),
            None => (key, None),
        };
        let request = request(Operation::CompleteMultipartUpload, key);
        let fail = |error| request.io(self.disk.root(), error);
        if let Some(attributes) = attributes {
            rules::check_attributes(request.operation, key, attributes, self.limits)?;
        }
        let upload = match uploads.find(request.operation, begun_at, id) {
            Ok(upload) => upload,
            Err(gone) => return Err(self.disk.check_condition(request, key, condition, gone)),
        };
        let mut completed = lock(&upload.completing);
        if *completed {
            let gone = rules::no_such_upload(request.operation, key);
            return Err(self.disk.check_condition(request, key, condition, gone));
        }
        let stored = upload.stored();
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
            attributes: attributes.unwrap_or(&upload.attributes).clone(),
        };
        let chosen: Vec<&Part> = parts.iter().map(|part| &stored[&part.number]).collect();
        if upload.is_in_place(&chosen, size).map_err(fail)? {
            seal(&upload.object, &header).map_err(fail)?;
            self.disk
                .publish_file(request, key, &upload.object_path(), condition)?;
        } else {
            let draft = || {
                let draft = self.disk.session().draft()?;
                upload.assemble(&chosen, &draft.file, self.progress)?;
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
        for uploads in self.disk.session().all_uploads()? {
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
        let about = open_object(&directory.join("about")).ok()?.ok()?;
        let key = moving::read_at(&about.file, CONTENT_OFFSET, about.header.size, None).ok()?;
        let upload = PendingUpload {
            key: String::from_utf8(key).ok()?,
            upload: UploadId::new(directory.file_name()?.to_str()?),
            initiated: about.header.last_modified,
        };
        Some(Self { directory, upload })
    }
}

impl Disk {
    /// The error of a complete whose upload is gone: a condition that fails comes first, as on
    /// S3.
    fn check_condition(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
        condition: &WriteCondition,
        gone: StoreError,
    ) -> StoreError {
        self.check(request, key, condition).err().unwrap_or(gone)
    }
}
