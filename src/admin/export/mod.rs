//! `cloakfs export`: the files of a volume as objects of the Amazon S3 Encryption Client, for
//! people who read with that.
//!
//! Each file is read at one version and written as one v3 object under a data key of its own. What
//! is there already is not replaced, unless that was asked for; a file that fails is told, and
//! the others go on. An export that is run again does the rest.
//!
//! Only content is exported: the client knows no modes, owners and links.

mod file;
mod wrap;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt};

use crate::keys::kms::KmsError;
use crate::layout::attributes::FileKind;
use crate::layout::path::{HiddenReason, VolumePath};
use crate::layout::s3ec::CONTENT_BYTES_MAX;
use crate::store::{ListedObject, Store, StoreError};
use crate::volume::{ListedKind, Volume, VolumeError};

pub use wrap::Wrap;

/// Files at once.
const PARALLEL_FILES: usize = 4;

/// What is exported to where.
#[derive(Debug)]
pub struct Export {
    pub volume: Arc<Volume>,
    pub target: Arc<dyn Store>,
    /// Of the objects: empty, or ends in `/`.
    pub prefix: String,
    pub wrap: Wrap,
    /// Replaces what is there.
    pub force: bool,
}

/// What was done so far. Shared, so that progress can be shown.
#[derive(Debug, Default)]
pub struct Progress {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
}

/// What happened to one name.
#[derive(Debug)]
pub enum Told {
    /// It has no content of its own to export.
    Skipped {
        path: String,
        what: &'static str,
    },
    /// A key that no path names.
    Hidden {
        key: String,
        reason: HiddenReason,
    },
    Failed {
        path: String,
        error: ExportError,
    },
}

/// Why a file was not exported. Each is what follows its name.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Source(#[from] VolumeError),
    #[error("{0}")]
    Target(#[from] StoreError),
    #[error("{0}")]
    Kms(#[from] KmsError),
    #[error("is there already, and is not replaced: delete it, or give --force")]
    IsThere,
    #[error(
        "has {0} bytes, and an object of the Amazon S3 Encryption Client has at most {max}",
        max = CONTENT_BYTES_MAX
    )]
    TooLong(u64),
    #[error("has no name there: {0}")]
    Name(String),
}

impl Export {
    /// Exports every file. `tell` hears of what was not, and is called one at a time.
    ///
    /// # Errors
    /// When the volume cannot be listed.
    pub async fn run(
        &self,
        progress: &Progress,
        tell: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), VolumeError> {
        let mut directories = vec![VolumePath::root()];
        while let Some(directory) = directories.pop() {
            let mut token = None;
            loop {
                let page = self.volume.list(&directory, token).await?;
                for (key, reason) in page.hidden {
                    tell(Told::Hidden { key, reason });
                }
                let mut files = Vec::new();
                for entry in page.entries {
                    let path = directory.join(&entry.name);
                    match entry.kind {
                        ListedKind::Directory => directories.push(path),
                        ListedKind::Object(listed) => files.push((path, listed)),
                    }
                }
                let mut done = stream::iter(files)
                    .map(|(path, listed)| async move {
                        let outcome = self.one(&path, &listed, progress).await;
                        (path, outcome)
                    })
                    .buffer_unordered(PARALLEL_FILES);
                while let Some((path, outcome)) = done.next().await {
                    let path = path.to_string();
                    match outcome {
                        Ok(None) => {}
                        Ok(Some(what)) => tell(Told::Skipped { path, what }),
                        Err(error) => tell(Told::Failed { path, error }),
                    }
                }
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What of it has no content, if that is why it is not exported.
    async fn one(
        &self,
        path: &VolumePath,
        listed: &ListedObject,
        progress: &Progress,
    ) -> Result<Option<&'static str>, ExportError> {
        let Some(stat) = self.volume.stat_listed(path, listed).await? else {
            return Ok(Some("gone meanwhile"));
        };
        let what = match stat.meta.attributes.kind {
            FileKind::File => None,
            FileKind::Symlink => Some("a symbolic link"),
            FileKind::Directory => Some("a directory"),
            FileKind::Fifo => Some("a FIFO"),
            FileKind::CharDevice | FileKind::BlockDevice => Some("a device"),
            FileKind::Socket => Some("a socket"),
        };
        if what.is_some() {
            return Ok(what);
        }
        self.file(path, &stat, progress).await?;
        progress.files.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }
}
