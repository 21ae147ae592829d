//! write, truncate, flush and fsync.

use std::sync::Arc;

use bytes::Bytes;

use super::inode::{Content, Inode, Place, Snapshot};
use super::open::FileHandle;
use super::types::{Caller, FileKind, HandleId};
use super::{FileSystem, FsError, Result};
use crate::base::limits;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::volume::ObjectRef;
use crate::write::{Base, DirtyFile};

impl FileSystem {
    /// Writes all of `data`. With `O_APPEND` in `flags` it goes to the end of the file, wherever
    /// the kernel believed that to be.
    pub async fn write(
        self: &Arc<Self>,
        caller: Caller,
        handle: HandleId,
        offset: u64,
        data: Bytes,
        flags: i32,
        from_page_cache: bool,
    ) -> Result<u32> {
        let _change = self.writable()?;
        let file = self.file(handle)?;
        let written = u32::try_from(data.len()).map_err(|_| FsError::posix(libc::EINVAL))?;
        file.note_writer(caller, from_page_cache);
        self.note_pages(&file.content);
        let dirty = self.dirty(&file.inode, &file.content).await?;
        // A kernel that keeps pages back knows the size better.
        let append = flags & libc::O_APPEND != 0 && !from_page_cache && !self.is_exclusive();
        if append {
            dirty.append(data).await?;
        } else {
            dirty.write(offset, data).await?;
        }
        // While this waited for room, somebody else's version may have taken the name.
        Self::check_not_lost(&file.inode, &file.content)?;
        Self::touch(&file.inode);
        Ok(written)
    }

    /// Sets a file's length. Through a handle the commit waits for its close; without one there
    /// is no close to wait for.
    pub(super) async fn truncate(
        self: &Arc<Self>,
        caller: Caller,
        inode: &Arc<Inode>,
        size: u64,
        handle: Option<HandleId>,
    ) -> Result<()> {
        if inode.kind != FileKind::File {
            return Err(FsError::posix(libc::EINVAL));
        }
        let file = handle.and_then(|handle| self.file(handle).ok());
        let content = if let Some(file) = &file {
            file.note_writer(caller, false);
            Arc::clone(&file.content)
        } else {
            self.recheck(inode).await?;
            inode.content()
        };
        if content.size() == size && content.snapshot().version.is_some() && !content.is_dirty() {
            // POSIX marks the times even where the length stays.
            return self
                .change_meta(inode, |meta| {
                    meta.attributes.mtime = Timestamp::now();
                    meta.attributes.ctime = meta.attributes.mtime;
                    Ok(())
                })
                .await;
        }
        let dirty = match size {
            0 => self.dirty_unloaded(inode, &content)?,
            _ => self.dirty(inode, &content).await?,
        };
        dirty.truncate(size).await?;
        // While this waited for a commit, somebody else's version may have taken the name. Of a
        // path, the kernel walks it again.
        Self::check_not_lost(inode, &content)?;
        Self::touch(inode);
        if file.is_none() {
            self.save(inode).await?;
        }
        Ok(())
    }

    /// A descriptor was closed: commits when the process that closes it wrote through it.
    pub async fn flush(self: &Arc<Self>, caller: Caller, handle: HandleId) -> Result<()> {
        let file = self.file(handle)?;
        let is_writer = file.is_writer(caller) || (self.is_exclusive() && file.may_write());
        if !is_writer {
            return Ok(());
        }
        self.end_handle(&file, false).await
    }

    /// Returns when everything written to the file is in the bucket.
    pub async fn fsync(self: &Arc<Self>, handle: HandleId, _data_only: bool) -> Result<()> {
        let file = self.file(handle)?;
        self.end_handle(&file, true).await
    }

