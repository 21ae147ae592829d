//! copy_file_range: a whole file is cloned on the server, other ranges stream through here.
//!
//! The answer to the kernel says how many bytes were copied in 32 bits, and a kernel that knows
//! this asks for no more at a time. A larger file is cloned by the first call all the same: the
//! target is then cut, here and not in the bucket, to what the answer says, and each further
//! call takes back as much of the cut as it asks for. Who never asks for the rest gets a shorter
//! file at the commit.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::commit::{current_meta, finish_meta};
use super::inode::{Content, Inode};
use super::open::FileHandle;
use super::types::{Caller, HandleId};
use super::{FileSystem, FsError, Result};
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::cache::FileTag;
use crate::store::ErrorKind;
use crate::volume::Condition;
use crate::write::{Base, WriteError};

/// Most that one answer says: whole pages, so that the next call goes on at a page.
const ANSWER_BYTES_MAX: u32 = !0xfff;
/// Most that one call streams; who asked for more asks again.
const STREAM_BYTES_MAX: u64 = 16 << 20;
/// What is in memory of it at a time.
const PIECE_BYTES: u64 = 4 << 20;
/// Below this a clone takes more requests than reading and writing.
const CLONE_BYTES_MIN: u64 = 64 << 10;

/// What copy_file_range(2) asks for.
#[derive(Clone, Copy, Debug)]
pub struct CopyRange {
    pub source: HandleId,
    pub source_offset: u64,
    pub target: HandleId,
    pub target_offset: u64,
    pub bytes: u64,
}

/// The target of a clone that was cut to what could be answered.
#[derive(Debug)]
pub(super) struct CutClone {
    /// The bytes that were cloned.
    source: FileTag,
    /// The target's, in the bucket.
    target: FileTag,
}

/// A copy whose handles were looked up.
struct Copying {
    source: Arc<FileHandle>,
    target: Arc<FileHandle>,
    from: ByteRange,
    to: ByteRange,
    /// More may follow that the kernel could not ask for at once.
    to_the_end: bool,
}

impl FileSystem {
    /// Copies between open files, or within one; how much, which can be less than was asked for.
    pub async fn copy_range(self: &Arc<Self>, caller: Caller, copy: CopyRange) -> Result<u32> {
        let _change = self.writable()?;
        let (source, target) = (self.file(copy.source)?, self.file(copy.target)?);
        let invalid = || FsError::posix(libc::EINVAL);
        let length = source.content.size();
        let bytes = copy.bytes.min(length.saturating_sub(copy.source_offset));
        let from = ByteRange::at(copy.source_offset, bytes);
        let to = ByteRange::at(copy.target_offset, bytes);
        let (Some(from), Some(to)) = (from, to) else {
            return Err(invalid());
        };
        if from.is_empty() {
            return Ok(0);
        }
        if source.inode.ino == target.inode.ino && from.intersection(to).is_some() {
            return Err(invalid());
        }
        target.note_writer(caller, false);
        let copying = Copying {
            to_the_end: from.end() == length || bytes >= u64::from(ANSWER_BYTES_MAX),
            source,
            target,
            from,
            to,
        };
        if let Some(copied) = self.go_on_with_clone(&copying).await {
            return Ok(copied);
        }
        match self.clone_whole(&copying).await? {
            Some(copied) => Ok(copied),
            None => self.stream_range(&copying).await,
        }
    }

    /// Takes back more of the cut of a clone, where this is what was asked for.
    async fn go_on_with_clone(&self, copying: &Copying) -> Option<u32> {
        let Copying { source, target, .. } = copying;
        let at = copying.from.start();
        let (of, now) = {
            let cut = target.cut_clone();
            let cut = cut.as_ref()?;
            (cut.source, cut.target)
        };
        let goes_on = at == copying.to.start()
            && at == target.content.size()
            && !source.content.is_dirty()
            && source.content.snapshot().tag == of
            && target.content.snapshot().tag == now;
        let (dirty, bytes) = (target.content.dirty(), answered(copying.from.len()));
        if goes_on && dirty?.uncut(at + u64::from(bytes)).await {
            return Some(bytes);
        }
        None
    }

