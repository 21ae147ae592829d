//! readlink, unlink and rmdir.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::inode::Inode;
use super::types::{FileKind, Ino};
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ErrorKind;
use crate::volume::{Condition, ObjectRef, Version, VolumeError};
use crate::write::Base;

impl FileSystem {
    pub async fn readlink(self: &Arc<Self>, ino: Ino) -> Result<Bytes> {
        let inode = self.inode(ino)?;
        if inode.kind != FileKind::Symlink {
            return Err(FsError::posix(libc::EINVAL));
        }
        let _held = self.hold_inode(&inode).await;
        let path = self
            .table
            .path(&inode)
            .ok_or_else(|| FsError::posix(libc::ENOENT))?;
        Ok(self.volume.read_whole(&path).await?)
    }

    pub async fn unlink(self: &Arc<Self>, parent: Ino, name: &OsStr) -> Result<()> {
        let _change = self.writable()?;
        let name = PlainName::new(name)?;
        let _name = self.names.lock(parent, &name).await;
        let _held = self.hold_name(parent, &name).await?;
        let inode = self.find(parent, &name).await?;
        if inode.kind == FileKind::Directory {
            return Err(FsError::posix(libc::EISDIR));
        }
        let path = self.child_path(parent, &name)?;
        self.keep_directory(parent).await?;
        {
            let _operation = inode.operation.lock().await;
            let content = inode.content();
            let _flux = content.flux.begin();
            inode.state().going = true;
            let deleted = self.delete_object(&inode, &path).await;
            inode.state().going = false;
            deleted?;
            self.gone(&inode, parent, &path);
        }
        self.release_if_closed(&inode).await;
        self.table.drop_unused(inode.ino);
        Ok(())
    }

    pub async fn rmdir(self: &Arc<Self>, parent: Ino, name: &OsStr) -> Result<()> {
        let _change = self.writable()?;
        let name = PlainName::new(name)?;
        let _name = self.names.lock(parent, &name).await;
        let _held = self.hold_directory(parent, &name).await?;
        let inode = self.find(parent, &name).await?;
        if inode.kind != FileKind::Directory {
            return Err(FsError::posix(libc::ENOTDIR));
        }
        let path = self.child_path(parent, &name)?;
        if !self.is_empty(&inode, &path).await? {
            return Err(FsError::posix(libc::ENOTEMPTY));
        }
        self.keep_directory(parent).await?;
        self.volume.delete_marker(&path).await?;
        self.gone(&inode, parent, &path);
        self.table.drop_unused(inode.ino);
        Ok(())
    }

    /// Neither the bucket nor this mount has anything in the directory.
    pub(super) async fn is_empty(&self, inode: &Inode, path: &VolumePath) -> Result<bool> {
        if !inode.state().pending.is_empty() {
            return Ok(false);
        }
        Ok(self.volume.is_empty_directory(path).await?)
    }

    /// A directory that only its entries make gets a marker before its last entry may go.
    pub(super) async fn keep_directory(&self, ino: Ino) -> Result<()> {
        let directory = self.inode(ino)?;
        let (implicit, meta) = {
            let state = directory.state();
            (state.implicit, state.meta.clone())
        };
        let Some(path) = self.table.path(&directory) else {
            return Ok(());
        };
        if !implicit || path.is_root() {
            return Ok(());
        }
        match self
            .volume
            .put_marker(&path, &meta, &Condition::IfAbsent)
            .await
        {
            Ok(_) => {}
            // Somebody's is there, which may count as none: the next look tells.
            Err(error) if error.kind() == ErrorKind::Precondition => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        directory.state().implicit = false;
        Ok(())
    }

    /// Deletes what the bucket has at a name that is given up; who has it open keeps its content.
    ///
    /// Only the version that this mount knows goes. One that somebody else stored since is not
    /// what the caller wanted to be rid of: that is ESTALE, and the kernel then looks again and
    /// deletes what it finds, unless there are changes here that are not stored.
    async fn delete_object(&self, inode: &Inode, path: &VolumePath) -> Result<()> {
        let content = inode.content();
        if content.is_in_doubt() || inode.state().in_doubt {
            self.adopt_own_write(&content, path).await?;
        }
        if content.snapshot().replaced().is_none() {
            return Ok(());
        }
        let preserved = match self.preserve_if_open(inode, path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) if error.kind() == ErrorKind::Precondition => {
                return Err(self.replaced_before_deleted(inode, path));
            }
            preserved => preserved?,
        };
        self.note_deleting(inode);
        match self.delete_known(inode, path).await {
            Ok(()) => {
                self.use_preserved(inode, preserved);
                Ok(())
            }
            Err(error) => {
                self.drop_preserved(preserved).await;
                content.note_failed_delete(&error);
                if !error.kind().leaves_open() {
                    // It stays, and is replayed as any other; else what the bucket has decides.
                    self.note_place(inode, None);
                }
                if error.kind() == ErrorKind::Precondition {
                    return Err(self.replaced_before_deleted(inode, path));
                }
                Err(error.into())
            }
        }
    }

