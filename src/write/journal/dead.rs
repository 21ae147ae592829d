//! Reading a journal that a mount left, and writing down what became of its files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::JournalError;
use super::directory::{self, Header, Unclaimed};
use super::event::{Event, FileNumber, Head};
use super::fold::{DataFrame, Fold, Pending};
use super::frame::{self, Next, Seal};
use crate::base::range::ByteRange;
use crate::volume::LocalKey;

/// See the module's text.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Dead {
    header: Header,
    path: PathBuf,
    key: LocalKey,
    /// Held so that nobody else replays it.
    _lock: File,
    fold: Fold,
    /// Bytes at the end that no acknowledgement needed.
    torn: u64,
    damage: Option<JournalError>,
    ended: Mutex<Ended>,
}

/// Where it is written down what became of the files.
struct Ended {
    next_log: u64,
    /// With the frames it has.
    log: Option<(File, u64)>,
}

impl Unclaimed {
    /// Reads it; blocks. Of one that is damaged, what comes before that.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(self, key: LocalKey) -> Result<Dead, JournalError> {
        let Self { header, path, lock } = self;
        let logs = directory::logs(&path).map_err(JournalError::io("read", &path))?;
        let mut dead = Dead {
            header,
            path,
            key,
            _lock: lock,
            fold: Fold::default(),
            torn: 0,
            damage: None,
            ended: Mutex::new(Ended {
                next_log: logs.last().map_or(1, |last| last + 1),
                log: None,
            }),
        };
        let mut before = None;
        for number in &logs {
            let is_last = Some(number) == logs.last();
            let read = if before.is_some_and(|before| before + 1 != *number) {
                Err(dead.damaged(*number, "the log before it is missing"))
            } else {
                dead.read_log(*number, is_last)
            };
            match read {
                Ok(()) => {}
                Err(damage @ JournalError::Damaged { .. }) => {
                    dead.damage = Some(damage);
                    break;
                }
                Err(error) => return Err(error),
            }
            before = Some(*number);
        }
        Ok(dead)
    }
}

impl Dead {
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it must not be replayed.
    #[must_use]
    pub const fn damage(&self) -> Option<&JournalError> {
        self.damage.as_ref()
    }

    /// Bytes at its end that are no whole frame: what was written when the mount died.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// The files that the bucket does not have.
    pub fn pending(&self) -> impl Iterator<Item = (FileNumber, &Pending)> {
        self.fold
            .files
            .iter()
            .map(|(file, pending)| (*file, pending))
    }

    /// Pieces that a file's data is read in.
    #[must_use]
    pub fn pieces(&self, pending: &Pending) -> usize {
        pending.data.len()
    }

    /// One piece of a file's data: bytes and where in the file they belong. Blocks.
    ///
    /// # Errors
    /// When the disk gives something else than it did a moment ago.
    pub fn piece(
        &self,
        pending: &Pending,
        index: usize,
    ) -> Result<Vec<(u64, Bytes)>, JournalError> {
        let frame = pending.data[index];
        let before: usize = pending.data[..index].iter().map(|frame| frame.len).sum();
        let data = self.data(frame)?;
        Ok(place(&pending.closed.extents, before as u64, &data))
    }

    /// The file needs this journal no more. That is not synced: who reads the journal again finds
    /// the file's upload in the bucket. Blocks.
    ///
    /// # Errors
    /// What the disk says.
    pub fn done(&self, file: FileNumber) -> Result<(), JournalError> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let head = Head {
            entry: 0,
            events: vec![Event::Done { file }],
        };
        self.append(&mut ended, &head)
            .map_err(JournalError::io("written", &self.path))
    }

    /// Removes the journal.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(self) -> Result<(), JournalError> {
        directory::remove(&self.path).map_err(JournalError::io("removed", &self.path))
    }

    fn append(&self, ended: &mut Ended, head: &Head) -> io::Result<()> {
        let (mut log, frames) = if let Some(log) = ended.log.take() {
            log
        } else {
            let log = directory::create_log(&self.path, ended.next_log)?;
            ended.next_log += 1;
            (log, 0)
        };
        let frame = self.seal().frame(ended.next_log - 1, frames, head, &[]);
        // A log that may end in half a frame gets no more.
        log.write_all(&frame)?;
        ended.log = Some((log, frames + 1));
        Ok(())
    }

    fn read_log(&mut self, number: u64, is_last: bool) -> Result<(), JournalError> {
        let path = directory::log_path(&self.path, number);
        let failed = || JournalError::io("read", &path);
        let log = File::open(&path).map_err(failed())?;
        let end = log.metadata().map_err(failed())?.len();
        let (mut at, mut frames) = (0, 0);
        loop {
            let (message, len) = match frame::next(&log, at, end).map_err(failed())? {
                Next::End => return Ok(()),
                Next::Torn if is_last => {
                    self.torn = end - at;
                    return Ok(());
                }
                Next::Torn => return Err(self.damaged(number, "its end is missing")),
                Next::Frame(message, len) => (message, len),
            };
            let Ok((head, data)) = self.seal().open(number, frames, &message) else {
                if is_last && at + len == end {
                    self.torn = end - at;
                    return Ok(());
                }
                let why = format!("frame {frames} is not authentic");
                return Err(self.damaged(number, &why));
            };
            let Some(head) = head else {
                let why = format!("frame {frames} is of a newer release");
                return Err(self.damaged(number, &why));
            };
            let place = DataFrame {
                log: number,
                number: frames,
                at,
                len: data.len(),
            };
            let taken = self.fold.frame(head, place);
            taken.map_err(|why| self.damaged(number, why))?;
            at += len;
            frames += 1;
        }
    }

    fn data(&self, place: DataFrame) -> Result<Bytes, JournalError> {
        let path = directory::log_path(&self.path, place.log);
        let failed = || JournalError::io("read", &path);
        let log = File::open(&path).map_err(failed())?;
        let end = log.metadata().map_err(failed())?.len();
        if let Next::Frame(message, _) = frame::next(&log, place.at, end).map_err(failed())?
            && let Ok((_, data)) = self.seal().open(place.log, place.number, &message)
        {
            return Ok(data.into());
        }
        let why = format!("frame {} is not what it was", place.number);
        Err(self.damaged(place.log, &why))
    }

    fn seal(&self) -> Seal<'_> {
        Seal {
            key: self.key.input(),
            source: &self.header.source,
            journal: &self.header.mount,
        }
    }

    fn damaged(&self, log: u64, why: &str) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            why: format!("log {log}: {why}"),
        }
    }
}

/// Where the bytes of `data` belong, which begins after `before` bytes of the extents.
fn place(extents: &[ByteRange], before: u64, data: &Bytes) -> Vec<(u64, Bytes)> {
    let mut placed = Vec::new();
    let (mut passed, end) = (0, before + data.len() as u64);
    let index = |at: u64| usize::try_from(at - before).expect("within what is in memory");
    for extent in extents {
        let (from, to) = (before.max(passed), end.min(passed + extent.len()));
        if from < to {
            let bytes = data.slice(index(from)..index(to));
            placed.push((extent.start() + (from - passed), bytes));
        }
        passed += extent.len();
    }
    placed
}
