//! Why a write, a read of changed data or a commit failed.

use std::sync::Arc;

use super::planner::PlanError;
use super::staging::StagingError;
use crate::base::size::ByteSize;
use crate::store::{ErrorKind, StoreError};
use crate::volume::VolumeError;

/// See the module's text. Cheap to clone: one failed upload can fail several writers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Volume(#[from] Arc<VolumeError>),
    /// Dirty bytes fit neither into memory nor into staging, and uploading some failed.
    #[error(
        "there is no room for unsaved data: memory ({memory}) and staging are used up ({staging}), \
         and uploading some of it to make room failed: {upload}; write again when the bucket \
         answers, or mount with a larger --staging-size"
    )]
    NoSpace {
        memory: ByteSize,
        staging: Arc<StagingError>,
        #[source]
        upload: Box<WriteError>,
    },
    /// The local disk failed, or gave back other bytes than were written.
    #[error(transparent)]
    Staging(#[from] Arc<StagingError>),
    /// The rest of the file's content is gone: nobody can put it together any more.
    #[error(
        "what was not rewritten of the file is gone, because the object was replaced or deleted \
         in the bucket meanwhile, so the changes cannot be saved: {0}; open the file again to see \
         what is there now"
    )]
    BaseLost(Arc<VolumeError>),
    /// Bytes that were uploaded while the file was written are gone with their upload.
    #[error(
        "parts of the file that were uploaded while it was written are lost, because their \
         unfinished upload was aborted in the bucket, by a lifecycle rule or another client: {0}; \
         write the file again, and let no rule abort uploads while they are written"
    )]
    UploadLost(Arc<VolumeError>),
    #[error("the file cannot become so long: {0}")]
    TooLarge(#[from] PlanError),
}

impl WriteError {
    /// The bucket's answer, if it is that what failed.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Volume(error) => Some(error.kind()),
            Self::NoSpace { .. }
            | Self::Staging(_)
            | Self::BaseLost(_)
            | Self::UploadLost(_)
            | Self::TooLarge(_) => None,
        }
    }

    /// The upload may have been carried out all the same.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.kind().is_some_and(ErrorKind::leaves_open)
    }

    /// The upload is not there any more.
    #[must_use]
    pub fn is_upload_gone(&self) -> bool {
        matches!(self, Self::Volume(error) if is_gone(error))
    }

    /// For an upload that held bytes that are nowhere else.
    pub(super) fn of_upload(self) -> Self {
        match self {
            Self::Volume(error) if is_gone(&error) => Self::UploadLost(error),
            other => other,
        }
    }

    /// For an upload that needed bytes of the base.
    pub(super) fn of_base(error: Arc<VolumeError>) -> Self {
        match error.kind() {
            ErrorKind::Precondition => Self::BaseLost(error),
            ErrorKind::NotFound if !is_gone(&error) => Self::BaseLost(error),
            _ => Self::Volume(error),
        }
    }

    /// Somebody else changed the object since, and nothing was written.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.kind() == Some(ErrorKind::Precondition)
    }
}

/// What S3 says of an upload that was aborted.
fn is_gone(error: &VolumeError) -> bool {
    error.store_error().and_then(StoreError::code) == Some("NoSuchUpload")
}

impl From<VolumeError> for WriteError {
    fn from(error: VolumeError) -> Self {
        Self::Volume(Arc::new(error))
    }
}

impl From<StagingError> for WriteError {
    fn from(error: StagingError) -> Self {
        Self::Staging(Arc::new(error))
    }
}
