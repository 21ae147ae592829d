//! Bringing out what a journal has, as files for people.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::dead::Dead;
use super::{JournalError, Pending};
use crate::base::time::Timestamp;

/// Names what was brought out, in the directory of the export.
const LIST: &str = "recovered.json";
/// Where the files are in it, under their paths.
const FILES: &str = "files";
/// In the journal's directory: it was brought out.
const MARK: &str = "exported";

/// A file that was brought out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// In the volume.
    pub path: String,
    pub written_as: PathBuf,
    pub size: u64,
    /// The rest is the base's, which is not here: there are zeros in its place.
    pub is_part: bool,
    /// The version that it was a change of: its `ETag` and size.
    pub base: Option<(String, u64)>,
    /// What was changed: offset and length.
    pub changed: Vec<(u64, u64)>,
}

impl Dead {
    /// Writes every file that can be read into `to`, which must be empty or not there. Blocks.
    ///
    /// # Errors
    /// What the disk says; nothing of the journal changes.
    pub fn export(&self, to: &Path) -> Result<Vec<Exported>, JournalError> {
        let failed = || JournalError::io("brought out", to);
        let empty = match fs::read_dir(to) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(failed()(error)),
        };
        if !empty {
            let full = io::Error::other("the directory for it is not empty: name another");
            return Err(failed()(full));
        }
        let mut exported = Vec::new();
        for (number, pending) in self.pending() {
            let path = pending.closed.place.path.as_str();
            let mut file = to.join(FILES).join(path);
            if fs::symlink_metadata(&file).is_ok() {
                // It was renamed over this one, and neither got into the bucket.
                let name = file.file_name().unwrap_or_default().to_owned();
                file = to.join(format!("{FILES}.{number}")).join(name);
            }
            self.write(pending, &file)?;
            exported.push(Exported::new(pending, &file, to));
        }
        let list = serde_json::to_vec_pretty(&exported).map_err(io::Error::from);
        let list = list.and_then(|list| {
            make_directory(to)?;
            fs::write(to.join(LIST), list)?;
            fs::write(self.path().join(MARK), [])
        });
        list.map_err(failed())?;
        Ok(exported)
    }

    /// Whether [`Self::export`] was done before.
    #[must_use]
    pub fn is_exported(path: &Path) -> bool {
        path.join(MARK).exists()
    }

    fn write(&self, pending: &Pending, to: &Path) -> Result<(), JournalError> {
        let failed = || JournalError::io("brought out", to);
        let closed = &pending.closed;
        let file = create(to, closed.size).map_err(failed())?;
        for index in 0..self.pieces(pending) {
            for (at, bytes) in self.piece(pending, index)? {
                file.write_all_at(&bytes, at).map_err(failed())?;
            }
        }
        let attributes = &closed.meta.attributes;
        let mode = Permissions::from_mode(u32::from(attributes.perm & 0o777));
        let times = FileTimes::new().set_modified(time(attributes.mtime));
        let finished = file
            .set_times(times)
            .and_then(|()| file.set_permissions(mode))
            .and_then(|()| file.sync_all());
        finished.map_err(failed())
    }
}

impl Exported {
    fn new(pending: &Pending, file: &Path, to: &Path) -> Self {
        let closed = &pending.closed;
        let changed = closed.extents.iter();
        let changed: Vec<_> = changed.map(|it| (it.start(), it.len())).collect();
        let from_base = closed.valid.min(closed.size);
        // In order and apart, so what lies below the end of the base is counted once.
        let known: u64 = closed
            .extents
            .iter()
            .map(|it| it.end().min(from_base).saturating_sub(it.start()))
            .sum();
        let base = closed.place.base.as_ref();
        Self {
            path: closed.place.path.as_str().to_owned(),
            written_as: file.strip_prefix(to).unwrap_or(file).to_owned(),
            size: closed.size,
            is_part: base.is_some() && known < from_base,
            base: base.map(|(version, size, _)| (version.etag.as_str().to_owned(), *size)),
            changed,
        }
    }
}

fn create(path: &Path, size: u64) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    let file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_len(size)?;
    Ok(file)
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn time(at: Timestamp) -> std::time::SystemTime {
    let (secs, nanos) = (at.secs(), Duration::from_nanos(u64::from(at.nanos())));
    let whole = Duration::from_secs(secs.unsigned_abs());
    let second = if secs < 0 {
        UNIX_EPOCH - whole
    } else {
        UNIX_EPOCH + whole
    };
    second + nanos
}
