//! rename: a copy on the server and a delete, for a directory of everything below it.

mod directory;
mod elsewhere;
mod progress;

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

pub use progress::RenameStatus;
pub(super) use progress::Renames;

use super::inode::{Content, Inode};
use super::tree::{Alone, Span};
use super::types::{FileKind, Ino};
use super::write_back::Depth;
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ErrorKind;
use crate::volume::{ObjectRef, Stat, Version};

/// The two names of a rename.
struct Move<'a> {
    from_parent: Ino,
    from: &'a VolumePath,
    to_parent: Ino,
    to_name: &'a PlainName,
    to: &'a VolumePath,
    /// `RENAME_NOREPLACE`, also where somebody stores something at the new name meanwhile.
    unless_there: bool,
}

impl FileSystem {
    /// renameat2(2); of its flags only `RENAME_NOREPLACE`.
    pub async fn rename(
        self: &Arc<Self>,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: u32,
    ) -> Result<()> {
        let _change = self.writable()?;
        if flags & !libc::RENAME_NOREPLACE != 0 {
            return Err(FsError::posix(libc::EINVAL));
        }
        let name = PlainName::new(name)?;
        let new_name = PlainName::new(new_name)?;
        if parent == new_parent && name == new_name {
            return Ok(());
        }
        let _names = self
            .names
            .lock_two((parent, &name), (new_parent, &new_name))
            .await;
        let is_directory = {
            let _held = self.hold_name(parent, &name).await?;
            self.find(parent, &name).await?.kind == FileKind::Directory
        };
        let span = || {
            Ok(Span {
                from: self.child_path(parent, &name)?,
                to: self.new_path(new_parent, &new_name)?,
            })
        };
        let (_held, alone) = if is_directory {
            let directory = self.child_path(parent, &name)?;
            self.commit_below(&directory, Depth::All).await?;
            (None, Some(self.take(span).await?))
        } else {
            (Some(self.hold_both(span).await?), None)
        };
        let inode = self.find(parent, &name).await?;
        if (inode.kind == FileKind::Directory) != is_directory {
            return Err(FsError::posix(libc::ESTALE));
        }
        Self::refuse_closed(&inode)?;
        let from = self.child_path(parent, &name)?;
        if is_directory {
            // What was closed since it was flushed, and before it was taken: the journal has
            // it at its old path, where a crash during the rename would leave nothing to replay to.
            Box::pin(self.commit_below_alone(&from)).await?;
        }
        let to = self.new_path(new_parent, &new_name)?;
        if to.starts_with(&from) {
            return Err(FsError::posix(libc::EINVAL));
        }
        let is_pending = !is_directory && inode.content().snapshot().version.is_none();
        let is_free = is_pending && self.is_free(&to, new_parent, &new_name);
        let target = if is_free {
            None
        } else {
            match self.find(new_parent, &new_name).await {
                Ok(target) => Some(target),
                Err(error) if error.errno() == libc::ENOENT => None,
                Err(error) => return Err(error),
            }
        };
        if let Some(target) = &target {
            if flags & libc::RENAME_NOREPLACE != 0 {
                return Err(FsError::posix(libc::EEXIST));
            }
            self.may_replace(&inode, target, &to).await?;
            let is_new = !is_directory && inode.content().snapshot().version.is_none();
            if is_new && target.why_closed().is_some() {
                // A condition on what may not be looked at could fail for ever, while a copy has
                // none: so what replaces it is stored before.
                self.commit(&inode).await?;
            }
        }
        self.keep_directory(parent).await?;
        let names = Move {
            from_parent: parent,
            from: &from,
            to_parent: new_parent,
            to_name: &new_name,
            to: &to,
            unless_there: flags & libc::RENAME_NOREPLACE != 0,
        };
        match &alone {
            Some(alone) => {
                let renaming = self.rename_directory(&inode, target.as_deref(), &names, alone);
                Box::pin(renaming).await
            }
            None => self.rename_file(&inode, target.as_ref(), &names).await,
        }
    }

