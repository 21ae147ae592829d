//! open and release, and the handle between them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clone::CutClone;
use super::inode::{Content, Inode, Place};
use super::readahead::ReadAhead;
use super::types::{Caller, FileKind, HandleId, Ino, Opened};
use super::{FileSystem, FsError, Result};

/// How old an answer may be that open takes for the present: the lookup that the kernel sends
/// just before an open has asked the bucket already.
pub(super) const JUST_NOW: Duration = Duration::from_millis(100);

/// An open file.
#[derive(Debug)]
pub(super) struct FileHandle {
    pub inode: Arc<Inode>,
    pub content: Arc<Content>,
    pub readahead: Mutex<ReadAhead>,
    /// Processes that wrote through this handle, or created the file through it.
    writers: Mutex<HashSet<u32>>,
    /// Somebody wrote whom the kernel did not name: pages of a mapping, or another namespace.
    anonymous_writer: AtomicBool,
    /// Something was written through this handle since it last saw a commit.
    unsaved: AtomicBool,
    /// The file was cloned through this handle, further than the answer could say.
    pub cut_clone: Mutex<Option<CutClone>>,
    /// It may be written through.
    may_write: AtomicBool,
    /// The pages of its content that a commit it saw had.
    pages_saved: AtomicU64,
}

impl FileHandle {
    fn new(inode: Arc<Inode>, content: Arc<Content>) -> Self {
        Self {
            inode,
            pages_saved: AtomicU64::new(content.pages()),
            content,
            readahead: Mutex::new(ReadAhead::default()),
            writers: Mutex::new(HashSet::new()),
            anonymous_writer: AtomicBool::new(false),
            unsaved: AtomicBool::new(false),
            cut_clone: Mutex::new(None),
            may_write: AtomicBool::new(false),
        }
    }

    /// Remembers who writes: only their close commits.
    pub fn note_writer(&self, caller: Caller, from_page_cache: bool) {
        self.unsaved.store(true, Ordering::Release);
        match process_of(caller.pid) {
            Some(process) if !from_page_cache => {
                self.writers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(process);
            }
            _ => self.anonymous_writer.store(true, Ordering::Release),
        }
    }

    /// Whether something was written that no commit of this handle has saved. Pages that the
    /// kernel kept back may be of any handle that may write.
    pub fn has_written(&self) -> bool {
        self.unsaved.load(Ordering::Acquire)
            || (self.may_write()
                && self.pages_saved.load(Ordering::Acquire) != self.content.pages())
    }

    /// A commit saved what had been written when the content had this many `pages`.
    pub fn saved(&self, pages: u64) {
        self.unsaved.store(false, Ordering::Release);
        self.pages_saved.store(pages, Ordering::Release);
    }

    pub fn may_write(&self) -> bool {
        self.may_write.load(Ordering::Acquire)
    }

    /// It was opened for writing.
    pub fn note_may_write(&self) {
        self.may_write.store(true, Ordering::Release);
    }

    /// Whether a close by this caller is the writer's. A shell closes inherited descriptors
    /// many times while its child is writing.
    pub fn is_writer(&self, caller: Caller) -> bool {
        if self.anonymous_writer.load(Ordering::Acquire) {
            return true;
        }
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        process_of(caller.pid).is_none_or(|process| writers.contains(&process))
    }
}

