//! What handles see of a file: one version's stored bytes, and the changes made to them here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::id::CommitId;
use crate::cache::FileTag;
use crate::fs::flux::Flux;
use crate::store::{Operation, StoreError};
use crate::volume::{ObjectRef, Stat, Version, VolumeError};
use crate::write::DirtyFile;

/// One version of a file's bytes and the changes made to it here; shared by the handles that
/// were opened on it.
#[derive(Debug)]
pub(in crate::fs) struct Content {
    /// Unique in this mount.
    pub id: u64,
    inner: Mutex<ContentState>,
    /// Writes that came since, of pages that the kernel had kept back.
    pages: AtomicU64,
    /// Changes under way of where the stored bytes are, or of their version.
    pub flux: Flux,
    /// One first change at a time.
    pub loading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct ContentState {
    snapshot: Snapshot,
    dirty: Option<Arc<DirtyFile>>,
    /// Somebody else won a conflict: what follows must be opened anew.
    stale: bool,
    /// A commit failed, perhaps after it was carried out.
    in_doubt: bool,
    /// A delete of the object failed, perhaps after it was carried out.
    delete_in_doubt: bool,
    /// A clone over the object failed, perhaps after it was carried out.
    clone_in_doubt: Option<CommitId>,
}

/// What the bucket holds of a content.
#[derive(Clone, Debug)]
pub(in crate::fs) struct Snapshot {
    /// Where it is stored when that is not the inode's own path.
    pub elsewhere: Option<ObjectRef>,
    /// `None` when the bucket has never had it.
    pub version: Option<Version>,
    /// What the first commit of a new file replaces: the version of a file it was renamed over.
    pub replaces: Option<Version>,
    pub commit: Option<String>,
    /// A copy with other attributes failed, perhaps after it was carried out: the same bytes may
    /// have another version.
    pub copy_in_doubt: Option<CommitId>,
    pub size: u64,
    /// Names these bytes in the block cache.
    pub tag: FileTag,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl Snapshot {
    /// Of a file that the bucket has never had.
    pub fn nothing() -> Self {
        Self {
            elsewhere: None,
            version: None,
            replaces: None,
            commit: None,
            copy_in_doubt: None,
            size: 0,
            tag: FileTag(next_id()),
        }
    }

    pub fn of(stat: &Stat) -> Self {
        Self {
            elsewhere: None,
            version: stat.version.clone(),
            replaces: None,
            commit: stat.commit.clone(),
            copy_in_doubt: None,
            size: stat.size,
            tag: FileTag(next_id()),
        }
    }

    /// The version that a commit replaces: its condition; `None` where it makes a new object.
    pub const fn replaced(&self) -> Option<&Version> {
        match &self.version {
            Some(version) => Some(version),
            None => self.replaces.as_ref(),
        }
    }

    /// After a commit: other bytes, so another tag.
    pub fn committed(&mut self, version: Version, commit: String, size: u64) {
        self.elsewhere = None;
        self.version = Some(version);
        self.replaces = None;
        self.commit = Some(commit);
        self.copy_in_doubt = None;
        self.size = size;
        self.tag = FileTag(next_id());
    }
}

impl ContentState {
    fn drop_clean(&mut self) {
        // Whoever takes hold of it does so under the lock of this.
        let unused = |dirty: &Arc<DirtyFile>| Arc::strong_count(dirty) == 1 && !dirty.is_dirty();
        if self.dirty.as_ref().is_some_and(unused) {
            self.dirty = None;
        }
    }
}

/// Whether an object's commit is one that is in doubt.
fn is_id(doubt: Option<CommitId>, commit: Option<&str>) -> bool {
    doubt.is_some_and(|id| Some(id.to_string().as_str()) == commit)
}

impl Content {
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            id: next_id(),
            inner: Mutex::new(ContentState {
                snapshot,
                dirty: None,
                stale: false,
                in_doubt: false,
                delete_in_doubt: false,
                clone_in_doubt: None,
            }),
            pages: AtomicU64::new(0),
            flux: Flux::new(),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, ContentState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn pages(&self) -> u64 {
        self.pages.load(Ordering::Acquire)
    }

    pub fn note_pages(&self) {
        self.pages.fetch_add(1, Ordering::AcqRel);
    }

    pub fn snapshot(&self) -> Snapshot {
        self.inner().snapshot.clone()
    }

    pub fn update<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        change(&mut self.inner().snapshot)
    }

    pub fn dirty(&self) -> Option<Arc<DirtyFile>> {
        self.inner().dirty.clone()
    }

