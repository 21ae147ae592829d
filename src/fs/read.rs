//! read: from what was written here, the block cache, or the bucket.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::inode::{Content, Inode, Snapshot};
use super::open::FileHandle;
use super::types::HandleId;
use super::{FileSystem, FsError, Result};
use crate::base::range::ByteRange;
use crate::cache::{BlockSource, FileTag};
use crate::store::ErrorKind;
use crate::volume::{ObjectRef, VolumeError};
use crate::write::{Base, BaseReader, WriteError};

/// How often a read looks again after a change of this mount's own.
const ATTEMPTS: u32 = 5;

impl FileSystem {
    /// Reads up to `size` bytes; fewer only at the end of the file.
    pub async fn read(self: &Arc<Self>, handle: HandleId, offset: u64, size: u32) -> Result<Bytes> {
        let file = self.file(handle)?;
        let length = file.content.size();
        let wanted = ByteRange::at(offset, size.into())
            .and_then(|wanted| wanted.intersection(ByteRange::new(0, length)));
        let Some(range) = wanted else {
            return Ok(Bytes::new());
        };
        self.read_content(&file.inode, &file.content, Some(&file), range)
            .await
    }

    /// Reads a range that lies within a content, changes included. With a handle its read-ahead
    /// takes note.
    pub(super) async fn read_content(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        file: Option<&FileHandle>,
        range: ByteRange,
    ) -> Result<Bytes> {
        // Again when the version that was read is, by a commit of this mount, of the past.
        for _ in 0..ATTEMPTS {
            let snapshot = content.snapshot();
            let source = self.source(inode, content, snapshot.tag);
            let dirty = content.dirty();
            let was_clean = dirty.is_none();
            let read = match dirty {
                Some(dirty) => dirty
                    .read(range, &source)
                    .await
                    .map_err(|error| match error {
                        WriteError::Volume(error) => error,
                        other => Arc::new(VolumeError::written(&other)),
                    }),
                None => self.read_stored(file, &snapshot, source, range).await,
            };
            let error = match read {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            let replaced = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Precondition);
            if replaced {
                // A commit or an attribute change of this mount may be about to note what it did,
                // also where a part of the file was changed here and is read from memory.
                drop(inode.operation.lock().await);
                if was_clean && snapshot.copy_in_doubt.is_some() {
                    self.ask(inode).await?;
                }
            }
            let now = content.snapshot();
            let overtaken = now.tag != snapshot.tag
                || now.version != snapshot.version
                || (was_clean && content.dirty().is_some());
            if !overtaken {
                if replaced {
                    self.distrust(inode);
                }
                return Err(FsError::reading(&error));
            }
        }
        Err(FsError::refused(
            libc::EIO,
            format!("inode {} is changed faster than it can be read", inode.ino),
        ))
    }

    async fn read_stored(
        self: &Arc<Self>,
        file: Option<&FileHandle>,
        snapshot: &Snapshot,
        source: Source,
        range: ByteRange,
    ) -> std::result::Result<Bytes, Arc<VolumeError>> {
        let (tag, size) = (snapshot.tag, snapshot.size);
        let source: Arc<dyn BlockSource<Error = Arc<VolumeError>>> = Arc::new(source);
        let ahead = file.and_then(|file| {
            let mut readahead = file
                .readahead
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            readahead.on_read(range.start(), range.len(), size)
        });
        let mut read = pin!(self.cache.read(tag, size, range, Arc::clone(&source)));
        // The bytes that are waited for are asked for before those ahead.
        let first = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
        if let Some(ahead) = ahead {
            self.cache.prefetch(tag, size, ahead, source);
        }
        match first {
            Poll::Ready(read) => read,
            Poll::Pending => read.await,
        }
    }

    pub(super) fn source(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        tag: FileTag,
    ) -> Source {
        Source {
            fs: Arc::downgrade(self),
            inode: Arc::clone(inode),
            content: Arc::clone(content),
            tag,
        }
    }

    /// Where a content's stored bytes are now.
    pub(super) fn location(&self, inode: &Inode, content: &Content) -> Option<ObjectRef> {
        content
            .snapshot()
            .elsewhere
            .or_else(|| self.table.path(inode).map(ObjectRef::Path))
    }
}

/// Reads a content's stored bytes wherever they are by then: a rename moves them.
#[derive(Clone)]
pub(super) struct Source {
    fs: Weak<FileSystem>,
    inode: Arc<Inode>,
    content: Arc<Content>,
    /// The bytes that are wanted: others come under another tag.
    tag: FileTag,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("ino", &self.inode.ino)
            .finish_non_exhaustive()
    }
}

impl BlockSource for Source {
    type Error = Arc<VolumeError>;

    fn fetch(&self, range: ByteRange) -> BoxFuture<'_, std::result::Result<Bytes, Self::Error>> {
        Box::pin(async move {
            let gone = || Arc::new(VolumeError::gone(self.inode.ino));
            let fs = self.fs.upgrade().ok_or_else(gone)?;
            let mut attempt = 0;
            loop {
                let snapshot = self.content.snapshot();
                if snapshot.tag != self.tag {
                    return Err(gone());
                }
                let version = snapshot.version.ok_or_else(gone)?;
                let object = fs.location(&self.inode, &self.content).ok_or_else(gone)?;
                let error = match fs.volume.read(&object, &version, range).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) => error,
                };
                attempt += 1;
                let replaced =
                    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Precondition);
                if !replaced || attempt == ATTEMPTS {
                    return Err(Arc::new(error));
                }
                // This mount itself may have moved it.
                let waited = fs.settled_tree(&object).await | self.content.flux.settled().await;
                let now = self.content.snapshot();
                let same = now.version.as_ref() == Some(&version)
                    && fs.location(&self.inode, &self.content).as_ref() == Some(&object);
                if same && !waited {
                    return Err(Arc::new(error));
                }
            }
        })
    }
}

#[async_trait]
impl BaseReader for Source {
    async fn read_base(
        &self,
        base: &Base,
        range: ByteRange,
    ) -> std::result::Result<Bytes, Arc<VolumeError>> {
        let fs = self
            .fs
            .upgrade()
            .ok_or_else(|| Arc::new(VolumeError::gone(self.inode.ino)))?;
        let snapshot = self.content.snapshot();
        if snapshot.tag == self.tag && snapshot.version.as_ref() == Some(&base.version) {
            let shared: Arc<dyn BlockSource<Error = Arc<VolumeError>>> = Arc::new(self.clone());
            return fs
                .cache
                .read(snapshot.tag, snapshot.size, range, shared)
                .await;
        }
        // A part of a large file that went to the bucket while it is still being written.
        fs.volume
            .read(&base.object, &base.version, range)
            .await
            .map_err(Arc::new)
    }
}

impl FsError {
    /// A failed read of a version that was there when the file was opened: that it is gone or
    /// replaced is ESTALE, not ENOENT.
    pub(super) fn reading(error: &VolumeError) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Precondition => Self::refused(
                libc::ESTALE,
                format!(
                    "{:?} was replaced or deleted by somebody else while it was open: open it \
                     again ({error})",
                    error.path()
                ),
            ),
            _ => Self::of(error),
        }
    }
}
