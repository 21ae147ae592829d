//! The directories of journals: made, found, claimed.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JournalError;
use crate::volume::LocalKeySource;

const VERSION: u32 = 1;
pub(super) const HEADER: &str = "header";
const LOG: &str = "log";
/// Of a directory that is being made or removed.
const DRAFT: &str = "draft";
const DRAFT_AGE_MAX: Duration = Duration::from_mins(10);

/// What a journal tells without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    version: u32,
    /// Whose files: [`crate::volume::Volume::source`].
    pub source: String,
    /// The mount that wrote it.
    pub mount: String,
    pub host: String,
    /// Seconds since 1970.
    pub since: i64,
    pub key: LocalKeySource,
}

/// A journal in the directory.
#[derive(Debug)]
pub enum Found {
    /// A living mount has it.
    Held(Header),
    Unclaimed(Unclaimed),
    /// It cannot be told what it is.
    Unreadable(JournalError),
}

/// A journal that nobody had; this process has it now.
#[derive(Debug)]
pub struct Unclaimed {
    pub header: Header,
    pub path: PathBuf,
    pub(super) lock: File,
}

impl Unclaimed {
    /// Removes it without a look at what is in it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn discard(self) -> Result<(), JournalError> {
        remove(&self.path).map_err(JournalError::io("removed", &self.path))
    }
}

impl Header {
    #[must_use]
    pub fn new(
        source: String,
        mount: String,
        host: String,
        since: i64,
        key: LocalKeySource,
    ) -> Self {
        Self {
            version: VERSION,
            source,
            mount,
            host,
            since,
            key,
        }
    }
}

/// Makes the directory of a new journal in `root`. It gets its name when it is held already, so
/// that nobody takes it for a dead one.
pub(super) fn create(root: &Path, header: &Header) -> Result<(PathBuf, File), JournalError> {
    let path = root.join(&header.mount);
    make(root, header, &path)
        .map_err(JournalError::io("made", path.clone()))
        .map(|lock| (path, lock))
}

fn make(root: &Path, header: &Header, path: &Path) -> io::Result<File> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    private.recursive(true).create(root)?;
    let draft = path.with_extension(DRAFT);
    private.recursive(false).create(&draft)?;
    let mut lock = OpenOptions::new()
        .create_new(true)
        .write(true)
        .read(true)
        .mode(0o600)
        .open(draft.join(HEADER))?;
    lock.lock()?;
    lock.write_all(&serde_json::to_vec_pretty(header)?)?;
    lock.sync_all()?;
    sync_directory(&draft)?;
    fs::rename(&draft, path)?;
    sync_directory(root)?;
    Ok(lock)
}

/// Every journal in `root`, which need not be there.
///
/// # Errors
/// When the directory cannot be read.
pub fn find(root: &Path) -> Result<Vec<Found>, JournalError> {
    let failed = || JournalError::io("looked for", root);
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed())?.path();
        match path.extension() {
            None if path.is_dir() => paths.push(path),
            Some(extension) if extension == DRAFT => sweep(&path),
            _ => {}
        }
    }
    paths.sort();
    Ok(paths.into_iter().filter_map(look_at).collect())
}

/// `None` where it went meanwhile.
fn look_at(path: PathBuf) -> Option<Found> {
    let file = path.join(HEADER);
    let opened = OpenOptions::new().read(true).write(true).open(&file);
    let mut lock = match opened {
        Ok(lock) => lock,
        Err(_) if !path.exists() => return None,
        Err(error) => return Some(Found::Unreadable(JournalError::io("opened", file)(error))),
    };
    let held = match lock.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => {
            return Some(Found::Unreadable(JournalError::io("locked", file)(error)));
        }
    };
    if !file.exists() {
        // Its owner ended in order between the two.
        return None;
    }
    let mut text = String::new();
    let header = lock
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str::<Header>(&text).map_err(|error| error.to_string()));
    let header = match header {
        Ok(header) if header.version == VERSION => header,
        Ok(header) => {
            let why = format!("it has version {}", header.version);
            return Some(Found::Unreadable(JournalError::Header { path, why }));
        }
        Err(why) => return Some(Found::Unreadable(JournalError::Header { path, why })),
    };
    Some(if held {
        Found::Held(header)
    } else {
        Found::Unclaimed(Unclaimed { header, path, lock })
    })
}

/// The logs of a journal, in order.
pub(super) fn logs(path: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.path();
        let is_log = name.extension().is_some_and(|extension| extension == LOG);
        let number = name
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        if is_log && let Some(number) = number {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn log_path(path: &Path, number: u64) -> PathBuf {
    path.join(format!("{number:08}.{LOG}"))
}

/// Makes an empty log that outlives a power cut.
pub(super) fn create_log(path: &Path, number: u64) -> io::Result<File> {
    let log = OpenOptions::new()
        .create_new(true)
        .append(true)
        .mode(0o600)
        .open(log_path(path, number))?;
    sync_directory(path)?;
    Ok(log)
}

/// Removes a journal: first its name, so that nobody finds half of it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let going = path.with_extension(DRAFT);
    fs::rename(path, &going)?;
    fs::remove_dir_all(going)
}

/// Removes what was never a journal, or is none any more: its process has died. One that is being
/// made is younger.
fn sweep(draft: &Path) {
    let changed = fs::metadata(draft).and_then(|about| about.modified());
    let old = changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > DRAFT_AGE_MAX));
    if old && let Err(error) = fs::remove_dir_all(draft) {
        tracing::warn!("{} cannot be removed: {error}", draft.display());
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