    /// The changes made here, begun by `begin` when there are none yet.
    pub fn dirty_or(&self, begin: impl FnOnce(&Snapshot) -> Arc<DirtyFile>) -> Arc<DirtyFile> {
        let mut inner = self.inner();
        if let Some(dirty) = &inner.dirty {
            return Arc::clone(dirty);
        }
        let dirty = begin(&inner.snapshot);
        inner.dirty = Some(Arc::clone(&dirty));
        dirty
    }

    /// Shows changes that were begun with all of `base` loaded; false where there are others, or
    /// where the stored bytes are not those of `base` any more.
    pub fn begin_loaded(&self, loaded: &Arc<DirtyFile>, base: &Snapshot) -> bool {
        let mut inner = self.inner();
        let begins = inner.dirty.is_none() && inner.snapshot.tag == base.tag;
        if begins {
            inner.dirty = Some(Arc::clone(loaded));
        }
        begins
    }

    /// Forgets the place for changes, when there are none and nobody is about to make some: who
    /// holds it (a truncate by path has no handle) changes what a commit finds.
    pub fn drop_clean(&self) {
        self.inner().drop_clean();
    }

    pub fn take_dirty(&self) -> Option<Arc<DirtyFile>> {
        self.inner().dirty.take()
    }

    pub fn is_dirty(&self) -> bool {
        self.inner()
            .dirty
            .as_ref()
            .is_some_and(|dirty| dirty.is_dirty())
    }

    /// Bytes, changes included.
    pub fn size(&self) -> u64 {
        let inner = self.inner();
        inner
            .dirty
            .as_ref()
            .map_or(inner.snapshot.size, |dirty| dirty.size())
    }

    pub fn is_stale(&self) -> bool {
        self.inner().stale
    }

    pub fn mark_stale(&self) {
        self.inner().stale = true;
    }

    pub fn is_in_doubt(&self) -> bool {
        self.inner().in_doubt
    }

    pub fn note_doubt(&self) {
        self.inner().in_doubt = true;
    }

    pub fn note_clone_in_doubt(&self, id: CommitId) {
        self.inner().clone_in_doubt = Some(id);
    }

    /// Whether an object that was committed as this is the clone whose fate was open.
    pub fn is_clone_in_doubt(&self, commit: Option<&str>) -> bool {
        is_id(self.inner().clone_in_doubt, commit)
    }

    /// The clone whose fate was open is what the name has; false where something was changed here
    /// since, or is about to be.
    pub fn become_clone(&self, version: Version, commit: String, size: u64) -> bool {
        let mut inner = self.inner();
        inner.drop_clean();
        if inner.dirty.is_some() {
            return false;
        }
        inner.snapshot.committed(version, commit, size);
        inner.clone_in_doubt = None;
        true
    }

    /// Whether an object that was committed as this is the copy with other attributes whose fate
    /// was open: the same bytes.
    pub fn is_copy_in_doubt(&self, commit: Option<&str>) -> bool {
        is_id(self.inner().snapshot.copy_in_doubt, commit)
    }

    /// Remembers that a delete of this mount failed: where that leaves it open whether it was
    /// carried out, an object that is not there is missing by this mount's own hand. A rename
    /// that failed in its copy has deleted nothing.
    pub fn note_failed_delete(&self, error: &VolumeError) {
        let copying = |error: &StoreError| {
            matches!(
                error.operation(),
                Operation::CopyObject
                    | Operation::PutObject
                    | Operation::CreateMultipartUpload
                    | Operation::UploadPart
                    | Operation::UploadPartCopy
                    | Operation::CompleteMultipartUpload
            )
        };
        if error.kind().leaves_open() && !error.store_error().is_some_and(copying) {
            self.inner().delete_in_doubt = true;
        }
    }

    /// The bucket has a newer version, which no delete of before is for.
    pub fn delete_is_over(&self) {
        self.inner().delete_in_doubt = false;
    }

    /// The object is not there. If this mount may have deleted it, the content is one that the
    /// bucket has never had; else false.
    pub fn forget_deleted(&self) -> bool {
        let mut inner = self.inner();
        let forgets = std::mem::take(&mut inner.delete_in_doubt);
        if forgets {
            inner.snapshot.version = None;
            inner.snapshot.replaces = None;
        }
        forgets
    }

    pub fn is_version_of(&self, stat: &Stat) -> bool {
        let inner = self.inner();
        inner.snapshot.version.as_ref().map(|version| &version.etag)
            == stat.version.as_ref().map(|version| &version.etag)
            && inner.snapshot.size == stat.size
            && !inner.stale
    }

    pub fn note_commit(&self, commit: Option<String>) {
        self.inner().snapshot.commit = commit;
    }
}
