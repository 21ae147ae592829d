//! Whole objects: get, head, put, copy, delete. Blocking.

use bytes::Bytes;

use super::disk::{Disk, ROUNDS_MAX};
use super::error::Request;
use super::file::ObjectFile;
use super::header::{CONTENT_OFFSET, Header};
use super::io::{self, At};
use super::{fresh_etag, now};
use crate::base::progress::Progress;
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ETag, ErrorKind, GetOptions, HeadOptions, Limits,
    Object, ObjectInfo, ObjectKey, Operation, PutOptions, Result, StoreError, WriteCondition,
    Written, rules,
};

/// Where a blocking request is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub disk: &'a Disk,
    pub progress: Option<&'a Progress>,
    pub limits: &'a Limits,
}

impl Context<'_> {
    pub(super) fn get(&self, key: &ObjectKey, options: &GetOptions) -> Result<Object> {
        let request = request(Operation::GetObject, key);
        rules::check_unversioned(request.operation, key, options.version.as_ref())?;
        let ObjectFile { file, header } = self.open(request, key)?;
        rules::check_if_match(
            request.operation,
            key,
            options.if_match.as_ref(),
            &header.etag,
        )?;
        let range = rules::resolve_range(key, options.range, header.size)?;
        let offset = CONTENT_OFFSET + range.start();
        let body = io::read_at(&file, offset, range.len(), self.progress)
            .map_err(|error| request.io(self.disk.root(), error))?;
        if body.len() as u64 != range.len() {
            let damage = super::header::HeaderError::Length {
                expected: header.size,
                found: range.start() + body.len() as u64,
            };
            return Err(request.damaged(&self.disk.path(key), damage));
        }
        Ok(Object {
            info: header.info(),
            range,
            body: Bytes::from(body),
        })
    }

    pub(super) fn head(&self, key: &ObjectKey, options: &HeadOptions) -> Result<ObjectInfo> {
        let request = request(Operation::HeadObject, key);
        rules::check_unversioned(request.operation, key, options.version.as_ref())?;
        Ok(self.open(request, key)?.header.info())
    }

    pub(super) fn put(
        &self,
        key: &ObjectKey,
        body: &Bytes,
        options: PutOptions,
    ) -> Result<Written> {
        let request = request(Operation::PutObject, key);
        let size = body.len() as u64;
        rules::check_attributes(request.operation, key, &options.attributes, self.limits)?;
        rules::check_length(request.operation, key, size, self.limits.put_bytes_max)?;
        let header = Header {
            size,
            etag: fresh_etag(),
            last_modified: now(),
            attributes: options.attributes,
        };
        let draft = self
            .disk
            .draft_of(body, self.progress)
            .and_then(|draft| draft.seal(&header).map(|()| draft))
            .map_err(|error| request.io(self.disk.root(), error))?;
        self.disk
            .publish(request, key, &draft, &options.condition)?;
        Ok(written(header))
    }

    pub(super) fn copy(
        &self,
        key: &ObjectKey,
        source: &CopySource,
        attributes: &CopyAttributes,
        condition: &WriteCondition,
    ) -> Result<Written> {
        let request = request(Operation::CopyObject, key);
        rules::check_copy(key, source, attributes, self.limits)?;
        if source.key != *key {
            return self.copy_version(request, key, source, attributes, |_| Ok(condition.clone()));
        }
        // Onto itself: what is replaced must be what was copied.
        let replaced = |found: &ETag| {
            rules::check_condition(request.operation, key, condition, Some(found))?;
            Ok(WriteCondition::IfMatch(found.clone()))
        };
        let is_free = source.if_match.is_none() && *condition == WriteCondition::None;
        for _ in 0..ROUNDS_MAX {
            match self.copy_version(request, key, source, attributes, replaced) {
                Err(error) if error.kind() == ErrorKind::Precondition && is_free => {}
                answer => return answer,
            }
        }
        Err(request.contended())
    }

    fn copy_version(
        &self,
        request: Request<'_>,
        key: &ObjectKey,
        source: &CopySource,
        attributes: &CopyAttributes,
        condition: impl FnOnce(&ETag) -> Result<WriteCondition>,
    ) -> Result<Written> {
        let found = self.open_source(request, source)?;
        rules::check_length(
            request.operation,
            key,
            found.header.size,
            self.limits.copy_bytes_max,
        )?;
        let condition = condition(&found.header.etag)?;
        let header = Header {
            size: found.header.size,
            etag: fresh_etag(),
            last_modified: now(),
            attributes: match attributes {
                CopyAttributes::Keep => found.header.attributes,
                CopyAttributes::Replace(attributes) => attributes.clone(),
            },
        };
        let draft = || {
            let draft = self.disk.session().draft()?;
            let at = |file| At {
                file,
                offset: CONTENT_OFFSET,
            };
            io::copy(at(&found.file), at(&draft.file), header.size, self.progress)?;
            draft.seal(&header)?;
            Ok(draft)
        };
        let draft = draft().map_err(|error| request.io(self.disk.root(), error))?;
        self.disk.publish(request, key, &draft, &condition)?;
        Ok(written(header))
    }

    pub(super) fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<()> {
        let request = request(Operation::DeleteObject, key);
        rules::check_unversioned(request.operation, key, options.version.as_ref())?;
        let condition = match options.if_match {
            Some(etag) => WriteCondition::IfMatch(etag),
            None => WriteCondition::None,
        };
        self.disk.remove(request, key, &condition)
    }

    /// Opens a copy's source, if it is the version that is asked for.
    pub(super) fn open_source(
        &self,
        request: Request<'_>,
        source: &CopySource,
    ) -> Result<ObjectFile> {
        rules::check_unversioned(request.operation, &source.key, source.version.as_ref())?;
        let found = self.open(request, &source.key)?;
        let etag = &found.header.etag;
        rules::check_if_match(
            request.operation,
            &source.key,
            source.if_match.as_ref(),
            etag,
        )?;
        Ok(found)
    }

    fn open(&self, request: Request<'_>, key: &ObjectKey) -> Result<ObjectFile> {
        self.disk
            .open_object(request, key)?
            .ok_or_else(|| StoreError::not_found(request.operation, key))
    }
}

pub(super) fn request(operation: Operation, key: &ObjectKey) -> Request<'_> {
    Request {
        operation,
        object: key.as_str(),
    }
}

pub(super) fn written(header: Header) -> Written {
    Written {
        etag: header.etag,
        version: None,
    }
}
