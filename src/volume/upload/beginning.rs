//! What an upload's object begins as.

use crate::base::id::CommitId;
use crate::layout::sealed::BodyId;
use crate::store::ObjectAttributes;
use crate::volume::types::commit_id;

/// What an upload's object begins as.
pub(in crate::volume) struct Beginning {
    pub attributes: ObjectAttributes,
    pub body: Option<BodyId>,
    pub commit: CommitId,
}

impl Beginning {
    /// With the record of this body.
    pub const fn sealed(attributes: ObjectAttributes, body: BodyId, commit: CommitId) -> Self {
        Self {
            attributes,
            body: Some(body),
            commit,
        }
    }

    /// Attributes that are sealed nowhere.
    pub const fn plain(attributes: ObjectAttributes, commit: CommitId) -> Self {
        Self {
            attributes,
            body: None,
            commit,
        }
    }
}

impl From<ObjectAttributes> for Beginning {
    fn from(attributes: ObjectAttributes) -> Self {
        let commit = commit_id(&attributes);
        Self::plain(attributes, commit)
    }
}
