//! Write-back: close returns when the changes are in the journal on the local disk, and the upload
//! follows ([`crate::write::journal`]).
//!
//! A closed file is like one that is open and changed: it is answered from memory, and its commit
//! is the same as everywhere ([`super::commit`]). What is added is that the journal knows it:
//! [`close`] writes it down, [`place`] what happens to it until it is in the bucket, [`upload`]
//! commits it in the background, and the next mount does what a dead one left ([`replay`]).
//!
//! Invariants:
//! 1. Whatever the journal is told of a file is told under the file's operation lock, which its
//!    commit holds too: when a commit has ended, what the journal knows of the file is in the
//!    bucket, and the entry is settled.
//! 2. An upload carries an id that the journal had before ([`FileSystem::attempt`]): after a crash
//!    an object with one of them is this mount's own, and no conflict.
//! 3. A file that the journal has is not committed in the background while somebody writes to it:
//!    others see what was closed, or nothing of it.
//! 4. What may be in the bucket although no answer came is settled there before its name changes.
//!
//! What does not go into the journal is committed before close returns, as on-close does: slower,
//! and never lost. That is so for more than [`JOURNALED_BYTES_MAX`] of changes, for parts that are
//! only in the bucket, and where the journal or its disk has no room or fails.
//!
//! A file that is closed, or has its attributes changed, again while its upload is under way waits
//! for that.

mod close;
mod place;
mod queue;
mod replay;
mod same;
mod status;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub(super) use replay::Replays;
pub use status::{Unreplayed, UnreplayedFile, WriteBackStatus};
pub(super) use upload::Depth;
use upload::Uploader;

use super::{FileSystem, FsConfig, FsError, Result};
use crate::base::id::CommitId;
use crate::base::time::Timestamp;
use crate::volume::{LocalKeys, Volume};
use crate::write::WriteEngine;
use crate::write::journal::{FileNumber, Header, Journal, Position};

/// More changes than this are uploaded before close returns.
const JOURNALED_BYTES_MAX: u64 = 64 << 20;

/// What a close waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitMode {
    /// The upload.
    #[default]
    OnClose,
    /// The journal.
    WriteBack,
}

/// Where the journals of this machine are.
#[derive(Clone, Debug)]
pub struct Journals {
    pub dir: PathBuf,
    pub keys: LocalKeys,
}

/// What a mount in write-back mode has besides.
#[derive(Debug)]
pub(super) struct WriteBack {
    pub journal: Arc<Journal>,
    uploader: Arc<Uploader>,
}

/// What the journal knows of a file.
#[derive(Clone, Debug)]
pub(super) struct Journaled {
    file: FileNumber,
    /// Of the attributes' count of changes, which every write moves too: with another the file has
    /// changed since.
    changes: u64,
    /// The id of an upload of just this.
    commit: CommitId,
    position: Position,
    since: Instant,
    bytes: u64,
}

impl FileSystem {
    /// Makes the filesystem over an open volume, replays what dead mounts of it left in `journals`,
    /// and commits from then on as `mode` says.
    ///
    /// # Errors
    /// As [`Self::new`]; and when the journal of this mount cannot be made.
    pub async fn start(
        volume: Arc<Volume>,
        config: FsConfig,
        mode: CommitMode,
        journals: &Journals,
    ) -> Result<Arc<Self>> {
        let config = config.settled();
        let wanted = mode == CommitMode::WriteBack && !config.read_only;
        let host = config.host.clone();
        let (root, engine) = Self::prepare(&volume, &config).await?;
        let write_back = if wanted {
            Some(WriteBack::new(&volume, &engine, host, journals).await?)
        } else {
            None
        };
        let fs = Self::build(volume, config, root, engine, write_back);
        fs.replay(journals).await;
        if let Some(write_back) = &fs.write_back {
            write_back.uploader.start(&fs);
        }
        Ok(fs)
    }
}

impl WriteBack {
    async fn new(
        volume: &Volume,
        engine: &WriteEngine,
        host: String,
        journals: &Journals,
    ) -> Result<Self> {
        let (key, source) = volume.new_local_key(&journals.keys).await?;
        let since = Timestamp::now().secs();
        let mount = volume.mount_id().to_owned();
        let header = Header::new(volume.source(), mount, host, since, source);
        let journal = Journal::create(&journals.dir, header, key, engine.staging());
        let journal = journal
            .map_err(|error| FsError::refused(libc::EIO, format!("no write-back: {error}")))?;
        Ok(Self {
            journal,
            uploader: Arc::default(),
        })
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        self.uploader.stop();
    }
}
