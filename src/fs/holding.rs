//! What operations hold of the [`super::tree`].

use std::convert::Infallible;

use tokio::sync::MutexGuard;

use super::inode::Inode;
use super::tree::{Held, Span, Use};
use super::types::Ino;
use super::{FileSystem, Result};
use crate::layout::path::PlainName;
use crate::volume::ObjectRef;

impl FileSystem {
    /// Holds what is at a name.
    pub(super) async fn hold_name(&self, parent: Ino, name: &PlainName) -> Result<Held<'_>> {
        let at = || Ok(vec![Use::At(self.child_path(parent, name)?)]);
        self.tree.hold(at).await
    }

    /// Holds a directory at a name, and the names in it.
    pub(super) async fn hold_directory(&self, parent: Ino, name: &PlainName) -> Result<Held<'_>> {
        let names = || Ok(vec![Use::Names(self.child_path(parent, name)?)]);
        self.tree.hold(names).await
    }

    /// Holds two names.
    pub(super) async fn hold_both(&self, span: impl Fn() -> Result<Span>) -> Result<Held<'_>> {
        let both = || span().map(|Span { from, to }| vec![Use::At(from), Use::At(to)]);
        self.tree.hold(both).await
    }

    /// Holds what has the inode's name, unless it has none any more.
    pub(super) async fn hold_inode(&self, inode: &Inode) -> Held<'_> {
        self.hold_as(inode, Use::At).await
    }

    /// Holds the names in an open directory.
    pub(super) async fn hold_names(&self, directory: &Inode) -> Held<'_> {
        self.hold_as(directory, Use::Names).await
    }

    async fn hold_as(
        &self,
        inode: &Inode,
        used: impl Fn(crate::layout::path::VolumePath) -> Use,
    ) -> Held<'_> {
        let uses = || Ok::<_, Infallible>(self.table.path(inode).map(&used).into_iter().collect());
        let Ok(held) = self.tree.hold(uses).await;
        held
    }

    /// Holds what has the inode's name, and its operation lock: until both are let go it keeps
    /// that name.
    pub(super) async fn hold_operation<'a>(
        &'a self,
        inode: &'a Inode,
    ) -> (Held<'a>, MutexGuard<'a, ()>) {
        loop {
            let held = self.hold_inode(inode).await;
            let operation = inode.operation.lock().await;
            // A rename of the file may have come first.
            if self.table.path(inode).is_none_or(|path| held.is_at(&path)) {
                return (held, operation);
            }
        }
    }

    /// Waits until no directory rename moves an object. Tells whether there was something to wait
    /// for.
    pub(super) async fn settled_tree(&self, object: &ObjectRef) -> bool {
        match object {
            ObjectRef::Path(path) => self.tree.settled(path).await,
            _ => false,
        }
    }
}
