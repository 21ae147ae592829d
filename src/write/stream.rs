//! Uploading a large file while it is still written: full parts that the writer has left go to
//! a multipart upload of a private object.
//!
//! A failed upload pauses the stream: the part stays where it is, the store's retries have had
//! their time, and the commit tries again and reports what it meets. The upload itself is kept,
//! because parts that went up may be nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::engine::WriteEngine;
use super::file::DirtyFile;
use super::grid::PartIndex;
use super::{Base, Result};
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::volume::{
    Condition, ObjectMeta, Part, PrivatePurpose, StoredSegments, Upload, UploadTarget, Volume,
    VolumeError,
};

/// A private object on its way.
#[derive(Debug)]
pub(super) struct Stream {
    pub name: String,
    upload: OnceCell<Arc<Upload>>,
    /// Its completion was asked for, so the object may be there.
    completing: AtomicBool,
    /// It was cleared away: nothing begins any more.
    cancelled: AtomicBool,
}

impl Stream {
    pub(super) fn new(engine: &WriteEngine) -> Arc<Self> {
        Arc::new(Self {
            name: engine.volume.private_name(PrivatePurpose::Staging),
            upload: OnceCell::new(),
            completing: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        })
    }

    /// The upload; begun by the first who asks. `base` is what it copies from, if anything.
    pub(super) async fn upload(
        &self,
        engine: &WriteEngine,
        base: Option<&Base>,
    ) -> Result<Arc<Upload>> {
        let begin = || async {
            if self.cancelled.load(Ordering::Acquire) {
                return Err(VolumeError::discarded().into());
            }
            let target = UploadTarget::Private(self.name.clone());
            let (meta, fresh) = (private_meta(), Condition::IfAbsent);
            engine.begin_upload(&target, &meta, base, &fresh).await
        };
        Ok(Arc::clone(self.upload.get_or_try_init(begin).await?))
    }

    /// The upload, whose parts were sent.
    pub(super) fn begun(&self) -> Arc<Upload> {
        Arc::clone(self.upload.get().expect("its parts were sent"))
    }

    /// The completion of the upload is asked for now.
    pub(super) fn completing(&self) {
        self.completing.store(true, Ordering::Release);
    }

    /// Clears away the upload, and the object if it may have become one. An upload that is being
    /// begun at this moment is waited for: the cell lets one begin at a time, and after this one
    /// nobody.
    async fn abort(&self, volume: &Volume) {
        self.cancelled.store(true, Ordering::Release);
        let nothing = || async { Err::<Arc<Upload>, _>(VolumeError::discarded()) };
        if let Ok(upload) = self.upload.get_or_try_init(nothing).await {
            upload.abort().await;
        }
        if self.completing.load(Ordering::Acquire) {
            delete(volume, &self.name).await;
        }
    }
}

impl DirtyFile {
    /// Starts the upload of parts that are ready, if the file is large enough and uploads are
    /// not paused. Never waits.
    pub(super) fn stream_ready_parts(&self) {
        loop {
            let mut state = self.state();
            let (dirty, size) = (state.table.dirty().total_bytes(), state.table.size());
            // A checkpoint copies what is clean, so a change of a small share does not stream.
            let large = dirty > self.engine.stream_after && dirty >= size / 2;
            if !large || state.paused || state.in_flight >= 2 * self.engine.parallel {
                return;
            }
            let Some((part, range)) = state.table.next_ready() else {
                return;
            };
            let stream = state
                .stream
                .get_or_insert_with(|| Stream::new(&self.engine));
            let stream = Arc::clone(stream);
            state.in_flight += 1;
            drop(state);
            self.engine.streaming.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(self.shared().stream_part(stream, part, range));
        }
    }

    /// Keeps new uploads of the stream from starting, and waits for those under way. The caller
    /// has the gate alone.
    pub(super) async fn pause_stream(&self) {
        loop {
            let ended = self.upload_ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            {
                let mut state = self.state();
                state.paused = true;
                if state.in_flight == 0 {
                    return;
                }
            }
            ended.await;
        }
    }

    /// Clears away what a stream or a checkpoint left in the bucket, in the background.
    pub(super) fn clear_away(&self, stream: Option<Arc<Stream>>, private: Option<String>) {
        if stream.is_none() && private.is_none() {
            return;
        }
        let volume = Arc::clone(&self.engine.volume);
        self.engine.clean(async move {
            if let Some(stream) = stream {
                stream.abort(&volume).await;
            }
            if let Some(name) = private {
                delete(&volume, &name).await;
            }
        });
    }

    async fn stream_part(self: Arc<Self>, stream: Arc<Stream>, part: PartIndex, range: ByteRange) {
        let sent = self.send_part(&stream, part, range).await;
        {
            let mut state = self.state();
            state.in_flight -= 1;
            // Changes that were discarded meanwhile took their stream with them.
            if state
                .stream
                .as_ref()
                .is_some_and(|now| Arc::ptr_eq(now, &stream))
            {
                if let Err(error) = &sent {
                    state.paused = true;
                    tracing::warn!(
                        "uploading a file that is still written failed, its commit will try \
                         again: {error}"
                    );
                }
                state.table.end_part(part, range, sent.ok());
            }
        }
        self.drop_if_short(range);
        self.engine.streaming.fetch_sub(1, Ordering::AcqRel);
        self.engine.pool.notify();
        self.upload_ended.notify_waiters();
        self.stream_ready_parts();
    }

    async fn send_part(&self, stream: &Stream, part: PartIndex, range: ByteRange) -> Result<Part> {
        let turn = Arc::clone(&self.engine.window).acquire_owned().await;
        let _turn = turn.expect("the semaphore is never closed");
        let base = self.state().table.needed_base().cloned();
        let upload = stream.upload(&self.engine, base.as_ref()).await?;
        // All of the part is dirty: whatever is stored of the base is none of it.
        self.upload_part(
            &upload,
            part.number(),
            range,
            Some(&StoredSegments::default()),
        )
        .await
    }

    /// Frees the memory of a part that went up, if memory is more than half used.
    fn drop_if_short(&self, range: ByteRange) {
        if self.engine.pool.used() <= self.engine.pool.limit() / 2 {
            return;
        }
        let cell_bytes = self.engine.cell_bytes;
        for cell in range.start() / cell_bytes..range.end().div_ceil(cell_bytes) {
            // What cannot be dropped now is dropped when somebody needs the room.
            let _evicted = self.evict(cell);
        }
    }
}

async fn delete(volume: &Volume, name: &str) {
    if let Err(error) = volume.delete_private(name).await {
        tracing::warn!("a private object stays until the next mount: {error}");
    }
}

/// Nobody looks at a private object's attributes.
pub(super) fn private_meta() -> ObjectMeta {
    ObjectMeta::new(Attributes {
        kind: FileKind::File,
        perm: 0o600,
        uid: 0,
        gid: 0,
        rdev: 0,
        atime: Timestamp::EPOCH,
        mtime: Timestamp::EPOCH,
        ctime: Timestamp::EPOCH,
        xattrs: Xattrs::new(),
    })
}
