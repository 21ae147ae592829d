//! One object whose content is read from the old volume and written into the new one.
//!
//! - What fits one segment is sealed in memory and opened again before it is sent; the server
//!   checks a checksum of what arrives, and it is read back.
//! - What is longer and keeps its key waits at a key of its own until it was read back, and
//!   replaces the old object by a conditional copy on the server then.
//! - What gets another key is written there if nothing is, read back, and then the old object is
//!   deleted while it is the one that was read. Where that was interrupted, what is at the new key
//!   already is compared, and counts only where it is the same.

use std::sync::Arc;

use bytes::Bytes;

use super::plan::MARKER_WITH_CONTENT;
use super::{Move, StepError};
use crate::base::range::ByteRange;
use crate::layout::attributes::FileKind;
use crate::layout::path::VolumePath;
use crate::layout::sealed::SEGMENT_BYTES;
use crate::store::{ETag, ErrorKind, ObjectKey, PartNumber};
use crate::volume::{
    Condition, ObjectMeta, ObjectRef, Part, PrivatePurpose, SealedPart, Stat, Upload, UploadTarget,
    Version, Volume, VolumeError,
};

/// Parts of an upload at most.
const PARTS_MAX: u64 = 10_000;

/// What a volume calls an object.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub path: VolumePath,
    pub is_directory: bool,
}

impl Place {
    pub(super) fn root() -> Self {
        Self {
            path: VolumePath::root(),
            is_directory: true,
        }
    }

    fn object(&self) -> ObjectRef {
        let path = self.path.clone();
        if self.is_directory {
            ObjectRef::Directory(path)
        } else {
            ObjectRef::Path(path)
        }
    }

    pub(super) fn key_in(&self, volume: &Volume) -> Result<ObjectKey, VolumeError> {
        volume.key_of(&self.object())
    }

    async fn stat(&self, volume: &Volume) -> Result<Option<Stat>, VolumeError> {
        // What is remembered is not what is there.
        volume.forget(&self.object());
        if self.is_directory {
            volume.stat_marked_directory(&self.path).await
        } else {
            volume.stat_file(&self.path).await
        }
    }
}

/// What content is told from other content by, besides its length. Whoever changed it on purpose
/// is kept out by the seals; this is for accidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digest(u64);

struct Digesting(crc_fast::Digest);

impl Digesting {
    fn new() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn end(self) -> Digest {
        Digest(self.0.finalize())
    }
}

fn digest(bytes: &[u8]) -> Digest {
    let mut digesting = Digesting::new();
    digesting.add(bytes);
    digesting.end()
}

/// Moves the object at `key`, which has this `ETag`.
pub(super) async fn stream(
    it: &Move,
    key: &ObjectKey,
    etag: &ETag,
    place: &Place,
) -> Result<(), StepError> {
    let (old, new) = (&it.old, &it.new);
    let stat = place.stat(old).await?.ok_or(StepError::Changed)?;
    let version = stat.version.clone().ok_or(StepError::Changed)?;
    if version.etag != *etag {
        return Err(StepError::Changed);
    }
    // Tools of old keep a directory under its name alone; cloakfs writes it with a `/`.
    let is_directory = stat.meta.attributes.kind == FileKind::Directory;
    let from_place = place.object();
    let place = &Place {
        is_directory: place.is_directory || is_directory,
        ..place.clone()
    };
    if is_directory && stat.size > 0 {
        return Err(StepError::Refused(MARKER_WITH_CONTENT.to_owned()));
    }
    let in_place = place.key_in(new)? == *key;
    let condition = if in_place {
        Condition::IfVersion(version.clone())
    } else {
        Condition::IfAbsent
    };
    let from = Source {
        volume: old,
        object: from_place,
        version: &version,
        size: stat.size,
    };
    let written = if stat.size <= SEGMENT_BYTES {
        small(it, &from, place, &stat, &condition).await
    } else if in_place {
        large_in_place(it, &from, place, &stat, &condition).await
    } else {
        let target = UploadTarget::Path(place.path.clone());
        send(new, &from, &target, &stat.meta, &condition).await
    };
    let wanted = match written {
        Ok((version, digest)) => (Some(version), digest),
        Err(StepError::Volume(error)) if !in_place && error.kind() == ErrorKind::Precondition => {
            let message = "it is there already, perhaps from a move that was interrupted";
            tracing::debug!("{place:?}: {message}");
            (None, read(&from).await?)
        }
        Err(error) => return Err(error),
    };
    if let Err(why) = prove(new, place, &stat, &wanted).await? {
        let is_new = if in_place {
            "was written, and"
        } else {
            "has another object at its new key, which"
        };
        return Err(StepError::Refused(format!(
            "{is_new} {why}; nothing was deleted: compare the two, and run this again"
        )));
    }
    if !in_place {
        old.delete_moved(key, etag).await?;
    }
    Ok(())
}

/// What is read.
struct Source<'a> {
    volume: &'a Arc<Volume>,
    object: ObjectRef,
    version: &'a Version,
    size: u64,
}

impl Source<'_> {
    async fn bytes(&self, start: u64, length: u64) -> Result<Bytes, VolumeError> {
        let range = ByteRange::new(start, self.size.min(start + length));
        self.volume.read(&self.object, self.version, range).await
    }
}