    /// What is at and below both names, for a rename alone.
    async fn take(&self, span: impl Fn() -> Result<Span>) -> Result<Alone<'_>> {
        match tokio::time::timeout(self.config.timeout, self.tree.take(&span)).await {
            Ok(taken) => taken,
            Err(_elapsed) => {
                let span = span()?;
                let from = span.from.as_str();
                let words = if self.tree.is_taken_by_another(&span) {
                    format!(
                        "EBUSY: {from:?} cannot be renamed while another directory at, above or \
                         below one of its two names is being renamed; try again when that is done"
                    )
                } else {
                    format!(
                        "EBUSY: {from:?} cannot be renamed while files below it are being \
                         uploaded; try again when they are done"
                    )
                };
                Err(FsError::refused(libc::EBUSY, words))
            }
        }
    }

    fn new_path(&self, parent: Ino, name: &PlainName) -> Result<VolumePath> {
        match self.child_path(parent, name) {
            Err(error) if error.errno() == libc::ENOENT && self.inode(parent).is_ok() => {
                Err(FsError::posix(libc::EPERM))
            }
            other => other,
        }
    }

    /// What POSIX says of replacing one kind by another.
    async fn may_replace(&self, inode: &Inode, target: &Inode, to: &VolumePath) -> Result<()> {
        match (
            inode.kind == FileKind::Directory,
            target.kind == FileKind::Directory,
        ) {
            (true, false) => Err(FsError::posix(libc::ENOTDIR)),
            (false, true) => Err(FsError::posix(libc::EISDIR)),
            (true, true) if !self.is_empty(target, to).await? => {
                Err(FsError::posix(libc::ENOTEMPTY))
            }
            _ => Ok(()),
        }
    }

    async fn rename_file(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        target: Option<&Arc<Inode>>,
        names: &Move<'_>,
    ) -> Result<()> {
        let _operation = inode.operation.lock().await;
        self.settle_before_move(inode).await?;
        let target_operation = match target {
            // Nobody commits to the name that is being taken.
            Some(target) => Some(target.operation.lock().await),
            None => None,
        };
        if let Some(target) = target
            && target.state().in_doubt
        {
            self.settle_before_move(target).await?;
        }
        let content = inode.content();
        let _flux = content.flux.begin();
        let target_content = target.map(|target| target.content());
        let _target_flux = target_content.as_ref().map(|content| content.flux.begin());
        // Before it is preserved: what the bucket has at the name now.
        let taken = target_content.as_ref().and_then(|content| {
            let snapshot = content.snapshot();
            snapshot.version.or(snapshot.replaces)
        });
        let preserved = match target {
            Some(target) => self.preserve_if_open(target, names.to).await?,
            None => None,
        };
        let moved = self.move_object(inode, &content, taken, names).await;
        self.stats.changed(names.from);
        self.stats.changed(names.to);
        if let Err(error) = moved {
            self.drop_preserved(preserved).await;
            return Err(error);
        }
        // Told together with the new name, lest a crash between the two leave neither.
        let replaced = target.and_then(|target| target.state().journaled.take());
        if let Some(target) = target {
            self.use_preserved(target, preserved);
            self.gone(target, names.to_parent, names.to);
            drop(target_operation);
            self.release_if_closed(target).await;
            self.table.drop_unused(target.ino);
        }
        self.forget_pending(inode);
        self.moved(inode, names);
        if content.snapshot().version.is_none()
            && let Some(parent) = self.table.inode(names.to_parent)
        {
            parent
                .state()
                .pending
                .insert(names.to_name.clone(), inode.ino);
        }
        self.note_place(inode, replaced);
        Ok(())
    }

    /// The bucket's side of a file's rename. A file that the bucket does not have yet takes its
    /// new name at its commit, which then replaces the version `taken`.
    async fn move_object(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Content,
        taken: Option<Version>,
        names: &Move<'_>,
    ) -> Result<()> {
        let snapshot = content.snapshot();
        let now = Timestamp::now();
        let Some(version) = snapshot.version else {
            if let Some(replaced) = snapshot.replaces {
                // It was renamed over this object before; with its name the object goes too.
                self.volume.delete_content(names.from, &replaced).await?;
            }
            content.update(|snapshot| snapshot.replaces = taken);
            return Ok(());
        };
        let mut meta = inode.state().meta.clone();
        meta.attributes.ctime = now;
        let stat = Stat {
            meta: meta.clone(),
            size: snapshot.size,
            version: Some(version),
            commit: snapshot.commit,
            last_modified: now,
            encryption: None,
            s3ec: None,
            hides_object: false,
        };
        let unless_there = names.unless_there;
        let done = self
            .volume
            .rename(names.from, &stat, names.to, &meta, unless_there)
            .await
            .inspect_err(|error| content.note_failed_delete(error));
        let done = match done {
            Err(error)
                if unless_there
                    && is_refused(error.kind())
                    && self.volume.stat(names.to).await?.is_some() =>
            {
                return Err(FsError::posix(libc::EEXIST));
            }
            done => done?,
        };
        self.move_content(inode, ObjectRef::Path(names.to.clone()), done.version);
        content.update(|snapshot| snapshot.commit = Some(done.commit));
        content.delete_is_over();
        Ok(())
    }

    /// An inode has its new name.
    fn moved(&self, inode: &Inode, names: &Move<'_>) {
        self.table.rename(inode, names.to_parent, names.to_name);
        {
            let mut state = inode.state();
            state.meta.attributes.ctime = Timestamp::now();
            state.changed = Some(Instant::now());
            if inode.kind == FileKind::Directory {
                state.implicit = false;
            }
        }
        self.stats.changed(names.from);
        self.stats.changed(names.to);
        for parent in [names.from_parent, names.to_parent] {
            if let Some(parent) = self.table.inode(parent) {
                parent.touch_directory();
            }
        }
    }
}

/// A condition did not hold: of the old name's, or of the new one's.
const fn is_refused(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Precondition | ErrorKind::Conflict)
}
