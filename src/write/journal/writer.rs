//! The journal of the living mount.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::directory::{self, Header};
use super::event::{Event, FileNumber, Head};
use super::frame::Seal;
use super::{JournalError, LOG_BYTES_MAX};
use crate::telemetry::counter::Counter;
use crate::volume::LocalKey;
use crate::write::staging::{Room, Staging};

/// With nothing pending, a log of this many bytes is given up; a smaller one is used on.
const IDLE_LOG_BYTES: u64 = 4 << 20;

/// How much had been written: what is synced up to here is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// See [the module](super).
pub struct Journal {
    header: Header,
    path: PathBuf,
    key: LocalKey,
    /// Held for life.
    _lock: File,
    writer: Mutex<Writer>,
    next_file: AtomicU64,
    next_entry: AtomicU64,
    synced: AtomicU64,
    /// One sync at a time; who waits for it may find that it was done.
    syncing: tokio::sync::Mutex<()>,
    syncs: Counter,
}

struct Writer {
    log: Option<Log>,
    next_log: u64,
    /// Bytes of the logs that are there.
    logs: BTreeMap<u64, u64>,
    /// Bytes that were ever written.
    written: u64,
    /// Files that are pending, with the first log that they need.
    pending: BTreeMap<FileNumber, u64>,
    /// Entries that have data and no content event yet.
    begun: BTreeMap<u64, u64>,
    broken: Option<Arc<str>>,
    /// Pays for the logs.
    room: Room,
}

struct Log {
    file: Arc<File>,
    number: u64,
    frames: u64,
    bytes: u64,
}

