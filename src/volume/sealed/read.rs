//! Reading ranges of a client-side file.
//!
//! Only the chunks that hold the range are fetched; what lies together in the object is one
//! request, holes are none. When the version that is read was replaced, by another machine's
//! change of attributes or of another part of the file, the reader goes on with the new one as
//! long as the segments that it wants are the same messages: they hold the same bytes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::Opened;
use crate::base::range::ByteRange;
use crate::crypto::OpenError;
use crate::layout::attributes::FileKind;
use crate::layout::path::VolumePath;
use crate::layout::sealed::map::{PlainRange, SealedPiece, StoredRange};
use crate::layout::sealed::{BodyMap, ObjectError, Piece};
use crate::store::{ErrorKind, Operation, StoreError};
use crate::volume::s3ec::Body;
use crate::volume::{ObjectRef, Result, Version, Volume, VolumeError};

/// More than this is opened by a thread that may be busy for a while.
const OPEN_HERE_BYTES: u64 = 256 << 10;

/// Pieces that are stored side by side.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    stored: ByteRange,
    pieces: Vec<SealedPiece>,
}

impl Volume {
    /// As [`Volume::read`].
    pub(in crate::volume) async fn read_sealed(
        &self,
        object: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<Bytes> {
        let opened = match self.body_of(object, version).await? {
            Body::Native(opened) => opened,
            Body::S3ec(found) => {
                let at = self.place_of(object, version)?;
                return Box::pin(self.read_s3ec(&at, &found, range)).await;
            }
        };
        let map = self.body_map(&opened, object, version).await?;
        if range.end() > map.length() {
            let message = format!("asked for {range} of a file of {} bytes", map.length());
            return Err(VolumeError::other(
                object.name(),
                ErrorKind::Corrupt,
                &message,
            ));
        }
        let read = match opened.successor() {
            None => self.read_opened(&opened, object, version, range).await,
            Some(successor) => self.read_same(&opened, object, &successor, range).await,
        };
        match read {
            Err(error)
                if error.kind() == ErrorKind::Precondition
                    && matches!(object, ObjectRef::Path(_)) =>
            {
                let key = self.object_key(object)?;
                let found = self.look_sealed(&key, None).await;
                let Some((_, info)) = found.map_err(|error| error.named(object.name()))? else {
                    return Err(error);
                };
                let now = Version::new(info.etag, info.version);
                let read = self.read_same(&opened, object, &now, range).await?;
                opened.set_successor(now);
                Ok(read)
            }
            read => read,
        }
    }

    /// As [`Volume::read_whole`].
    pub(in crate::volume) async fn read_whole_sealed(&self, path: &VolumePath) -> Result<Bytes> {
        let key = self.file_key(path)?;
        let found = self.look_sealed(&key, None).await;
        let Some((opened, info)) = found.map_err(|error| error.named(path))? else {
            let error = StoreError::not_found(Operation::GetObject, &key);
            return Err(VolumeError::store(path, error));
        };
        let object = ObjectRef::Path(path.clone());
        let told = opened.attributes();
        let told = told.map_err(|error| self.refused(&object, error))?;
        if told.attributes.kind != FileKind::Symlink {
            let message = "it is no symlink any more: somebody else replaced it";
            return Err(VolumeError::other(path, ErrorKind::Precondition, message));
        }
        let version = Version::new(info.etag, info.version);
        let whole = ByteRange::new(0, opened.footer.length);
        self.read_opened(&opened, &object, &version, whole).await
    }

    /// Reads a range of another version of an opened object.
    ///
    /// # Errors
    /// [`ErrorKind::Precondition`] where it has other bytes there.
    async fn read_same(
        &self,
        opened: &Opened,
        object: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<Bytes> {
        let other = self.opened(object, version).await?;
        let same = other.record.content.id == opened.record.content.id && {
            let before = self.body_map(opened, object, version).await?;
            let now = self.body_map(&other, object, version).await?;
            same_bytes(before, now, range)
        };
        if !same {
            let message = "somebody else wrote other content there";
            return Err(VolumeError::other(
                object.name(),
                ErrorKind::Precondition,
                message,
            ));
        }
        self.read_opened(&other, object, version, range).await
    }

    async fn read_opened(
        &self,
        opened: &Arc<Opened>,
        object: &ObjectRef,
        version: &Version,
        range: ByteRange,
    ) -> Result<Bytes> {
        let map = self.body_map(opened, object, version).await?;
        let runs = runs(map, range);
        let stored = try_join_all(runs.iter().map(|run| {
            let stored = StoredRange(run.stored);
            self.stored_bytes(opened, object, version, stored)
        }))
        .await?;
        let sealed: u64 = runs.iter().map(|run| run.stored.len()).sum();
        let read = if sealed <= OPEN_HERE_BYTES {
            open_runs(opened, &runs, &stored, range)
        } else {
            let opened = Arc::clone(opened);
            let open = move || open_runs(&opened, &runs, &stored, range);
            let done = tokio::task::spawn_blocking(open).await;
            done.unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is ending.
                Err(_) => Err(OpenError),
            })
        };
        read.map_err(|error| self.refused(object, ObjectError::from(error)))
    }
}

/// Whether a range has the same bytes in two bodies of one content.
fn same_bytes(before: &BodyMap, now: &BodyMap, range: ByteRange) -> bool {
    let messages = |map: &BodyMap| -> Vec<_> {
        let pieces = map.pieces(PlainRange(range)).into_iter();
        pieces
            .map(|piece| match piece {
                Piece::Zeros(zeros) => (zeros, None),
                Piece::Sealed(sealed) => (sealed.plain, Some((sealed.segment, sealed.pin))),
            })
            .collect()
    };
    messages(before) == messages(now)
}

/// What of a range is not zeros.
fn runs(map: &BodyMap, range: ByteRange) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for piece in map.pieces(PlainRange(range)) {
        let Piece::Sealed(piece) = piece else {
            continue;
        };
        let StoredRange(stored) = piece.stored;
        match runs.last_mut() {
            Some(run) if run.stored.end() == stored.start() => {
                run.stored = ByteRange::new(run.stored.start(), stored.end());
                run.pieces.push(piece);
            }
            _ => runs.push(Run {
                stored,
                pieces: vec![piece],
            }),
        }
    }
    runs
}

fn open_runs(
    opened: &Opened,
    runs: &[Run],
    stored: &[Bytes],
    range: ByteRange,
) -> std::result::Result<Bytes, OpenError> {
    let mut plain = vec![0; index(range.len())];
    for (run, stored) in runs.iter().zip(stored) {
        for piece in &run.pieces {
            let within = |range: ByteRange, start: u64| {
                index(range.start() - start)..index(range.end() - start)
            };
            let sealed = &stored[within(piece.stored.0, run.stored.start())];
            let room = &mut plain[within(piece.plain.0, range.start())];
            piece.open_into(&opened.record.content, sealed, room)?;
        }
    }
    Ok(plain.into())
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}
