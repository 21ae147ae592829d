//! Renames of single files: the copy and the delete are two requests, and a process that is
//! killed between them leaves two names.

use serde::{Deserialize, Serialize};

use super::{Journal, Line, Ticket};
use crate::base::id::CommitId;
use crate::store::{ETag, ErrorKind, HeadOptions, ObjectKey};
use crate::volume::{Result, Volume, VolumeError};

/// The rename of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::volume) struct Renaming {
    from: String,
    to: String,
    /// What is copied: its `ETag` and the commit id that it carries.
    etag: String,
    source_commit: Option<String>,
    /// The commit id of the copy.
    commit: String,
}

impl Renaming {
    pub fn new(
        from: &ObjectKey,
        to: &ObjectKey,
        etag: &ETag,
        source_commit: Option<&str>,
        copy: CommitId,
    ) -> Self {
        Self {
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            etag: etag.as_str().to_owned(),
            source_commit: source_commit.map(str::to_owned),
            commit: copy.to_string(),
        }
    }
}

impl Journal {
    /// A rename is about to begin; until its ticket ends, a later mount looks whether it is to
    /// be finished.
    pub(in crate::volume) fn renaming(&self, renaming: Renaming) -> Result<Ticket> {
        let ticket = Ticket(CommitId::random().to_string());
        let to = renaming.to.clone();
        let line = Line::Rename {
            ticket: ticket.0.clone(),
            renaming,
        };
        match self.append(&line) {
            Ok(()) => Ok(ticket),
            Err(error) => {
                let message = format!("the rename cannot be journalled: {error}");
                Err(VolumeError::other(to, ErrorKind::Invalid, &message))
            }
        }
    }
}

impl Volume {
    /// Deletes the old name of a rename whose copy was made, as far as it is still what was
    /// copied and the copy is still that. Whether it was deleted now.
    pub(super) async fn finish_renaming(&self, renaming: &Renaming) -> Result<bool> {
        let (Ok(from), Ok(to)) = (
            ObjectKey::new(&*renaming.from),
            ObjectKey::new(&*renaming.to),
        ) else {
            return Ok(false);
        };
        let commit = |info: &crate::store::ObjectInfo| {
            let metadata = &info.attributes.metadata;
            metadata.get(CommitId::METADATA_NAME).cloned()
        };
        let is_there = |key: ObjectKey| async move {
            match self.store.head(&key, HeadOptions::default()).await {
                Ok(info) => Ok(Some(info)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(VolumeError::store(&key, error)),
            }
        };
        let copy = is_there(to).await?;
        if copy.and_then(|info| commit(&info)).as_ref() != Some(&renaming.commit) {
            return Ok(false);
        }
        let is_source = |info: &crate::store::ObjectInfo| commit(info) == renaming.source_commit;
        let Some(source) = is_there(from.clone()).await? else {
            return Ok(false);
        };
        let etag = ETag::new(&*renaming.etag);
        if source.etag != etag || !is_source(&source) {
            return Ok(false);
        }
        match self.delete_if(&from, Some(&etag), is_source).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Precondition => Ok(false),
            Err(error) => Err(error),
        }
    }
}
