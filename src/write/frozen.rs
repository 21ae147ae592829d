//! A changed file as it is at one moment, to be written down.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::RwLockWriteGuard;

use super::content::{Missing, index};
use super::engine::WriteEngine;
use super::file::DirtyFile;
use super::read::load;
use super::{Base, Result};
use crate::base::range::ByteRange;

/// See the module's text. Nobody writes to the file while this lives.
#[derive(Debug)]
pub struct Frozen<'a> {
    file: &'a DirtyFile,
    _alone: RwLockWriteGuard<'a, ()>,
    pub size: u64,
    pub base: Option<Base>,
    /// Of the base, bytes below this are the file's where none is dirty.
    pub valid: u64,
    /// What is dirty.
    pub extents: Vec<ByteRange>,
}

impl DirtyFile {
    /// Waits for writes and commits under way, and keeps new ones out. `None` where what is dirty
    /// has more than `bytes_max` bytes, or is not all on this machine.
    pub async fn freeze(&self, bytes_max: u64) -> Option<Frozen<'_>> {
        let alone = self.gate.write().await;
        let state = self.state();
        let table = &state.table;
        let local = !table.has_remote() && state.private.is_none();
        if !local || table.dirty().total_bytes() > bytes_max {
            return None;
        }
        Some(Frozen {
            file: self,
            size: table.size(),
            base: table.base().cloned(),
            valid: table.base_valid(),
            extents: table.dirty().iter().collect(),
            _alone: alone,
        })
    }

    /// A file as it was frozen, over what its base is now. What was dirty is to be written.
    ///
    /// # Errors
    /// As [`DirtyFile::truncate`].
    pub async fn thaw(
        engine: &Arc<WriteEngine>,
        base: Option<Base>,
        valid: u64,
        size: u64,
    ) -> Result<Arc<Self>> {
        let has = base.as_ref().map_or(0, |base| base.size);
        let file = Self::new(Arc::clone(engine), base);
        if valid < has {
            file.truncate(valid).await?;
        }
        if size != file.size() {
            file.truncate(size).await?;
        }
        Ok(file)
    }
}

impl Frozen<'_> {
    /// Dirty bytes. `None` where some have left this machine since.
    ///
    /// # Errors
    /// When staging cannot be read.
    pub async fn read(&self, dirty: ByteRange) -> Result<Option<Bytes>> {
        let mut out = vec![0; index(dirty.len())];
        let missing = self.file.state().table.fill(dirty, &mut out);
        for piece in missing {
            match piece {
                Missing::Staged { slot, from, to } => {
                    let at = index(to.start() - dirty.start());
                    let bytes = load(slot, from).await?;
                    out[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                Missing::Remote | Missing::Base(_) => return Ok(None),
            }
        }
        Ok(Some(out.into()))
    }
}
