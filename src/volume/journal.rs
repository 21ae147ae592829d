//! What this machine must not forget about its unfinished uploads and renames of files.
//!
//! One file for each mount, a line for each event, locked (flock) while the mount lives: a
//! later mount of the same source reads the files that nobody holds and clears away what they
//! name. A key is written down before the upload is created, because some servers list no
//! uploads by prefix; its id follows. Where it does not, the uploads of that key that were begun at
//! the same time are taken for the mount's own. The lines are not synced: they protect against a process
//! that dies, and what a power cut leaves is found by the bucket's lifecycle rule.

mod owner;
mod renames;
mod survey;
mod sweep;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

pub(super) use owner::Owner;
pub(super) use renames::Renaming;
pub use survey::{DeadMount, MountState};

use super::{Result, VolumeError};
use crate::base::id::CommitId;
use crate::base::time::Timestamp;
use crate::store::{ErrorKind, ObjectKey, UploadId};

/// Lines of what has ended are dropped when they are more.
const LINES_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    lines: Mutex<Lines>,
    owner: Owner,
}

/// The file, and what was written to it.
#[derive(Debug)]
struct Lines {
    file: File,
    /// Of the first line, and of all.
    first_bytes: u64,
    bytes: u64,
    /// Something has begun and not ended, or was left.
    open: u64,
}

/// One upload's place in the journal.
#[derive(Debug)]
pub(super) struct Ticket(String);

/// What a dead mount left.
#[derive(Debug)]
pub(super) struct LeftBehind {
    path: PathBuf,
    /// Held so that no other mount clears the same.
    _lock: File,
    mount_id: String,
    unfinished: Unfinished,
}

/// What a journal says is not finished.
#[derive(Debug, Default)]
struct Unfinished {
    /// The mount that wrote it: source and id.
    of: Option<(String, String)>,
    /// Uploads that were neither completed nor aborted.
    uploads: Vec<(ObjectKey, UploadId)>,
    /// Keys of uploads that may or may not have begun, and when they were asked for: the answer is
    /// not in the journal.
    begun: Vec<(ObjectKey, i64)>,
    /// Files that may be at two names.
    renames: Vec<Renaming>,
    /// Private objects were left.
    private: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Mount {
        source: String,
        mount: String,
    },
    Begin {
        ticket: String,
        key: String,
        /// Seconds since 1970.
        #[serde(default)]
        at: i64,
    },
    Created {
        ticket: String,
        upload: String,
    },
    Rename {
        ticket: String,
        #[serde(flatten)]
        renaming: Renaming,
    },
    Ended {
        ticket: String,
    },
    /// A private object that could not be deleted.
    Left {
        name: String,
    },
}

impl Journal {
    /// Opens this mount's journal in `dir` and finds those of dead mounts of `source`.
    pub(super) fn open(
        dir: &Path,
        source: &str,
        mount_id: &str,
    ) -> Result<(Self, Vec<LeftBehind>)> {
        let failed = unusable(dir, source);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(&failed)?;
        let left_behind = Self::left_behind(dir, source)?;
        let path = dir.join(format!("{mount_id}.uploads"));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(&failed)?;
        file.lock().map_err(&failed)?;
        let journal = Self {
            path,
            lines: Mutex::new(Lines {
                file,
                first_bytes: 0,
                bytes: 0,
                open: 0,
            }),
            owner: Owner::new(dir, mount_id).map_err(&failed)?,
        };
        let first = Line::Mount {
            source: source.to_owned(),
            mount: mount_id.to_owned(),
        };
        journal.append(&first).map_err(&failed)?;
        Ok((journal, left_behind))
    }

