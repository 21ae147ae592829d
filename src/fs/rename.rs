//! rename: a copy on the server and a delete, for a directory of everything below it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::inode::Inode;
use super::types::{FileKind, Ino};
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ListedObject;
use crate::volume::{Condition, ObjectRef, Stat, Version, VolumeError};

/// Objects of a directory that are copied or deleted at once.
const PARALLEL_OBJECTS: usize = 32;

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
            let _gate = self.gate.read().await;
            self.find(parent, &name).await?.kind == FileKind::Directory
        };
        let (_shared, _exclusive) = if is_directory {
            (None, Some(self.gate.write().await))
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
        let replaced = match target {
            Some(target) => {
                // Nobody commits to the name that is being taken.
                let _operation = target.operation.lock().await;
                let replaced = target.content();
                let _flux = replaced.flux.begin();
                self.preserve_if_open(target, names.to).await?;
                let version = target.content().snapshot().version;
                if version.is_some() && inode.content().snapshot().version.is_none() {
                    // Ours is not in the bucket yet; its commit will replace this version.
                    inode
                        .content()
                        .update(|snapshot| snapshot.replaces = version);
                }
                true
            }
            None => false,
        };
        let snapshot = content.snapshot();
        let now = Timestamp::now();
        if let Some(version) = snapshot.version {
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
        }
        let pending = content.snapshot().version.is_none();
        if replaced && let Some(target) = target {
            self.gone(target, names.to_parent, names.to);
            self.table.drop_unused(target.ino);
        }
        self.forget_pending(inode);
        self.moved(inode, names);
        if pending && let Some(parent) = self.table.inode(names.to_parent) {
            parent
                .state()
                .pending
                .insert(names.to_name.clone(), inode.ino);
        }
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
        let copies = stream::iter(
            objects
                .clone()
                .into_iter()
                .map(|(rest, listed)| async move {
                    let version = self.volume.copy_below(from, to, &rest, &listed).await?;
                    Ok::<_, VolumeError>((rest, version))
                }),
        )
        .buffer_unordered(PARALLEL_OBJECTS)
        .try_collect::<HashMap<String, Version>>()
        .await;
        let copies = match copies {
            Ok(copies) => copies,
            Err(error) => {
                self.undo_copies(to, objects).await;
                return Err(error.into());
            }
        };
        let mut meta = inode.state().meta.clone();
        meta.attributes.ctime = Timestamp::now();
        // Last, and with its new time: where the old one was implicit it gets a marker now.
        self.volume.put_marker(to, &meta, &Condition::None).await?;
        let below: Vec<_> = objects.into_iter().map(|(rest, _)| rest).collect();
        let deletes = stream::iter(
            below
                .into_iter()
                .map(|rest| async move { self.volume.delete_below(from, &rest).await }),
        )
        .buffer_unordered(PARALLEL_OBJECTS)
        .filter_map(async |done| done.err())
        .collect::<Vec<_>>()
        .await;
        if let Some(target) = target {
            self.gone(target, names.to_parent, to);
            self.table.drop_unused(target.ino);
        }
        self.moved(inode, names);
        self.follow_rename(to, &copies);
        self.stats.all_changed();
        match deletes.into_iter().next() {
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

    async fn undo_copies(&self, to: &VolumePath, objects: Vec<(String, ListedObject)>) {
        let copies = objects
            .into_iter()
            .map(|(rest, _)| rest)
            .filter(|rest| !rest.is_empty());
        let undone = stream::iter(
            copies.map(|rest| async move { self.volume.delete_below(to, &rest).await }),
        )
        .buffer_unordered(PARALLEL_OBJECTS)
        .filter_map(async |done| done.err())
        .collect::<Vec<_>>()
        .await;
        if let Some(error) = undone.into_iter().next() {
            tracing::error!("a failed rename left copies below {to:?}: {error}");
        }
    }

    /// Inodes below a directory that has moved: their objects have new keys and versions.
    fn follow_rename(&self, to: &VolumePath, copies: &HashMap<String, Version>) {
        for inode in self.table.all() {
            let Some(path) = self.table.path(&inode) else {
                continue;
            };
            let Some(rest) = path.as_str().strip_prefix(&format!("{}/", to.as_str())) else {
                continue;
            };
            if let Some(version) = copies.get(rest)
                && inode.kind != FileKind::Directory
                && inode.content().snapshot().elsewhere.is_none()
            {
                self.move_content(&inode, ObjectRef::Path(path), version.clone());
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