    /// Clones the source, if all of it was asked for and nothing of the target stays. `None`
    /// where it has to be streamed.
    async fn clone_whole(self: &Arc<Self>, copying: &Copying) -> Result<Option<u32>> {
        let Copying { source, target, .. } = copying;
        let whole = copying.to_the_end
            && copying.from.start() == 0
            && copying.to.start() == 0
            && source.inode.ino != target.inode.ino;
        if !whole || source.content.size() < CLONE_BYTES_MIN {
            return Ok(None);
        }
        if source.content.is_dirty() {
            let is_newest = Arc::ptr_eq(&source.inode.content(), &source.content);
            if !is_newest || self.commit(&source.inode).await.is_err() {
                // What was written is here, and can be read.
                return Ok(None);
            }
        }
        let snapshot = source.content.snapshot();
        let object = self.location(&source.inode, &source.content);
        let (Some(object), Some(version)) = (object, snapshot.version) else {
            return Ok(None);
        };
        let base = Base {
            object,
            version,
            size: snapshot.size,
        };
        let (inode, content) = (&target.inode, &target.content);
        if source.content.is_dirty() || content.size() > base.size {
            return Ok(None);
        }
        match self.clone_to(inode, content, &base).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(WriteError::Volume(error)) if !may_be_under_way(error.kind()) => {
                // Streaming finds out what it is, or does not meet it.
                tracing::debug!("a clone was not made, so its bytes are copied: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let bytes = answered(base.size);
        if u64::from(bytes) < base.size {
            let dirty = self.dirty_unloaded(inode, content)?;
            dirty.truncate(bytes.into()).await?;
            *target.cut_clone() = Some(CutClone {
                source: snapshot.tag,
                target: content.snapshot().tag,
            });
        }
        Ok(Some(bytes))
    }

    /// Makes a file a clone of `base`, in the bucket. `false` where the file has no name, or
    /// somebody else's version has it.
    async fn clone_to(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        base: &Base,
    ) -> std::result::Result<bool, WriteError> {
        let (_held, _operation) = self.hold_operation(inode).await;
        let (Some(path), Ok(dirty)) = (self.table.path(inode), self.dirty_unloaded(inode, content))
        else {
            return Ok(false);
        };
        if inode.state().journaled.is_some() && self.commit_held(inode).await.is_err() {
            // What was closed is in the bucket first, or a replay would put it over the clone.
            return Ok(false);
        }
        let snapshot = content.snapshot();
        if let Some(version) = &snapshot.version {
            let commit = snapshot.commit.as_deref();
            let taken = self
                .take_over_attributes(inode, content, &path, version, commit)
                .await;
            if taken.is_err() {
                return Ok(false);
            }
        }
        let condition = match snapshot.replaced() {
            Some(version) => Condition::IfVersion(version.clone()),
            None => Condition::IfAbsent,
        };
        Self::touch(inode);
        let (mut meta, changes) = current_meta(inode);
        let id = CommitId::random();
        meta.commit = Some(id);
        let done = dirty.commit_clone(base, &path, &meta, &condition).await;
        let done = done.inspect_err(|error| {
            if error.is_in_doubt() {
                content.note_clone_in_doubt(id);
                inode.state().in_doubt = true;
            }
        })?;
        content.update(|snapshot| snapshot.committed(done.version, done.commit, base.size));
        content.delete_is_over();
        self.cache.forget(snapshot.tag);
        finish_meta(inode, changes);
        inode.state().changed = Some(Instant::now());
        self.stats.changed(&path);
        self.forget_pending(inode);
        Ok(true)
    }

    /// Copies bytes from one file's content to the other's, through memory.
    async fn stream_range(self: &Arc<Self>, copying: &Copying) -> Result<u32> {
        let Copying { source, target, .. } = copying;
        let dirty = self.dirty(&target.inode, &target.content).await?;
        let bytes = copying.from.len().min(STREAM_BYTES_MAX);
        let mut done = 0;
        while done < bytes {
            let piece = PIECE_BYTES.min(bytes - done);
            let start = copying.from.start() + done;
            let range = ByteRange::new(start, start + piece);
            let read = self
                .read_content(&source.inode, &source.content, Some(source), range)
                .await;
            let written = match read {
                Ok(data) => dirty
                    .write(copying.to.start() + done, data)
                    .await
                    .map_err(Into::into),
                Err(error) => Err(error),
            };
            match written {
                Ok(()) => done += piece,
                // As write(2): what was copied counts, and the next call meets the error.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Self::check_not_lost(&target.inode, &target.content)?;
        Self::touch(&target.inode);
        Ok(answered(done))
    }
}

impl FileHandle {
    fn cut_clone(&self) -> std::sync::MutexGuard<'_, Option<CutClone>> {
        self.cut_clone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn answered(bytes: u64) -> u32 {
    u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .min(ANSWER_BYTES_MAX)
}

/// Whether the copy may have been made, or the store is away: then streaming would only wait
/// once more.
const fn may_be_under_way(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::TimedOut | ErrorKind::Unavailable)
}
