//! What can go wrong in the staging area.

use std::io;
use std::path::PathBuf;

use crate::base::size::ByteSize;
use crate::crypto::OpenError;

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// ENOSPC.
    #[error(
        "the staging area holds {in_use} of the {limit} that it may, too much for {needed} more: wait until files are uploaded, or mount with a larger --staging-size"
    )]
    Full {
        in_use: ByteSize,
        limit: ByteSize,
        needed: ByteSize,
    },
    /// ENOSPC.
    #[error(
        "the disk of the staging area {} has {free} free, of which {reserve} stay free: make room there, or set CLOAKFS_STATE_DIR to a directory on a larger disk",
        dir.display()
    )]
    DiskFull {
        dir: PathBuf,
        free: ByteSize,
        reserve: ByteSize,
    },
    /// An authentication failure: the disk or somebody changed what was staged.
    #[error(
        "the staged data of {file:?} in {} cannot be used: {source}; the disk is failing or another program wrote to it",
        dir.display()
    )]
    NotAuthentic {
        file: String,
        dir: PathBuf,
        source: OpenError,
    },
    #[error(
        "the staging area {} belongs to user {owner} with mode {mode:03o}, but has to be private to user {user}: give it to that user with chown and chmod 700, or remove it",
        dir.display()
    )]
    NotPrivate {
        dir: PathBuf,
        owner: u32,
        mode: u32,
        user: u32,
    },
    #[error("cannot {doing} the staging area {}: {source}", dir.display())]
    Io {
        doing: &'static str,
        dir: PathBuf,
        source: io::Error,
    },
}
