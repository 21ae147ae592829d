//! What becomes of an operation's outcome in the kernel's terms.

use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileHandle, FopenFlags, Generation, INodeNo, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, ReplyXattr,
};

use super::convert::{attributes, dot_attributes};
use crate::fs::{DirItem, Entry, FileKind, FileSystem, FsError, HandleId};

pub(super) fn answer_entry(
    reply: ReplyEntry,
) -> impl FnOnce(Result<Entry, Errno>) + Send + 'static {
    move |outcome| match outcome {
        Ok(entry) => reply.entry_with_ttls(
            &entry.attr_ttl,
            &entry.entry_ttl,
            &attributes(&entry.attr),
            Generation(entry.generation),
        ),
        Err(errno) => reply.error(errno),
    }
}

/// A name that is not there is remembered for as long as that: an entry without a number.
pub(super) fn answer_lookup(
    reply: ReplyEntry,
    absence_ttl: Option<Duration>,
) -> impl FnOnce(Result<Entry, Errno>) + Send + 'static {
    move |outcome| match (outcome, absence_ttl) {
        (Err(Errno::ENOENT), Some(ttl)) => {
            let nothing = dot_attributes(0, FileKind::File);
            reply.entry(&ttl, &nothing, Generation(0));
        }
        (outcome, _) => answer_entry(reply)(outcome),
    }
}

/// With `keeps`, the kernel keeps what it reads of the directory, and what it has read before.
pub(super) fn answer_opendir(
    reply: ReplyOpen,
    keeps: bool,
) -> impl FnOnce(Result<HandleId, Errno>) + Send + 'static {
    let flags = if keeps {
        FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
    } else {
        FopenFlags::empty()
    };
    move |outcome| match outcome {
        Ok(handle) => reply.opened(FileHandle(handle), flags),
        Err(errno) => reply.error(errno),
    }
}

pub(super) fn answer_empty(reply: ReplyEmpty) -> impl FnOnce(Result<(), Errno>) + Send + 'static {
    move |outcome| match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

/// How many bytes were written or copied.
pub(super) fn answer_written(
    reply: ReplyWrite,
) -> impl FnOnce(Result<u32, Errno>) + Send + 'static {
    move |outcome| match outcome {
        Ok(bytes) => reply.written(bytes),
        Err(errno) => reply.error(errno),
    }
}

/// getxattr(2) and listxattr(2): a size of 0 asks how long the value is.
pub(super) fn answer_xattr(
    reply: ReplyXattr,
    room_bytes: u32,
) -> impl FnOnce(Result<Vec<u8>, Errno>) + Send + 'static {
    move |outcome| match outcome {
        Ok(value) => match u32::try_from(value.len()) {
            Ok(len) if room_bytes == 0 => reply.size(len),
            Ok(len) if len <= room_bytes => reply.data(&value),
            _ => reply.error(Errno::ERANGE),
        },
        Err(errno) => reply.error(errno),
    }
}

/// Names asked of the filesystem at a time; a reply takes as many as fit.
const NAMES_AT_ONCE: usize = 256;
/// The same with attributes, where each may cost a request to the store.
const ENTRIES_AT_ONCE: usize = 64;

/// What a listing tells of each name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed {
    Names,
    WithEntries,
}

/// Asks for names until `add` says that the reply is full, or there are no more. An error after
/// the first names is left for the next request to meet, because the names that were added carry
/// references.
pub(super) async fn fill(
    fs: &Arc<FileSystem>,
    handle: HandleId,
    mut offset: u64,
    listed: Listed,
    mut add: impl FnMut(&DirItem) -> bool + Send,
) -> Result<(), FsError> {
    let (with_entries, at_once) = match listed {
        Listed::Names => (false, NAMES_AT_ONCE),
        Listed::WithEntries => (true, ENTRIES_AT_ONCE),
    };
    let mut added_any = false;
    loop {
        let items = match fs.readdir(handle, offset, with_entries, at_once).await {
            Ok(items) => items,
            Err(_) if added_any => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(last) = items.last() else {
            return Ok(());
        };
        offset = last.next_offset;
        added_any = true;
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            if add(&item) {
                for unused in std::iter::once(item).chain(items) {
                    if let Some(entry) = unused.entry {
                        fs.forget(entry.attr.ino, 1);
                    }
                }
                return Ok(());
            }
        }
    }
}

/// Adds one name with its attributes; `true` when there is no more room.
///
/// `.` and `..` carry no reference; the kernel takes only number and type of them.
pub(super) fn add_entry(reply: &mut ReplyDirectoryPlus, item: &DirItem) -> bool {
    let ino = item.ino;
    match &item.entry {
        Some(entry) => reply.add(
            INodeNo(ino),
            item.next_offset,
            &item.name,
            &entry.attr_ttl.min(entry.entry_ttl),
            &attributes(&entry.attr),
            Generation(entry.generation),
        ),
        None => reply.add(
            INodeNo(ino),
            item.next_offset,
            &item.name,
            &Duration::ZERO,
            &dot_attributes(ino, item.kind),
            Generation(0),
        ),
    }
}
