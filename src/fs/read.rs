//! read: from what was written here, the block cache, or the bucket.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::inode::{Content, Inode};
use super::open::FileHandle;
use super::types::HandleId;
use super::{FileSystem, FsError, Result};
use crate::base::range::ByteRange;
use crate::cache::BlockSource;
use crate::store::ErrorKind;
use crate::volume::{ObjectRef, VolumeError};
use crate::write::{Base, BaseReader};

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
        let source = self.source(&file.inode, &file.content);
        let read = match file.content.dirty() {
            Some(dirty) => dirty.read(range, &source).await.map_err(FsError::from),
            None => self.read_stored(&file, &source, range).await,
        };
        read
    }

    async fn read_stored(
        self: &Arc<Self>,
        file: &FileHandle,
        source: &Source,
        range: ByteRange,
    ) -> Result<Bytes> {
        let snapshot = file.content.snapshot();
        let shared: Arc<dyn BlockSource<Error = Arc<VolumeError>>> = Arc::new(source.clone());
        let ahead = file
            .readahead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .on_read(range.start(), range.len(), snapshot.size);
        if let Some(ahead) = ahead {
            self.cache
                .prefetch(snapshot.tag, snapshot.size, ahead, Arc::clone(&shared));
        }
        let read = self
            .cache
            .read(snapshot.tag, snapshot.size, range, shared)
            .await;
        read.map_err(|error| FsError::reading(&error))
    }

    pub(super) fn source(self: &Arc<Self>, inode: &Arc<Inode>, content: &Arc<Content>) -> Source {
        Source {
            fs: Arc::downgrade(self),
            inode: Arc::clone(inode),
            content: Arc::clone(content),
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
            let _gate = fs.gate.read().await;
            let snapshot = self.content.snapshot();
            let version = snapshot.version.ok_or_else(gone)?;
            let object = fs.location(&self.inode, &self.content).ok_or_else(gone)?;
            fs.volume
                .read(&object, &version, range)
                .await
                .map_err(Arc::new)
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
        if snapshot.version.as_ref() == Some(&base.version) {
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