    /// Saves what was written through a handle; into the bucket where that is asked for.
    async fn end_handle(self: &Arc<Self>, file: &FileHandle, into_bucket: bool) -> Result<()> {
        let pages = file.content.pages();
        if !Arc::ptr_eq(&file.inode.content(), &file.content) {
            return if file.has_written() {
                Err(Self::replaced(&file.inode))
            } else {
                Ok(())
            };
        }
        if file.inode.is_uncommitted() {
            if into_bucket {
                self.commit(&file.inode).await?;
            } else {
                self.save(&file.inode).await?;
            }
        } else if file.content.is_stale() && file.has_written() {
            return Err(Self::replaced(&file.inode));
        }
        file.saved(pages);
        Ok(())
    }

    /// Somebody else's version has the name that this content had.
    fn is_lost(inode: &Inode, content: &Arc<Content>) -> bool {
        content.is_stale() || !Arc::ptr_eq(&inode.content(), content)
    }

    pub(super) fn check_not_lost(inode: &Inode, content: &Arc<Content>) -> Result<()> {
        if Self::is_lost(inode, content) {
            return Err(Self::replaced(inode));
        }
        Ok(())
    }

    fn replaced(inode: &Inode) -> FsError {
        FsError::refused(
            libc::ESTALE,
            format!(
                "ESTALE: inode {} was replaced or deleted by somebody else while it was open: \
                 what is written to it now would be lost, so open it again",
                inode.ino
            ),
        )
    }

    /// Where the changes of a content are kept, for a change that leaves some of it.
    ///
    /// A file that a commit writes whole is loaded whole before its first change: should somebody
    /// replace it meanwhile, what was not changed here is still there for the conflict copy.
    pub(super) async fn dirty(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
    ) -> Result<Arc<DirtyFile>> {
        while content.dirty().is_none() {
            let snapshot = content.snapshot();
            let loads = snapshot.version.is_some()
                && snapshot.size > 0
                && snapshot.size <= limits::SEGMENT_BYTES;
            if !loads {
                break;
            }
            let _one_at_a_time = content.loading.lock().await;
            if content.dirty().is_some() {
                break;
            }
            let whole = ByteRange::new(0, snapshot.size);
            let base = self.read_content(inode, content, None, whole).await?;
            if Self::is_lost(inode, content) {
                return Err(Self::replaced(inode));
            }
            // Shown to other writers only when it is whole: the base must not come over what
            // they write.
            let loaded = self.begin_changes(inode, &snapshot);
            loaded.write(0, base).await?;
            if content.begin_loaded(&loaded, &snapshot) {
                return Ok(loaded);
            }
            // One that replaces all of it does not wait for this load, and may be committed and
            // closed by now: what was loaded is of the past.
            loaded.discard();
        }
        self.dirty_unloaded(inode, content)
    }

    /// Where the changes of a content are kept, for one that replaces all of it.
    pub(super) fn dirty_unloaded(
        &self,
        inode: &Inode,
        content: &Arc<Content>,
    ) -> Result<Arc<DirtyFile>> {
        if Self::is_lost(inode, content) {
            return Err(Self::replaced(inode));
        }
        Ok(content.dirty_or(|snapshot| self.begin_changes(inode, snapshot)))
    }

    fn begin_changes(&self, inode: &Inode, snapshot: &Snapshot) -> Arc<DirtyFile> {
        let object = snapshot
            .elsewhere
            .clone()
            .or_else(|| self.table.path(inode).map(ObjectRef::Path));
        let base = match (object, &snapshot.version) {
            (Some(object), Some(version)) => Some(Base {
                object,
                version: version.clone(),
                size: snapshot.size,
            }),
            _ => None,
        };
        DirtyFile::new(Arc::clone(&self.engine), base)
    }

    /// The content changed now.
    pub(super) fn touch(inode: &Inode) {
        let now = Timestamp::now();
        let mut state = inode.state();
        state.meta.attributes.mtime = now;
        state.meta.attributes.ctime = now;
        state.meta_changes += 1;
        if state.place != Place::Unlinked {
            state.meta_dirty = true;
        }
    }
}