    async fn delete_known(
        &self,
        inode: &Inode,
        path: &VolumePath,
    ) -> std::result::Result<(), VolumeError> {
        let snapshot = inode.content().snapshot();
        let Some(known) = snapshot.replaced() else {
            return Ok(());
        };
        if inode.why_closed().is_some() {
            return self.volume.delete_closed(path, known).await;
        }
        let refused = match self.volume.delete_content(path, known).await {
            Err(error) if error.kind() == ErrorKind::Precondition => error,
            done => return done,
        };
        // It may be this mount's own write, whose answer was lost; and of an empty object, which
        // is nothing to lose, a server may list another ETag than it compares with.
        let Some(found) = self.volume.stat_file(path).await? else {
            return Ok(());
        };
        let is_ours = self.volume.may_be_ours(path, &found)? || found.size == 0;
        match found.version {
            Some(version) if is_ours => self.volume.delete_content(path, &version).await,
            _ => Err(refused),
        }
    }

    /// ESTALE for a name whose object is not the one that was to be deleted.
    fn replaced_before_deleted(&self, inode: &Inode, path: &VolumePath) -> FsError {
        inode.state().checked = None;
        self.stats.changed(path);
        let path = path.as_str();
        let words = if inode.is_uncommitted() {
            format!(
                "ESTALE: {path:?} was not deleted: somebody else replaced it while it was changed \
                 here; theirs stays, and yours is kept beside it when it is closed or synced"
            )
        } else {
            format!(
                "ESTALE: {path:?} was not deleted: somebody else replaced it since it was looked \
                 at; look at it and delete it again"
            )
        };
        FsError::refused(libc::ESTALE, words)
    }

    /// The name is gone: handles read the copy from now on.
    pub(super) fn use_preserved(&self, inode: &Inode, preserved: Option<(ObjectRef, Version)>) {
        if let Some((object, version)) = preserved {
            self.move_content(inode, object, version);
        }
    }

    /// The name stays after all, so the copy is for nobody.
    pub(super) async fn drop_preserved(&self, preserved: Option<(ObjectRef, Version)>) {
        if let Some((ObjectRef::Private(name), _)) = preserved
            && let Err(error) = self.volume.delete_private(&name).await
        {
            tracing::warn!("a copy that nobody needs stays until the next mount: {error}");
        }
    }

    /// Copies the content of a file that is about to lose its name while handles have it open.
    /// The caller holds the inode's operation.
    ///
    /// What nobody can read is not kept: a file that does not authenticate can be deleted, also
    /// by who has just failed to read it, whose handle the kernel gives up a moment later.
    pub(super) async fn preserve_if_open(
        &self,
        inode: &Inode,
        path: &VolumePath,
    ) -> std::result::Result<Option<(ObjectRef, Version)>, VolumeError> {
        if inode.opens.load(Ordering::Acquire) == 0 || inode.kind != FileKind::File {
            return Ok(None);
        }
        let snapshot = inode.content().snapshot();
        match snapshot.version {
            Some(version) if snapshot.elsewhere.is_none() => {
                match self.volume.preserve(path, &version, snapshot.size).await {
                    Ok(preserved) => Ok(Some(preserved)),
                    Err(error) if error.is_unreadable() => {
                        tracing::warn!(
                            "it goes from its name, and who has it open loses it: {error}"
                        );
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(None),
        }
    }

    /// The stored bytes of an inode's content are somewhere else now.
    pub(super) fn move_content(&self, inode: &Inode, object: ObjectRef, version: Version) {
        let content = inode.content();
        let size = content.snapshot().size;
        if let Some(dirty) = content.dirty() {
            let version = version.clone();
            dirty.set_base(Base {
                object: object.clone(),
                version,
                size,
            });
        }
        content.update(|snapshot| {
            snapshot.version = Some(version);
            snapshot.elsewhere = match object {
                ObjectRef::Path(_) => None,
                other => Some(other),
            };
        });
    }

    /// A name is gone from the bucket.
    pub(super) fn gone(&self, inode: &Inode, parent: Ino, path: &VolumePath) {
        self.note_dropped(inode);
        self.forget_pending(inode);
        self.table.unlink(inode);
        self.stats.changed(path);
        {
            let mut state = inode.state();
            state.meta.attributes.ctime = Timestamp::now();
            state.meta_dirty = false;
            state.changed = Some(Instant::now());
        }
        if let Some(parent) = self.table.inode(parent) {
            parent.touch_directory();
        }
    }
}
