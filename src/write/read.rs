//! Reading a changed file: for programs, and for the bodies of its uploads.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::content::{Missing, Shared, index};
use super::file::DirtyFile;
use super::staging::StagedSlot;
use super::{Base, BaseReader, Result, WriteError};
use crate::base::range::ByteRange;
use crate::store::ErrorKind;
use crate::volume::{Volume, VolumeError};

/// Gaps of clean bytes in one part that are this close are fetched in one request.
const GAP_MERGE_BYTES: u64 = 256 << 10;

/// A read half done.
struct Filled {
    start: u64,
    out: Vec<u8>,
    missing: Vec<Missing<StagedSlot>>,
    base: Option<Base>,
}

/// Reads the base past the block cache: an upload's bytes are not wanted there.
struct Direct<'a>(&'a Volume);

#[async_trait]
impl BaseReader for Direct<'_> {
    async fn read_base(
        &self,
        base: &Base,
        range: ByteRange,
    ) -> std::result::Result<Bytes, Arc<VolumeError>> {
        let read = self.0.read(&base.object, &base.version, range).await;
        read.map_err(Arc::new)
    }
}

/// A body that was put together, with the memory that it takes.
struct Body {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DirtyFile {
    /// Reads the bytes of `range` that the file has.
    ///
    /// # Errors
    /// When the base or staging cannot be read.
    pub async fn read(&self, range: ByteRange, reader: &dyn BaseReader) -> Result<Bytes> {
        loop {
            let Filled {
                start,
                mut out,
                missing,
                base,
            } = self.fill(range);
            if missing.iter().any(|piece| matches!(piece, Missing::Remote)) {
                self.checkpoint_to_reuse().await?;
                continue;
            }
            match fetch(missing, base.as_ref(), reader, start, &mut out).await {
                Err(error) if is_gone(&error) && self.base() != base => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(out.into()),
            }
        }
    }

    /// Reads, if all of it is in memory.
    pub fn try_read(&self, range: ByteRange) -> Option<Bytes> {
        let filled = self.fill(range);
        filled.missing.is_empty().then(|| filled.out.into())
    }

    /// The bytes of one upload. `range` is below the size, nothing in it is remote.
    pub(super) async fn body(&self, range: ByteRange) -> Result<Bytes> {
        if let Some(whole) = self.whole(range) {
            return Ok(whole);
        }
        let permit = self.engine.reserve_body(range.len()).await;
        Ok(Bytes::from_owner(Body {
            bytes: self.assemble(range).await?,
            _permit: permit,
        }))
    }

    /// A range that is a buffer in memory, which stays there for as long as this is held.
    pub(super) fn whole(&self, range: ByteRange) -> Option<Bytes> {
        let whole = self.state().table.whole(range);
        whole.map(|buffer| Shared(buffer).into())
    }

    /// The bytes of a range, put together in memory that the caller has reserved.
    pub(super) async fn assemble(&self, range: ByteRange) -> Result<Vec<u8>> {
        let Filled {
            start,
            mut out,
            missing,
            base,
        } = self.fill(range);
        let direct = Direct(&self.engine.volume);
        let fetched = fetch(missing, base.as_ref(), &direct, start, &mut out).await;
        fetched.map_err(|error| match error {
            WriteError::Volume(error) => WriteError::of_base(error),
            other => other,
        })?;
        Ok(out)
    }

    /// What memory has of `range`, cut to the size.
    fn fill(&self, range: ByteRange) -> Filled {
        let state = self.state();
        let end = range.end().min(state.table.size());
        let range = ByteRange::new(range.start().min(end), end);
        let mut out = zeros(range);
        let missing = state.table.fill(range, &mut out);
        Filled {
            start: range.start(),
            out,
            missing,
            base: state.table.base().cloned(),
        }
    }
}

fn is_gone(error: &WriteError) -> bool {
    matches!(
        error.kind(),
        Some(ErrorKind::Precondition | ErrorKind::NotFound)
    )
}

/// Brings what is `missing` into `out`, which begins at `start` in the file.
async fn fetch(
    missing: Vec<Missing<StagedSlot>>,
    base: Option<&Base>,
    reader: &dyn BaseReader,
    start: u64,
    out: &mut [u8],
) -> Result<()> {
    let mut gaps = Vec::new();
    for piece in missing {
        match piece {
            Missing::Staged { slot, from, to } => {
                slice_mut(out, start, to).copy_from_slice(&load(slot, from).await?);
            }
            Missing::Base(range) => gaps.push(range),
            Missing::Remote => unreachable!("remote bytes are checkpointed before"),
        }
    }
    for near in gaps.chunk_by(|a, b| b.start() - a.end() <= GAP_MERGE_BYTES) {
        let base = base.expect("only a file with a base has valid base bytes");
        let run = ByteRange::new(near[0].start(), near[near.len() - 1].end());
        let bytes = reader.read_base(base, run).await?;
        for gap in near {
            slice_mut(out, start, *gap).copy_from_slice(slice(&bytes, run.start(), *gap));
        }
    }
    Ok(())
}

pub(super) async fn load(slot: Arc<StagedSlot>, range: ByteRange) -> Result<Bytes> {
    let task = tokio::task::spawn_blocking(move || slot.load_range(range));
    let loaded = task
        .await
        .unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()));
    Ok(loaded?.into())
}

/// The bytes `range` of what begins at `start`.
pub(super) fn slice(bytes: &[u8], start: u64, range: ByteRange) -> &[u8] {
    &bytes[index(range.start() - start)..index(range.end() - start)]
}

fn slice_mut(bytes: &mut [u8], start: u64, range: ByteRange) -> &mut [u8] {
    &mut bytes[index(range.start() - start)..index(range.end() - start)]
}

fn zeros(range: ByteRange) -> Vec<u8> {
    vec![0; index(range.len())]
}
