//! rename: a copy on the server and a delete, for a directory of everything below it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use tokio::sync::RwLockWriteGuard;

use super::inode::{Content, Inode};
use super::types::{FileKind, Ino};
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;
use crate::layout::path::{PlainName, VolumePath};
use crate::store::{ErrorKind, ListedObject};
use crate::volume::{Condition, Moved, ObjectRef, Stat, Version, VolumeError};

/// Objects of a directory that are copied or deleted at once.
const PARALLEL_OBJECTS: usize = 32;

/// Between two tries for the tree.
const GATE_PAUSE: Duration = Duration::from_millis(5);

/// The two names of a rename.
struct Move<'a> {
    from_parent: Ino,
    from: &'a VolumePath,
    to_parent: Ino,
    to_name: &'a PlainName,
    to: &'a VolumePath,
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
        self.writable()?;
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
            let _gate = self.gate.read().await;
            self.find(parent, &name).await?.kind == FileKind::Directory
        };
        let (_shared, _exclusive) = if is_directory {
            (None, Some(self.gate_alone().await?))
        } else {
            (Some(self.gate.read().await), None)
        };
        let inode = self.find(parent, &name).await?;
        if (inode.kind == FileKind::Directory) != is_directory {
            return Err(FsError::posix(libc::ESTALE));
        }
        let from = self.child_path(parent, &name)?;
        let to = self.new_path(new_parent, &new_name)?;
        if to.starts_with(&from) {
            return Err(FsError::posix(libc::EINVAL));
        }
        let target = match self.find(new_parent, &new_name).await {
            Ok(target) => Some(target),
            Err(error) if error.errno() == libc::ENOENT => None,
            Err(error) => return Err(error),
        };
        if let Some(target) = &target {
            if flags & libc::RENAME_NOREPLACE != 0 {
                return Err(FsError::posix(libc::EEXIST));
            }
            self.may_replace(&inode, target, &to).await?;
        }
        self.keep_directory(parent).await?;
        let names = Move {
            from_parent: parent,
            from: &from,
            to_parent: new_parent,
            to_name: &new_name,
            to: &to,
        };
        if is_directory {
            self.rename_directory(&inode, target.as_deref(), &names)
                .await
        } else {
            self.rename_file(&inode, target.as_deref(), &names).await
        }
    }

    /// The tree for one operation alone. It does not queue for it: behind a waiting writer every
    /// other operation of the mount would wait for the slowest upload.
    async fn gate_alone(&self) -> Result<RwLockWriteGuard<'_, ()>> {
        let deadline = Instant::now() + self.config.timeout;
        loop {
            if let Ok(gate) = self.gate.try_write() {
                return Ok(gate);
            }
            if Instant::now() >= deadline {
                return Err(FsError::refused(
                    libc::EBUSY,
                    "EBUSY: a directory cannot be renamed while files are being uploaded; try \
                     again when they are done"
                        .to_owned(),
                ));
            }
            tokio::time::sleep(GATE_PAUSE).await;
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
        target: Option<&Inode>,
        names: &Move<'_>,
    ) -> Result<()> {
        let _operation = inode.operation.lock().await;
        let content = inode.content();
        let _flux = content.flux.begin();
        let target_operation = match target {
            // Nobody commits to the name that is being taken.
            Some(target) => Some(target.operation.lock().await),
            None => None,
        };
        let target_content = target.map(Inode::content);
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
        if let Some(target) = target {
            self.use_preserved(target, preserved);
            self.gone(target, names.to_parent, names.to);
            drop(target_operation);
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
                self.volume
                    .delete_version(names.from, &replaced, None)
                    .await?;
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
            encryption: inode.state().encryption.clone(),
            hides_object: false,
        };
        let done = self
            .volume
            .rename(names.from, &stat, names.to, &meta)
            .await?;
        self.move_content(inode, ObjectRef::Path(names.to.clone()), done.version);
        content.update(|snapshot| snapshot.commit = Some(done.commit));
        Ok(())
    }

    /// Copies everything below, then deletes the sources. What fails before the first delete is
    /// undone: the old tree is whole and the new one is gone. The caller holds the gate alone.
    async fn rename_directory(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        target: Option<&Inode>,
        names: &Move<'_>,
    ) -> Result<()> {
        let (from, to) = (names.from, names.to);
        let _moving = self.moving.begin();
        let objects = self.everything_below(from, to).await?;
        // All of them are waited for, also after a failure: a copy that came later would stay.
        let copies = stream::iter(objects.into_iter().map(|(rest, listed)| async move {
            let copied = self.volume.copy_below(from, to, &rest, &listed).await;
            copied.map(|copied| (rest, copied))
        }))
        .buffer_unordered(PARALLEL_OBJECTS)
        .collect::<Vec<_>>()
        .await;
        let mut done = HashMap::new();
        let mut failed = None;
        for copied in copies {
            match copied {
                Ok((rest, copied)) => {
                    done.insert(rest, copied);
                }
                Err(error) => failed = Some(error),
            }
        }
        let mut meta = inode.state().meta.clone();
        meta.attributes.ctime = Timestamp::now();
        if failed.is_none() {
            // Last, and with its new time: where the old one was implicit it gets a marker now.
            failed = self
                .volume
                .put_marker(to, &meta, &Condition::None)
                .await
                .err();
        }
        if let Some(error) = failed {
            self.undo_copies(to, done, target.is_none()).await;
            self.stats.all_changed();
            return Err(error.into());
        }
        let kept = self.delete_sources(from, &done).await;
        if let Some(target) = target {
            self.gone(target, names.to_parent, to);
            self.table.drop_unused(target.ino);
        }
        self.moved(inode, names);
        self.follow_rename(to, &done);
        self.stats.all_changed();
        match kept {
            None => Ok(()),
            Some(error) => {
                tracing::error!(
                    "{from:?} was renamed to {to:?}, but some of its objects could not be \
                     deleted at the old name and are there still: delete them there"
                );
                Err(error.into())
            }
        }
    }

    /// Deletes what was copied, as far as it is still what was copied. The first failure, if any;
    /// that somebody else changed an object meanwhile is none, their version stays.
    async fn delete_sources(
        &self,
        from: &VolumePath,
        copies: &HashMap<String, Moved>,
    ) -> Option<VolumeError> {
        let sources: Vec<_> = copies
            .iter()
            .map(|(rest, copied)| (rest.clone(), copied.source.clone()))
            .collect();
        let kept = stream::iter(sources.into_iter().map(|(rest, source)| async move {
            self.volume.delete_below(from, &rest, Some(&source)).await
        }))
        .buffer_unordered(PARALLEL_OBJECTS)
        .filter_map(|done| ready(done.err()))
        .collect::<Vec<_>>()
        .await;
        kept.into_iter().find(|error| {
            let changed = error.kind() == ErrorKind::Precondition;
            if changed {
                tracing::warn!(
                    "was changed while its directory was renamed, so both stay: {error}"
                );
            }
            !changed
        })
    }

    /// The objects below a directory, each with a key that fits at the new place.
    async fn everything_below(
        &self,
        from: &VolumePath,
        to: &VolumePath,
    ) -> Result<Vec<(String, ListedObject)>> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.volume.walk(from, token).await?;
            for (rest, _) in &page {
                self.volume.check_below(to, rest)?;
            }
            objects.extend(page);
            token = next;
            if token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes the copies that a failed rename made, as far as they are still those.
    async fn undo_copies(&self, to: &VolumePath, copies: HashMap<String, Moved>, marker_too: bool) {
        let copies = copies
            .into_iter()
            .filter(|(rest, _)| marker_too || !rest.is_empty());
        let undone = stream::iter(copies.map(|(rest, copied)| async move {
            self.volume
                .delete_below(to, &rest, Some(&copied.copy.etag))
                .await
        }))
        .buffer_unordered(PARALLEL_OBJECTS)
        .filter_map(|done| ready(done.err()))
        .collect::<Vec<_>>()
        .await;
        if let Some(error) = undone.into_iter().next() {
            tracing::error!("a failed rename left copies below {to:?}: {error}");
        }
    }

    /// Inodes below a directory that has moved: their objects have new keys and versions.
    fn follow_rename(&self, to: &VolumePath, copies: &HashMap<String, Moved>) {
        for inode in self.table.all() {
            let Some(path) = self.table.path(&inode) else {
                continue;
            };
            let Some(rest) = path.as_str().strip_prefix(&format!("{}/", to.as_str())) else {
                continue;
            };
            let snapshot = inode.content().snapshot();
            // What somebody else put there before it was copied is not what is open here.
            if let Some(copied) = copies.get(rest)
                && inode.kind != FileKind::Directory
                && snapshot.elsewhere.is_none()
                && snapshot
                    .version
                    .is_some_and(|version| version.etag == copied.source)
            {
                self.move_content(&inode, ObjectRef::Path(path), copied.copy.clone());
            }
            inode.state().changed = Some(Instant::now());
        }
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