async fn read(from: &Source<'_>) -> Result<Digest, VolumeError> {
    let mut digesting = Digesting::new();
    let mut at = 0;
    while at < from.size {
        let bytes = from.bytes(at, SEGMENT_BYTES).await?;
        digesting.add(&bytes);
        at += bytes.len() as u64;
    }
    Ok(digesting.end())
}

async fn small(
    it: &Move,
    from: &Source<'_>,
    place: &Place,
    stat: &Stat,
    condition: &Condition,
) -> Result<(Version, Digest), StepError> {
    let bytes = from.bytes(0, SEGMENT_BYTES).await?;
    let (object, sent) = (place.object(), bytes.clone());
    let put = it
        .new
        .put_proven(&place.path, &object, &stat.meta, sent, condition);
    Ok((put.await?.version, digest(&bytes)))
}

async fn large_in_place(
    it: &Move,
    from: &Source<'_>,
    place: &Place,
    stat: &Stat,
    condition: &Condition,
) -> Result<(Version, Digest), StepError> {
    let new = &it.new;
    let name = new.private_name(PrivatePurpose::Staging);
    let target = UploadTarget::Private(name.clone());
    let copied = async {
        let sent = send(new, from, &target, &stat.meta, &Condition::None).await?;
        let (version, wanted) = sent;
        let object = ObjectRef::Private(name.clone());
        new.forget(&object);
        let staged = Source {
            volume: new,
            object: object.clone(),
            version: &version,
            size: stat.size,
        };
        if read(&staged).await? != wanted {
            let why = "was written to a key of its own, and does not come back as it was; it was left as it is: run this again";
            return Err(StepError::Refused(why.to_owned()));
        }
        let copy = new.clone_to(
            &object,
            &version,
            stat.size,
            &place.path,
            &stat.meta,
            condition,
        );
        Ok((copy.await?.version, wanted))
    };
    let copied = copied.await;
    if let Err(error) = new.delete_private(&name).await {
        tracing::warn!("a copy stays until the next mount: {error}");
    }
    copied
}

/// Uploads the content in parts, one after the other.
async fn send(
    new: &Arc<Volume>,
    from: &Source<'_>,
    target: &UploadTarget,
    meta: &ObjectMeta,
    condition: &Condition,
) -> Result<(Version, Digest), StepError> {
    let upload = new.begin_upload(target, meta, None, condition).await?;
    let sent = parts(&upload, from).await;
    let done = match sent {
        Ok((parts, digest)) => {
            let done = upload.complete(&parts, from.size, meta, condition).await;
            done.map(|done| (done.version, digest))
        }
        Err(error) => Err(error),
    };
    if done.is_err() {
        upload.abort().await;
    }
    Ok(done?)
}

async fn parts(upload: &Upload, from: &Source<'_>) -> Result<(Vec<Part>, Digest), VolumeError> {
    let segments = from.size.div_ceil(SEGMENT_BYTES);
    // A part less, for the tail.
    let part_bytes = segments.div_ceil(PARTS_MAX - 1).max(1) * SEGMENT_BYTES;
    let mut digesting = Digesting::new();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < from.size {
        let end = from.size.min(at + part_bytes);
        let number = u32::try_from(parts.len() + 1)
            .ok()
            .and_then(PartNumber::new);
        let number = number.expect("parts are long enough");
        let part = if upload.seals() {
            let starts = (at..end).step_by(usize::try_from(SEGMENT_BYTES).expect("8 MiB"));
            let ranges: Vec<_> = starts
                .map(|start| ByteRange::new(start, end.min(start + SEGMENT_BYTES)))
                .collect();
            let mut part = SealedPart::for_segments(&ranges);
            for range in ranges {
                let bytes = from.bytes(range.start(), range.len()).await?;
                digesting.add(&bytes);
                part = upload.seal(part, range.start(), bytes).await;
            }
            upload.upload_sealed(number, part).await?
        } else {
            let bytes = from.bytes(at, end - at).await?;
            digesting.add(&bytes);
            upload.upload_part(number, bytes).await?
        };
        parts.push(part);
        at = end;
    }
    Ok((parts, digesting.end()))
}

/// Reads what was written, and says what is not as it was.
async fn prove(
    new: &Arc<Volume>,
    place: &Place,
    was: &Stat,
    (written, wanted): &(Option<Version>, Digest),
) -> Result<Result<(), String>, StepError> {
    let is = place.stat(new).await?.ok_or(StepError::Changed)?;
    let version = is.version.clone().ok_or(StepError::Changed)?;
    if written
        .as_ref()
        .is_some_and(|ours| ours.etag != version.etag)
    {
        return Err(StepError::Changed);
    }
    let (is_meta, was_meta) = (&is.meta.attributes, &was.meta.attributes);
    if is.size != was.size {
        return Ok(Err(format!("has {} bytes and not {}", is.size, was.size)));
    }
    let told = |of: &crate::layout::attributes::Attributes| {
        (
            of.kind,
            of.perm,
            of.uid,
            of.gid,
            of.rdev,
            of.mtime,
            of.xattrs.clone(),
        )
    };
    if told(is_meta) != told(was_meta) {
        return Ok(Err("has other attributes".to_owned()));
    }
    let there = Source {
        volume: new,
        object: place.object(),
        version: &version,
        size: is.size,
    };
    let is_content = matches!(is_meta.kind, FileKind::File | FileKind::Symlink);
    if is_content && read(&there).await? != *wanted {
        return Ok(Err("has other content".to_owned()));
    }
    Ok(Ok(()))
}
