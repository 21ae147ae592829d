//! Why a journal cannot be written or read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::write::staging::StagingError;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no room for another entry.
    #[error("the journal of closed files has no room: {0}")]
    Full(#[from] StagingError),
    #[error(
        "the journal {path} cannot be {doing}: {source}; check the disk of the state directory"
    )]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A sync failed before.
    #[error("the journal is not used any more, because the disk failed it: {0}")]
    Broken(Arc<str>),
    /// What was read is not what was written.
    #[error(
        "the journal {path} is damaged: {why}; nothing of it was replayed, and what is whole can be \
         brought out with cloakfs recover"
    )]
    Damaged { path: PathBuf, why: String },
    #[error("{path} is no journal that this release reads: {why}")]
    Header { path: PathBuf, why: String },
}

impl JournalError {
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