    /// What the dead mounts of `source` left behind.
    fn left_behind(dir: &Path, source: &str) -> Result<Vec<LeftBehind>> {
        let failed = unusable(dir, source);
        let mut left_behind = Vec::new();
        for entry in fs::read_dir(dir).map_err(&failed)? {
            let path = entry.map_err(&failed)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "uploads")
                && let Some(dead) = LeftBehind::read(path, source).map_err(&failed)?
            {
                left_behind.push(dead);
            }
        }
        Ok(left_behind)
    }

    pub(super) fn begin(&self, key: &ObjectKey) -> Result<Ticket> {
        let ticket = Ticket(CommitId::random().to_string());
        let line = Line::Begin {
            ticket: ticket.0.clone(),
            key: key.as_str().to_owned(),
            at: Timestamp::now().secs(),
        };
        match self.append(&line) {
            Ok(()) => Ok(ticket),
            Err(error) => {
                let message = format!("the upload cannot be journalled: {error}");
                Err(VolumeError::other(key, ErrorKind::Invalid, &message))
            }
        }
    }

    pub(super) fn created(&self, ticket: &Ticket, upload: &UploadId) {
        self.note(&Line::Created {
            ticket: ticket.0.clone(),
            upload: upload.as_str().to_owned(),
        });
    }

    pub(super) fn ended(&self, ticket: &Ticket) {
        self.note(&Line::Ended {
            ticket: ticket.0.clone(),
        });
    }

    /// A private object stays in the bucket: the journal stays too, so that the next mount
    /// deletes what is below this mount's private name.
    pub(super) fn left(&self, name: &str) {
        self.note(&Line::Left {
            name: name.to_owned(),
        });
    }

    /// Events that a later mount can do without.
    fn note(&self, line: &Line) {
        if let Err(error) = self.append(line) {
            tracing::warn!(
                "the journal {} cannot be written: {error}",
                self.path.display()
            );
        }
    }

    fn append(&self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let lines = self.lines.lock();
        let mut lines = lines.unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.file.write_all(&text)?;
        lines.bytes += text.len() as u64;
        match line {
            Line::Mount { .. } => lines.first_bytes = lines.bytes,
            Line::Begin { .. } | Line::Rename { .. } | Line::Left { .. } => lines.open += 1,
            Line::Created { .. } => {}
            Line::Ended { .. } => lines.open = lines.open.saturating_sub(1),
        }
        if lines.open == 0 && lines.bytes > LINES_BYTES_MAX {
            // Nothing of it is needed any more.
            lines.file.set_len(lines.first_bytes)?;
            lines.bytes = lines.first_bytes;
        }
        Ok(())
    }
}

fn unusable(dir: &Path, source: &str) -> impl Fn(std::io::Error) -> VolumeError {
    move |error| {
        let message = format!(
            "the journal in {} cannot be used: {error}; make it writable or set \
             CLOAKFS_STATE_DIR",
            dir.display()
        );
        VolumeError::other(source, ErrorKind::Invalid, &message)
    }
}

impl Drop for Journal {
    /// An orderly end with nothing unfinished leaves no file.
    fn drop(&mut self) {
        let nothing = File::open(&self.path)
            .and_then(|mut file| {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Ok(Unfinished::read(&text).is_nothing())
            })
            .unwrap_or(false);
        if nothing {
            let _left_for_the_next_mount = fs::remove_file(&self.path);
        }
    }
}

impl LeftBehind {
    /// `None` when a living mount holds the file, or it is of another source.
    fn read(path: PathBuf, source: &str) -> std::io::Result<Option<Self>> {
        let mut file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let unfinished = Unfinished::read(&text);
        Ok(match &unfinished.of {
            Some((of, mount_id)) if of == source => Some(Self {
                path,
                _lock: file,
                mount_id: mount_id.clone(),
                unfinished,
            }),
            _ => None,
        })
    }
}

impl Unfinished {
    /// A torn last line is passed over.
    fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut begun = BTreeMap::new();
        let mut created = BTreeMap::new();
        let mut renames = BTreeMap::new();
        for line in text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
        {
            match line {
                Line::Mount { source, mount } => found.of = Some((source, mount)),
                Line::Begin { ticket, key, at } => {
                    if let Ok(key) = ObjectKey::new(key) {
                        begun.insert(ticket, (key, at));
                    }
                }
                Line::Created { ticket, upload } => {
                    if let Some((key, _)) = begun.remove(&ticket) {
                        created.insert(ticket, (key, UploadId::new(upload)));
                    }
                }
                Line::Ended { ticket } => {
                    begun.remove(&ticket);
                    created.remove(&ticket);
                    renames.remove(&ticket);
                }
                Line::Rename { ticket, renaming } => {
                    renames.insert(ticket, renaming);
                }
                Line::Left { .. } => found.private = true,
            }
        }
        found.uploads = created.into_values().collect();
        found.begun = begun.into_values().collect();
        found.renames = renames.into_values().collect();
        found
    }

    fn is_nothing(&self) -> bool {
        let uploads = self.uploads.is_empty() && self.begun.is_empty();
        uploads && self.renames.is_empty() && !self.private
    }
}

#[cfg(test)]
mod tests;
