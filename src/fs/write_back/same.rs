//! Whether the bucket has what a journal has.

use std::sync::Arc;

use super::replay::piece;
use crate::base::range::ByteRange;
use crate::fs::{FileSystem, Result};
use crate::layout::path::VolumePath;
use crate::volume::{ObjectRef, Stat};
use crate::write::journal::{Dead, FileNumber, Pending};

impl FileSystem {
    /// Whether an object has every byte that was closed, and the length. Then nothing of it can be
    /// lost, whoever wrote the object: a commit id alone proves nothing in a client-side volume,
    /// since anybody who may write to the bucket can put one on an older object.
    pub(super) async fn has_closed_bytes(
        &self,
        dead: &Arc<Dead>,
        file: FileNumber,
        pending: &Pending,
        path: &VolumePath,
        found: &Stat,
    ) -> Result<bool> {
        let Some(version) = found.version.as_ref() else {
            return Ok(false);
        };
        if found.size != pending.closed.size {
            return Ok(false);
        }
        let object = ObjectRef::Path(path.clone());
        for index in 0..dead.pieces(pending) {
            for (at, bytes) in piece(dead, file, index).await? {
                let range = ByteRange::new(at, at + bytes.len() as u64);
                if self.volume.read(&object, version, range).await? != bytes {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