impl Journal {
    /// Makes the journal of this mount in `root`. Its logs count as staged bytes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(
        root: &Path,
        header: Header,
        key: LocalKey,
        staging: &Staging,
    ) -> Result<Arc<Self>, JournalError> {
        let (path, lock) = directory::create(root, &header)?;
        Ok(Arc::new(Self {
            header,
            path,
            key,
            _lock: lock,
            writer: Mutex::new(Writer {
                log: None,
                next_log: 1,
                logs: BTreeMap::new(),
                written: 0,
                pending: BTreeMap::new(),
                begun: BTreeMap::new(),
                broken: None,
                room: staging.room(),
            }),
            next_file: AtomicU64::new(1),
            next_entry: AtomicU64::new(1),
            synced: AtomicU64::new(0),
            syncing: tokio::sync::Mutex::new(()),
            syncs: Counter::new(),
        }))
    }

    pub fn next_file(&self) -> FileNumber {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    pub fn next_entry(&self) -> u64 {
        self.next_entry.fetch_add(1, Ordering::Relaxed)
    }

    /// Disk that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writer().logs.values().sum()
    }

    /// Files that the bucket does not have.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.writer().pending.len()
    }

    /// How often the disk was asked to have it all.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.count()
    }

    /// Writes some of an entry's data, or with events what it is for. Blocks on the disk.
    ///
    /// # Errors
    /// Nothing of it counts then; an entry that has begun is to be given up
    /// ([`Self::give_up`]).
    pub fn append(
        &self,
        entry: u64,
        events: Vec<Event>,
        data: &[u8],
    ) -> Result<Position, JournalError> {
        let head = Head { entry, events };
        let mut writer = self.writer();
        if let Some(broken) = &writer.broken {
            return Err(JournalError::Broken(Arc::clone(broken)));
        }
        self.ready_log(&mut writer)?;
        let log = writer.log.as_ref().expect("it is ready");
        let (number, frames) = (log.number, log.frames);
        let frame = self.seal().frame(number, frames, &head, data);
        let len = frame.len() as u64;
        writer.room.grow(len)?;
        let file = Arc::clone(&writer.log.as_ref().expect("it is ready").file);
        if let Err(error) = (&*file).write_all(&frame) {
            // Half a frame may be there: nothing may follow it in this log.
            return Err(self.end_log(&mut writer, len, error));
        }
        let log = writer.log.as_mut().expect("it is ready");
        log.frames += 1;
        log.bytes += len;
        writer.written += len;
        *writer.logs.entry(number).or_default() += len;
        writer.begun.entry(entry).or_insert(number);
        writer.take(&head, number);
        if head.events.is_empty() {
            return Ok(Position(writer.written));
        }
        writer.begun.remove(&entry);
        let position = Position(writer.written);
        self.reclaim(&mut writer);
        Ok(position)
    }

    /// Notes events that carry no data.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn note(&self, events: Vec<Event>) -> Result<Position, JournalError> {
        self.append(self.next_entry(), events, &[])
    }

    /// An entry will not be finished.
    pub fn give_up(&self, entry: u64) {
        let mut writer = self.writer();
        writer.begun.remove(&entry);
        self.reclaim(&mut writer);
    }

    /// Returns when the disk has everything up to `position`.
    ///
    /// # Errors
    /// When it may not have it; after that the journal takes nothing any more.
    pub async fn sync(self: &Arc<Self>, position: Position) -> Result<(), JournalError> {
        if self.is_synced(position) {
            return Ok(());
        }
        let _turn = self.syncing.lock().await;
        if self.is_synced(position) {
            return Ok(());
        }
        let this = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || this.sync_now());
        task.await
            .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
    }

    fn is_synced(&self, position: Position) -> bool {
        self.synced.load(Ordering::Acquire) >= position.0
    }

    fn sync_now(&self) -> Result<(), JournalError> {
        let (file, written) = {
            let writer = self.writer();
            if let Some(broken) = &writer.broken {
                return Err(JournalError::Broken(Arc::clone(broken)));
            }
            let file = writer.log.as_ref().map(|log| Arc::clone(&log.file));
            (file, writer.written)
        };
        if let Some(file) = file {
            self.syncs.increment();
            if let Err(error) = file.sync_data() {
                return Err(self.break_down(&mut self.writer(), &error));
            }
        }
        // Where there is no log nothing is pending.
        self.synced.fetch_max(written, Ordering::AcqRel);
        Ok(())
    }

    /// A log with room for a frame.
    fn ready_log(&self, writer: &mut Writer) -> Result<(), JournalError> {
        if let Some(log) = writer.log.as_ref().filter(|log| log.bytes >= LOG_BYTES_MAX) {
            // From now on a sync looks at the next one only.
            if let Err(error) = log.file.sync_data() {
                return Err(self.break_down(writer, &error));
            }
            self.synced.fetch_max(writer.written, Ordering::AcqRel);
            writer.log = None;
        }
        if writer.log.is_none() {
            let number = writer.next_log;
            let file = directory::create_log(&self.path, number)
                .map_err(JournalError::io("continued", &self.path))?;
            writer.next_log += 1;
            writer.logs.insert(number, 0);
            writer.log = Some(Log {
                file: Arc::new(file),
                number,
                frames: 0,
                bytes: 0,
            });
        }
        Ok(())
    }

    /// A write failed: takes back what there is of it, or uses the journal no more.
    fn end_log(&self, writer: &mut Writer, len: u64, error: std::io::Error) -> JournalError {
        writer.room.shrink(len);
        let log = writer.log.as_ref().expect("it was written to");
        if let Err(cut) = log.file.set_len(log.bytes) {
            return self.break_down(writer, &cut);
        }
        JournalError::io("written", &self.path)(error)
    }

    fn break_down(&self, writer: &mut Writer, error: &std::io::Error) -> JournalError {
        let why: Arc<str> = format!("{}: {error}", self.path.display()).into();
        tracing::error!(
            "the journal of closed files is not used any more, so every close waits for its \
             upload: {why}"
        );
        writer.broken = Some(Arc::clone(&why));
        JournalError::Broken(why)
    }

    /// Removes the logs that nothing needs.
    fn reclaim(&self, writer: &mut Writer) {
        let needed = writer.pending.values().chain(writer.begun.values()).min();
        let floor = needed.copied();
        if floor.is_none()
            && writer.broken.is_none()
            && writer
                .log
                .as_ref()
                .is_some_and(|log| log.bytes >= IDLE_LOG_BYTES)
        {
            // Nothing that a sync could be waiting for is in it.
            self.synced.fetch_max(writer.written, Ordering::AcqRel);
            writer.log = None;
        }
        let current = writer.log.as_ref().map(|log| log.number);
        while let Some((number, bytes)) = writer.logs.first_key_value() {
            let (number, bytes) = (*number, *bytes);
            if Some(number) == current || floor.is_some_and(|floor| number >= floor) {
                return;
            }
            let path = directory::log_path(&self.path, number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("{} cannot be removed: {error}", path.display());
                return;
            }
            writer.logs.remove(&number);
            writer.room.shrink(bytes);
        }
    }

    fn seal(&self) -> Seal<'_> {
        Seal {
            key: self.key.input(),
            source: &self.header.source,
            journal: &self.header.mount,
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// What the events of a frame in log `number` change.
    fn take(&mut self, head: &Head, number: u64) {
        for event in &head.events {
            match event {
                Event::Content { file, .. } => {
                    let first = self.begun.get(&head.entry).copied().unwrap_or(number);
                    // An earlier one still names commits whose fate may be open.
                    self.pending.entry(*file).or_insert(first);
                }
                Event::Dropped { file } | Event::Done { file } => {
                    self.pending.remove(file);
                }
                Event::Moved { .. }
                | Event::Meta { .. }
                | Event::Attempt { .. }
                | Event::Deleting { .. } => {}
            }
        }
    }
}

impl Drop for Journal {
    /// With nothing pending nothing is left.
    fn drop(&mut self) {
        if self.pending() > 0 {
            return;
        }
        if let Err(error) = directory::remove(&self.path) {
            tracing::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