/// The process of a thread: FUSE names threads. `None` when it cannot be told.
fn process_of(thread: u32) -> Option<u32> {
    if thread == 0 {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

impl FileSystem {
    /// Opens a file; `flags` are open(2)'s. Asks the bucket for the newest version.
    pub async fn open(self: &Arc<Self>, caller: Caller, ino: Ino, flags: i32) -> Result<Opened> {
        let inode = self.inode(ino)?;
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
        let _change = writes.then(|| self.writable()).transpose()?;
        match inode.kind {
            FileKind::File => {}
            FileKind::Directory => return Err(FsError::posix(libc::EISDIR)),
            _ => return Err(FsError::posix(libc::EINVAL)),
        }
        // From here on nobody drops it.
        self.pin(&inode);
        let opened = self.open_pinned(caller, &inode, flags).await;
        if opened.is_err() {
            self.unpin(&inode).await;
        }
        opened
    }

    async fn open_pinned(
        self: &Arc<Self>,
        caller: Caller,
        inode: &Arc<Inode>,
        flags: i32,
    ) -> Result<Opened> {
        if inode.state().going {
            // Its name is being deleted, perhaps in vain: the outcome tells what is opened.
            drop(inode.operation.lock().await);
        }
        let just_now = inode
            .state()
            .checked
            .is_some_and(|checked| checked.elapsed() < JUST_NOW);
        if self.is_given_up(inode) {
            return Err(FsError::posix(libc::ESTALE));
        }
        let is_known = just_now || self.is_trusted(inode);
        if !is_known && !inode.is_uncommitted() && inode.state().place != Place::Unlinked {
            self.ask(inode).await?;
        }
        let opened = self.make_handle(inode);
        if flags & libc::O_ACCMODE != libc::O_RDONLY
            && let Ok(file) = self.file(opened.handle)
        {
            file.note_may_write();
        }
        if flags & libc::O_TRUNC != 0 {
            let handle = Some(opened.handle);
            if let Err(error) = self.truncate(caller, inode, 0, handle).await {
                self.files.remove(&opened.handle);
                return Err(error);
            }
        }
        Ok(opened)
    }

    /// A handle on what the inode has now. The inode is pinned.
    pub(super) fn make_handle(&self, inode: &Arc<Inode>) -> Opened {
        let (content, keep_cache) = {
            let mut state = inode.state();
            let content = Arc::clone(&state.content);
            let keep_cache = state.kernel_content == Some(content.id);
            state.kernel_content = Some(content.id);
            (content, keep_cache)
        };
        let id = self.next_handle();
        // The kernel's pages belong to the inode: while a handle on another version is open,
        // they are not shared with it.
        let mixed = self
            .files
            .iter()
            .any(|other| other.inode.ino == inode.ino && other.content.id != content.id);
        if mixed {
            // The other handle may put its version's pages there yet.
            inode.state().kernel_content = None;
        }
        self.files
            .insert(id, Arc::new(FileHandle::new(Arc::clone(inode), content)));
        Opened {
            handle: id,
            keep_cache: keep_cache && !mixed,
            direct_io: mixed,
        }
    }

    pub(super) fn file(&self, handle: HandleId) -> Result<Arc<FileHandle>> {
        let file = self.files.get(&handle);
        file.map(|file| Arc::clone(&file))
            .ok_or_else(|| FsError::posix(libc::EBADF))
    }

    /// The last descriptor of a handle was closed: commits what is left.
    pub async fn release(self: &Arc<Self>, handle: HandleId) {
        let Some((_, file)) = self.files.remove(&handle) else {
            return;
        };
        if file.inode.is_uncommitted() && Arc::ptr_eq(&file.inode.content(), &file.content) {
            // close(2) has returned: whoever wrote was told then. What fails here is logged,
            // stays in staging and is tried again by sync and unmount.
            let _logged = self.save(&file.inode).await;
        }
        self.unpin(&file.inode).await;
    }

    /// One handle fewer.
    pub(super) async fn unpin(&self, inode: &Arc<Inode>) {
        if inode.opens.fetch_sub(1, Ordering::AcqRel) == 1 {
            let content = inode.content();
            if inode.state().place == Place::Unlinked {
                if let Some(dirty) = content.take_dirty() {
                    dirty.discard();
                }
                self.release_preserved(&content).await;
            } else {
                content.drop_clean();
            }
        }
        self.table.drop_unused(inode.ino);
    }

    /// The last handle of an inode may have gone while its name did, and could not know of the
    /// copy then.
    pub(super) async fn release_if_closed(&self, inode: &Inode) {
        if inode.opens.load(Ordering::Acquire) == 0 {
            self.release_preserved(&inode.content()).await;
        }
    }

    /// Deletes the copy of a file that has neither name nor handle any more.
    async fn release_preserved(&self, content: &Content) {
        let preserved = content.update(|snapshot| snapshot.elsewhere.take());
        if let Some(crate::volume::ObjectRef::Private(name)) = preserved
            && let Err(error) = self.volume.delete_private(&name).await
        {
            tracing::warn!("a deleted file's content stays until the next mount: {error}");
        }
        self.cache.forget(content.snapshot().tag);
    }
}
